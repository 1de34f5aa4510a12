/* The mean of a map.   x [N,H,W,C] -> y [N,C]. An output has one row an image; an input no border (buffers.c). */
#include "exec/infer/cpu/rows.h"

static void pool_f32(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *x = exec_node(e, s->x);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.average_pool(exec_value(e, s->x, at, r.image), x->h * x->w, x->c,
                                         row_of(e, s->output, at, r));
}

/* The input has no border: an image's rows are one. */
static void pool_bf16(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *x = exec_node(e, s->x);
    float *y = scratch_floats(at, 0), *wide = scratch_floats(at, (size_t)x->c);
    FOR_EACH_ROW(r)
    {
        e->kernels->elementwise.widen_bf16(exec_value(e, s->x, at, r.image), node_elements(x), wide);
        e->kernels->elementwise.average_pool(wide, x->h * x->w, x->c, y);
        row_round(e, s, at, r, y);
    }
}

static void pool_u8(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *x = exec_node(e, s->x);
    const struct affine *from = &e->constants[i].map_x, *y = &e->constants[i].map_y;
    FOR_EACH_ROW(r)
    e->kernels->elementwise.average_pool_u8(exec_value(e, s->x, at, r.image), x->h * x->w, x->c, from->zero_point,
                                            pool_multiplier(from, y, x->h * x->w), y->zero_point, y->qmin, y->qmax,
                                            row_of(e, s->output, at, r), NULL);
}

const struct cpu_op cpu_pool = {.f32 = pool_f32, .bf16 = pool_bf16, .u8 = pool_u8};
