/* map_parts.h: maps over blocks, cut into parts where pixels are independent. Private to lib/exec/train/block. */
#ifndef RESQ_EXEC_TRAIN_BLOCK_MAP_PARTS_H
#define RESQ_EXEC_TRAIN_BLOCK_MAP_PARTS_H

#include "exec/train/block/block_engine.h"

/* Whole rows of one block. */
struct part {
    int block, pixel, pixels; /* the first one, how many */
    size_t first;             /* values before it in its block */
};

/* Of a node's map, over all blocks. */
static inline int part_items(const struct gradient *g, int node)
{
    const struct node *n = gradient_node(g, node);
    return block_of(g)->blocks * map_parts(n->h, n->w);
}

/* The sums of the block engine's partials, one a part, over the whole mini-batch; [2][block_channels(c)]. */
static inline const double *part_sums(struct gradient *g, int node)
{
    const struct node *n = gradient_node(g, node);
    int values = 2 * block_channels(n->c);
    const struct parts parts = {block_of(g)->partials, (size_t)values, part_items(g, node), map_parts(n->h, n->w)};
    return reduce_sums(&g->reduce, &parts, values);
}

static inline struct part part_of(const struct gradient *g, int node, int item)
{
    const struct node *n = gradient_node(g, node);
    int parts = map_parts(n->h, n->w), row, end;
    part_rows(n->h, parts, item % parts, &row, &end);
    return (struct part){item / parts, row * n->w, (end - row) * n->w,
                         block_tensor_values(row * n->w, n->c, block_of(g)->planes)};
}

static inline struct block_map part_map(const struct gradient *g, int node, const struct part *p)
{
    return (struct block_map){p->pixels, gradient_node(g, node)->c, block_of(g)->planes, block_images(g, p->block)};
}

static inline bf16 *part_value(const struct gradient *g, int node, const struct part *p)
{
    return block_value_at(g, node, p->block) + p->first;
}

static inline bf16 *part_gradient(const struct gradient *g, int node, const struct part *p)
{
    return block_gradient_at(g, node, p->block) + p->first;
}

/* NULL where the operand is none or wants none. */
static inline bf16 *part_operand_gradient(const struct gradient *g, int operand, const struct part *p)
{
    return gradient_wants(g, operand) ? part_gradient(g, operand, p) : NULL;
}

/* Masks, a bit a value: [blocks][pixels][C'/32][32 images] words. */
static inline size_t mask_words(int pixels, int c)
{
    return (size_t)pixels * (size_t)(block_channels(c) / BLOCK_CHANNELS) * BLOCK_IMAGES;
}

static inline size_t mask_bytes(const struct gradient *g, int node)
{
    const struct node *n = gradient_node(g, node);
    return (size_t)block_count(g->options.batch) * mask_words(n->h * n->w, n->c) * sizeof(uint32_t);
}

/* Where the part's begins; NULL where there is none (NO_OFFSET). */
static inline uint32_t *part_mask(const struct gradient *g, int node, size_t offset, const struct part *p)
{
    const struct node *n = gradient_node(g, node);
    return offset == NO_OFFSET ? NULL
                               : (uint32_t *)(void *)(image_of(g)->arena + offset) +
                                     (size_t)p->block * mask_words(n->h * n->w, n->c) + mask_words(p->pixel, n->c);
}

#endif
