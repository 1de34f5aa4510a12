/* What a convolution would have cost by the other algorithm. */
#include "base/memory.h"
#include "base/progress.h"
#include "exec/infer/cpu/plan.h"
#include <string.h>

static enum conv_choice other_choice(const struct step *s)
{
    return s->parts.part[0].algorithm == ALGORITHM_DIRECT && s->parts.count == 1 ? CHOOSE_WINOGRAD : CHOOSE_DIRECT;
}

static double parts_time(const struct exec *e, const struct step *s, const struct conv_parts *parts,
                         const struct span *at)
{
    double start = clock_seconds();
    conv_run(e, s, parts, at);
    return clock_seconds() - start;
}

/* Local buffers hold a chunk; more images than that are not there. */
static int images_at_once(const struct exec *e, int step, int images)
{
    int i = 0;
    while (step >= e->segments[i].end)
        i++;
    return images < e->segments[i].chunk ? images : e->segments[i].chunk;
}

int exec_compare_layer(struct exec *e, int i, int images, struct exec_comparison *c, struct message *m)
{
    const struct step *s = &e->steps[i];
    struct conv_parts other = {0};
    *c = (struct exec_comparison){"-", 0, 0};
    if (!step_is_conv(s) || s->kind == STEP_CONV_BF16 || e->on_device)
        return 0;
    const struct tensor *weight = model_tensor(e->model, s->node, "weight");
    enum conv_choice choice = other_choice(s);
    void *packed = NULL;
    int status = conv_parts_choose(e, s, choice, weight->data, &other, m);
    if (status < 0 ||
        (choice == CHOOSE_WINOGRAD && other.count == 1 && other.part[0].algorithm == ALGORITHM_DIRECT))
        goto out; /* no such kernel, or nothing that it may compute */
    packed = memory_new_raw(conv_parts_bytes(&other), 1, m);
    status = packed ? 1 : STATUS_NOMEM;
    if (!packed)
        goto out;
    conv_parts_pack(e, s, weight->data, &other, packed);
    const struct span at = {.count = images_at_once(e, i, images), .parts = 1, .scratch = e->scratch};
    c->other = choice == CHOOSE_WINOGRAD ? "winograd" : "direct";
    for (int call = 0; call < 6; call++) { /* in turns; the first warms up */
        double chosen = parts_time(e, s, &s->parts, &at) / at.count,
               seconds = parts_time(e, s, &other, &at) / at.count;
        c->chosen_seconds = call < 2 || chosen < c->chosen_seconds ? chosen : c->chosen_seconds;
        c->other_seconds = call < 2 || seconds < c->other_seconds ? seconds : c->other_seconds;
    }
out:
    memory_free(packed);
    conv_parts_free(&other);
    return status;
}
