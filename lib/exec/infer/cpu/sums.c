/* The sums of an integer layer, looked at: the steps before it run as ever, then its kernels write their accumulators
 * as a last layer's logits, with factors of 1 and no bias. */
#include "base/memory.h"
#include "exec/infer/cpu/cpu_exec.h"

struct looking {
    struct exec *e;
    int step;
    size_t image; /* floats of one image's sums */
    float *sums, *ones;
    int32_t *zeros;
};

static void sums_item(void *context, int image, int worker)
{
    const struct looking *l = context;
    struct cpu_exec *c = cpu_of(l->e);
    const struct span at = {
        .image = image, .count = 1, .parts = 1, .scratch = c->scratch + (size_t)worker * c->scratch_stride};
    conv_sums(l->e, l->step, &at, l->ones, l->zeros, l->sums + (size_t)image * l->image);
}

static int look(struct looking *l, const uint8_t *images, int64_t count, exec_sums_visitor *visit, void *context,
                struct message *m)
{
    struct exec *e = l->e;
    const struct step *s = &e->steps.at[l->step];
    const struct span first = {.parts = 1};
    struct exec_sums shown = {.pixels = s->shape.out_h * s->shape.out_w,
                              .outputs = s->shape.out,
                              .x = exec_value(e, s->x, &first, 0),
                              .x_image = cpu_of(e)->values[s->x].at.image,
                              .sums = l->sums};
    for (int64_t at = 0; at < count; at += shown.images) {
        shown.images = count - at < e->batch ? (int)(count - at) : e->batch;
        cpu_run_chunk(e, images + (size_t)at * node_elements(exec_node(e, 0)), shown.images);
        threads_run(cpu_of(e)->pool, sums_item, l, shown.images);
        TRY(visit(context, &shown, m));
    }
    return 0;
}

int cpu_observe_sums(struct exec *e, const uint8_t *images, int64_t count, int i, exec_sums_visitor *visit,
                     void *context, struct message *m)
{
    const struct conv_shape *s = &e->steps.at[i].shape;
    struct looking l = {.e = e, .step = i, .image = shape_outputs(s)};
    int status = STATUS_NOMEM;
    l.sums = memory_new((size_t)e->batch * l.image, sizeof *l.sums, m);
    l.ones = memory_new((size_t)s->out, sizeof *l.ones, m);
    l.zeros = memory_new((size_t)s->out, sizeof *l.zeros, m);
    if (l.sums && l.ones && l.zeros) {
        for (int k = 0; k < s->out; k++)
            l.ones[k] = 1;
        cpu_of(e)->stop = i;
        status = look(&l, images, count, visit, context, m);
        cpu_of(e)->stop = e->steps.count;
    }
    memory_free(l.sums);
    memory_free(l.ones);
    memory_free(l.zeros);
    return status;
}
