/* Convolutions: which algorithm computes which outputs, weights packed for it, and one worker's part of a call. */
#include "base/memory.h"
#include "exec/plan/bounds.h"
#include "exec/infer/cpu/plan.h"
#include <string.h>

/* What all kinds of kernel have in common. */
struct kernel_facts {
    int grain;
    int (*supports)(const struct conv_shape *s);
    size_t (*packed_bytes)(const struct conv_shape *s);
    size_t (*scratch_bytes)(const struct conv_shape *s);
    int exists;
};

static const struct conv_u8_kernel *kernel_u8(const struct exec *e, enum algorithm a)
{
    return a == ALGORITHM_WINOGRAD ? &e->kernels->conv_u8_winograd : &e->kernels->conv_u8;
}

static const struct conv_f32_kernel *kernel_f32(const struct exec *e, enum algorithm a)
{
    return a == ALGORITHM_WINOGRAD ? &e->kernels->conv_f32_winograd : &e->kernels->conv_f32;
}

static struct kernel_facts facts_of(const struct exec *e, const struct step *s, enum algorithm a)
{
    if (s->kind == STEP_CONV_F32) {
        const struct conv_f32_kernel *k = kernel_f32(e, a);
        return (struct kernel_facts){k->out_grain, k->supports, k->packed_bytes, k->scratch_bytes, k->run != NULL};
    }
    if (s->kind == STEP_CONV_BF16) {
        const struct conv_bf16_kernel *k = &e->kernels->conv_bf16;
        return (struct kernel_facts){k->out_grain, NULL, k->packed_bytes, k->scratch_bytes, a == ALGORITHM_DIRECT};
    }
    const struct conv_u8_kernel *k = kernel_u8(e, a);
    return (struct kernel_facts){k->out_grain, k->supports, k->packed_bytes, k->scratch_bytes, k->run != NULL};
}

static int can_winograd(const struct exec *e, const struct step *s)
{
    struct kernel_facts k = facts_of(e, s, ALGORITHM_WINOGRAD);
    return k.exists && (!k.supports || k.supports(&s->shape));
}

static struct conv_shape with_outputs(const struct conv_shape *s, int outputs)
{
    struct conv_shape part = *s;
    part.out = outputs;
    return part;
}

/* ---- choice ---- */

/* Whether Winograd is exact for outputs [first, first + count): integers only. */
static int proved(const struct step *s, const void *weight, int first, int count)
{
    int per_output = s->shape.c * s->shape.kernel * s->shape.kernel;
    if (s->kind == STEP_CONV_F32)
        return 1;
    for (int k = first; k < first + count; k++)
        if (winograd_bound((const int8_t *)weight + (size_t)k * (size_t)per_output, per_output) >=
            WINOGRAD_SUM_LIMIT)
            return 0;
    return 1;
}

/* Adds outputs to the last part, or a part of their own. */
static void part_extend(struct conv_parts *parts, int first, int count, enum algorithm algorithm)
{
    struct conv_part *last = parts->count ? &parts->part[parts->count - 1] : NULL;
    if (last && last->algorithm == algorithm)
        last->count += count;
    else
        parts->part[parts->count++] = (struct conv_part){.first = first, .count = count, .algorithm = algorithm};
}

static int choose_winograd(const struct exec *e, const struct step *s, enum conv_choice choice)
{
    enum { MOST = 16 /* images in one call, about: see chunk_of */ };
    if (!can_winograd(e, s) || choice == CHOOSE_DIRECT)
        return 0;
    if (choice == CHOOSE_WINOGRAD)
        return 1;
    /* The algorithms round floats differently, and logits must not depend on the batch: floats are planned for one.
     */
    int is_integer = s->kind != STEP_CONV_F32, images = !is_integer ? 1 : e->batch < MOST ? e->batch : MOST;
    return cost_choose(&s->shape, e->kernels->isa, is_integer, images) == ALGORITHM_WINOGRAD;
}

/* Groups of outputs whose sums cannot be proved small enough go to the direct kernel. */
static void parts_choose(const struct exec *e, const struct step *s, enum conv_choice choice, const void *weight,
                         struct conv_parts *parts)
{
    int out = s->shape.out, grain = out;
    int winograd = choose_winograd(e, s, choice);
    if (winograd && facts_of(e, s, ALGORITHM_WINOGRAD).grain > 0)
        grain = facts_of(e, s, ALGORITHM_WINOGRAD).grain;
    for (int first = 0; first < out; first += grain) {
        int count = out - first < grain ? out - first : grain;
        part_extend(parts, first, count,
                    winograd && proved(s, weight, first, count) ? ALGORITHM_WINOGRAD : ALGORITHM_DIRECT);
    }
}

static void part_pack(const struct exec *e, const struct step *s, const void *weight, struct conv_part *p)
{
    struct conv_shape shape = with_outputs(&s->shape, p->count);
    size_t at = (size_t)p->first * (size_t)(s->shape.c * s->shape.kernel * s->shape.kernel);
    if (s->kind == STEP_CONV_F32)
        kernel_f32(e, p->algorithm)->pack(&shape, (const float *)weight + at, p->packed);
    else if (s->kind == STEP_CONV_BF16)
        e->kernels->conv_bf16.pack(&shape, (const float *)weight + at, p->packed);
    else
        kernel_u8(e, p->algorithm)->pack(&shape, (const int8_t *)weight + at, s->map_x.zero_point, p->packed);
}

int conv_parts_choose(const struct exec *e, const struct step *s, enum conv_choice choice, const void *weight,
                      struct conv_parts *parts, struct message *m)
{
    parts->count = 0;
    parts->part = memory_new((size_t)s->shape.out, sizeof *parts->part, m);
    if (!parts->part)
        return STATUS_NOMEM;
    parts_choose(e, s, choice, weight, parts);
    for (int i = 0; i < parts->count; i++) {
        struct conv_part *p = &parts->part[i];
        struct conv_shape shape = with_outputs(&s->shape, p->count);
        p->bytes = round_up_64(facts_of(e, s, p->algorithm).packed_bytes(&shape));
    }
    return 0;
}

void conv_parts_pack(const struct exec *e, const struct step *s, const void *weight, struct conv_parts *parts,
                     void *to)
{
    unsigned char *at = to;
    for (int i = 0; i < parts->count; i++) {
        parts->part[i].packed = at;
        part_pack(e, s, weight, &parts->part[i]);
        at += parts->part[i].bytes;
    }
}

void conv_parts_free(struct conv_parts *parts)
{
    memory_free(parts->part);
    *parts = (struct conv_parts){0};
}

size_t conv_parts_bytes(const struct conv_parts *parts)
{
    size_t bytes = 0;
    for (int i = 0; i < parts->count; i++)
        bytes += parts->part[i].bytes;
    return bytes;
}

/* Enough for either algorithm, so that the other can be tried. */
size_t conv_scratch(const struct exec *e, const struct step *s)
{
    size_t bytes = facts_of(e, s, ALGORITHM_DIRECT).scratch_bytes(&s->shape);
    if (can_winograd(e, s))
        bytes = max_size(bytes, facts_of(e, s, ALGORITHM_WINOGRAD).scratch_bytes(&s->shape));
    return bytes;
}

/* ---- run ---- */

/* What one worker computes of one part. */
struct cut {
    int first, count; /* outputs, from the part's first on */
    int row_begin, row_end;
};

/* Outputs are cut where the weights are more than what they read and write, so that each worker reads its own half
 * of them; else rows, in fours. */
static struct cut cut_of(const struct exec *e, const struct step *s, const struct conv_part *p,
                         const struct span *at)
{
    const struct conv_shape *c = &s->shape;
    struct cut cut = {0, p->count, 0, c->out_h};
    int grain = facts_of(e, s, p->algorithm).grain, groups = grain ? (p->count + grain - 1) / grain : 1;
    int fours = (c->out_h + 3) / 4;
    double weights = (double)c->kernel * c->kernel * c->c * c->out;
    double values = (double)at->count * ((double)c->h * c->w * c->c + (double)c->out_h * c->out_w * c->out);
    if (at->parts == 1)
        return cut;
    if (s->norm < 0 && groups >= at->parts && (weights > values || fours < at->parts)) {
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

static const void *packed_at(const struct exec *e, const struct step *s, const struct conv_part *p, int first)
{
    struct conv_shape before = with_outputs(&s->shape, first);
    return (const char *)p->packed + (first ? facts_of(e, s, p->algorithm).packed_bytes(&before) : 0);
}

struct ahead_range conv_reads(const struct exec *e, const struct step *s, int i, const struct span *at)
{
    const struct conv_part *p = &s->parts.part[i];
    struct cut cut = cut_of(e, s, p, at);
    if (cut.count <= 0 || cut.row_begin >= cut.row_end)
        return (struct ahead_range){0};
    const char *end = cut.first + cut.count < p->count ? packed_at(e, s, p, cut.first + cut.count)
                                                       : (const char *)p->packed + p->bytes;
    return (struct ahead_range){packed_at(e, s, p, cut.first), end};
}

static void run_f32(const struct exec *e, const struct step *s, const struct conv_part *p, const struct cut *cut,
                    const struct span *at)
{
    struct conv_shape shape = with_outputs(&s->shape, cut->count);
    int first = p->first + cut->first;
    struct conv_f32_call call = {.images = at->count,
                                 .x = exec_value(e, s->x, at, at->image),
                                 .x_at = e->values[s->x].at,
                                 .packed = packed_at(e, s, p, cut->first),
                                 .bias = s->bias ? s->bias + first : NULL,
                                 .relu = s->norm >= 0 ? 0 : s->relu,
                                 .y = (float *)exec_value(e, s->output, at, at->image) + first,
                                 .y_at = e->values[s->output].at,
                                 .row_begin = cut->row_begin,
                                 .row_end = cut->row_end};
    if (s->other >= 0) {
        call.residual = (const float *)exec_value(e, s->other, at, at->image) + first;
        call.residual_at = e->values[s->other].at;
    }
    kernel_f32(e, p->algorithm)->run(&shape, &call, at->scratch);
}

static void run_bf16(const struct exec *e, const struct step *s, const struct conv_part *p, const struct cut *cut,
                     const struct span *at)
{
    struct conv_shape shape = with_outputs(&s->shape, cut->count);
    const struct value *y = &e->values[s->output];
    int first = p->first + cut->first;
    struct conv_bf16_call call = {.images = at->count,
                                  .x = exec_value(e, s->x, at, at->image),
                                  .x_at = e->values[s->x].at,
                                  .packed = packed_at(e, s, p, cut->first),
                                  .bias = s->bias ? s->bias + first : NULL,
                                  .relu = s->relu,
                                  .y_at = y->at,
                                  .sums_at = y->at,
                                  .row_begin = cut->row_begin,
                                  .row_end = cut->row_end};
    if (s->other >= 0) {
        call.residual = (const bf16 *)exec_value(e, s->other, at, at->image) + first;
        call.residual_at = e->values[s->other].at;
    }
    if (y->element == sizeof(bf16))
        call.y = (bf16 *)exec_value(e, s->output, at, at->image) + first;
    else
        call.sums = (float *)exec_value(e, s->output, at, at->image) + first;
    e->kernels->conv_bf16.run(&shape, &call, at->scratch);
}

/* The batch norm behind a convolution, on the rows that were just computed. */
static void run_norm(const struct exec *e, const struct step *s, const struct cut *cut, const struct span *at)
{
    const struct conv_shape *c = &s->shape;
    for (int i = at->image; i < at->image + at->count; i++)
        for (int row = cut->row_begin; row < cut->row_end; row++) {
            float *y = (float *)exec_value(e, s->output, at, i) + layout_at(&e->values[s->output].at, 0, row, 0);
            const float *other = NULL;
            if (s->norm_other >= 0)
                other = (const float *)exec_value(e, s->norm_other, at, i) +
                        layout_at(&e->values[s->norm_other].at, 0, row, 0);
            e->kernels->elementwise.scale_shift(y, c->out_w, c->out, s->scale, s->shift, other, s->relu, y);
        }
}

static void run_u8(const struct exec *e, const struct step *s, const struct conv_part *p, const struct cut *cut,
                   const struct span *at)
{
    struct conv_shape shape = with_outputs(&s->shape, cut->count);
    int first = p->first + cut->first;
    struct requantize rq = s->requantize;
    rq.multiplier += first;
    rq.bias += first;
    struct conv_u8_call call = {.images = at->count,
                                .x = exec_value(e, s->x, at, at->image),
                                .x_at = e->values[s->x].at,
                                .packed = packed_at(e, s, p, cut->first),
                                .requantize = &rq,
                                .row_begin = cut->row_begin,
                                .row_end = cut->row_end,
                                .ahead = at->ahead};
    if (s->other >= 0) {
        call.residual = (const uint8_t *)exec_value(e, s->other, at, at->image) + first;
        call.residual_at = e->values[s->other].at;
    }
    if (s->kind == STEP_LINEAR_U8) {
        call.logits = (float *)exec_value(e, s->output, at, at->image) + first;
        call.logits_at = e->values[s->output].at;
    } else {
        call.y = (uint8_t *)exec_value(e, s->output, at, at->image) + first;
        call.y_at = e->values[s->output].at;
    }
    kernel_u8(e, p->algorithm)->run(&shape, &call, at->scratch);
}

void conv_run(const struct exec *e, const struct step *s, const struct conv_parts *parts, const struct span *at)
{
    for (int i = 0; i < parts->count; i++) {
        const struct conv_part *p = &parts->part[i];
        struct cut cut = cut_of(e, s, p, at);
        if (cut.count <= 0 || cut.row_begin >= cut.row_end)
            continue;
        if (s->kind == STEP_CONV_F32)
            run_f32(e, s, p, &cut, at);
        else if (s->kind == STEP_CONV_BF16)
            run_bf16(e, s, p, &cut, at);
        else
            run_u8(e, s, p, &cut, at);
        if (s->norm >= 0 && i == parts->count - 1)
            run_norm(e, s, &cut, at);
    }
}
