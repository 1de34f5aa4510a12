/* The normalised pixels, laid out in blocks, or as the windows of a first convolution of few channels.
 *   pixels u8 [N,H,W,C] -> y [blocks][H][W][C/32][P][32][32] */
#include "exec/train/block/block_engine.h"

/* How many rows of items, and the convolution whose windows they are; NULL: plain. */
static int input_rows(const struct gradient *g, int step, const struct block_conv **conv)
{
    const struct node *n = gradient_node(g, g->steps.at[step].output);
    *conv = NULL;
    for (int i = step + 1; i < g->steps.count && !*conv; i++)
        if (g->steps.at[i].x == g->steps.at[step].output && block_of(g)->steps[i].conv.window)
            *conv = &block_of(g)->steps[i].conv;
    return *conv ? (*conv)->out_h : n->h;
}

static void input_item(struct gradient *g, int i, int item, int worker)
{
    const struct node *n = gradient_node(g, g->steps.at[i].output);
    const struct block_conv *window;
    int rows = input_rows(g, i, &window), b = item / rows, row = item % rows;
    const struct block_conv plain = {
        .h = n->h, .w = n->w, .c = n->c, .kernel = 1, .stride = 1, .planes = block_of(g)->planes};
    const uint8_t *images[BLOCK_IMAGES];
    int output = g->steps.at[i].output;
    (void)worker;
    for (int k = 0; k < block_images(g, b); k++)
        images[k] = value_u8(g, 0, b * BLOCK_IMAGES + k);
    block_of(g)->kernels->input(window ? window : &plain, images, block_images(g, b), block_of(g)->table, row,
                                block_value_at(g, output, b) +
                                    (size_t)row * (block_of(g)->values[output].block / (size_t)rows));
}

static void forward(struct gradient *g, int i)
{
    const struct block_conv *window;
    int rows = input_rows(g, i, &window);
    image_each(g, i, input_item, block_of(g)->blocks * rows);
}

const struct block_op block_input_op = {.forward = forward};
