/* The mean and the largest of windows.   x [N,H,W,C] -> y [N,H',W',C]. An input has no border (buffers.c). */
#include "exec/infer/cpu/rows.h"

typedef void row_of_windows(const struct pool_shape *s, const float *x, int row, float *y);

static void rows_f32(const struct exec *e, int i, const struct span *at, row_of_windows *compute)
{
    const struct step *s = &e->steps.at[i];
    FOR_EACH_ROW(r)
    compute(&s->pool, exec_value(e, s->x, at, r.image), r.y, row_of(e, s->output, at, r));
}

/* The rows that the windows see are widened, where they lie in an image of floats. */
static void rows_bf16(const struct exec *e, int i, const struct span *at, row_of_windows *compute)
{
    const struct step *s = &e->steps.at[i];
    const struct pool_shape *p = &s->pool;
    size_t row = (size_t)p->w * (size_t)p->c;
    float *wide = scratch_floats(at, 0), *y = scratch_floats(at, (size_t)p->h * row);
    FOR_EACH_ROW(r)
    {
        int top = r.y * p->stride - p->pad, bottom = top + p->kernel < p->h ? top + p->kernel : p->h;
        top = top > 0 ? top : 0;
        e->kernels->elementwise.widen_bf16((const bf16 *)exec_value(e, s->x, at, r.image) + (size_t)top * row,
                                           (size_t)(bottom - top) * row, wide + (size_t)top * row);
        compute(p, wide, r.y, y);
        row_round(e, s, at, r, y);
    }
}

static void window_f32(const struct exec *e, int i, const struct span *at)
{
    rows_f32(e, i, at, e->kernels->elementwise.window_pool);
}

static void window_bf16(const struct exec *e, int i, const struct span *at)
{
    rows_bf16(e, i, at, e->kernels->elementwise.window_pool);
}

static void window_u8(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct affine *from = &e->constants[i].map_x, *y = &e->constants[i].map_y;
    FOR_EACH_ROW(r)
    e->kernels->elementwise.window_pool_u8(
        &s->pool,
        &(struct average_pool_u8_call){.x = exec_value(e, s->x, at, r.image),
                                       .multiplier = pool_multiplier(from, y, s->pool.kernel * s->pool.kernel),
                                       .zero_point_x = from->zero_point,
                                       .zero_point_y = y->zero_point,
                                       .low = y->qmin,
                                       .high = y->qmax,
                                       .y = row_of(e, s->output, at, r)},
        r.y);
}

static void max_f32(const struct exec *e, int i, const struct span *at)
{
    rows_f32(e, i, at, e->kernels->elementwise.max_pool);
}

static void max_bf16(const struct exec *e, int i, const struct span *at)
{
    rows_bf16(e, i, at, e->kernels->elementwise.max_pool);
}

static void max_u8(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    FOR_EACH_ROW(r)
    e->kernels->elementwise.max_pool_u8(&s->pool, exec_value(e, s->x, at, r.image), r.y,
                                        row_of(e, s->output, at, r));
}

const struct cpu_op cpu_window = {.f32 = window_f32, .bf16 = window_bf16, .u8 = window_u8};
const struct cpu_op cpu_max = {.f32 = max_f32, .bf16 = max_bf16, .u8 = max_u8};
