/* Convolutions of floats and linear layers, through the definition. */
#include "kernel/device/host/values.h"
#include "kernel/contract/shape.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/memory.h"

static size_t images(const struct device_plan *p)
{
    return (size_t)p->conv.n;
}

static size_t inputs(const struct device_plan *p)
{
    return images(p) * shape_inputs(&p->shape);
}

static size_t outputs(const struct device_plan *p)
{
    return images(p) * shape_outputs(&p->shape);
}

/* [K][R][R][C] -> [K][C][R][R], and back. */
static float *to_oihw(float *w, const struct conv_shape *s)
{
    float *to = host_new(shape_weights(s), sizeof *to), *from = w;
    for (int k = 0; k < s->out; k++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++)
                for (int c = 0; c < s->c; c++)
                    to[shape_weight_at(s, k, c, r, t)] = *from++;
    free(w);
    return to;
}

static float *from_oihw(float *w, const struct conv_shape *s)
{
    float *all = host_new(shape_weights(s), sizeof *all), *to = all;
    for (int k = 0; k < s->out; k++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++)
                for (int c = 0; c < s->c; c++)
                    *to++ = w[shape_weight_at(s, k, c, r, t)];
    free(w);
    return all;
}

/* ---- plan ---- */

/* A workspace, so that planning one has something to find out: it must be there, nothing is done with it. */
static size_t workspace_of(const struct device_conv *c, size_t limit)
{
    size_t wanted = (size_t)c->n * (size_t)c->c * 16;
    return wanted < limit ? wanted : limit;
}

int host_conv_plan(struct device *d, const struct device_conv *c, unsigned passes, size_t limit,
                   struct device_plan **out, struct message *m)
{
    (void)d, (void)passes;
    TRY(host_enter("conv_plan", m));
    if ((double)c->n * c->h * c->w * c->c > INT_MAX || (double)c->n * c->out_h * c->out_w * c->k > INT_MAX)
        return message_set(m, STATUS_RANGE, "a tensor of 2^31 elements");
    struct device_plan *p = memory_new(1, sizeof *p, m);
    if (!p)
        return STATUS_NOMEM;
    host_record.plans++;
    host_record.plans_held++;
    p->conv = *c;
    p->shape = (struct conv_shape){c->h, c->w, c->c, c->k, c->kernel, c->stride, c->pad, c->out_h, c->out_w, 1};
    p->workspace = workspace_of(c, limit);
    p->packed = c->type == DEVICE_U8 ? shape_weights(&p->shape) + (size_t)c->k * sizeof(int32_t) + 64 : 0;
    *out = p;
    return 0;
}

static void plan_free(struct device *d, struct device_plan *p)
{
    if (!p)
        return;
    host_drain(d);
    host_record.plans_held--;
    memory_free(p);
}

static const char *plan_algorithm(const struct device_plan *p, enum device_pass pass)
{
    (void)pass;
    return p->is_norm ? "two-pass" : "direct";
}

static size_t plan_workspace(const struct device_plan *p)
{
    return p->workspace;
}

static size_t plan_reserve(const struct device_plan *p)
{
    return p->reserve;
}

static size_t plan_packed(const struct device_plan *p)
{
    return p->packed;
}

/* ---- forward ---- */

static void run_forward(struct device *d, const struct host_call *queued)
{
    const struct device_plan *p = queued->plan;
    const struct device_conv_call *c = &queued->conv;
    const struct conv_shape *s = &p->shape;
    enum device_type type = p->conv.type;
    const struct conv_f32_kernel *k = &d->kernels->conv_f32;
    float *x = host_widen(c->x, type, inputs(p), "x");
    float *w = to_oihw(host_widen(c->w, type, shape_weights(s), "w"), s);
    float *other = c->other ? host_widen(c->other, type, outputs(p), "other") : NULL;
    float *y = host_new(outputs(p), sizeof *y);
    void *packed = aligned_alloc(64, round_up_64(k->packed_bytes(s) + 64));
    void *scratch = aligned_alloc(64, round_up_64(k->scratch_bytes(s) + 64));
    struct layout y_at = layout_dense(s->out_h, s->out_w, s->out);
    host_check(c->workspace, p->workspace, "workspace");
    k->pack(s, w, packed);
    struct conv_f32_call call = {.images = p->conv.n,
                                 .x = x,
                                 .x_at = layout_dense(s->h, s->w, s->c),
                                 .packed = packed,
                                 .bias = c->bias,
                                 .residual = other,
                                 .residual_at = y_at,
                                 .relu = c->relu,
                                 .y = y,
                                 .y_at = y_at,
                                 .row_end = s->out_h};
    k->run(s, &call, scratch);
    host_narrow(y, type, c->y, outputs(p), "y");
    free(x);
    free(w);
    free(other);
    free(packed);
    free(scratch);
}

static int conv_forward(struct device *d, struct device_plan *p, const struct device_conv_call *c,
                        struct message *m)
{
    return HOST_QUEUE(d, "conv_forward", run_forward, m, .plan = p, .conv = *c);
}

/* ---- by data ---- */

static void run_data(struct device *d, const struct host_call *queued)
{
    const struct device_plan *p = queued->plan;
    const struct device_conv_data_call *c = &queued->conv_data;
    const struct conv_shape *s = &p->shape;
    enum device_type type = p->conv.type;
    const struct conv_f32_backward_data_kernel *k = &d->kernels->conv_f32_backward_data;
    float *dy = host_widen(c->dy, type, outputs(p), "dy");
    float *w = to_oihw(host_widen(c->w, type, shape_weights(s), "w"), s);
    float *dx = c->accumulate ? host_widen(c->dx, type, inputs(p), "dx") : host_new(inputs(p), sizeof *dx);
    void *packed = aligned_alloc(64, round_up_64(k->packed_bytes(s) + 64));
    void *scratch = aligned_alloc(64, round_up_64(k->scratch_bytes(s) + 64));
    host_check(c->workspace, p->workspace, "workspace");
    k->pack(s, w, packed);
    for (int i = 0; i < p->conv.n; i++)
        k->run(s, dy + (size_t)i * shape_outputs(s), packed, dx + (size_t)i * shape_inputs(s), c->accumulate,
               scratch);
    host_narrow(dx, type, c->dx, inputs(p), "dx");
    free(dy);
    free(w);
    free(packed);
    free(scratch);
}

static int conv_data(struct device *d, struct device_plan *p, const struct device_conv_data_call *c,
                     struct message *m)
{
    return HOST_QUEUE(d, "conv_data", run_data, m, .plan = p, .conv_data = *c);
}

/* ---- by weights: p = {plan, x, dy, dw, workspace} ---- */

static void run_weight(struct device *d, const struct host_call *c)
{
    const struct device_plan *p = c->p[0];
    const struct conv_shape *s = &p->shape;
    const struct conv_f32_backward_weight_kernel *k = &d->kernels->conv_f32_backward_weight;
    float *x = host_widen(c->p[1], p->conv.type, inputs(p), "x");
    float *dy = host_widen(c->p[2], p->conv.type, outputs(p), "dy");
    float *dw = host_new(shape_weights(s), sizeof *dw);
    void *scratch = aligned_alloc(64, round_up_64(k->scratch_bytes(s) + 64));
    host_check(c->p[4], p->workspace, "workspace");
    for (int i = 0; i < k->items(s); i++)
        k->run(s, p->conv.n, x, dy, i, dw, scratch);
    host_narrow(from_oihw(dw, s), DEVICE_F32, host_written(c->p[3]), shape_weights(s), "dw");
    free(x);
    free(dy);
    free(scratch);
}

static int conv_weight(struct device *d, struct device_plan *p, const void *x, const void *dy, float *dw,
                       void *workspace, struct message *m)
{
    return HOST_QUEUE(d, "conv_weight", run_weight, m, HOST_P(p, x, dy, dw, workspace));
}

/* ---- linear: i = {n, c, k, type, y_type} ---- */

static void run_linear(struct device *d, const struct host_call *c)
{
    size_t n = (size_t)c->i[0], channels = (size_t)c->i[1], k = (size_t)c->i[2];
    enum device_type type = (enum device_type)c->i[3];
    float *x = host_widen(c->p[0], type, n * channels, "x"), *w = host_widen(c->p[1], type, k * channels, "w");
    const float *bias = c->p[2];
    float *y = host_new(n * k, sizeof *y);
    (void)d;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < k; j++) {
            double sum = bias ? (double)bias[j] : 0;
            for (size_t l = 0; l < channels; l++)
                sum += (double)x[i * channels + l] * (double)w[j * channels + l];
            y[i * k + j] = (float)sum;
        }
    host_narrow(y, (enum device_type)c->i[4], host_written(c->p[3]), n * k, "y");
    free(x);
    free(w);
}

static int linear_forward(struct device *d, const struct device_linear *l, const void *x, const void *w,
                          const float *bias, void *y, struct message *m)
{
    return HOST_QUEUE(d, "linear_forward", run_linear, m, HOST_P(x, w, bias, y),
                      HOST_I(l->n, l->c, l->k, l->type, l->y_type));
}

/* out[rows][columns] = sum over `inner` of a(row, inner) * b(inner, column), by strides. */
static float *product(const float *a, size_t row, size_t a_inner, const float *b, size_t b_inner, size_t column,
                      size_t rows, size_t columns, size_t inner)
{
    float *out = host_new(rows * columns, sizeof *out);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) {
            double sum = 0;
            for (size_t l = 0; l < inner; l++)
                sum += (double)a[i * row + l * a_inner] * (double)b[l * b_inner + j * column];
            out[i * columns + j] = (float)sum;
        }
    return out;
}

static void run_linear_backward(struct device *d, const struct host_call *c)
{
    size_t n = (size_t)c->i[0], channels = (size_t)c->i[1], k = (size_t)c->i[2];
    enum device_type type = (enum device_type)c->i[3];
    float *x = host_widen(c->p[0], type, n * channels, "x"), *w = host_widen(c->p[1], type, k * channels, "w");
    float *dy = host_widen(c->p[2], type, n * k, "dy"), one = 1;
    (void)d;
    host_narrow(product(dy, 1, k, x, channels, 1, k, channels, n), DEVICE_F32, host_written(c->p[4]), k * channels,
                "dw");
    if (c->p[3])
        host_narrow(product(dy, k, 1, w, channels, 1, n, channels, k), type, host_written(c->p[3]), n * channels,
                    "dx");
    if (c->p[5])
        host_narrow(product(dy, 1, k, &one, 0, 0, k, 1, n), DEVICE_F32, host_written(c->p[5]), k, "db");
    free(x);
    free(w);
    free(dy);
}

static int linear_backward(struct device *d, const struct device_linear *l,
                           const struct device_linear_backward_call *c, struct message *m)
{
    return HOST_QUEUE(d, "linear_backward", run_linear_backward, m, HOST_P(c->x, c->w, c->dy, c->dx, c->dw, c->db),
                      HOST_I(l->n, l->c, l->k, l->type));
}

void host_table_conv(struct device_backend *b)
{
    b->conv_plan = host_conv_plan;
    b->plan_free = plan_free;
    b->plan_algorithm = plan_algorithm;
    b->plan_workspace = plan_workspace;
    b->plan_reserve = plan_reserve;
    b->plan_packed = plan_packed;
    b->conv_forward = conv_forward;
    b->conv_data = conv_data;
    b->conv_weight = conv_weight;
    b->linear_forward = linear_forward;
    b->linear_backward = linear_backward;
}
