/* The channels of all operands, one behind the other; of codes on a map of its own.
 *   x_k [N,H,W,C_k] -> y [N,H,W,sum of C_k] */
#include "exec/train/image/image_engine.h"
#include <string.h>

/* Where operand k lies in y, in channels. */
struct place {
    int node, first, channels, pixels;
    size_t step; /* channels of y */
};

/* k counts the node's inputs; its operands are x, other and more. */
static int operand_of(int k)
{
    return k < 2 ? k : k + 1;
}

static struct place place_of(const struct gradient *g, int i, int k)
{
    const struct node *n = gradient_node(g, g->steps.at[i].output);
    struct place p = {n->inputs[k], 0, gradient_node(g, n->inputs[k])->c, n->h * n->w, (size_t)n->c};
    for (int j = 0; j < k; j++)
        p.first += gradient_node(g, n->inputs[j])->c;
    return p;
}

static int inputs_of(const struct gradient *g, int i)
{
    return gradient_node(g, g->steps.at[i].output)->input_count;
}

/* ---- forward ---- */

static void forward_item(struct gradient *g, int i, int image, int worker)
{
    float *y = value_f32(g, g->steps.at[i].output, image);
    (void)worker;
    for (int k = 0; k < inputs_of(g, i); k++) {
        struct place p = place_of(g, i, k);
        const float *x = operand_f32(g, i, operand_of(k), image);
        for (int pixel = 0; pixel < p.pixels; pixel++)
            memcpy(y + (size_t)pixel * p.step + p.first, x + (size_t)pixel * (size_t)p.channels,
                   (size_t)p.channels * sizeof *y);
    }
}

static void forward(struct gradient *g, int i)
{
    image_each(g, i, forward_item, g->count);
}

/* What each code of an operand is in units of a code of y, before rounding. */
static void values_table(const struct affine *x, const struct affine *y, float table[256])
{
    for (int q = 0; q < 256; q++)
        table[q] = affine_dequantize(x, (uint8_t)q) / y->scale;
}

static void codes_item(struct gradient *g, int i, int image, int worker)
{
    int output = g->steps.at[i].output;
    const struct affine *map = &g->values[output].map;
    float *before = value_before(g, output, image), values[256];
    uint8_t *y = value_u8(g, output, image), codes[256];
    (void)worker;
    for (int k = 0; k < inputs_of(g, i); k++) {
        struct place p = place_of(g, i, k);
        const uint8_t *x = value_u8(g, p.node, image);
        codes_table(&g->values[p.node].map, map, codes);
        values_table(&g->values[p.node].map, map, values);
        for (int pixel = 0; pixel < p.pixels; pixel++)
            for (int c = 0; c < p.channels; c++, x++) {
                y[(size_t)pixel * p.step + (size_t)(p.first + c)] = codes[*x];
                before[(size_t)pixel * p.step + (size_t)(p.first + c)] = values[*x];
            }
    }
}

static void forward_codes(struct gradient *g, int i)
{
    image_each(g, i, codes_item, g->count);
}

/* ---- backward ---- */

static int accumulates(const struct train_step *t, int k)
{
    return k == 0 ? t->accumulate_x : k == 1 ? t->accumulate_other : (int)(t->accumulate_more >> (k - 2) & 1);
}

static void backward_item(struct gradient *g, int i, int image, int worker)
{
    const float *dy = value_gradient(g, g->steps.at[i].output, image);
    float *own = worker_scratch(g, worker);
    image_mask_item(g, i, image);
    for (int k = inputs_of(g, i) - 1; k >= 0; k--) {
        struct place p = place_of(g, i, k);
        if (!gradient_wants(g, p.node))
            continue;
        for (int pixel = 0; pixel < p.pixels; pixel++)
            memcpy(own + (size_t)pixel * (size_t)p.channels, dy + (size_t)pixel * p.step + p.first,
                   (size_t)p.channels * sizeof *own);
        image_pass_on(g, p.node, accumulates(&g->train[i], k), image, own);
    }
}

static void backward(struct gradient *g, int i)
{
    image_each(g, i, backward_item, g->count);
    codes_scale_gradient(g, i);
}

const struct image_op image_concat = {.forward = forward, .forward_codes = forward_codes, .backward = backward};
