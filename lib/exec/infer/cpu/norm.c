/* A batch norm that no convolution took in: y = x * scale[c] + shift[c].   x, y [N,H,W,C] */
#include "exec/infer/cpu/rows.h"

static void norm_f32(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    const struct step_constants *c = &e->constants[i];
    FOR_EACH_ROW(r)
    e->kernels->elementwise.scale_shift(row_of(e, s->x, at, r), n->w, n->c, c->scale, c->shift, NULL, 0,
                                        row_of(e, s->output, at, r));
}

static void norm_bf16(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    const struct step_constants *c = &e->constants[i];
    float *y = scratch_floats(at, 0);
    FOR_EACH_ROW(r)
    {
        row_widen(e, s->x, at, r, y);
        e->kernels->elementwise.scale_shift(y, n->w, n->c, c->scale, c->shift, NULL, 0, y);
        row_round(e, s, at, r, y);
    }
}

const struct cpu_op cpu_norm = {.f32 = norm_f32, .bf16 = norm_bf16};
