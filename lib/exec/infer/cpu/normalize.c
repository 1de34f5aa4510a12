/* Pixels to values: y = (pixel / 255 - mean[c]) / std[c], or straight to its code by a table.
 *   pixels u8 [N,H,W,C] -> y [N,H,W,C] */
#include "exec/infer/cpu/rows.h"

static void normalize_f32(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.normalize(pixels_row(e, at, r), n->w, n->c, n->mean, n->std,
                                      row_of(e, s->output, at, r));
}

static void normalize_bf16(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    float *y = scratch_floats(at, 0);
    FOR_EACH_ROW(r)
    {
        e->kernels->elementwise.normalize(pixels_row(e, at, r), n->w, n->c, n->mean, n->std, y);
        row_round(e, s, at, r, y);
    }
}

static void lookup(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.lookup_u8(pixels_row(e, at, r), n->w, n->c, e->constants[i].table,
                                      row_of(e, s->output, at, r));
}

const struct cpu_op cpu_normalize = {.f32 = normalize_f32, .bf16 = normalize_bf16};
const struct cpu_op cpu_lookup = {.f32 = lookup};
