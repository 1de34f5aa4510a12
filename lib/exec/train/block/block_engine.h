/* block_engine.h: training over blocks of images (kernel/contract/block.h), wherever the machine has its kernels and
 * the network is made of what they do. It is the image-by-image engine (../image) with the steps up to the average
 * pool computed over blocks; in quantized mode only their backward is. What stands behind the pool is plain floats,
 * [images][channels]. Private to lib/exec/train/block.
 *
 * Values of spatial maps are [blocks][H][W][C/32][P][32][32] in the one arena. */
#ifndef RESQ_EXEC_TRAIN_BLOCK_BLOCK_ENGINE_H
#define RESQ_EXEC_TRAIN_BLOCK_BLOCK_ENGINE_H

#include "exec/train/image/image_engine.h"

/* How a convolution's destination is cut into calls, by its shape alone: into `parts` parts of whole rows,
 * multiples of `grain`, with all outputs; or, where parts is 0, by 32 outputs with all rows. */
struct block_cut {
    int h, parts, grain;
};

/* What a step needs besides. */
struct block_step {
    int forward_on, backward_on; /* this pass of it runs over blocks */
    struct block_conv conv;
    const struct block_kernel *kernels; /* of that convolution */
    struct block_cut cut, data_cut;
    double *sums;     /* of a convolution whose batch norm follows: [pieces][2][C'] */
    int pieces;       /* of a block that its sums come in: 1 where it is cut by outputs */
    float *constants; /* batch norm: BLOCK_CONSTANTS rows of [C'] */
    size_t positive;  /* in the arena: the relu's mask; NO_OFFSET */
    int maker;        /* batch norm: the step of the convolution it follows */
};

enum block_constant {
    BLOCK_MEAN,
    BLOCK_INV_STD,
    BLOCK_SCALE,
    BLOCK_SHIFT,
    BLOCK_A,
    BLOCK_B,
    BLOCK_D,
    BLOCK_CONSTANTS
};

struct block_value {
    int on;       /* lies in blocks; else plain floats */
    size_t block; /* values of one block */
};

struct block_engine {
    struct image_engine image;          /* first, so that its ops find it */
    const struct block_kernel *kernels; /* for the passes; convolutions have their step's */
    int planes, blocks;                 /* blocks: of the last forward */
    struct block_step *steps;
    struct block_value *values;
    double *partials;   /* batch norm backward: [items][2][C'] */
    float *table;       /* the input's: [C][256] */
    size_t codes, mask; /* quantized, in the arena: x of the step in backward as reals; what passes its clamp */
    double *scale_sums; /* quantized: one an item */
    float *zeros;       /* as many as the widest map has channels */
    size_t shared;      /* in the arena: weight gradients' */
    void *packed;       /* weights of the convolution at work, for the pass that it is in: one at a time */
    size_t packed_bytes;
};

static inline struct block_engine *block_of(const struct gradient *g)
{
    return g->own;
}

/* plan.c. 1 where the network can be trained over blocks in this mode: batch norms right behind convolutions without
 * bias, one pool, then linear layers. */
int block_suits(const struct gradient *g);
/* 1 where that is also faster than image by image, or no slower to speak of (quantized), or where there is
 * no other way (in bfloat16). */
int block_pays(const struct gradient *g);
/* Steps, values and where they lie; image_begin was called. */
int block_plan(struct gradient *g, struct message *m) RESQ_USE_RESULT;
/* memory.c: packed weights, tables, sums. */
int block_prepare(struct gradient *g, struct message *m) RESQ_USE_RESULT;
void block_release(struct gradient *g);
/* Packs the weights that step i multiplies with next - the parameters, or in quantized mode the reals that their
 * codes stand for - into `packed`, in place of those of the step before. */
void block_conv_pack(struct gradient *g, int i, enum block_direction d);

/* ---- an op: one file, and one line in steps.c ---- */

struct block_op {
    void (*forward)(struct gradient *g, int i);
    void (*backward)(struct gradient *g, int i);       /* NULL: it has none */
    void (*backward_codes)(struct gradient *g, int i); /* the same in quantized mode */
};

extern const struct block_op block_input_op, block_conv_op, block_norm_op, block_pool_op;

/* steps.c: one step that runs over blocks. */
void block_step_forward(struct gradient *g, int i);
void block_step_backward(struct gradient *g, int i);

/* conv.c: both gradients of a convolution whose input lies at x, x_block values a block. */
void block_conv_gradients(struct gradient *g, int i, const bf16 *x, size_t x_block);
/* codes.c: a convolution in quantized mode, and bytes of its x as reals in the arena. */
void block_conv_backward_codes(struct gradient *g, int i);
size_t block_codes_bytes(const struct gradient *g, int i);

/* Real images of block b. */
static inline int block_images(const struct gradient *g, int b)
{
    int left = g->count - b * BLOCK_IMAGES;
    return left < BLOCK_IMAGES ? left : BLOCK_IMAGES;
}

static inline bf16 *block_value_at(const struct gradient *g, int node, int b)
{
    return (bf16 *)(void *)(image_of(g)->arena + g->values[node].value) +
           (size_t)b * block_of(g)->values[node].block;
}

static inline bf16 *block_gradient_at(const struct gradient *g, int node, int b)
{
    return (bf16 *)(void *)(image_of(g)->arena + g->values[node].gradient) +
           (size_t)b * block_of(g)->values[node].block;
}

static inline float *block_constant(const struct block_step *s, enum block_constant row, int channels)
{
    return s->constants + (size_t)row * (size_t)block_channels(channels);
}

/* How a map of h x w pixels is cut where pixels are independent: parts of whole rows, by its shape alone. */
static inline int map_parts(int h, int w)
{
    int parts = h * w / 128;
    return parts < 1 ? 1 : parts > h ? h : parts;
}

static inline void part_rows(int h, int parts, int part, int *begin, int *end)
{
    *begin = h * part / parts;
    *end = h * (part + 1) / parts;
}

static inline void cut_rows(const struct block_cut *c, int part, int *begin, int *end)
{
    part_rows((c->h + c->grain - 1) / c->grain, c->parts, part, begin, end);
    *begin *= c->grain;
    *end = *end * c->grain < c->h ? *end * c->grain : c->h;
}

/* Item `item` of a convolution over `blocks` blocks: its block, outputs and rows go into the call. Wide maps are
 * cut by rows, narrow ones by outputs; items of one block and the next stand side by side there, so that weights
 * are read once. */
static inline int cut_items(const struct block_cut *c, int blocks, int channels)
{
    return blocks * (c->parts > 0 ? c->parts : block_channels(channels) / BLOCK_CHANNELS);
}

static inline int cut_call(const struct block_cut *c, int blocks, int channels, int item,
                           struct block_conv_call *call)
{
    if (c->parts > 0) {
        call->k_begin = 0;
        call->k_end = block_channels(channels);
        cut_rows(c, item % c->parts, &call->row_begin, &call->row_end);
        return item / c->parts;
    }
    call->k_begin = item / blocks * BLOCK_CHANNELS;
    call->k_end = call->k_begin + BLOCK_CHANNELS;
    call->row_begin = 0;
    call->row_end = c->h;
    return item % blocks;
}

#endif
