/* A convolution's backward in quantized mode: forward was the integer kernels', image by image; here its codes become
 * the reals they stand for, and the values before rounding a mask of what passes the clamp. */
#include "exec/train/block/map_parts.h"

size_t block_codes_bytes(const struct gradient *g, int i)
{
    const struct node *x = gradient_node(g, g->steps.at[i].x);
    return block_tensor_values(x->h * x->w, x->c, block_of(g)->planes) * sizeof(bf16) *
           (size_t)block_count(g->options.batch);
}

/* ---- items ---- */

/* The sum of dy * slope of one part, for a learned scale; before dy is masked. With gradients scaled element by element
 * dy is what then passes on. */
static double scale_sum(const struct gradient *g, int i, const struct part *p, bf16 *dy)
{
    const struct step *s = &g->steps.at[i];
    const struct node *n = gradient_node(g, s->output);
    struct slope slope = codes_slope(g, i);
    int cells = block_channels(n->c) / BLOCK_CHANNELS, planes = block_of(g)->planes;
    const float delta = (float)g->options.ewgs;
    double sum = 0;
    for (int image = 0; image < block_images(g, p->block); image++) {
        const float *v =
            value_before(g, s->output, p->block * BLOCK_IMAGES + image) + (size_t)p->pixel * (size_t)n->c;
        for (int pixel = 0; pixel < p->pixels; pixel++)
            for (int c = 0; c < n->c; c++, v++) {
                size_t cell = (size_t)pixel * (size_t)cells + (size_t)(c / BLOCK_CHANNELS);
                bf16 *at = dy + cell * (size_t)planes * BLOCK_IMAGES * BLOCK_CHANNELS +
                           cell_offset(image * BLOCK_CHANNELS + c % BLOCK_CHANNELS, planes);
                float value = planes_load(at, BLOCK_IMAGES * BLOCK_CHANNELS, planes);
                if (delta > 0)
                    planes_store(slope_scale(&slope, *v, value, delta, &sum), at, BLOCK_IMAGES * BLOCK_CHANNELS,
                                 planes);
                else
                    sum += (double)(value * slope_at(&slope, *v));
            }
    }
    return sum;
}

/* The clamp's mask, the masked gradient in place, the residual's share, sums for the bias. */
static void mask_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct node *n = gradient_node(g, s->output);
    const struct block_kernel *k = block_of(g)->kernels;
    struct part p = part_of(g, s->output, item);
    struct block_map map = part_map(g, s->output, &p);
    bf16 *dy = part_gradient(g, s->output, &p);
    uint32_t *bits = part_mask(g, s->output, block_of(g)->mask, &p);
    struct slope slope = codes_slope(g, i);
    (void)worker;
    if (g->train[i].scale != NO_OFFSET || g->options.ewgs > 0)
        block_of(g)->scale_sums[item] = scale_sum(g, i, &p, dy);
    k->within(&map, value_before(g, s->output, p.block * BLOCK_IMAGES) + (size_t)p.pixel * (size_t)n->c,
              g->values[s->output].elements, slope.low, slope.high, bits);
    k->norm_backward(&(struct block_norm_backward_call){.map = map,
                                                        .dy = dy,
                                                        .positive = bits,
                                                        .dx = dy,
                                                        .other = part_operand_gradient(g, s->other, &p),
                                                        .accumulate_other = g->train[i].accumulate_other});
    k->norm_backward_sums(&(struct block_norm_backward_call){
        .map = map,
        .x = dy,
        .dy = dy,
        .mean = block_of(g)->zeros,
        .inv_std = block_of(g)->zeros,
        .sums = block_of(g)->partials + (size_t)item * 2 * (size_t)block_channels(n->c)});
}

static void codes_item(struct gradient *g, int i, int item, int worker)
{
    const struct step *s = &g->steps.at[i];
    const struct node *x = gradient_node(g, s->x);
    const struct affine *map = &g->values[s->x].map;
    struct part p = part_of(g, s->x, item);
    bf16 *to = (bf16 *)(void *)(image_of(g)->arena + block_of(g)->codes) +
               (size_t)p.block * block_tensor_values(x->h * x->w, x->c, block_of(g)->planes) + p.first;
    (void)worker;
    struct block_map pixels = part_map(g, s->x, &p);
    block_of(g)->kernels->dequantize(&pixels,
                                     value_u8(g, s->x, p.block * BLOCK_IMAGES) + (size_t)p.pixel * (size_t)x->c,
                                     round_up_64(g->values[s->x].elements), map->scale, map->zero_point, to);
}

/* ---- the step ---- */

static void sum_items(struct gradient *g, int i, int items)
{
    const struct train_step *t = &g->train[i];
    const struct node *n = gradient_node(g, g->steps.at[i].output);
    const struct parts scales = {block_of(g)->scale_sums, 1, items, map_parts(n->h, n->w)};
    const double *sums = t->bias != NO_OFFSET ? part_sums(g, g->steps.at[i].output) : NULL;
    for (int k = 0; sums && k < n->c; k++)
        g->gradients[t->bias + (size_t)k] = (float)sums[k];
    if (t->scale != NO_OFFSET)
        codes_set_scale_gradient(g, i, reduce_sums(&g->reduce, &scales, 1)[0]);
}

void block_conv_backward_codes(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    struct image_engine *images = image_of(g);
    int items = part_items(g, s->output);
    double start = profile_begin(g);
    image_each(g, i, mask_item, items);
    sum_items(g, i, items);
    image_each(g, i, codes_item, part_items(g, s->x));
    profile_end(g, i, PASS_WEIGHT, start);
    block_conv_gradients(g, i, (const bf16 *)(const void *)(images->arena + block_of(g)->codes),
                         block_tensor_values(s->shape.h * s->shape.w, s->shape.c, block_of(g)->planes));
}
