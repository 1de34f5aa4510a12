/* Integer layers, through the definition. */
#include "kernel/contract/arithmetic.h"
#include "kernel/device/host/values.h"
#include "kernel/contract/shape.h"
#include <stdlib.h>
#include <string.h>

/* Packed: the codes in OIHW, then the bias on a multiple of 64 bytes. */
static size_t bias_at(const struct conv_shape *s)
{
    return round_up_64(shape_weights(s));
}

/* ---- pack: p = {plan, codes, bias, requantize, packed} ---- */

static void run_pack(struct device *d, const struct host_call *call)
{
    const struct device_plan *p = call->p[0];
    const struct conv_shape *s = &p->shape;
    const int8_t *from = call->p[1];
    int8_t *to = host_written(call->p[4]);
    (void)d;
    host_check(from, shape_weights(s), "codes");
    host_check(call->p[2], (size_t)s->out * sizeof(int32_t), "code bias");
    host_check(to, p->packed, "packed");
    for (int k = 0; k < s->out; k++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++)
                for (int c = 0; c < s->c; c++)
                    to[shape_weight_at(s, k, c, r, t)] = *from++;
    memcpy(to + bias_at(s), call->p[2], (size_t)s->out * sizeof(int32_t));
}

static int conv_u8_pack(struct device *d, struct device_plan *p, const int8_t *codes, const int32_t *bias,
                        const struct device_requantize *requantize, void *packed, struct message *m)
{
    return HOST_QUEUE(d, "conv_u8_pack", run_pack, m, HOST_P(p, codes, bias, requantize, packed));
}

/* ---- convolution ---- */

static void check_call(const struct device_plan *p, const struct device_conv_u8_call *u)
{
    size_t n = (size_t)p->conv.n, y = n * shape_outputs(&p->shape);
    host_check(u->x, n * shape_inputs(&p->shape), "u8 x");
    host_check(u->packed, p->packed, "packed");
    host_check(u->multiplier, (size_t)p->conv.k * sizeof(float), "multiplier");
    host_check(u->requantize, sizeof *u->requantize, "requantize");
    if (u->residual)
        host_check(u->residual, y, "residual");
    if (u->y)
        host_check(u->y, y, "u8 y");
    if (u->before)
        host_check(u->before, y * sizeof(float), "before");
    if (u->logits)
        host_check(u->logits, y * sizeof(float), "logits");
}

static struct requantize requantize_for(const struct device_conv_u8_call *u, const void *bias)
{
    const struct device_requantize *r = u->requantize;
    return (struct requantize){.multiplier = u->multiplier,
                               .bias = bias,
                               .residual_multiplier = r->residual_multiplier,
                               .zero_point_x = (uint8_t)r->zero_point_x,
                               .zero_point_y = (uint8_t)r->zero_point_y,
                               .residual_zero_point = (uint8_t)r->residual_zero_point,
                               .low = (uint8_t)r->low,
                               .high = (uint8_t)r->high};
}

static void run_conv_u8(struct device *d, const struct host_call *c)
{
    const struct device_plan *p = c->plan;
    const struct device_conv_u8_call *u = &c->u8;
    const struct conv_shape *s = &p->shape;
    const struct conv_u8_kernel *k = &d->kernels->conv_u8;
    check_call(p, u);
    struct requantize rq = requantize_for(u, (const char *)u->packed + bias_at(s));
    void *packed = aligned_alloc(64, round_up_64(k->packed_bytes(s) + 64));
    void *scratch = aligned_alloc(64, round_up_64(k->scratch_bytes(s) + 64));
    struct layout y_at = layout_dense(s->out_h, s->out_w, s->out);
    k->pack(s, u->packed, rq.zero_point_x, UINT8_MAX, packed);
    struct conv_u8_call call = {.images = p->conv.n,
                                .x = u->x,
                                .x_at = layout_dense(s->h, s->w, s->c),
                                .packed = packed,
                                .requantize = &rq,
                                .residual = u->residual,
                                .residual_at = y_at,
                                .y = u->y,
                                .y_at = y_at,
                                .before = u->before,
                                .before_at = y_at,
                                .logits = u->logits,
                                .logits_at = y_at,
                                .row_end = s->out_h};
    k->run(s, &call, scratch);
    free(packed);
    free(scratch);
}

static int conv_u8(struct device *d, struct device_plan *p, const struct device_conv_u8_call *call, void *workspace,
                   struct message *m)
{
    host_check(workspace, p->workspace, "workspace");
    return HOST_QUEUE(d, "conv_u8", run_conv_u8, m, .plan = p, .u8 = *call);
}

/* ---- lookup: p = {pixels, table, q}, i = {rows, c} ---- */

static void run_lookup(struct device *d, const struct host_call *c)
{
    size_t count = (size_t)c->i[0] * (size_t)c->i[1];
    host_check(c->p[0], count, "lookup pixels");
    host_check(c->p[1], 256 * (size_t)c->i[1], "lookup table");
    host_check(c->p[2], count, "lookup codes");
    d->kernels->elementwise.lookup_u8(c->p[0], (int)c->i[0], (int)c->i[1], c->p[1], host_written(c->p[2]));
}

static int lookup_u8(struct device *d, const uint8_t *pixels, size_t rows, int c, const uint8_t *table, uint8_t *q,
                     struct message *m)
{
    return HOST_QUEUE(d, "lookup_u8", run_lookup, m, HOST_P(pixels, table, q), HOST_I((int64_t)rows, c));
}

/* ---- pool: p = {x, map_x, map_y, y, before}, i = {n, pixels, c} ---- */

static void run_pool(struct device *d, const struct host_call *c)
{
    size_t n = (size_t)c->i[0], pixels = (size_t)c->i[1], channels = (size_t)c->i[2];
    const struct affine *x = c->p[1], *y = c->p[2];
    host_check(c->p[0], n * pixels * channels, "pool x");
    host_check(c->p[3], n * channels, "pool y");
    for (size_t i = 0; i < n; i++)
        d->kernels->elementwise.average_pool_u8(&(struct average_pool_u8_call){
            .x = (const uint8_t *)c->p[0] + i * pixels * channels,
            .pixels = (int)pixels,
            .c = (int)channels,
            .multiplier = pool_multiplier(x, y, (int)pixels),
            .zero_point_x = x->zero_point,
            .zero_point_y = y->zero_point,
            .low = y->qmin,
            .high = y->qmax,
            .y = (uint8_t *)host_written(c->p[3]) + i * channels,
            .before = c->p[4] ? (float *)host_written(c->p[4]) + i * channels : NULL});
}

static int average_pool_u8(struct device *d, const struct device_pool *p, const struct device_pool_u8_call *c,
                           struct message *m)
{
    return HOST_QUEUE(d, "average_pool_u8", run_pool, m, HOST_P(c->x, c->map_x, c->map_y, c->y, c->before),
                      HOST_I(p->n, p->pixels, p->c));
}

/* ---- relu: p = {x, map, y}, i = {count}; quantize and dequantize: p = {x, map, y}, i = {count, type} ---- */

static void run_relu_u8(struct device *d, const struct host_call *c)
{
    const uint8_t *x = c->p[0];
    uint8_t *y = host_written(c->p[2]), zero = ((const struct affine *)c->p[1])->zero_point;
    (void)d;
    host_check(x, (size_t)c->i[0], "relu x");
    host_check(y, (size_t)c->i[0], "relu y");
    for (int64_t i = 0; i < c->i[0]; i++)
        y[i] = x[i] > zero ? x[i] : zero;
}

static int relu_u8(struct device *d, const uint8_t *x, size_t count, const struct affine *map_x, uint8_t *y,
                   struct message *m)
{
    return HOST_QUEUE(d, "relu_u8", run_relu_u8, m, HOST_P(x, map_x, y), HOST_I((int64_t)count));
}

static void run_quantize(struct device *d, const struct host_call *c)
{
    const struct affine *map = c->p[1];
    host_check(c->p[0], (size_t)c->i[0] * sizeof(float), "quantize x");
    host_check(c->p[2], (size_t)c->i[0], "quantize y");
    d->kernels->elementwise.quantize(c->p[0], (size_t)c->i[0], map->scale, map->zero_point, map->qmin, map->qmax,
                                     host_written(c->p[2]));
}

static int quantize(struct device *d, const float *x, size_t count, const struct affine *map, uint8_t *q,
                    struct message *m)
{
    return HOST_QUEUE(d, "quantize", run_quantize, m, HOST_P(x, map, q), HOST_I((int64_t)count));
}

static void run_dequantize(struct device *d, const struct host_call *c)
{
    size_t count = (size_t)c->i[0];
    const struct affine *map = c->p[1];
    float *x = host_new(count, sizeof *x);
    host_check(c->p[0], count, "dequantize codes");
    d->kernels->elementwise.dequantize(c->p[0], count, map->scale, map->zero_point, x);
    host_narrow(x, (enum device_type)c->i[1], host_written(c->p[2]), count, "dequantize");
}

static int dequantize(struct device *d, const uint8_t *q, size_t count, const struct affine *map,
                      enum device_type type, void *x, struct message *m)
{
    return HOST_QUEUE(d, "dequantize", run_dequantize, m, HOST_P(q, map, x), HOST_I((int64_t)count, type));
}

void host_table_integers(struct device_backend *b)
{
    b->conv_u8_pack = conv_u8_pack;
    b->conv_u8 = conv_u8;
    b->lookup_u8 = lookup_u8;
    b->average_pool_u8 = average_pool_u8;
    b->relu_u8 = relu_u8;
    b->quantize = quantize;
    b->dequantize = dequantize;
}
