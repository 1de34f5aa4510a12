/* y = max(x, 0), and y = min(max(x, low), high); of codes between two codes, by a table.   x, y [N,H,W,C] */
#include "exec/infer/cpu/rows.h"

static void relu_f32(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.relu(row_of(e, s->x, at, r), row_elements(n), row_of(e, s->output, at, r));
}

static void relu_bf16(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    size_t count = row_elements(exec_node(e, s->node));
    float *y = scratch_floats(at, 0);
    FOR_EACH_ROW(r)
    {
        row_widen(e, s->x, at, r, y);
        e->kernels->elementwise.relu(y, count, y);
        row_round(e, s, at, r, y);
    }
}

static void clamp_u8(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    /* one table for all channels: every code is a row of one channel */
    FOR_EACH_ROW(r)
    e->kernels->elementwise.lookup_u8(row_of(e, s->x, at, r), (int)row_elements(n), 1, e->constants[i].table,
                                      row_of(e, s->output, at, r));
}

static void clip_f32(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.clip(row_of(e, s->x, at, r), row_elements(n), s->clip.low, s->clip.high,
                                 row_of(e, s->output, at, r));
}

static void clip_bf16(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    size_t count = row_elements(exec_node(e, s->node));
    float *y = scratch_floats(at, 0);
    FOR_EACH_ROW(r)
    {
        row_widen(e, s->x, at, r, y);
        e->kernels->elementwise.clip(y, count, s->clip.low, s->clip.high, y);
        row_round(e, s, at, r, y);
    }
}

const struct cpu_op cpu_relu = {.f32 = relu_f32, .bf16 = relu_bf16, .u8 = clamp_u8};
const struct cpu_op cpu_clip = {.f32 = clip_f32, .bf16 = clip_bf16, .u8 = clamp_u8};
