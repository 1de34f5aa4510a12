#include "exec/train/float_conv.h"
#include "base/memory.h"
#include "exec/plan/lifetimes.h"
#include "exec/plan/shapes.h"

struct float_conv {
    struct conv_shape shape;
    const struct conv_f32_kernel *forward;
    const struct conv_f32_backward_data_kernel *data;
    const struct conv_f32_backward_weight_kernel *weight;
    struct threads *pool;
    int rows, items; /* output rows of an item, items an image */
    void *packed;    /* weights of the pass that it is in */
    unsigned char *scratch;
    size_t packed_bytes, scratch_stride;
    /* the call: */
    const float *w, *bias, *x, *residual, *dy;
    float *y, *dw, *dx;
    int count, accumulate;
};

static int plan(struct float_conv *c, const struct graph *g, int node, const char *isa, struct message *m)
{
    const struct kernel_table *k;
    TRY(kernel_table_get(&k, isa, m));
    *c = (struct float_conv){.shape = node_conv_shape(g, node)};
    const struct conv_shape *s = &c->shape;
    c->forward = kernel_conv_f32(k, s);
    c->data = kernel_conv_f32_backward_data(k, s);
    c->weight = kernel_conv_f32_backward_weight(k, s);
    c->rows = conv_item_rows(s);
    c->items = (s->out_h + c->rows - 1) / c->rows;
    c->packed_bytes = max_size(c->forward->packed_bytes(s), c->data->packed_bytes(s));
    c->scratch_stride = max_size(64, c->forward->scratch_bytes(s));
    c->scratch_stride = max_size(c->scratch_stride, c->data->scratch_bytes(s));
    c->scratch_stride = round_up_64(max_size(c->scratch_stride, c->weight->scratch_bytes(s)));
    return 0;
}

int float_conv_open(struct float_conv **out, const struct graph *g, int node, struct threads *pool, const char *isa,
                    struct message *m)
{
    struct float_conv *c = memory_new(1, sizeof *c, m);
    *out = NULL;
    if (!c)
        return STATUS_NOMEM;
    int status = plan(c, g, node, isa, m);
    if (status >= 0) {
        c->pool = pool;
        c->packed = memory_new(c->packed_bytes, 1, m);
        c->scratch = memory_new((size_t)threads_count(pool), c->scratch_stride, m);
        status = c->packed && c->scratch ? 0 : STATUS_NOMEM;
    }
    if (status < 0)
        float_conv_close(c);
    else
        *out = c;
    return status;
}

size_t float_conv_bytes(const struct graph *g, int node, int threads, const char *isa)
{
    struct float_conv c;
    return plan(&c, g, node, isa, NULL) < 0 ? 0 : c.packed_bytes + (size_t)threads * c.scratch_stride;
}

void float_conv_close(struct float_conv *c)
{
    if (!c)
        return;
    memory_free(c->packed);
    memory_free(c->scratch);
    memory_free(c);
}

static void *scratch_of(const struct float_conv *c, int worker)
{
    return c->scratch + (size_t)worker * c->scratch_stride;
}

/* ---- forward ---- */

static void forward_item(void *context, int item, int worker)
{
    const struct float_conv *c = context;
    const struct conv_shape *s = &c->shape;
    const size_t image = (size_t)(item / c->items);
    const struct layout y_at = layout_dense(s->out_h, s->out_w, s->out);
    int begin = item % c->items * c->rows;
    const struct conv_f32_call call = {
        .images = 1,
        .x = c->x + image * shape_inputs(s),
        .x_at = layout_dense(s->h, s->w, s->c),
        .packed = c->packed,
        .bias = c->bias,
        .residual = c->residual ? c->residual + image * shape_outputs(s) : NULL,
        .residual_at = y_at,
        .y = c->y + image * shape_outputs(s),
        .y_at = y_at,
        .row_begin = begin,
        .row_end = begin + c->rows < s->out_h ? begin + c->rows : s->out_h,
    };
    c->forward->run(s, &call, scratch_of(c, worker));
}

void float_conv_forward(struct float_conv *c, const float *w, const float *bias, const float *x, int count,
                        const float *residual, float *y)
{
    c->bias = bias;
    c->x = x;
    c->residual = residual;
    c->y = y;
    c->forward->pack(&c->shape, w, c->packed);
    threads_run(c->pool, forward_item, c, count * c->items);
}

/* ---- backward ---- */

static void weight_item(void *context, int item, int worker)
{
    const struct float_conv *c = context;
    c->weight->run(&c->shape, c->count, c->x, c->dy, item, c->dw, scratch_of(c, worker));
}

static void data_item(void *context, int image, int worker)
{
    const struct float_conv *c = context;
    const struct conv_shape *s = &c->shape;
    c->data->run(s, c->dy + (size_t)image * shape_outputs(s), c->packed, c->dx + (size_t)image * shape_inputs(s),
                 c->accumulate, scratch_of(c, worker));
}

void float_conv_backward_weight(struct float_conv *c, const float *x, const float *dy, int count, float *dw)
{
    c->x = x;
    c->dy = dy;
    c->dw = dw;
    c->count = count;
    threads_run(c->pool, weight_item, c, c->weight->items(&c->shape));
}

void float_conv_backward_data(struct float_conv *c, const float *w, const float *dy, int count, float *dx,
                              int accumulate)
{
    c->dy = dy;
    c->dx = dx;
    c->accumulate = accumulate;
    c->data->pack(&c->shape, w, c->packed);
    threads_run(c->pool, data_item, c, count);
}
