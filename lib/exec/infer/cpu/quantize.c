/* Between floats and codes, real = scale * (code - zero point).   x, y [N,H,W,C] */
#include "exec/infer/cpu/rows.h"

static void quantize(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    const struct affine *y = &e->constants[i].map_y;
    FOR_EACH_ROW(r)
    e->kernels->elementwise.quantize(row_of(e, s->x, at, r), row_elements(n), y->scale, y->zero_point, y->qmin,
                                     y->qmax, row_of(e, s->output, at, r));
}

static void dequantize(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    const struct affine *x = &e->constants[i].map_x;
    FOR_EACH_ROW(r)
    e->kernels->elementwise.dequantize(row_of(e, s->x, at, r), row_elements(n), x->scale, x->zero_point,
                                       row_of(e, s->output, at, r));
}

const struct cpu_op cpu_quantize = {.f32 = quantize};
const struct cpu_op cpu_dequantize = {.f32 = dequantize};
