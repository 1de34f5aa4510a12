/* An operation for each own shard of a mini-batch, where its buffers lie, and what they add to the gradients. */
#include "exec/train/device/device_train.h"
#include "kernel/contract/shape.h"

/* Own shard `shard` of the mini-batch that reduce_begin has named. */
static int place_of(struct gradient *g, int shard, struct device_place *at, struct message *m)
{
    const struct device_training *t = device_of(g);
    const struct device_program *before = at->p;
    int own = g->reduce.share.images, first = shard * t->shard;
    *at = (struct device_place){.g = g,
                                .b = t->context->backend,
                                .d = t->context->device,
                                .shard = shard,
                                .first = first,
                                .gradients = t->gradients};
    TRY(device_program_get(g, own - first < t->shard ? own - first : t->shard, &at->p, m));
    at->is_new = at->p != before;
    return 0;
}

int device_each(struct gradient *g, device_work *work, int i, struct message *m)
{
    struct device_place at = {.p = NULL};
    for (int shard = 0; shard * device_of(g)->shard < g->reduce.share.images; shard++) {
        TRY(place_of(g, shard, &at, m));
        TRY(work(&at, i, m));
    }
    return 0;
}

/* ---- gradients by parameters, over the tree ---- */

/* The step's parameters of the row at depth are added to those of the one before it. */
static int merge(const struct device_place *at, int tree, int depth, int i, struct message *m)
{
    const struct train_step *own = &at->g->train[i];
    const struct step *s = &at->g->steps.at[i];
    float *to = device_shared_sum(at->g, tree, depth - 1), *from = device_shared_sum(at->g, tree, depth);
    size_t outputs = (size_t)gradient_node(at->g, s->output)->c;
    const struct {
        size_t offset, count;
    } parts[] = {{own->weight, s->kind == STEP_CONV ? shape_weights(&s->shape) : outputs},
                 {own->bias, outputs},
                 {own->scale, 1}};
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        if (parts[k].offset == NO_OFFSET)
            continue;
        const struct device_add_call add = {.type = DEVICE_F32,
                                            .a = to + parts[k].offset,
                                            .b = from + parts[k].offset,
                                            .count = parts[k].count,
                                            .y = to + parts[k].offset};
        TRY(at->b->add(at->d, &add, m));
    }
    return 0;
}

int device_each_gradient(struct gradient *g, device_work *work, int i, struct message *m)
{
    const struct reduce *r = &g->reduce;
    struct device_place at = {.p = NULL};
    for (int tree = 0; tree < r->own_count; tree++) {
        const struct subtree *of = &r->trees[r->own_first + tree];
        int shards = of->end - of->begin;
        for (int n = 0; n < shards; n++) {
            int depth = tree_depth(n);
            TRY(place_of(g, of->begin - r->share.begin + n, &at, m));
            at.gradients = device_shared_sum(g, tree, depth);
            TRY(work(&at, i, m));
            for (int carries = tree_carries(n); carries > 0; carries--, depth--)
                TRY(merge(&at, tree, depth, i, m));
        }
        for (int depth = tree_depth(shards) - 1; depth > 0; depth--)
            TRY(merge(&at, tree, depth, i, m));
    }
    return 0;
}
