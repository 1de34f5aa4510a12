/* Which steps run over blocks, and where their values lie. */
#include "base/memory.h"
#include "exec/train/block/block_part.h"
#include <string.h>

enum { MOST_SIDE = 11 /* of a kernel */ };

/* ---- what suits ---- */

static const struct train_step *maker_of(const struct gradient *g, int node, int before)
{
    for (int i = before - 1; i >= 0; i--)
        if (g->steps[i].output == node)
            return &g->steps[i];
    return NULL;
}

static int step_suits(const struct gradient *g, int i, int *pooled)
{
    const struct train_step *s = &g->steps[i], *maker = maker_of(g, s->x, i);
    const struct node *n = &g->graph.nodes[s->node];
    if (*pooled)
        return n->op == OP_LINEAR;
    switch (s->kind) {
    case TRAIN_NORMALIZE:
        return i == 0 && s->x == 0;
    case TRAIN_CONV:
        return n->op == OP_CONV2D && (gradient_quantized(g) || !n->has_bias) && n->kernel <= MOST_SIDE;
    case TRAIN_NORM:
        return maker && maker->kind == TRAIN_CONV;
    case TRAIN_POOL:
        *pooled = 1;
        return 1;
    default:
        return 1;
    }
}

/* The definition is for tests: only where it was asked for by name, and in the precision that has no other. */
static int kernels_suit(const struct gradient *g)
{
    return kernel_block_is_native(g->kernels) || (g->bf16 && strcmp(g->kernels->isa, "ref") == 0);
}

int block_engine_suits(const struct gradient *g)
{
    int pooled = 0, suits = kernels_suit(g);
    for (int i = 0; suits && i < g->step_count; i++)
        suits = step_suits(g, i, &pooled);
    return suits && pooled && g->step_count > 0 && g->steps[0].kind == TRAIN_NORMALIZE;
}

/* ---- steps and values ---- */

static int users_of(const struct gradient *g, int node, int *last)
{
    int users = 0;
    for (int i = 0; i < g->step_count; i++)
        if (g->steps[i].x == node || g->steps[i].other == node) {
            users++;
            *last = i;
        }
    return users;
}

static struct block_cut cut_of(const struct block_kernel *k, const struct block_conv *s, int h, int w)
{
    int tile = k->tile ? k->tile(s) : 0, rows = tile ? (h + tile - 1) / tile : 0;
    struct block_cut c = {.h = h, .parts = w >= 16 ? 2 : 0, .grain = tile ? tile : 1};
    if (tile)
        c.parts = rows >= 4 ? rows / 2 : rows;
    return c;
}

static void plan_conv(struct gradient *g, int i)
{
    const struct conv_shape *s = &g->steps[i].shape;
    struct block_step *b = &g->block->steps[i];
    const struct train_step *maker = maker_of(g, g->steps[i].x, i);
    int user;
    b->conv = (struct block_conv){.h = s->h,
                                  .w = s->w,
                                  .c = s->c,
                                  .out_h = s->out_h,
                                  .out_w = s->out_w,
                                  .k = s->out,
                                  .kernel = s->kernel,
                                  .stride = s->stride,
                                  .pad = s->pad,
                                  .planes = g->block->planes};
    /* Few channels: all that a window sees fits one cell, and the input is laid out so. */
    b->conv.window = !gradient_quantized(g) && maker && maker->kind == TRAIN_NORMALIZE &&
                     s->c * s->kernel * s->kernel <= BLOCK_CHANNELS && users_of(g, g->steps[i].x, &user) == 1;
    b->kernels = kernel_block(g->kernels, &b->conv);
    b->cut = cut_of(b->kernels, &b->conv, s->out_h, s->out_w);
    b->data_cut = cut_of(b->kernels, &b->conv, s->h, s->w);
    b->pieces = b->cut.parts > 0 ? b->cut.parts : 1;
}

static void plan_value(struct gradient *g, int i)
{
    const struct train_step *s = &g->steps[i];
    const struct node *n = &g->graph.nodes[s->output];
    struct block_value *v = &g->block->values[s->output];
    int user = 0, pixels = n->h * n->w, channels = n->c;
    v->on = block_back(g, i) && s->kind != TRAIN_POOL;
    if (s->kind == TRAIN_NORMALIZE && users_of(g, s->output, &user) == 1 && g->block->steps[user].conv.window) {
        const struct block_conv *c = &g->block->steps[user].conv;
        pixels = c->out_h * c->out_w;
        channels = c->c * c->kernel * c->kernel;
    }
    v->block = block_tensor_values(pixels, channels, g->block->planes);
}

static int plan_steps(struct gradient *g, struct message *m)
{
    struct block_engine *e = memory_new(1, sizeof *e, m);
    g->block = e;
    if (!e)
        return STATUS_NOMEM;
    e->kernels = &g->kernels->block;
    e->planes = g->bf16 ? 1 : e->kernels->float_planes;
    e->steps = memory_new((size_t)g->step_count, sizeof *e->steps, m);
    e->values = memory_new((size_t)g->graph.count, sizeof *e->values, m);
    if (!e->steps || !e->values)
        return STATUS_NOMEM;
    for (int i = 0, pooled = 0; i < g->step_count; i++) {
        e->steps[i].backward_on = !pooled;
        e->steps[i].forward_on = !pooled && !gradient_quantized(g);
        e->steps[i].positive = NO_OFFSET;
        e->steps[i].maker = -1;
        pooled |= g->steps[i].kind == TRAIN_POOL;
        if (e->steps[i].backward_on && g->steps[i].kind == TRAIN_CONV)
            plan_conv(g, i);
        for (int k = 0; g->steps[i].kind == TRAIN_NORM && k < i; k++)
            if (g->steps[k].output == g->steps[i].x)
                e->steps[i].maker = k;
    }
    for (int i = 0; i < g->step_count; i++)
        plan_value(g, i);
    return 0;
}

/* ---- buffers ---- */

static size_t gradient_bytes(const struct gradient *g, int node)
{
    const struct block_value *v = &g->block->values[node];
    size_t batch = (size_t)g->options.batch;
    return v->on ? v->block * sizeof(bf16) * (size_t)block_count(g->options.batch)
                 : g->values[node].elements * sizeof(float) * batch;
}

static size_t positive_bytes(const struct gradient *g, int i)
{
    int masks = block_on(g, i) && (g->steps[i].relu || g->steps[i].kind == TRAIN_RELU);
    return masks ? mask_bytes(g, g->steps[i].output) : 0;
}

static size_t shared_bytes(const struct gradient *g)
{
    size_t bytes = 0;
    for (int i = 0; i < g->step_count; i++)
        if (block_back(g, i) && g->steps[i].kind == TRAIN_CONV)
            bytes = max_size(bytes, g->block->steps[i].kernels->weight_shared_bytes(&g->block->steps[i].conv,
                                                                                    block_count(g->options.batch)));
    return bytes;
}

/* Quantized: codes image by image; else as the gradient. */
static size_t value_bytes(const struct gradient *g, int node)
{
    return gradient_quantized(g) && node != g->graph.count - 1
               ? round_up_64(g->values[node].elements) * (size_t)g->options.batch
               : gradient_bytes(g, node);
}

static size_t before_bytes(const struct gradient *g, const struct train_step *s)
{
    int has = gradient_quantized(g) && s->output != g->graph.count - 1 && s->kind != TRAIN_NORMALIZE;
    return has ? g->values[s->output].elements * sizeof(float) * (size_t)g->options.batch : 0;
}

/* As gradient_plan.c's, with masks in place of values for the relus: forward step i at time i, its backward at end
 * - i. */
static void plan_lifetimes(const struct gradient *g, struct lifetime *value, struct lifetime *before,
                           struct lifetime *gradient, struct lifetime *positive)
{
    int end = 2 * g->step_count - 1;
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        value[s->output] = (struct lifetime){value_bytes(g, s->output), i, end - i, 0};
        before[s->output] = (struct lifetime){before_bytes(g, s), i, end - i, 0};
        positive[i] = (struct lifetime){positive_bytes(g, i), i, end - i, 0};
        if (g->values[s->output].wants_gradient)
            gradient[s->output] =
                (struct lifetime){gradient_bytes(g, s->output),
                                  s->output == g->graph.count - 1 ? g->step_count : end - i, end - i, 0};
    }
    for (int i = 0; i < g->step_count; i++) {
        const int operands[2] = {g->steps[i].x, g->steps[i].other};
        for (int k = 0; k < 2; k++)
            if (operands[k] >= 0 && gradient[operands[k]].begin > end - i)
                gradient[operands[k]].begin = end - i;
    }
}

/* Quantized: the largest of any step, all through backward. `plain`: the floats of a plain layer's codes, as in
 * gradient_plan.c. */
static void plan_quantized(const struct gradient *g, struct lifetime *codes, struct lifetime *mask,
                           struct lifetime *plain)
{
    size_t codes_bytes = 0, mask_most = 0, elements = 0;
    for (int i = 0; gradient_quantized(g) && i < g->step_count; i++) {
        if (g->steps[i].kind == TRAIN_CONV && block_back(g, i)) {
            codes_bytes = max_size(codes_bytes, block_qat_codes_bytes(g, i));
            mask_most = max_size(mask_most, mask_bytes(g, g->steps[i].output));
        } else if (g->steps[i].kind == TRAIN_CONV) {
            elements = max_size(elements, g->values[g->steps[i].x].elements);
        }
    }
    int begin = g->step_count, end = 2 * g->step_count - 1;
    *codes = (struct lifetime){codes_bytes, begin, end, 0};
    *mask = (struct lifetime){mask_most, begin, end, 0};
    *plain = (struct lifetime){elements * sizeof(float) * (size_t)g->options.batch, begin, end, 0};
}

static int plan_buffers(struct gradient *g, struct message *m)
{
    enum { CODES, MASK, PLAIN, SHARED, OTHERS };
    int nodes = g->graph.count, steps = g->step_count, all = 3 * nodes + steps + OTHERS;
    struct lifetime *value = memory_new((size_t)all, sizeof *value, m);
    if (!value)
        return STATUS_NOMEM;
    struct lifetime *before = value + nodes, *gradient = before + nodes, *positive = gradient + nodes,
                    *others = positive + steps;
    plan_lifetimes(g, value, before, gradient, positive);
    value[0] = (struct lifetime){round_up_64(g->values[0].elements) * (size_t)g->options.batch, 0, 0, 0};
    plan_quantized(g, &others[CODES], &others[MASK], &others[PLAIN]);
    others[SHARED] = (struct lifetime){shared_bytes(g), steps, 2 * steps - 1, 0};
    int status = lifetimes_place(value, all, &g->arena_bytes, m);
    for (int i = 0; i < nodes; i++) {
        g->values[i].value = value[i].offset;
        g->values[i].before = before[i].offset;
        g->values[i].gradient = gradient[i].offset;
    }
    for (int i = 0; i < steps; i++)
        if (positive[i].bytes > 0)
            g->block->steps[i].positive = positive[i].offset;
    g->block->codes = others[CODES].offset;
    g->block->mask = others[MASK].offset;
    g->dequantized = others[PLAIN].offset;
    g->block->shared = others[SHARED].offset;
    memory_free(value);
    return status;
}

int block_plan(struct gradient *g, struct message *m)
{
    for (int i = 0; i < g->graph.count; i++)
        g->values[i].elements = node_elements(&g->graph.nodes[i]);
    TRY(plan_steps(g, m));
    return plan_buffers(g, m);
}

/* ---- what steps own ---- */

static int prepare_conv(struct gradient *g, int i, struct message *m)
{
    struct block_step *b = &g->block->steps[i];
    const struct block_kernel *k = b->kernels;
    size_t parts = (size_t)block_count(g->options.batch) * (size_t)b->pieces;
    if (b->forward_on) { /* quantized: never, and there are no forward weights */
        b->forward = memory_new(k->packed_bytes(&b->conv, BLOCK_FORWARD), 1, m);
        b->sums = memory_new(parts * 2 * (size_t)block_channels(b->conv.k), sizeof *b->sums, m);
        if (!b->forward || !b->sums)
            return STATUS_NOMEM;
    }
    if (g->values[g->steps[i].x].wants_gradient) {
        b->backward = memory_new(k->packed_bytes(&b->conv, BLOCK_BACKWARD), 1, m);
        if (!b->backward)
            return STATUS_NOMEM;
    }
    if (b->forward || b->backward)
        g->block->pack_items += k->pack_items(&b->conv);
    return 0;
}

static int prepare_table(struct gradient *g, struct message *m)
{
    const struct node *n = &g->graph.nodes[g->steps[0].node];
    size_t entries = 256 * (size_t)n->c;
    struct affine one = {1, 0, 0, 255};
    uint8_t *codes = memory_new(entries, 1, m);
    float *values = memory_new(entries, sizeof *values, m);
    g->block->table = memory_new(entries, sizeof(float), m);
    if (codes && values && g->block->table) {
        input_table(&g->kernels->elementwise, n, &one, values, codes);
        for (int c = 0; c < n->c; c++)
            for (int p = 0; p < 256; p++)
                g->block->table[c * 256 + p] = values[p * n->c + c];
    }
    memory_free(codes);
    memory_free(values);
    return codes && values && g->block->table ? 0 : STATUS_NOMEM;
}

int block_prepare(struct gradient *g, struct message *m)
{
    struct block_engine *e = g->block;
    size_t items = 1, channels = 1; /* most parts a map, most channels */
    e->pack_first = memory_new((size_t)g->step_count, sizeof *e->pack_first, m);
    if (!e->pack_first)
        return STATUS_NOMEM;
    TRY(prepare_table(g, m));
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        const struct node *n = &g->graph.nodes[s->node];
        e->pack_first[i] = e->pack_items;
        if (!block_back(g, i))
            continue;
        channels = max_size(channels, (size_t)block_channels(n->c));
        items = max_size(items, (size_t)map_parts(n->h, n->w));
        if (s->kind == TRAIN_CONV) {
            TRY(prepare_conv(g, i, m));
        } else if (s->kind == TRAIN_NORM) {
            e->steps[i].constants = memory_new(BLOCK_CONSTANTS * (size_t)block_channels(n->c), sizeof(float), m);
            if (!e->steps[i].constants)
                return STATUS_NOMEM;
        }
    }
    items *= (size_t)block_count(g->options.batch);
    e->partials = memory_new(items * 2, channels * sizeof(double), m);
    e->scale_sums = memory_new(items, sizeof(double), m);
    e->zeros = memory_new(channels, sizeof(float), m);
    return e->partials && e->scale_sums && e->zeros ? 0 : STATUS_NOMEM;
}

void block_close(struct gradient *g)
{
    struct block_engine *e = g->block;
    if (!e)
        return;
    for (int i = 0; e->steps && i < g->step_count; i++) {
        memory_free(e->steps[i].forward);
        memory_free(e->steps[i].backward);
        memory_free(e->steps[i].sums);
        memory_free(e->steps[i].constants);
    }
    memory_free(e->steps);
    memory_free(e->values);
    memory_free(e->partials);
    memory_free(e->scale_sums);
    memory_free(e->zeros);
    memory_free(e->table);
    memory_free(e->pack_first);
    memory_free(e);
    g->block = NULL;
}
