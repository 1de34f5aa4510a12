/* Convolution over blocks; the batch norm behind it gets its sums.
 *   x [blocks][H][W][C/32][P][32][32], weight [K,C,R,R], y [blocks][H'][W'][K/32][P][32][32] */
#include "exec/train/block/block_engine.h"

/* ---- forward ---- */

static void conv_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct block_step *t = &block_of(g)->steps[i];
    struct block_conv_call call = {.packed = block_of(g)->packed};
    int b = cut_call(&t->cut, block_of(g)->blocks, t->conv.k, item, &call);
    size_t piece = (size_t)b * (size_t)t->pieces + (size_t)(t->cut.parts > 0 ? item % t->cut.parts : 0);
    call.x = block_value_at(g, s->x, b);
    call.y = block_value_at(g, s->output, b);
    call.sums = t->sums + piece * 2 * (size_t)block_channels(t->conv.k);
    t->kernels->conv(&t->conv, BLOCK_FORWARD, &call, worker_scratch(g, worker));
}

static void forward(struct gradient *g, int i)
{
    const struct block_step *t = &block_of(g)->steps[i];
    block_conv_pack(g, i, BLOCK_FORWARD);
    image_each(g, i, conv_item, cut_items(&t->cut, block_of(g)->blocks, t->conv.k));
}

/* ---- backward ---- */

/* The gradient by the weights of some blocks. */
struct weight_job {
    struct gradient *g;
    int i, round, first, blocks;
    const bf16 *x; /* of block 0 */
    size_t x_block;
    float *gradient;
};

static void weight_item(void *context, int item, int worker)
{
    const struct weight_job *j = context;
    struct gradient *g = j->g;
    const struct step *s = &g->steps.at[j->i];
    const struct block_weight_call call = {.blocks = j->blocks,
                                           .x = j->x + (size_t)j->first * j->x_block,
                                           .dy = block_gradient_at(g, s->output, j->first),
                                           .x_block = j->x_block,
                                           .dy_block = block_of(g)->values[s->output].block,
                                           .dw = j->gradient};
    block_of(g)->steps[j->i].kernels->weight_gradient(&block_of(g)->steps[j->i].conv, &call, j->round, item,
                                                      image_of(g)->arena + block_of(g)->shared,
                                                      worker_scratch(g, worker));
    if (worker == 0)
        reduce_poke(&g->reduce);
}

static void weight_shards(void *context, int begin, int end, float *gradient)
{
    struct weight_job j = *(const struct weight_job *)context;
    const struct block_step *t = &block_of(j.g)->steps[j.i];
    _Static_assert((int)SHARD_IMAGES == (int)BLOCK_IMAGES, "a block is a shard");
    j.first = begin;
    j.blocks = end - begin;
    j.gradient = gradient;
    for (j.round = 0; j.round < BLOCK_ROUNDS; j.round++)
        threads_run(image_of(j.g)->pool, weight_item, &j, t->kernels->weight_items(&t->conv, j.blocks, j.round));
}

static void data_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct block_step *t = &block_of(g)->steps[i];
    struct block_conv_call call = {.packed = block_of(g)->packed, .accumulate = g->train[i].accumulate_x};
    int b = cut_call(&t->data_cut, block_of(g)->blocks, t->conv.c, item, &call);
    call.x = block_gradient_at(g, s->output, b);
    call.y = block_gradient_at(g, s->x, b);
    t->kernels->conv(&t->conv, BLOCK_BACKWARD, &call, worker_scratch(g, worker));
}

void block_conv_gradients(struct gradient *g, int i, const bf16 *x, size_t x_block)
{
    struct weight_job job = {.g = g, .i = i, .x = x, .x_block = x_block};
    const struct block_step *t = &block_of(g)->steps[i];
    double start = profile_begin(g);
    reduce_weights(&g->reduce, weight_shards, &job, g->gradients + g->train[i].weight,
                   shape_weights(&g->steps.at[i].shape));
    profile_end(g, i, PASS_WEIGHT, start);
    if (!gradient_wants(g, g->steps.at[i].x))
        return;
    start = profile_begin(g);
    block_conv_pack(g, i, BLOCK_BACKWARD);
    image_each(g, i, data_item, cut_items(&t->data_cut, block_of(g)->blocks, t->conv.c));
    profile_end(g, i, PASS_DATA, start);
}

static void backward(struct gradient *g, int i)
{
    int x = g->steps.at[i].x;
    block_conv_gradients(g, i, block_value_at(g, x, 0), block_of(g)->values[x].block);
}

const struct block_op block_conv_op = {
    .forward = forward, .backward = backward, .backward_codes = block_conv_backward_codes};
