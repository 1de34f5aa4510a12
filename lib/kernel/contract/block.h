/* block.h: convolutions for training in 16-bit products, forward and both gradients, and the passes between them.
 *
 * A block is 32 images. Its activations are bfloat16 [H][W][C/32][P][32][32]: for each pixel and 32 channels a
 * *cell*, a matrix of 32 images by 32 channels (2 KiB, one for each plane). So every pixel of every map, at any
 * stride, is the same dense matrix product over whole cells, and a tap that falls into the padding is left out
 * instead of multiplied by zero. C is rounded up to 32 (block_channels); channels beyond the real ones and images
 * beyond the last are zeros in every tensor, and every operation keeps them so.
 *
 * P, the planes: 1 is bfloat16. 3 is float32 as the exact sum of three bfloat16 (8 + 8 + 8 bits of significand): a
 * product of two floats is then six products of planes, those that matter (i + j <= 2), each exact, summed in
 * float32. The error is that of float32 arithmetic (about 2^-23 a product). 2 (BLOCK_PLAIN) is float32 as it is, for
 * sets that multiply it: a cell is a matrix of floats and takes the room of two. A set trains in float32 with the one
 * of 2 and 3 that its kernel names (float_planes).
 *
 * Kernels are serial and reentrant; the caller cuts the work into calls by shape alone. Results do not depend on
 * that cut, but for `sums`, which belong to their call and are added up by the caller in a fixed order. `ref` is
 * the definition; the others sum in another order: within 1e-5 of the sum of absolute products, before rounding to
 * the planes.
 *
 * Transformed shapes, those that a kernel's `tile` names, are computed in tiles of outputs (Winograd), with weights
 * as float32, and meet a wider tolerance. Let X be the largest |x| of the pixels that an image's tile sees, over all
 * channels, and G the largest |dy| of an image's tile of outputs. Of one plane, by products of 16-bit integers:
 *   an output: within 5e-3 X times the sum of its absolute weights, before rounding to bfloat16;
 *   a weight's gradient: within 2e-2 of the sum, over all tiles of all images, of X G;
 *   what is below 2^-90 may be zero;
 * data made for it comes near these; on data without great outliers the error is below 3e-3 of the result, root
 * mean squares of both. An image's result does not depend on other images, nor do scales on anything but values and
 * shapes. Where X is not finite or beyond 2^120, the tile's outputs are NaN, and so for G and the gradients.
 * In float32 (BLOCK_PLAIN): 2e-6 X times the sum of absolute weights, 1e-5 of the sum of X G; on random data 2e-6 and
 * 6e-6 of the result, root mean squares of both. What X or G makes not finite is not finite. */
#ifndef RESQ_KERNEL_CONTRACT_BLOCK_H
#define RESQ_KERNEL_CONTRACT_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK_IMAGES = 32, BLOCK_CHANNELS = 32, BLOCK_PLANES = 3 /* most */, BLOCK_PLAIN = 2 };

typedef uint16_t bf16; /* the upper half of a float32 */

static inline int block_channels(int c)
{
    return (c + BLOCK_CHANNELS - 1) / BLOCK_CHANNELS * BLOCK_CHANNELS;
}

static inline int block_count(int images)
{
    return (images + BLOCK_IMAGES - 1) / BLOCK_IMAGES;
}

/* A convolution over blocks. c and k are the real channels; window: the input was laid out so by `input` (below), a
 * pixel's R*R*c inputs side by side as channels, and the convolution is a matrix product of one tap. */
struct block_conv {
    int h, w, c;
    int out_h, out_w, k;
    int kernel, stride, pad;
    int planes, window;
};

/* Weights for one direction. Forward reduces over c, backward over k. */
enum block_direction { BLOCK_FORWARD, BLOCK_BACKWARD };

/* One block of images: y = conv(x, w) (forward), or dx = transposed conv(dy, w) (backward: x is dy, y is dx).
 * Output channels [k_begin, k_end), multiples of 32; output rows [row_begin, row_end). */
struct block_conv_call {
    const bf16 *x;
    const void *packed;
    bf16 *y;
    int accumulate; /* y += instead of y = */
    int k_begin, k_end, row_begin, row_end;
    /* [2][block_channels(K)] or NULL: the sum and the sum of squares of what was stored, a channel, over this
     * call's pixels; only [k_begin, k_end) is written; not with accumulate. Sums run in float32 within a row of
     * pixels, in double over rows. */
    double *sums;
};

/* Gradient by the weights: dw [k][c][R][R] (f32, PyTorch's layout), summed over all pixels of `blocks` blocks: a block
 * is a shard, and they are added over the tree of base/tree.h, in float32. */
struct block_weight_call {
    int blocks;
    const bf16 *x, *dy;
    size_t x_block, dy_block; /* values between blocks */
    float *dw;                /* overwritten */
};

/* What a pass goes over: so many pixels of one block, c real channels. Images from `images` on, and channels beyond c,
 * become zeros. */
struct block_map {
    int pixels, c, planes, images;
};

/* y = [relu](x * scale + shift [+ other]) */
struct block_norm_call {
    struct block_map map;
    const bf16 *x;
    const float *scale, *shift; /* [block_channels(c)], or NULL: 1 and 0 */
    const bf16 *other;          /* or NULL */
    int relu;
    bf16 *y; /* may be x or other */
    uint32_t
        *positive; /* NULL (always without relu), or [pixels][c/32][32], a bit a channel: the result is above 0 */
};

/* Back through it. g is dy where `positive` (NULL: everywhere), else 0. */
struct block_norm_backward_call {
    struct block_map map;
    const bf16 *x, *dy;
    const uint32_t *positive;
    /* norm_backward_sums: sums [2][block_channels(c)]: of g and of g * (x - mean) * inv_std */
    const float *mean, *inv_std;
    double *sums;
    /* norm_backward: dx = a * g + b * x + d, or dx = g where a is NULL; nothing where dx is NULL. accumulate: dx +=.
     * other: NULL, or = g, += where accumulate_other. dx or other may be dy. */
    const float *a, *b, *d;
    bf16 *dx, *other;
    int accumulate, accumulate_other;
};

/* In kernels.inc an operation `block`: `const struct block_kernel block_ISA_ALGORITHM`. */
struct block_kernel {
    const char *algorithm;
    int float_planes; /* how float32 training lies: BLOCK_PLAIN or 3 */
    /* Channels are multiplied in multiples of grain. Where that makes more than `worth` times a network's real
     * products, it is faster trained in float32 image by image; 0: nowhere. */
    int grain;
    double worth;
    int (*supports)(const struct block_conv *s); /* NULL: every shape; of conv and weight_gradient */
    /* The side of the tiles that all passes of a shape are computed in (see above), 0: none; NULL: never. Calls of
     * conv for such a shape should begin at rows that are multiples of it, and take all outputs: what outputs share
     * is computed by every call. */
    int (*tile)(const struct block_conv *s);
    /* Weights. planes as in the shape; weight f32 [k][c][R][R]. Item i of pack_items packs a part of its own. */
    size_t (*packed_bytes)(const struct block_conv *s, enum block_direction d);
    int (*pack_items)(const struct block_conv *s);
    void (*pack)(const struct block_conv *s, const float *weight, int item, void *forward /* or NULL */,
                 void *backward /* or NULL */);
    size_t (*scratch_bytes)(const struct block_conv *s); /* a worker's, for conv and weight_gradient */
    void (*conv)(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                 void *scratch);

    /* Gradient by the weights, in BLOCK_ROUNDS rounds, each begun when all items of the one before are done; a
     * round may have no items. shared: weight_shared_bytes, the same memory for all. */
    size_t (*weight_shared_bytes)(const struct block_conv *s, int blocks);
    int (*weight_items)(const struct block_conv *s, int blocks, int round);
    void (*weight_gradient)(const struct block_conv *s, const struct block_weight_call *call, int round, int item,
                            void *shared, void *scratch);

    /* Row `row` of the network's input: y [W][C'/32][P][32][32]. images [count] point to u8 [H][W][c]; table f32
     * [c][256]: the value of a pixel. Where s->window, C' = block_channels(c*R*R), channel c*R*R + r*R + t is the
     * input that the tap (r, t) sees from here (0 in the padding); otherwise C' = block_channels(c). */
    void (*input)(const struct block_conv *s, const uint8_t *const *images, int count, const float *table, int row,
                  bf16 *y);
    void (*norm)(const struct block_norm_call *call);
    void (*norm_backward_sums)(const struct block_norm_backward_call *call);
    void (*norm_backward)(const struct block_norm_backward_call *call);
    /* Codes as reals, scale * (q - zero_point), for the gradient by quantized weights: image n's at q + n *
     * q_image, u8 [pixels][c]; y its pixels as blocks. */
    void (*dequantize)(const struct block_map *map, const uint8_t *q, size_t q_image, float scale,
                       uint8_t zero_point, bf16 *y);
    /* The bits, as norm's `positive`, of low <= v <= high; v f32, laid out as q above. */
    void (*within)(const struct block_map *map, const float *v, size_t v_image, float low, float high,
                   uint32_t *bits);
    /* The average of the map's pixels: y f32 [images][y_stride], channels [0, c); and back: dx = dy / pixels. */
    void (*pool)(const struct block_map *map, const bf16 *x, float *y, int y_stride);
    void (*pool_backward)(const struct block_map *map, const float *dy, int dy_stride, bf16 *dx, int accumulate);
};

enum { BLOCK_ROUNDS = 3 };

/* Values of a block's tensor of that many pixels. */
static inline size_t block_tensor_values(int pixels, int c, int planes)
{
    return (size_t)pixels * (size_t)block_channels(c) * (size_t)planes * BLOCK_IMAGES;
}

/* ---- one value ---- */

static inline float bf16_to_float(bf16 v)
{
    uint32_t bits = (uint32_t)v << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To the nearest, ties to even; a NaN stays one. What is subnormal becomes 0, as the vector units take it. */
static inline bf16 bf16_from_float(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (bf16)(bits >> 16 | 0x40);
    if (!(bits & 0x7f800000))
        return (bf16)(bits >> 16 & 0x8000);
    return (bf16)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* bf16 from the beginning of a cell to its value i = image * 32 + channel: the first plane's, or a float. */
static inline size_t cell_offset(int i, int planes)
{
    return planes == BLOCK_PLAIN ? 2 * (size_t)i : (size_t)i;
}

/* The value of the planes at p, p + stride, ..., or the float at p; and back. */
static inline float planes_load(const bf16 *p, size_t stride, int planes)
{
    float v;
    if (planes == BLOCK_PLAIN) {
        memcpy(&v, p, sizeof v);
        return v;
    }
    v = bf16_to_float(p[0]);
    if (planes == 3)
        v += bf16_to_float(p[2 * stride]) + bf16_to_float(p[stride]);
    return v;
}

static inline void planes_store(float v, bf16 *p, size_t stride, int planes)
{
    if (planes == BLOCK_PLAIN) {
        memcpy(p, &v, sizeof v);
        return;
    }
    for (int i = 0; i < planes; i++) {
        p[(size_t)i * stride] = bf16_from_float(v);
        v -= bf16_to_float(p[(size_t)i * stride]);
    }
}

#endif
