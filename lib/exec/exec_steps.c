/* How each kind of step computes a worker's part of some images. */
#include "exec/plan.h"

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
    works[s->kind](e, s, at);
}
