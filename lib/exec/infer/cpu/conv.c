/* Convolution and linear: one worker's part of a call.
 *   x [N,H,W,C], weights [K,C,R,R], bias [K], residual and y [N,H',W',K]; f32, bf16, or codes u8 with weights s8 */
#include "exec/infer/cpu/cpu_exec.h"

/* What one worker computes of one part. */
struct cut {
    int first, count; /* outputs, from the part's first on */
    int row_begin, row_end;
};

/* A clip of floats is the kernel's own, in f32 and with nothing between; else it goes over what was computed. */
static int clips_itself(const struct exec *e, const struct step *s)
{
    return s->is_integer || !s->clip.on || (!cpu_of(e)->is_bf16 && s->norm < 0);
}

/* Outputs are cut where the weights are more than what they read and write, so that each worker reads its own half
 * of them; else rows, in fours. */
static struct cut cut_of(const struct exec *e, int i, const struct conv_part *p, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct conv_shape *c = &s->shape;
    struct cut cut = {0, p->count, 0, c->out_h};
    int grain = conv_out_grain(e, i, p), groups = grain ? (p->count + grain - 1) / grain : 1;
    int fours = (c->out_h + 3) / 4;
    double weights = (double)c->kernel * c->kernel * c->c * c->out;
    double values = (double)at->count * ((double)c->h * c->w * c->c + (double)c->out_h * c->out_w * c->out);
    if (at->parts == 1)
        return cut;
    if (s->norm < 0 && clips_itself(e, s) && groups >= at->parts && (weights > values || fours < at->parts)) {
        cut.first = groups * at->part / at->parts * grain;
        int end = groups * (at->part + 1) / at->parts * grain;
        cut.count = (end < p->count ? end : p->count) - cut.first;
    } else {
        cut.row_begin = fours * at->part / at->parts * 4;
        cut.row_end = fours * (at->part + 1) / at->parts * 4;
        if (cut.row_end > c->out_h)
            cut.row_end = c->out_h;
    }
    return cut;
}

struct ahead_range conv_reads(const struct exec *e, int i, int k, const struct span *at)
{
    const struct conv_part *p = &cpu_of(e)->steps[i].parts.part[k];
    struct cut cut = cut_of(e, i, p, at);
    if (cut.count <= 0 || cut.row_begin >= cut.row_end)
        return (struct ahead_range){0};
    const char *end = cut.first + cut.count < p->count ? conv_packed_at(e, i, p, cut.first + cut.count)
                                                       : (const char *)p->packed + p->bytes;
    return (struct ahead_range){conv_packed_at(e, i, p, cut.first), end};
}

static void part_f32(const struct exec *e, int i, const struct conv_part *p, const struct cut *cut,
                     const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    struct conv_shape shape = s->shape;
    shape.out = cut->count;
    const float clip[] = {s->clip.low, s->clip.high};
    int first = p->first + cut->first;
    struct conv_f32_call call = {.images = at->count,
                                 .x = exec_value(e, s->x, at, at->image),
                                 .x_at = cpu_of(e)->values[s->x].at,
                                 .packed = conv_packed_at(e, i, p, cut->first),
                                 .bias = c->bias ? c->bias + first : NULL,
                                 .relu = s->norm >= 0 ? 0 : s->relu,
                                 .clip = s->clip.on && clips_itself(e, s) ? clip : NULL,
                                 .y = (float *)exec_value(e, s->output, at, at->image) + first,
                                 .y_at = cpu_of(e)->values[s->output].at,
                                 .row_begin = cut->row_begin,
                                 .row_end = cut->row_end};
    if (s->other >= 0) {
        call.residual = (const float *)exec_value(e, s->other, at, at->image) + first;
        call.residual_at = cpu_of(e)->values[s->other].at;
    }
    conv_kernel_f32(e, s, p->algorithm)->run(&shape, &call, at->scratch);
}

static void part_bf16(const struct exec *e, int i, const struct conv_part *p, const struct cut *cut,
                      const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    struct conv_shape shape = s->shape;
    shape.out = cut->count;
    const struct value *y = &cpu_of(e)->values[s->output];
    int first = p->first + cut->first;
    struct conv_bf16_call call = {.images = at->count,
                                  .x = exec_value(e, s->x, at, at->image),
                                  .x_at = cpu_of(e)->values[s->x].at,
                                  .packed = conv_packed_at(e, i, p, cut->first),
                                  .bias = c->bias ? c->bias + first : NULL,
                                  .relu = s->relu,
                                  .y_at = y->at,
                                  .sums_at = y->at,
                                  .row_begin = cut->row_begin,
                                  .row_end = cut->row_end};
    if (s->other >= 0) {
        call.residual = (const bf16 *)exec_value(e, s->other, at, at->image) + first;
        call.residual_at = cpu_of(e)->values[s->other].at;
    }
    if (y->element == sizeof(bf16))
        call.y = (bf16 *)exec_value(e, s->output, at, at->image) + first;
    else
        call.sums = (float *)exec_value(e, s->output, at, at->image) + first;
    kernel_conv_bf16(e->kernels, &s->shape)->run(&shape, &call, at->scratch);
}

/* The batch norm behind a convolution, on the rows that were just computed. */
static void norm_rows(const struct exec *e, int i, const struct cut *cut, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    const struct value *values = cpu_of(e)->values;
    for (int image = at->image; image < at->image + at->count; image++)
        for (int row = cut->row_begin; row < cut->row_end; row++) {
            float *y = (float *)exec_value(e, s->output, at, image) + layout_at(&values[s->output].at, 0, row, 0);
            const float *other = NULL;
            if (s->norm_other >= 0)
                other = (const float *)exec_value(e, s->norm_other, at, image) +
                        layout_at(&values[s->norm_other].at, 0, row, 0);
            e->kernels->elementwise.scale_shift(
                &(struct scale_shift_call){y, s->shape.out_w, s->shape.out, c->scale, c->shift, other, s->relu, y});
        }
}

/* The clip behind a convolution of floats that does not clip itself, on the rows that were just computed. */
static void clip_rows(const struct exec *e, int i, const struct cut *cut, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct value *v = &cpu_of(e)->values[s->output];
    const struct elementwise_kernels *k = &e->kernels->elementwise;
    size_t count = (size_t)s->shape.out_w * (size_t)s->shape.out;
    for (int image = at->image; image < at->image + at->count; image++)
        for (int row = cut->row_begin; row < cut->row_end; row++) {
            void *y =
                (char *)exec_value(e, s->output, at, image) + layout_at(&v->at, 0, row, 0) * (ptrdiff_t)v->element;
            float *wide = v->element == sizeof(bf16) ? at->scratch : y;
            if (v->element == sizeof(bf16))
                k->widen_bf16(y, count, wide);
            k->clip(wide, count, s->clip.low, s->clip.high, wide);
            if (v->element == sizeof(bf16))
                k->round_bf16(wide, count, y);
        }
}

static void part_u8(const struct exec *e, int i, const struct conv_part *p, const struct cut *cut,
                    const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    struct conv_shape shape = s->shape;
    shape.out = cut->count;
    int first = p->first + cut->first;
    struct requantize rq = c->requantize;
    rq.multiplier += first;
    rq.bias += first;
    struct conv_u8_call call = {.images = at->count,
                                .x = exec_value(e, s->x, at, at->image),
                                .x_at = cpu_of(e)->values[s->x].at,
                                .packed = conv_packed_at(e, i, p, cut->first),
                                .requantize = &rq,
                                .row_begin = cut->row_begin,
                                .row_end = cut->row_end,
                                .ahead = at->ahead};
    if (s->other >= 0) {
        call.residual = (const uint8_t *)exec_value(e, s->other, at, at->image) + first;
        call.residual_at = cpu_of(e)->values[s->other].at;
    }
    if (exec_node(e, s->output)->type != NODE_U8) {
        call.logits = (float *)exec_value(e, s->output, at, at->image) + first;
        call.logits_at = cpu_of(e)->values[s->output].at;
    } else {
        call.y = (uint8_t *)exec_value(e, s->output, at, at->image) + first;
        call.y_at = cpu_of(e)->values[s->output].at;
    }
    conv_kernel_u8(e, s, p->algorithm)->run(&shape, &call, at->scratch);
}

void conv_run(const struct exec *e, int i, const struct conv_parts *parts, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    for (int k = 0; k < parts->count; k++) {
        const struct conv_part *p = &parts->part[k];
        struct cut cut = cut_of(e, i, p, at);
        if (cut.count <= 0 || cut.row_begin >= cut.row_end)
            continue;
        if (s->is_integer)
            part_u8(e, i, p, &cut, at);
        else if (cpu_of(e)->is_bf16)
            part_bf16(e, i, p, &cut, at);
        else
            part_f32(e, i, p, &cut, at);
        if (s->norm >= 0 && k == parts->count - 1)
            norm_rows(e, i, &cut, at);
        if (!clips_itself(e, s) && k == parts->count - 1)
            clip_rows(e, i, &cut, at);
    }
}

void conv_sums(const struct exec *e, int i, const struct span *at, const float *ones, const int32_t *zeros,
               float *to)
{
    const struct step *s = &e->steps.at[i];
    const struct conv_parts *parts = &cpu_of(e)->steps[i].parts;
    for (int k = 0; k < parts->count; k++) {
        const struct conv_part *p = &parts->part[k];
        struct conv_shape shape = s->shape;
        struct requantize rq = e->constants[i].requantize;
        shape.out = p->count;
        rq.multiplier = ones;
        rq.bias = zeros;
        struct conv_u8_call call = {.images = 1,
                                    .x = exec_value(e, s->x, at, at->image),
                                    .x_at = cpu_of(e)->values[s->x].at,
                                    .packed = p->packed,
                                    .requantize = &rq,
                                    .logits = to + p->first,
                                    .logits_at = layout_dense(s->shape.out_h, s->shape.out_w, s->shape.out),
                                    .row_end = s->shape.out_h};
        conv_kernel_u8(e, s, p->algorithm)->run(&shape, &call, at->scratch);
    }
}

static void conv_chosen(const struct exec *e, int i, const struct span *at)
{
    conv_run(e, i, &cpu_of(e)->steps[i].parts, at);
}

const struct cpu_op cpu_conv = {.f32 = conv_chosen, .bf16 = conv_chosen, .u8 = conv_chosen};
