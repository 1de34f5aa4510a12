/* What a convolution would have cost by the other algorithm. */
#include "base/memory.h"
#include "base/progress.h"
#include "exec/infer/cpu/cpu_exec.h"

static enum conv_choice other_choice(const struct conv_parts *p)
{
    return p->part[0].algorithm == ALGORITHM_DIRECT && p->count == 1 ? CHOOSE_WINOGRAD : CHOOSE_DIRECT;
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
    enum conv_choice choice = other_choice(chosen);
    void *packed = NULL;
    int status = conv_parts_choose(e, i, choice, &other, m);
    if (status < 0 ||
        (choice == CHOOSE_WINOGRAD && other.count == 1 && other.part[0].algorithm == ALGORITHM_DIRECT))
        goto out; /* no such kernel, or nothing that it may compute */
    packed = memory_new_raw(conv_parts_bytes(&other), 1, m);
    status = STATUS_NOMEM;
    if (!packed)
        goto out;
    TRY_GOTO(conv_parts_pack(e, i, &other, packed, m), out);
    status = 1;
    const struct span at = {.count = images_at_once(e, i, images), .parts = 1, .scratch = cpu_of(e)->scratch};
    c->other = choice == CHOOSE_WINOGRAD ? "winograd" : "direct";
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
