/* y = x + other.   x, other, y [N,H,W,C] */
#include "exec/infer/cpu/rows.h"

static void add_f32(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    FOR_EACH_ROW(r)
    e->kernels->elementwise.add(row_of(e, s->x, at, r), row_of(e, s->other, at, r), row_elements(n), 0,
                                row_of(e, s->output, at, r));
}

static void add_bf16(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    size_t count = row_elements(exec_node(e, s->node));
    float *a = scratch_floats(at, 0), *b = scratch_floats(at, count);
    FOR_EACH_ROW(r)
    {
        row_widen(e, s->x, at, r, a);
        row_widen(e, s->other, at, r, b);
        e->kernels->elementwise.add(a, b, count, 0, a);
        row_round(e, s, at, r, a);
    }
}

static void add_u8(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    struct add_u8_call call = add_call_make(&c->map_x, &c->map_other, &c->map_y);
    call.count = row_elements(exec_node(e, s->node));
    FOR_EACH_ROW(r)
    {
        call.a = row_of(e, s->x, at, r);
        call.b = row_of(e, s->other, at, r);
        call.y = row_of(e, s->output, at, r);
        add_call_run(&e->kernels->elementwise, s->is_separate, &call);
    }
}

const struct cpu_op cpu_add = {.f32 = add_f32, .bf16 = add_bf16, .u8 = add_u8};
