/* Which steps run over blocks, and where their values lie. */
#include "base/memory.h"
#include "exec/train/block/map_parts.h"
#include <string.h>

enum { MOST_SIDE = 11 /* of a kernel */ };

/* ---- what suits ---- */

/* Asked for; while it is opened. */
static int is_bf16(const struct gradient *g)
{
    return g->options.precision && strcmp(g->options.precision, "bf16") == 0;
}

static const struct step *maker_of(const struct gradient *g, int node, int before)
{
    int i = steps_maker(&g->steps, node, before);
    return i >= 0 ? &g->steps.at[i] : NULL;
}

/* Behind the pool everything is the image engine's: of vectors alone, and in quantized mode what needs no floats of
 * codes but a linear layer's. */
static int tail_suits(const struct gradient *g, const struct step *s)
{
    int suits = !gradient_quantized(g) || s->kind == STEP_CONV;
    for (int k = 0; k < step_operands(s); k++)
        suits &= step_operand(s, k) < 0 || gradient_node(g, step_operand(s, k))->is_vector;
    return suits;
}

static int conv_suits(const struct gradient *g, const struct step *s)
{
    const struct node *n = gradient_node(g, s->node);
    int is_plain = !n->has_bias && !s->relu && !s->clip.on && s->other < 0;
    return n->op == OP_CONV2D && n->groups == 1 && n->kernel <= MOST_SIDE && (gradient_quantized(g) || is_plain);
}

static int step_suits(const struct gradient *g, int i, int *pooled)
{
    const struct step *s = &g->steps.at[i], *maker = maker_of(g, s->x, i);
    if (*pooled)
        return tail_suits(g, s);
    switch (s->kind) {
    case STEP_NORMALIZE:
        return i == 0 && s->x == 0;
    case STEP_CONV:
        return conv_suits(g, s);
    case STEP_NORM:
        return maker && maker->kind == STEP_CONV && !s->clip.on;
    case STEP_POOL:
        *pooled = 1;
        return !(gradient_quantized(g) && gradient_is_last(g, s->output));
    case STEP_RELU:
    case STEP_ADD:
        return !gradient_quantized(g);
    default:
        return 0;
    }
}

/* The definition is for tests: only where it was asked for by name, and in the precision that has no other. */
static int kernels_suit(const struct gradient *g)
{
    return kernel_block_is_native(g->kernels) || (is_bf16(g) && strcmp(g->kernels->isa, "ref") == 0);
}

int block_suits(const struct gradient *g)
{
    int pooled = 0, suits = kernels_suit(g);
    for (int i = 0; suits && i < g->steps.count; i++)
        suits = step_suits(g, i, &pooled);
    return suits && pooled && g->steps.count > 0 && g->steps.at[0].kind == STEP_NORMALIZE;
}

/* What is multiplied where channels are rounded up, in real products. */
static double products_of(const struct gradient *g, int grain)
{
    double real = 0, all = 0;
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        const struct conv_shape *c = &s->shape;
        if (s->kind != STEP_CONV || gradient_node(g, s->output)->is_vector)
            continue;
        /* of a stem's few channels all that a window sees lies side by side */
        const int is_window = c->c * c->kernel * c->kernel <= BLOCK_CHANNELS, taps = c->kernel * c->kernel;
        const int in = is_window ? c->c * taps : c->c, in_all = (in + grain - 1) / grain * grain;
        const double pixels = (double)c->out_h * c->out_w * (is_window ? 1 : taps);
        real += pixels * in * c->out;
        all += pixels * in_all * ((c->out + grain - 1) / grain * grain);
    }
    return real > 0 ? all / real : 1;
}

int block_pays(const struct gradient *g)
{
    const struct block_kernel *k = &g->kernels->block;
    /* Quantized, where codes go forward by the same kernels: equal at width 8, 1.04 at width 4. */
    return is_bf16(g) || gradient_quantized(g) || !k->grain || products_of(g, k->grain) <= k->worth;
}

/* ---- steps and values ---- */

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
    const struct conv_shape *s = &g->steps.at[i].shape;
    struct block_step *b = &block_of(g)->steps[i];
    const struct step *maker = maker_of(g, g->steps.at[i].x, i);
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
                                  .planes = block_of(g)->planes};
    /* Few channels: all that a window sees fits one cell, and the input is laid out so. */
    b->conv.window = !gradient_quantized(g) && maker && maker->kind == STEP_NORMALIZE &&
                     s->c * s->kernel * s->kernel <= BLOCK_CHANNELS &&
                     steps_users(&g->steps, g->steps.at[i].x, &user) == 1;
    b->kernels = kernel_block(g->kernels, &b->conv);
    b->cut = cut_of(b->kernels, &b->conv, s->out_h, s->out_w);
    b->data_cut = cut_of(b->kernels, &b->conv, s->h, s->w);
    b->pieces = b->cut.parts > 0 ? b->cut.parts : 1;
}

static void plan_value(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct node *n = gradient_node(g, s->output);
    struct block_value *v = &block_of(g)->values[s->output];
    int user = 0, pixels = n->h * n->w, channels = n->c;
    v->on = block_of(g)->steps[i].backward_on && s->kind != STEP_POOL;
    if (s->kind == STEP_NORMALIZE && steps_users(&g->steps, s->output, &user) == 1 &&
        block_of(g)->steps[user].conv.window) {
        const struct block_conv *c = &block_of(g)->steps[user].conv;
        pixels = c->out_h * c->out_w;
        channels = c->c * c->kernel * c->kernel;
    }
    v->block = block_tensor_values(pixels, channels, block_of(g)->planes);
}

static int plan_steps(struct gradient *g, struct message *m)
{
    struct block_engine *e = block_of(g);
    e->kernels = &g->kernels->block;
    e->planes = is_bf16(g) ? 1 : e->kernels->float_planes;
    e->steps = memory_new((size_t)g->steps.count, sizeof *e->steps, m);
    e->values = memory_new((size_t)g->graph.count, sizeof *e->values, m);
    if (!e->steps || !e->values)
        return STATUS_NOMEM;
    for (int i = 0, pooled = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        struct block_step *b = &e->steps[i];
        b->backward_on = !pooled;
        b->forward_on = !pooled && !gradient_quantized(g);
        e->image.steps[i].forward = !b->forward_on;
        e->image.steps[i].backward = !b->backward_on;
        b->positive = NO_OFFSET;
        b->maker = s->kind == STEP_NORM ? steps_maker(&g->steps, s->x, i) : -1;
        pooled |= s->kind == STEP_POOL;
        if (b->backward_on && s->kind == STEP_CONV)
            plan_conv(g, i);
    }
    for (int i = 0; i < g->steps.count; i++)
        plan_value(g, i);
    return 0;
}

/* ---- buffers ---- */

static struct buffer_bytes bytes_of(const struct gradient *g, int node, int step)
{
    const struct block_value *v = &block_of(g)->values[node];
    size_t elements = g->values[node].elements, batch = (size_t)g->options.batch;
    size_t codes = round_up_64(elements) * batch, floats = elements * sizeof(float) * batch;
    size_t own = v->on ? v->block * sizeof(bf16) * (size_t)block_count(g->options.batch) : floats;
    int is_codes = step < 0 || (gradient_quantized(g) && !gradient_is_last(g, node));
    return (struct buffer_bytes){.value = is_codes ? codes : own,
                                 .before = gradient_has_before(g, node, step) ? floats : 0,
                                 .gradient = own};
}

static size_t positive_bytes(const struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    int masks = block_of(g)->steps[i].forward_on && (s->relu || s->kind == STEP_RELU);
    return masks ? mask_bytes(g, s->output) : 0;
}

/* Blocks besides those of nodes: the relus' masks, one a step, then the largest that any step needs of these. */
enum { CODES, MASK, PLAIN, SHARED, OTHERS };

static void plan_others(const struct gradient *g, struct lifetime *others)
{
    const struct block_engine *e = block_of(g);
    size_t bytes[OTHERS] = {0}, batch = (size_t)g->options.batch;
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        if (s->kind != STEP_CONV)
            continue;
        if (e->steps[i].backward_on)
            bytes[SHARED] = max_size(bytes[SHARED], e->steps[i].kernels->weight_shared_bytes(
                                                        &e->steps[i].conv, block_count(g->options.batch)));
        if (gradient_quantized(g) && e->steps[i].backward_on) {
            bytes[CODES] = max_size(bytes[CODES], block_codes_bytes(g, i));
            bytes[MASK] = max_size(bytes[MASK], mask_bytes(g, s->output));
        } else if (gradient_quantized(g)) {
            bytes[PLAIN] = max_size(bytes[PLAIN], g->values[s->x].elements * sizeof(float) * batch);
        }
    }
    for (int i = 0; i < OTHERS; i++)
        others[i] = life_of_backward(&g->steps, bytes[i]);
}

static int plan_buffers(struct gradient *g, struct message *m)
{
    struct block_engine *e = block_of(g);
    int steps = g->steps.count;
    struct lifetime *positive = memory_new((size_t)steps + OTHERS, sizeof *positive, m);
    if (!positive)
        return STATUS_NOMEM;
    struct lifetime *others = positive + steps;
    for (int i = 0; i < steps; i++)
        positive[i] = (struct lifetime){.bytes = positive_bytes(g, i), .begin = i, .end = 2 * steps - 1 - i};
    plan_others(g, others);
    int status = gradient_plan_buffers(g, bytes_of, positive, steps + OTHERS, &e->image.arena_bytes, m);
    for (int i = 0; i < steps; i++)
        if (positive[i].bytes > 0)
            e->steps[i].positive = positive[i].offset;
    e->codes = others[CODES].offset;
    e->mask = others[MASK].offset;
    e->image.dequantized = others[PLAIN].offset;
    e->shared = others[SHARED].offset;
    memory_free(positive);
    return status;
}

int block_plan(struct gradient *g, struct message *m)
{
    TRY(plan_steps(g, m));
    return plan_buffers(g, m);
}
