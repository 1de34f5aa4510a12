/* What a convolution would have cost by the other algorithm. */
#include "base/memory.h"
#include "base/progress.h"
#include "exec/infer/cpu/cpu_exec.h"

static int same_parts(const struct conv_parts *a, const struct conv_parts *b)
{
    for (int i = 0; i < a->count && i < b->count; i++)
        if (a->part[i].first != b->part[i].first || a->part[i].algorithm != b->part[i].algorithm)
            return 0;
    return a->count == b->count;
}

/* The first that computes the layer otherwise than it was chosen: 1, or 0 where there is none. */
static int other_choose(const struct exec *e, int i, struct conv_parts *other, struct message *m)
{
    static const enum conv_choice choices[] = {CHOOSE_WINOGRAD, CHOOSE_PAIRS, CHOOSE_DIRECT};
    for (size_t k = 0; k < sizeof choices / sizeof *choices; k++) {
        TRY(conv_parts_choose(e, i, choices[k], other, m));
        if (!same_parts(&cpu_of(e)->steps[i].parts, other))
            return 1;
        conv_parts_free(other);
    }
    return 0;
}

static double parts_time(const struct exec *e, int i, const struct conv_parts *parts, const struct span *at)
{
    double start = clock_seconds();
    conv_run(e, i, parts, at);
    return clock_seconds() - start;
}

/* Local buffers hold a chunk; more images than that are not there. */
static int images_at_once(const struct exec *e, int step, int images)
{
    const struct segment *s = cpu_of(e)->segments;
    while (step >= s->end)
        s++;
    return images < s->chunk ? images : s->chunk;
}

int cpu_compare(struct exec *e, int i, int images, struct exec_comparison *c, struct message *m)
{
    const struct conv_parts *chosen = &cpu_of(e)->steps[i].parts;
    struct conv_parts other = {0};
    if (e->steps.at[i].kind != STEP_CONV || cpu_of(e)->is_bf16)
        return 0;
    void *packed = NULL;
    int status = other_choose(e, i, &other, m);
    if (status <= 0)
        goto out;
    packed = memory_new_raw(conv_parts_bytes(&other), 1, m);
    status = STATUS_NOMEM;
    if (!packed)
        goto out;
    TRY_GOTO(conv_parts_pack(e, i, &other, packed, m), out);
    status = 1;
    const struct span at = {.count = images_at_once(e, i, images), .parts = 1, .scratch = cpu_of(e)->scratch};
    c->other = conv_parts_algorithm(e, i, &other);
    for (int call = 0; call < 6; call++) { /* in turns; the first warms up */
        double one = parts_time(e, i, chosen, &at) / at.count, two = parts_time(e, i, &other, &at) / at.count;
        c->chosen_seconds = call < 2 || one < c->chosen_seconds ? one : c->chosen_seconds;
        c->other_seconds = call < 2 || two < c->other_seconds ? two : c->other_seconds;
    }
out:
    memory_free(packed);
    conv_parts_free(&other);
    return status;
}
