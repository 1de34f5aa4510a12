/* Pixel by pixel to channel by channel.   x [N,H,W,C] -> y [N,C*H*W]. An input has no border (buffers.c). */
#include "exec/infer/cpu/rows.h"

static void flatten(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *x = exec_node(e, s->x);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.transpose(exec_value(e, s->x, at, r.image), x->h * x->w, x->c,
                                      cpu_of(e)->values[s->x].element, row_of(e, s->output, at, r));
}

/* As logits they become floats. */
static void flatten_bf16(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *x = exec_node(e, s->x);
    float *wide = scratch_floats(at, 0);
    if (cpu_of(e)->values[s->output].element == sizeof(bf16)) {
        flatten(e, i, at);
        return;
    }
    FOR_EACH_ROW(r)
    {
        e->kernels->elementwise.widen_bf16(exec_value(e, s->x, at, r.image), node_elements(x), wide);
        e->kernels->elementwise.transpose(wide, x->h * x->w, x->c, sizeof *wide, row_of(e, s->output, at, r));
    }
}

const struct cpu_op cpu_flatten = {.f32 = flatten, .bf16 = flatten_bf16, .u8 = flatten};
