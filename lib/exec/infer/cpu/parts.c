/* Convolutions: which algorithm computes which outputs, and the weights packed for it. */
#include "base/memory.h"
#include "exec/infer/cpu/cpu_exec.h"
#include "exec/plan/bounds.h"
#include <math.h>

/* What all kinds of kernel have in common. */
struct kernel_facts {
    int exists, grain;
    size_t (*packed_bytes)(const struct conv_shape *s);
    size_t (*scratch_bytes)(const struct conv_shape *s);
};

const struct conv_u8_kernel *conv_kernel_u8(const struct exec *e, const struct step *s, enum algorithm a)
{
    return a == ALGORITHM_WINOGRAD ? kernel_conv_u8_winograd(e->kernels, &s->shape)
           : a == ALGORITHM_PAIRS  ? kernel_conv_u8_pairs(e->kernels, &s->shape)
                                   : kernel_conv_u8(e->kernels, &s->shape);
}

const struct conv_f32_kernel *conv_kernel_f32(const struct exec *e, const struct step *s, enum algorithm a)
{
    return a == ALGORITHM_WINOGRAD ? kernel_conv_f32_winograd(e->kernels, &s->shape)
           : a == ALGORITHM_PAIRS  ? NULL
                                   : kernel_conv_f32(e->kernels, &s->shape);
}

#define FACTS(k)                                                 \
    (struct kernel_facts)                                        \
    {                                                            \
        1, (k)->out_grain, (k)->packed_bytes, (k)->scratch_bytes \
    }

static struct kernel_facts facts_of(const struct exec *e, const struct step *s, enum algorithm a)
{
    const struct kernel_facts none = {0};
    if (s->is_integer) {
        const struct conv_u8_kernel *k = conv_kernel_u8(e, s, a);
        return k ? FACTS(k) : none;
    }
    if (cpu_of(e)->is_bf16)
        return a == ALGORITHM_DIRECT ? FACTS(kernel_conv_bf16(e->kernels, &s->shape)) : none;
    const struct conv_f32_kernel *k = conv_kernel_f32(e, s, a);
    return k ? FACTS(k) : none;
}

static struct conv_shape with_outputs(const struct conv_shape *s, int outputs)
{
    struct conv_shape part = *s;
    part.out = outputs;
    return part;
}

/* ---- choice ---- */

/* Whether the algorithm is exact for outputs [first, first + count): integers only. */
static int proved(const struct exec *e, int i, const void *weight, int first, int count, enum algorithm a)
{
    const struct step *s = &e->steps.at[i];
    size_t per_output = shape_reduced(&s->shape);
    if (!s->is_integer || a == ALGORITHM_DIRECT)
        return 1;
    for (int k = first; k < first + count; k++) {
        const int8_t *w = (const int8_t *)weight + (size_t)k * per_output;
        if (a == ALGORITHM_WINOGRAD ? winograd_bound(w, (int)per_output) >= WINOGRAD_SUM_LIMIT
                                    : !pairs_proved(w, (int)per_output, e->constants[i].map_x.qmax))
            return 0;
    }
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

static double cost_here(const struct exec *e, const struct step *s, enum algorithm a)
{
    enum { MOST = 16 /* images in one call, about: see chunk_of */ };
    /* The algorithms round floats differently, and logits must not depend on the batch: floats are planned for one.
     */
    int images = !s->is_integer ? 1 : e->batch < MOST ? e->batch : MOST;
    return facts_of(e, s, a).exists ? cost_of(a, &s->shape, e->kernels->isa, s->is_integer, images) : INFINITY;
}

/* What is tried for an output, one after the other until one is exact; direct, which always is, comes last. Returns
 * how many. */
static int order_of(const struct exec *e, const struct step *s, enum conv_choice choice,
                    enum algorithm order[ALGORITHMS])
{
    int pairs = choice == CHOOSE_PAIRS && facts_of(e, s, ALGORITHM_PAIRS).exists, count = 0;
    double direct = cost_here(e, s, ALGORITHM_DIRECT), winograd = cost_here(e, s, ALGORITHM_WINOGRAD);
    double paired = cost_here(e, s, ALGORITHM_PAIRS);
    if (choice == CHOOSE_WINOGRAD && facts_of(e, s, ALGORITHM_WINOGRAD).exists)
        winograd = 0;
    if (choice == CHOOSE_DIRECT || choice == CHOOSE_PAIRS) {
        winograd = INFINITY;
        paired = pairs ? 0 : INFINITY;
    }
    if (winograd < direct && winograd < paired)
        order[count++] = ALGORITHM_WINOGRAD;
    if (paired < direct)
        order[count++] = ALGORITHM_PAIRS;
    if (winograd < direct && paired <= winograd)
        order[count++] = ALGORITHM_WINOGRAD;
    order[count++] = ALGORITHM_DIRECT;
    return count;
}

/* Each group of outputs by the first algorithm that is proved exact for all of them. */
static void parts_choose(const struct exec *e, int i, enum conv_choice choice, const void *weight,
                         struct conv_parts *parts)
{
    const struct step *s = &e->steps.at[i];
    enum algorithm order[ALGORITHMS];
    int out = s->shape.out, grain = 0, tried = order_of(e, s, choice, order);
    for (int k = 0; k < tried - 1; k++)
        if (facts_of(e, s, order[k]).grain > grain)
            grain = facts_of(e, s, order[k]).grain;
    if (grain == 0)
        grain = out;
    for (int first = 0; first < out; first += grain) {
        int count = out - first < grain ? out - first : grain, k = 0;
        while (!proved(e, i, weight, first, count, order[k]))
            k++;
        part_extend(parts, first, count, order[k]);
    }
}

static void part_pack(const struct exec *e, int i, const void *weight, struct conv_part *p)
{
    const struct step *s = &e->steps.at[i];
    struct conv_shape shape = with_outputs(&s->shape, p->count);
    size_t at = (size_t)p->first * shape_reduced(&s->shape);
    const struct affine *x = &e->constants[i].map_x;
    if (s->is_integer)
        conv_kernel_u8(e, s, p->algorithm)
            ->pack(&shape, (const int8_t *)weight + at, x->zero_point, (uint8_t)x->qmax, p->packed);
    else if (cpu_of(e)->is_bf16)
        kernel_conv_bf16(e->kernels, &s->shape)->pack(&shape, (const float *)weight + at, p->packed);
    else
        conv_kernel_f32(e, s, p->algorithm)->pack(&shape, (const float *)weight + at, p->packed);
}

int conv_parts_choose(const struct exec *e, int i, enum conv_choice choice, struct conv_parts *parts,
                      struct message *m)
{
    const struct step *s = &e->steps.at[i];
    parts->count = 0;
    parts->part = memory_new((size_t)s->shape.out, sizeof *parts->part, m);
    if (!parts->part)
        return STATUS_NOMEM;
    void *expanded;
    const void *weight = step_weights(&e->constants[i], e->model, s, &expanded, m);
    if (!weight)
        return STATUS_NOMEM;
    parts_choose(e, i, choice, weight, parts);
    memory_free(expanded);
    for (int k = 0; k < parts->count; k++) {
        struct conv_part *p = &parts->part[k];
        struct conv_shape shape = with_outputs(&s->shape, p->count);
        p->bytes = round_up_64(facts_of(e, s, p->algorithm).packed_bytes(&shape));
    }
    return 0;
}

int conv_parts_pack(const struct exec *e, int i, struct conv_parts *parts, void *to, struct message *m)
{
    void *expanded;
    const void *weight = step_weights(&e->constants[i], e->model, &e->steps.at[i], &expanded, m);
    if (!weight)
        return STATUS_NOMEM;
    unsigned char *at = to;
    for (int k = 0; k < parts->count; k++) {
        parts->part[k].packed = at;
        part_pack(e, i, weight, &parts->part[k]);
        at += parts->part[k].bytes;
    }
    memory_free(expanded);
    return 0;
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

/* Enough for every algorithm, so that others can be tried. */
size_t conv_scratch(const struct exec *e, int i)
{
    const struct step *s = &e->steps.at[i];
    size_t bytes = 0;
    for (enum algorithm a = 0; a < ALGORITHMS; a++) {
        struct kernel_facts facts = facts_of(e, s, a);
        bytes = facts.exists ? max_size(bytes, facts.scratch_bytes(&s->shape)) : bytes;
    }
    return bytes;
}

const char *conv_parts_algorithm(const struct exec *e, int i, const struct conv_parts *parts)
{
    const struct step *s = &e->steps.at[i];
    enum algorithm a = parts->part[0].algorithm;
    return parts->count > 1     ? "mixed"
           : s->is_integer      ? conv_kernel_u8(e, s, a)->algorithm
           : cpu_of(e)->is_bf16 ? kernel_conv_bf16(e->kernels, &s->shape)->algorithm
                                : conv_kernel_f32(e, s, a)->algorithm;
}

const void *conv_packed_at(const struct exec *e, int i, const struct conv_part *p, int first)
{
    const struct step *s = &e->steps.at[i];
    struct conv_shape before = with_outputs(&s->shape, first);
    return (const char *)p->packed + (first ? facts_of(e, s, p->algorithm).packed_bytes(&before) : 0);
}

int conv_out_grain(const struct exec *e, int i, const struct conv_part *p)
{
    return facts_of(e, &e->steps.at[i], p->algorithm).grain;
}
