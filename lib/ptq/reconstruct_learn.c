/* One step of learning: a mini-batch of a unit's inputs and of what it is to give. */
#include "base/random.h"
#include "ptq/reconstruction.h"
#include <math.h>
#include <string.h>

#define WARM_UP 0.2 /* share of the steps that are without penalty */

/* Every image once in an epoch, as far as whole mini-batches go. */
static void shuffle(struct reconstruction *r, int64_t epoch)
{
    uint32_t count = (uint32_t)r->o->count;
    struct random_stream s =
        random_open(r->o->seed, RANDOM_ROUNDING, (uint32_t)r->unit->layers[0], (uint64_t)epoch);
    for (uint32_t i = 0; i < count; i++)
        r->order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t k = random_below(&s, i), held = r->order[i - 1];
        r->order[i - 1] = r->order[k];
        r->order[k] = held;
    }
    r->epoch = epoch;
}

struct taking {
    struct reconstruction *r;
    const uint32_t *images;
};

/* What a node gives for one image, in a walk's cut. */
static const void *taken(const struct walk *w, size_t image, int node)
{
    return w->cut + image * exec_cut_bytes(w->exec, w->step) + exec_cut_offset(w->exec, w->step, node);
}

static void take_item(void *context, int item, int worker)
{
    const struct taking *t = context;
    struct reconstruction *r = t->r;
    struct unit_pass *p = &r->pass;
    size_t image = t->images[p->first + item];
    const struct unit_value *y = unit_output(p);
    const struct walk after = {.exec = r->floats.exec, .cut = r->after, .step = r->after_step};
    (void)worker;
    for (int k = 0; k < r->unit->input_count; k++) {
        int node = p->values[k].node;
        unit_take_input(p, k, item, taken(&r->codes, image, walk_node(r->int8, r->fused, node)),
                        taken(&r->floats, image, node));
    }
    memcpy(r->target + (size_t)item * y->elements, taken(&after, image, y->node), y->elements * sizeof(float));
}

int reconstruct_step(struct reconstruction *r, double *loss, struct message *m)
{
    const struct reconstruct_options *o = r->o;
    struct unit_pass *p = &r->pass;
    int64_t each = o->count / r->batch, epoch = r->step / each;
    double done = (double)r->step / (double)o->steps, beta = 20 - 18 * (done - WARM_UP) / (1 - WARM_UP);
    double fall = 0.5 * (1 + cos(3.14159265358979 * done));
    if (epoch != r->epoch)
        shuffle(r, epoch);
    struct taking t = {r, r->order + r->step % each * r->batch};
    unit_begin(p, r->batch);
    p->step = r->step;
    threads_run(r->pool, take_item, &t, p->count);
    *loss = unit_forward(p, r->target);
    TRY(unit_backward(p, done < WARM_UP ? 0 : (float)o->penalty, (float)beta, m));
    unit_step(p, r->step + 1, o->rate * fall, o->scale_rate * fall);
    return 0;
}
