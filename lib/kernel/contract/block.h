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
 * float32. The error is that of float32 arithmetic (about 2^-23 a product).
 *
 * Kernels are serial and reentrant; the caller cuts the work into calls by shape alone. Results do not depend on
 * that cut, but for `sums`, which belong to their call and are added up by the caller in a fixed order. `ref` is
 * the definition; the others sum in another order: within 1e-5 of the sum of absolute products, before rounding to
 * the planes.
 *
 * Transformed shapes, those that a kernel's `tile` names, are computed in tiles of outputs by products of fewer
 * bits (Winograd), with weights as float32, and meet a wider tolerance. Let X be the largest |x| of the pixels that
 * an image's tile sees, over all channels, and G the largest |dy| of an image's tile of outputs:
 *   an output: within 5e-3 X times the sum of its absolute weights, before rounding to bfloat16;
 *   a weight's gradient: within 2e-2 of the sum, over all tiles of all images, of X G;
 * data made for it comes near these; on data without great outliers the error is below 3e-3 of the result, root
 * mean squares of both. An image's result does not depend on other images, nor do scales on anything but values and
 * shapes. Where X is not finite or beyond 2^120, the tile's outputs are NaN, and so for G and the gradients. */
#ifndef RESQ_KERNEL_CONTRACT_BLOCK_H
#define RESQ_KERNEL_CONTRACT_BLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { BLOCK_IMAGES = 32, BLOCK_CHANNELS = 32, BLOCK_PLANES = 3 /* most */ };

typedef uint16_t bf16; /* the upper half of a float32 */

static inline int block_channels(int c)
{
    return (c + BLOCK_CHANNELS - 1) / BLOCK_CHANNELS * BLOCK_CHANNELS;
}

static inline int block_count(int images)
{
    return (images + BLOCK_IMAGES - 1) / BLOCK_IMAGES;
}

/* A convolution over blocks. c and k are the real channels; window: the input was laid out by `windows` (below), a
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

/* Gradient by the weights: dw [k][c][R][R] (f32, PyTorch's layout), summed over all pixels of `blocks` blocks, in
 * order. */
struct block_weight_call {
    int blocks;
    const bf16 *x, *dy;
    size_t x_block, dy_block; /* values between blocks */
    float *dw;                /* overwritten */
};

/* In kernels.inc an operation `block`: `const struct block_kernel block_ISA_ALGORITHM`. */
struct block_kernel {
    const char *algorithm;
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

    /* Passes over `pixels` pixels of one block; c: a multiple of 32; images: real ones, the rest become zeros. */

    /* Row `row` of the network's input: y [W][C'/32][P][32][32]. images [count] point to u8 [H][W][c]; table f32
     * [c][256]: the value of a pixel. Where s->window, C' = block_channels(c*R*R), channel c*R*R + r*R + t is the
     * input that the tap (r, t) sees from here (0 in the padding); otherwise C' = block_channels(c). */
    void (*input)(const struct block_conv *s, const uint8_t *const *images, int count, const float *table, int row,
                  bf16 *y);
    /* y = [relu](x * scale[c] + shift[c] [+ other]); scale and shift may be NULL: 1 and 0. positive: NULL
     * (always without relu), or [pixels][c/32][32], a bit a channel: the result is above 0. */
    void (*norm)(const bf16 *x, int pixels, int c, int planes, int images, const float *scale, const float *shift,
                 const bf16 *other, int relu, bf16 *y, uint32_t *positive);
    /* sums [2][c]: of g and of g * (x - mean[c]) * inv_std[c], where g is dy where positive (NULL: everywhere),
     * else 0. */
    void (*norm_backward_sums)(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c,
                               int planes, int images, const float *mean, const float *inv_std, double *sums);
    /* dx = a[c] * g + b[c] * x + d[c], or dx = g where a is NULL; nothing where dx is NULL. accumulate: dx +=.
     * other: NULL, or = g,
     * += where accumulate_other. dx or other may be dy. */
    void (*norm_backward)(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c, int planes,
                          int images, const float *a, const float *b, const float *d, bf16 *dx, int accumulate,
                          bf16 *other, int accumulate_other);
    /* Codes as reals, scale * (q - zero_point), for the gradient by quantized weights: image n's at q + n *
     * q_image, u8 [pixels][c]; y its pixels as blocks. */
    void (*dequantize)(const uint8_t *q, size_t q_image, int images, int pixels, int c, float scale,
                       uint8_t zero_point, int planes, bf16 *y);
    /* The bits, as norm's `positive`, of low <= v <= high; v f32, laid out as q above. */
    void (*within)(const float *v, size_t v_image, int images, int pixels, int c, float low, float high,
                   uint32_t *bits);
    /* The average of `pixels` pixels: y f32 [images][y_stride], channels [0, c_real); and back: dx = dy / pixels.
     */
    void (*pool)(const bf16 *x, int pixels, int c_real, int planes, int images, float *y, int y_stride);
    void (*pool_backward)(const float *dy, int dy_stride, int pixels, int c_real, int planes, int images, bf16 *dx,
                          int accumulate);
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

/* The value of the planes at p, p + stride, ... and back. */
static inline float planes_load(const bf16 *p, size_t stride, int planes)
{
    float v = bf16_to_float(p[0]);
    if (planes == 3)
        v += bf16_to_float(p[2 * stride]) + bf16_to_float(p[stride]);
    return v;
}

static inline void planes_store(float v, bf16 *p, size_t stride, int planes)
{
    for (int i = 0; i < planes; i++) {
        p[(size_t)i * stride] = bf16_from_float(v);
        v -= bf16_to_float(p[(size_t)i * stride]);
    }
}

#endif
