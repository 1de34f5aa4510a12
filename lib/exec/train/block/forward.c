/* Forward over blocks: what a step's items do. */
#include "exec/train/block/block_part.h"
#include "exec/train/gradient_statistics.h"

struct job {
    struct gradient *g;
    int step;
};

/* ---- weights ---- */

static void pack_item(void *context, int item, int worker)
{
    struct gradient *g = context;
    const struct block_engine *e = g->block;
    int i = g->step_count - 1;
    (void)worker;
    while (e->pack_first[i] > item)
        i--;
    const struct block_step *b = &e->steps[i];
    const float *weight = gradient_quantized(g) ? g->gradients : g->parameters; /* see gradient_pack_backward */
    e->kernels->pack(&b->conv, weight + g->steps[i].weight, item - e->pack_first[i], b->forward, b->backward);
}

void block_pack_weights(struct gradient *g)
{
    threads_run(g->pool, pack_item, g, g->block->pack_items);
}

/* ---- input ---- */

static int input_rows(const struct gradient *g, int step, const struct block_conv **conv)
{
    const struct node *n = &g->graph.nodes[g->steps[step].output];
    *conv = NULL;
    for (int i = step + 1; i < g->step_count && !*conv; i++)
        if (g->steps[i].x == g->steps[step].output && g->block->steps[i].conv.window)
            *conv = &g->block->steps[i].conv;
    return *conv ? (*conv)->out_h : n->h;
}

static void input_item(void *context, int item, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct node *n = &g->graph.nodes[g->steps[j->step].output];
    const struct block_conv *window;
    int rows = input_rows(g, j->step, &window), b = item / rows, row = item % rows;
    const struct block_conv plain = {
        .h = n->h, .w = n->w, .c = n->c, .kernel = 1, .stride = 1, .planes = g->block->planes};
    const uint8_t *images[BLOCK_IMAGES];
    int output = g->steps[j->step].output;
    (void)worker;
    for (int i = 0; i < block_images(g, b); i++)
        images[i] = value_u8(g, 0, b * BLOCK_IMAGES + i);
    g->block->kernels->input(window ? window : &plain, images, block_images(g, b), g->block->table, row,
                             block_value_at(g, output, b) +
                                 (size_t)row * (g->block->values[output].block / (size_t)rows));
}

/* ---- convolution ---- */

static void conv_item(void *context, int item, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct block_step *t = &g->block->steps[j->step];
    struct block_conv_call call = {.packed = t->forward};
    int b = cut_call(&t->cut, g->block->blocks, t->conv.k, item, &call);
    size_t piece = (size_t)b * (size_t)t->pieces + (size_t)(t->cut.parts > 0 ? item % t->cut.parts : 0);
    call.x = block_value_at(g, s->x, b);
    call.y = block_value_at(g, s->output, b);
    call.sums = t->sums + piece * 2 * (size_t)block_channels(t->conv.k);
    g->block->kernels->conv(&t->conv, BLOCK_FORWARD, &call, worker_scratch(g, worker));
}

/* ---- batch norm ---- */

static void norm_constants_of(struct gradient *g, int step)
{
    const struct train_step *s = &g->steps[step];
    struct block_step *t = &g->block->steps[step];
    const struct block_step *maker = &g->block->steps[t->maker];
    const struct node *n = &g->graph.nodes[s->node];
    int channels = block_channels(n->c), parts = g->block->blocks * maker->pieces;
    double rows = (double)g->count * n->h * n->w;
    for (int c = 0; c < n->c; c++) {
        struct norm_sums sums = {0, 0};
        for (int i = 0; i < parts; i++) {
            sums.sum += maker->sums[(size_t)i * 2 * (size_t)channels + (size_t)c];
            sums.squares += maker->sums[((size_t)i * 2 + 1) * (size_t)channels + (size_t)c];
        }
        struct norm_channel k = norm_channel_update(g, s, c, sums, rows);
        block_constant(t, BLOCK_MEAN, n->c)[c] = k.mean;
        block_constant(t, BLOCK_INV_STD, n->c)[c] = k.inv_std;
        block_constant(t, BLOCK_SCALE, n->c)[c] = k.scale;
        block_constant(t, BLOCK_SHIFT, n->c)[c] = k.shift;
    }
    g->state[s->tracked] += 1;
}

/* Batch norm, add and relu alike: y = [relu](x [* scale + shift] [+ other]). */
static void norm_item(void *context, int item, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct block_step *t = &g->block->steps[j->step];
    const struct node *n = &g->graph.nodes[s->output];
    struct part p = part_of(g, s->output, item);
    (void)worker;
    g->block->kernels->norm(part_value(g, s->x, &p), p.pixels, block_channels(n->c), g->block->planes,
                            block_images(g, p.block),
                            s->kind == TRAIN_NORM ? block_constant(t, BLOCK_SCALE, n->c) : NULL,
                            s->kind == TRAIN_NORM ? block_constant(t, BLOCK_SHIFT, n->c) : NULL,
                            s->other >= 0 ? part_value(g, s->other, &p) : NULL, s->relu || s->kind == TRAIN_RELU,
                            part_value(g, s->output, &p), part_mask(g, s->output, t->positive, &p));
}

static void pool_item(void *context, int b, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct node *x = &g->graph.nodes[s->x];
    (void)worker;
    g->block->kernels->pool(block_value_at(g, s->x, b), x->h * x->w, x->c, g->block->planes, block_images(g, b),
                            value_f32(g, s->output, b * BLOCK_IMAGES), x->c);
}

void block_step_forward(struct gradient *g, int step)
{
    struct job job = {g, step};
    const struct train_step *s = &g->steps[step];
    const struct block_step *t = &g->block->steps[step];
    const struct block_conv *window;
    int blocks = g->block->blocks;
    switch (s->kind) {
    case TRAIN_NORMALIZE:
        threads_run(g->pool, input_item, &job, blocks * input_rows(g, step, &window));
        break;
    case TRAIN_CONV:
        threads_run(g->pool, conv_item, &job, cut_items(&t->cut, blocks, t->conv.k));
        break;
    case TRAIN_POOL:
        threads_run(g->pool, pool_item, &job, blocks);
        break;
    case TRAIN_NORM:
        norm_constants_of(g, step);
        /* fall through */
    default:
        threads_run(g->pool, norm_item, &job, part_items(g, s->output));
    }
}
