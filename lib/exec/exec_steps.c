/* How each kind of step runs one of its items. */
#include "exec/plan.h"

typedef void step_work(const struct exec *e, const struct step *s, const struct place *at);

static const struct node *node_of(const struct exec *e, int i)
{
    return &e->model->graph.nodes[i];
}

static int pixels_of(const struct node *n)
{
    return n->h * n->w;
}

static void run_normalize(const struct exec *e, const struct step *s, const struct place *at)
{
    const struct node *n = node_of(e, s->node);
    e->kernels->elementwise.normalize(exec_value(e, s->x, at->image), pixels_of(n), n->c, n->mean, n->std,
                                      exec_value(e, s->output, at->image));
}

static void run_lookup_input(const struct exec *e, const struct step *s, const struct place *at)
{
    const struct node *n = node_of(e, s->node);
    e->kernels->elementwise.lookup_u8(exec_value(e, s->x, at->image), pixels_of(n), n->c, s->table,
                                      exec_value(e, s->output, at->image));
}

static struct layout dense_of(const struct exec *e, int i)
{
    const struct node *n = node_of(e, i);
    return layout_dense(n->h, n->w, n->c);
}

static void block_rows(const struct step *s, int block, int *begin, int *end)
{
    *begin = block * s->rows;
    *end = *begin + s->rows < s->shape.out_h ? *begin + s->rows : s->shape.out_h;
}

static void run_conv_f32(const struct exec *e, const struct step *s, const struct place *at)
{
    int begin, end;
    block_rows(s, at->block, &begin, &end);
    int fused = s->norm >= 0;
    float *y = exec_value(e, s->output, at->image);
    struct conv_f32_call call = {.images = 1,
                                 .x = exec_value(e, s->x, at->image),
                                 .x_at = dense_of(e, s->x),
                                 .packed = s->packed,
                                 .bias = s->bias,
                                 .residual = s->other >= 0 ? exec_value(e, s->other, at->image) : NULL,
                                 .residual_at = dense_of(e, s->output),
                                 .relu = fused ? 0 : s->relu,
                                 .y = y,
                                 .y_at = dense_of(e, s->output),
                                 .row_begin = begin,
                                 .row_end = end};
    e->kernels->conv_f32.run(&s->shape, &call, at->scratch);
    if (fused) {
        size_t first = (size_t)begin * (size_t)s->shape.out_w * (size_t)s->shape.out;
        const float *other =
            s->norm_other >= 0 ? (const float *)exec_value(e, s->norm_other, at->image) + first : NULL;
        e->kernels->elementwise.scale_shift(y + first, (end - begin) * s->shape.out_w, s->shape.out, s->scale,
                                            s->shift, other, s->relu, y + first);
    }
}

static void run_conv_u8(const struct exec *e, const struct step *s, const struct place *at)
{
    int begin, end;
    block_rows(s, at->block, &begin, &end);
    struct layout dense = dense_of(e, s->output);
    struct conv_u8_call call = {.images = 1,
                                .x = exec_value(e, s->x, at->image),
                                .x_at = dense_of(e, s->x),
                                .packed = s->packed,
                                .requantize = &s->requantize,
                                .residual = s->other >= 0 ? exec_value(e, s->other, at->image) : NULL,
                                .residual_at = dense,
                                .y_at = dense,
                                .logits_at = dense,
                                .row_begin = begin,
                                .row_end = end};
    if (s->kind == STEP_LINEAR_U8)
        call.logits = exec_value(e, s->output, at->image);
    else
        call.y = exec_value(e, s->output, at->image);
    e->kernels->conv_u8.run(&s->shape, &call, at->scratch);
}

static void run_scale_shift(const struct exec *e, const struct step *s, const struct place *at)
{
    const struct node *n = node_of(e, s->node);
    e->kernels->elementwise.scale_shift(exec_value(e, s->x, at->image), pixels_of(n), n->c, s->scale, s->shift,
                                        NULL, 0, exec_value(e, s->output, at->image));
}

static void run_relu(const struct exec *e, const struct step *s, const struct place *at)
{
    e->kernels->elementwise.relu(exec_value(e, s->x, at->image), node_elements(node_of(e, s->node)),
                                 exec_value(e, s->output, at->image));
}

static void run_relu_u8(const struct exec *e, const struct step *s, const struct place *at)
{
    const struct node *n = node_of(e, s->node);
    /* one table for all channels: every code is a row of one channel */
    e->kernels->elementwise.lookup_u8(exec_value(e, s->x, at->image), (int)node_elements(n), 1, s->table,
                                      exec_value(e, s->output, at->image));
}

static void run_add(const struct exec *e, const struct step *s, const struct place *at)
{
    e->kernels->elementwise.add(exec_value(e, s->x, at->image), exec_value(e, s->other, at->image),
                                node_elements(node_of(e, s->node)), 0, exec_value(e, s->output, at->image));
}

static void run_pool(const struct exec *e, const struct step *s, const struct place *at)
{
    const struct node *x = node_of(e, s->x);
    e->kernels->elementwise.average_pool(exec_value(e, s->x, at->image), pixels_of(x), x->c,
                                         exec_value(e, s->output, at->image));
}

static void run_pool_u8(const struct exec *e, const struct step *s, const struct place *at)
{
    const struct node *x = node_of(e, s->x);
    const struct affine *y = &s->map_y;
    e->kernels->elementwise.average_pool_u8(exec_value(e, s->x, at->image), pixels_of(x), x->c, s->map_x.zero_point,
                                            pool_multiplier(&s->map_x, y, pixels_of(x)), y->zero_point, y->qmin,
                                            y->qmax, exec_value(e, s->output, at->image), NULL);
}

static void run_quantize(const struct exec *e, const struct step *s, const struct place *at)
{
    const struct affine *y = &s->map_y;
    e->kernels->elementwise.quantize(exec_value(e, s->x, at->image), node_elements(node_of(e, s->node)), y->scale,
                                     y->zero_point, y->qmin, y->qmax, exec_value(e, s->output, at->image));
}

static void run_dequantize(const struct exec *e, const struct step *s, const struct place *at)
{
    e->kernels->elementwise.dequantize(exec_value(e, s->x, at->image), node_elements(node_of(e, s->node)),
                                       s->map_x.scale, s->map_x.zero_point, exec_value(e, s->output, at->image));
}

static step_work *const works[STEP_KINDS] = {
    [STEP_NORMALIZE] = run_normalize,
    [STEP_LOOKUP_INPUT] = run_lookup_input,
    [STEP_CONV_F32] = run_conv_f32,
    [STEP_CONV_U8] = run_conv_u8,
    [STEP_LINEAR_U8] = run_conv_u8,
    [STEP_SCALE_SHIFT] = run_scale_shift,
    [STEP_RELU_F32] = run_relu,
    [STEP_RELU_U8] = run_relu_u8,
    [STEP_ADD] = run_add,
    [STEP_POOL_F32] = run_pool,
    [STEP_POOL_U8] = run_pool_u8,
    [STEP_QUANTIZE] = run_quantize,
    [STEP_DEQUANTIZE] = run_dequantize,
};

void step_item(const struct exec *e, const struct step *s, const struct place *at)
{
    works[s->kind](e, s, at);
}

size_t step_scratch(const struct exec *e, const struct step *s)
{
    switch (s->kind) {
    case STEP_CONV_F32:
        return e->kernels->conv_f32.scratch_bytes(&s->shape);
    case STEP_CONV_U8:
    case STEP_LINEAR_U8:
        return e->kernels->conv_u8.scratch_bytes(&s->shape);
    default:
        return 0;
    }
}
