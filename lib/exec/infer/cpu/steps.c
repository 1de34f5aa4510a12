/* How each kind of step computes a worker's part of some images. */
#include "exec/infer/cpu/plan.h"
#include <string.h>

typedef void step_work(const struct exec *e, const struct step *s, const struct span *at);

static const struct node *node_of(const struct exec *e, int i)
{
    return &e->model->graph.nodes[i];
}

/* One row of one image, w pixels of c channels side by side. */
struct row {
    int image, y;
};

static void *row_of(const struct exec *e, int node, const struct span *at, struct row r)
{
    const struct value *v = &e->values[node];
    return (char *)exec_value(e, node, at, r.image) + (size_t)r.y * v->at.row * v->element;
}

/* Rows of all images that are this worker's part: [begin, end) of count * h. */
static void rows_part(const struct exec *e, const struct step *s, const struct span *at, int *begin, int *end)
{
    int rows = at->count * node_of(e, s->output)->h;
    *begin = (int)((int64_t)rows * at->part / at->parts);
    *end = (int)((int64_t)rows * (at->part + 1) / at->parts);
}

static struct row row_at(const struct exec *e, const struct step *s, const struct span *at, int i)
{
    int h = node_of(e, s->output)->h;
    return (struct row){at->image + i / h, i % h};
}

#define FOR_EACH_ROW(r)                           \
    int begin, end;                               \
    rows_part(e, s, at, &begin, &end);            \
    for (int index = begin; index < end; index++) \
        for (struct row r = row_at(e, s, at, index), *once = &r; once; once = NULL)

/* The images of the call are read where they lie. */
static const uint8_t *pixels_row(const struct exec *e, const struct span *at, struct row r)
{
    const struct node *n = node_of(e, 0);
    return at->images + ((size_t)r.image * (size_t)n->h + (size_t)r.y) * (size_t)n->w * (size_t)n->c;
}

static void run_normalize(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.normalize(pixels_row(e, at, r), n->w, n->c, n->mean, n->std,
                                      row_of(e, s->output, at, r));
}

static void run_lookup_input(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.lookup_u8(pixels_row(e, at, r), n->w, n->c, s->table, row_of(e, s->output, at, r));
}

static void run_conv(const struct exec *e, const struct step *s, const struct span *at)
{
    conv_run(e, s, &s->parts, at);
}

static void run_scale_shift(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.scale_shift(row_of(e, s->x, at, r), n->w, n->c, s->scale, s->shift, NULL, 0,
                                        row_of(e, s->output, at, r));
}

static size_t row_elements(const struct node *n)
{
    return (size_t)n->w * (size_t)n->c;
}

static void run_relu(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.relu(row_of(e, s->x, at, r), row_elements(n), row_of(e, s->output, at, r));
}

static void run_relu_u8(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    /* one table for all channels: every code is a row of one channel */
    FOR_EACH_ROW(r)
    e->kernels->elementwise.lookup_u8(row_of(e, s->x, at, r), (int)row_elements(n), 1, s->table,
                                      row_of(e, s->output, at, r));
}

static void run_add(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.add(row_of(e, s->x, at, r), row_of(e, s->other, at, r), row_elements(n), 0,
                                row_of(e, s->output, at, r));
}

static void run_quantize(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    const struct affine *y = &s->map_y;
    FOR_EACH_ROW(r)
    e->kernels->elementwise.quantize(row_of(e, s->x, at, r), row_elements(n), y->scale, y->zero_point, y->qmin,
                                     y->qmax, row_of(e, s->output, at, r));
}

static void run_dequantize(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.dequantize(row_of(e, s->x, at, r), row_elements(n), s->map_x.scale, s->map_x.zero_point,
                                       row_of(e, s->output, at, r));
}

/* A pool's output has one row an image; its input no border (plan_buffers). */
static void run_pool(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *x = node_of(e, s->x);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.average_pool(exec_value(e, s->x, at, r.image), x->h * x->w, x->c,
                                         row_of(e, s->output, at, r));
}

static void run_pool_u8(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *x = node_of(e, s->x);
    const struct affine *y = &s->map_y;
    FOR_EACH_ROW(r)
    e->kernels->elementwise.average_pool_u8(exec_value(e, s->x, at, r.image), x->h * x->w, x->c,
                                            s->map_x.zero_point, pool_multiplier(&s->map_x, y, x->h * x->w),
                                            y->zero_point, y->qmin, y->qmax, row_of(e, s->output, at, r), NULL);
}

/* ---- bfloat16: rows are widened, computed as above and rounded ---- */

static float *scratch_floats(const struct span *at, size_t first)
{
    return (float *)at->scratch + first;
}

static const float *row_widen(const struct exec *e, int node, const struct span *at, struct row r, float *to)
{
    e->kernels->elementwise.widen_bf16(row_of(e, node, at, r), row_elements(node_of(e, node)), to);
    return to;
}

/* Logits stay floats. */
static void row_round(const struct exec *e, const struct step *s, const struct span *at, struct row r,
                      const float *from)
{
    size_t count = row_elements(node_of(e, s->output));
    void *to = row_of(e, s->output, at, r);
    if (e->values[s->output].element == sizeof(bf16))
        e->kernels->elementwise.round_bf16(from, count, to);
    else
        memcpy(to, from, count * sizeof *from);
}

static void run_normalize_bf16(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    float *y = scratch_floats(at, 0);
    FOR_EACH_ROW(r)
    {
        e->kernels->elementwise.normalize(pixels_row(e, at, r), n->w, n->c, n->mean, n->std, y);
        row_round(e, s, at, r, y);
    }
}

static void run_scale_shift_bf16(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *n = node_of(e, s->node);
    float *y = scratch_floats(at, 0);
    FOR_EACH_ROW(r)
    {
        row_widen(e, s->x, at, r, y);
        e->kernels->elementwise.scale_shift(y, n->w, n->c, s->scale, s->shift, NULL, 0, y);
        row_round(e, s, at, r, y);
    }
}

static void run_relu_bf16(const struct exec *e, const struct step *s, const struct span *at)
{
    size_t count = row_elements(node_of(e, s->node));
    float *y = scratch_floats(at, 0);
    FOR_EACH_ROW(r)
    {
        row_widen(e, s->x, at, r, y);
        e->kernels->elementwise.relu(y, count, y);
        row_round(e, s, at, r, y);
    }
}

static void run_add_bf16(const struct exec *e, const struct step *s, const struct span *at)
{
    size_t count = row_elements(node_of(e, s->node));
    float *a = scratch_floats(at, 0), *b = scratch_floats(at, count);
    FOR_EACH_ROW(r)
    {
        row_widen(e, s->x, at, r, a);
        row_widen(e, s->other, at, r, b);
        e->kernels->elementwise.add(a, b, count, 0, a);
        row_round(e, s, at, r, a);
    }
}

/* The input has no border: an image's rows are one. */
static void run_pool_bf16(const struct exec *e, const struct step *s, const struct span *at)
{
    const struct node *x = node_of(e, s->x);
    float *y = scratch_floats(at, 0), *wide = scratch_floats(at, (size_t)x->c);
    FOR_EACH_ROW(r)
    {
        e->kernels->elementwise.widen_bf16(exec_value(e, s->x, at, r.image), node_elements(x), wide);
        e->kernels->elementwise.average_pool(wide, x->h * x->w, x->c, y);
        row_round(e, s, at, r, y);
    }
}

size_t step_scratch(const struct exec *e, const struct step *s)
{
    const struct node *x = node_of(e, s->x), *y = node_of(e, s->output);
    size_t floats = s->kind == STEP_POOL_F32 ? node_elements(x) + (size_t)x->c : 2 * row_elements(y);
    return e->is_bf16 ? floats * sizeof(float) : 0;
}

static step_work *const works_bf16[STEP_KINDS] = {
    [STEP_NORMALIZE] = run_normalize_bf16, [STEP_CONV_BF16] = run_conv, [STEP_SCALE_SHIFT] = run_scale_shift_bf16,
    [STEP_RELU_F32] = run_relu_bf16,       [STEP_ADD] = run_add_bf16,   [STEP_POOL_F32] = run_pool_bf16,
};

static step_work *const works[STEP_KINDS] = {
    [STEP_NORMALIZE] = run_normalize,
    [STEP_LOOKUP_INPUT] = run_lookup_input,
    [STEP_CONV_F32] = run_conv,
    [STEP_CONV_U8] = run_conv,
    [STEP_LINEAR_U8] = run_conv,
    [STEP_SCALE_SHIFT] = run_scale_shift,
    [STEP_RELU_F32] = run_relu,
    [STEP_RELU_U8] = run_relu_u8,
    [STEP_ADD] = run_add,
    [STEP_POOL_F32] = run_pool,
    [STEP_POOL_U8] = run_pool_u8,
    [STEP_QUANTIZE] = run_quantize,
    [STEP_DEQUANTIZE] = run_dequantize,
};

void step_run(const struct exec *e, const struct step *s, const struct span *at)
{
    (e->is_bf16 ? works_bf16 : works)[s->kind](e, s, at);
}
