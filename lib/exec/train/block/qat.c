/* Quantization-aware training with its gradients over blocks: the forward pass is the integer kernels', image by
 * image (gradient_qat.c); here its codes become the reals they stand for, and the values before rounding a mask of
 * what passes the clamp. Gradients of maps lie in blocks; those behind the pool are plain floats. */
#include "exec/train/block/block_part.h"

struct job {
    struct gradient *g;
    int step;
};

/* ---- plan ---- */

size_t block_qat_codes_bytes(const struct gradient *g, int step)
{
    const struct node *x = &g->graph.nodes[g->steps[step].x];
    return block_tensor_values(x->h * x->w, x->c, g->block->planes) * sizeof(bf16) *
           (size_t)block_count(g->options.batch);
}

/* The sum of dy * slope of one part, for a learned scale; before dy is masked. */
static double scale_sum(const struct gradient *g, const struct train_step *s, const struct part *p, const bf16 *dy)
{
    const struct node *n = &g->graph.nodes[s->output];
    struct slope slope = qat_slope_of(g, s);
    int cells = block_channels(n->c) / BLOCK_CHANNELS, planes = g->block->planes;
    double sum = 0;
    for (int i = 0; i < block_images(g, p->block); i++) {
        const float *v = value_before(g, s->output, p->block * BLOCK_IMAGES + i) + (size_t)p->pixel * (size_t)n->c;
        for (int pixel = 0; pixel < p->pixels; pixel++)
            for (int c = 0; c < n->c; c++, v++) {
                size_t cell = (size_t)pixel * (size_t)cells + (size_t)(c / BLOCK_CHANNELS);
                const bf16 *at = dy + cell * (size_t)planes * BLOCK_IMAGES * BLOCK_CHANNELS +
                                 cell_offset(i * BLOCK_CHANNELS + c % BLOCK_CHANNELS, planes);
                sum += (double)(planes_load(at, BLOCK_IMAGES * BLOCK_CHANNELS, planes) * slope_at(&slope, *v));
            }
    }
    return sum;
}

/* The clamp's mask, the masked gradient in place, the residual's share, sums for the bias. */
static void mask_item(void *context, int item, int worker)
{
    const struct job *j = context;
    struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct node *n = &g->graph.nodes[s->output];
    const struct block_kernel *k = g->block->kernels;
    struct part p = part_of(g, s->output, item);
    struct block_map map = part_map(g, s->output, &p);
    bf16 *dy = part_gradient(g, s->output, &p);
    uint32_t *bits = part_mask(g, s->output, g->block->mask, &p);
    struct slope slope = qat_slope_of(g, s);
    (void)worker;
    if (s->scale != NO_OFFSET)
        g->block->scale_sums[item] = scale_sum(g, s, &p, dy);
    k->within(&map, value_before(g, s->output, p.block * BLOCK_IMAGES) + (size_t)p.pixel * (size_t)n->c,
              g->values[s->output].elements, slope.low, slope.high, bits);
    k->norm_backward(&(struct block_norm_backward_call){.map = map,
                                                        .dy = dy,
                                                        .positive = bits,
                                                        .dx = dy,
                                                        .other = part_operand_gradient(g, s->other, &p),
                                                        .accumulate_other = s->accumulate_other});
    k->norm_backward_sums(&(struct block_norm_backward_call){
        .map = map,
        .x = dy,
        .dy = dy,
        .mean = g->block->zeros,
        .inv_std = g->block->zeros,
        .sums = g->block->partials + (size_t)item * 2 * (size_t)block_channels(n->c)});
}

static void codes_item(void *context, int item, int worker)
{
    const struct job *j = context;
    const struct gradient *g = j->g;
    const struct train_step *s = &g->steps[j->step];
    const struct node *x = &g->graph.nodes[s->x];
    const struct affine *map = &g->values[s->x].map;
    struct part p = part_of(g, s->x, item);
    bf16 *to = (bf16 *)(void *)(g->arena + g->block->codes) +
               (size_t)p.block * block_tensor_values(x->h * x->w, x->c, g->block->planes) + p.first;
    (void)worker;
    struct block_map pixels = part_map(g, s->x, &p);
    g->block->kernels->dequantize(&pixels,
                                  value_u8(g, s->x, p.block * BLOCK_IMAGES) + (size_t)p.pixel * (size_t)x->c,
                                  round_up_64(g->values[s->x].elements), map->scale, map->zero_point, to);
}

/* ---- a step ---- */

static void sum_items(struct gradient *g, const struct train_step *s, int items)
{
    size_t channels = (size_t)block_channels(s->shape.out);
    for (size_t c = 0; s->bias != NO_OFFSET && c < (size_t)s->shape.out; c++) {
        double sum = 0;
        for (size_t i = 0; i < (size_t)items; i++)
            sum += g->block->partials[i * 2 * channels + c];
        g->gradients[s->bias + c] = (float)sum;
    }
    if (s->scale == NO_OFFSET)
        return;
    double sum = 0;
    for (int i = 0; i < items; i++)
        sum += g->block->scale_sums[i];
    qat_set_scale_gradient(g, s, sum);
}

static void pool_mask_item(void *context, int image, int worker)
{
    const struct job *j = context;
    (void)worker;
    qat_mask_item(j->g, &j->g->steps[j->step], image);
}

void block_qat_step_backward(struct gradient *g, int step)
{
    struct job job = {g, step};
    const struct train_step *s = &g->steps[step];
    if (s->kind == TRAIN_NORMALIZE || !g->values[s->output].wants_gradient)
        return;
    double start = profile_begin(g);
    if (s->kind == TRAIN_POOL) {
        threads_run(g->pool, pool_mask_item, &job, g->count);
        if (s->scale != NO_OFFSET)
            qat_scale_gradient(g, s);
        block_backward_pool(g, step);
        profile_end(g, step, PASS_DATA, start);
        return;
    }
    int items = part_items(g, s->output);
    threads_run(g->pool, mask_item, &job, items);
    sum_items(g, s, items);
    threads_run(g->pool, codes_item, &job, part_items(g, s->x));
    profile_end(g, step, PASS_WEIGHT, start);
    block_conv_backward(g, step, (const bf16 *)(const void *)(g->arena + g->block->codes),
                        block_tensor_values(s->shape.h * s->shape.w, s->shape.c, g->block->planes));
}
