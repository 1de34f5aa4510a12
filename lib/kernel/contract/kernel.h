/* kernel.h: the operations, as one table of function pointers per instruction set.
 *
 * Key: N images, H x W pixels, C channels in, K channels out, R kernel side. Activations are NHWC; weights come in
 * PyTorch's OIHW and are packed by the function that belongs to the kernel. Kernels are serial and reentrant;
 * whoever calls cuts the work into items by its shape (never by the number of threads) and gives every worker
 * scratch of its own.
 *
 * `ref` is plain C and defines every operation. Integer kernels of every set equal it bit for bit; float kernels
 * meet a relative tolerance of 1e-5 of the sum of absolute products. Packed weights and scratch are aligned to 64
 * bytes. Activations of convolutions, logits and per-output constants may begin anywhere that their elements may.
 */
#ifndef RESQ_KERNEL_CONTRACT_KERNEL_H
#define RESQ_KERNEL_CONTRACT_KERNEL_H

#include "base/status.h"
#include "kernel/contract/ahead.h"
#include "kernel/contract/block.h"
#include <stddef.h>
#include <stdint.h>

/* One image's convolution. Square kernels. A linear layer is a 1x1 convolution on 1x1. With groups, output k sums over
 * the C / groups channels of its group alone, weights are [K, C/groups, R, R], and the kernels are those of the slots
 * `.._grouped`; all others take one group. */
struct conv_shape {
    int h, w, c;
    int out, kernel, stride, pad; /* K, R */
    int out_h, out_w;             /* (h + 2 pad - kernel) / stride + 1 */
    int groups;                   /* divides C and K; 0 counts as 1 */
};

/* Where the pixels of an activation lie, in elements: pixel (y,x) of image i begins at pointer + i*image + y*row +
 * x*pixel; its channels lie side by side. border: that many pixels around every image are memory of the same buffer
 * (y and x from -border to H-1+border may be read) and hold the padding value (u8: the zero point of x; f32: 0). A
 * kernel that finds border >= pad reads them in place; with less it must copy (scratch) or skip. Nobody but the
 * owner of the buffer writes the border. */
struct layout {
    size_t image, row, pixel;
    int border;
};

/* Images of h x w pixels, one behind the other, without a border. */
static inline struct layout layout_dense(int h, int w, int c)
{
    size_t row = (size_t)w * (size_t)c;
    return (struct layout){.image = (size_t)h * row, .row = row, .pixel = (size_t)c};
}

/* Elements from the pointer to a pixel; row and col may lie in the border. */
static inline ptrdiff_t layout_at(const struct layout *l, int image, int row, int col)
{
    return image * (ptrdiff_t)l->image + row * (ptrdiff_t)l->row + col * (ptrdiff_t)l->pixel;
}

/* Both kinds of convolution compute output rows [row_begin, row_end) of `images` images, and write nothing else.
 *
 * A range of outputs [first, first + count) is computed by a shape with out = count, pointers to residual, y,
 * before and logits (and bias, or the arrays of requantize) moved by `first`, and layouts as they are: `pixel`
 * stays that of the whole tensor. Where `first` is a multiple of the kernel's out_grain, the packed weights of all
 * outputs serve at packed + packed_bytes(a shape with out = first), a multiple of 64 bytes; else, and where
 * out_grain is 0, the range needs packed weights of its own.
 *
 * With groups there are no such ranges: all outputs are computed together.
 *
 * A convolution's result for an image does not depend on the other images of the call, nor on the cut of rows. */

/* y = [clip][relu](conv(x) + bias [+ residual]) */
struct conv_f32_call {
    int images; /* >= 1 */
    const float *x;
    struct layout x_at;
    const void *packed;    /* from pack */
    const float *bias;     /* [K] or NULL */
    const float *residual; /* or NULL; may be y */
    struct layout residual_at;
    int relu;
    const float *clip; /* [low, high], as elementwise.clip, or NULL */
    float *y;
    struct layout y_at;
    int row_begin, row_end;
};

struct conv_f32_kernel {
    const char *algorithm; /* "direct", "winograd" ... for bench */
    int out_grain;
    int (*supports)(const struct conv_shape *s); /* NULL: every shape */
    size_t (*packed_bytes)(const struct conv_shape *s);
    void (*pack)(const struct conv_shape *s, const float *weight /* [K,C,R,R] */, void *packed);
    size_t (*scratch_bytes)(const struct conv_shape *s); /* a worker's, whatever the number of images */
    void (*run)(const struct conv_shape *s, const struct conv_f32_call *call, void *scratch);
};

/* Inference in bfloat16 (bf16 of block.h). Activations are bf16. `pack` rounds each weight once, to nearest, ties
 * to even. Products are exact; they, the bias and the residual are summed in f32 in any order, and after the relu
 * the result is rounded once, to nearest, ties to even; subnormal values may count as 0. `ref` sums exactly: what
 * another kernel rounds lies within 1e-5 of the sum of absolute products from what `ref` rounds. Borders hold
 * zeros. That an image's result does not depend on the call holds for finite weights. */
struct conv_bf16_call {
    int images; /* >= 1 */
    const bf16 *x;
    struct layout x_at;
    const void *packed;   /* from pack */
    const float *bias;    /* [K] or NULL */
    const bf16 *residual; /* or NULL; may be y */
    struct layout residual_at;
    int relu;
    bf16 *y; /* NULL where sums is given */
    struct layout y_at;
    float *sums; /* the result before it is rounded (last layer), or NULL */
    struct layout sums_at;
    int row_begin, row_end;
};

struct conv_bf16_kernel {
    const char *algorithm; /* "direct"; "widened": by the set's conv_f32, as slow as that */
    int out_grain;
    int (*supports)(const struct conv_shape *s); /* NULL: every shape */
    size_t (*packed_bytes)(const struct conv_shape *s);
    void (*pack)(const struct conv_shape *s, const float *weight /* [K,C,R,R] */, void *packed);
    size_t (*scratch_bytes)(const struct conv_shape *s); /* a worker's, whatever the number of images */
    void (*run)(const struct conv_shape *s, const struct conv_bf16_call *call, void *scratch);
};

/* Gradient by the input, one whole image: dx = conv_transposed(dy, w) (overwrites dx, or adds where accumulate). */
struct conv_f32_backward_data_kernel {
    const char *algorithm;
    int (*supports)(const struct conv_shape *s); /* NULL: every shape */
    size_t (*packed_bytes)(const struct conv_shape *s);
    void (*pack)(const struct conv_shape *s, const float *weight, void *packed);
    size_t (*scratch_bytes)(const struct conv_shape *s);
    void (*run)(const struct conv_shape *s, const float *dy, const void *packed, float *dx, int accumulate,
                void *scratch);
};

/* Gradient by the weights, over N images: those of a shard in order, shards over the tree of base/tree.h, in float32.
 * The K*C*R*R results are cut into items(s) disjoint parts; item i writes (overwrites) its part of dw [K,C,R,R] and
 * nothing else, so items may run on any thread. */
struct conv_f32_backward_weight_kernel {
    const char *algorithm;
    int (*supports)(const struct conv_shape *s); /* NULL: every shape */
    int (*items)(const struct conv_shape *s);
    size_t (*scratch_bytes)(const struct conv_shape *s);
    void (*run)(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                void *scratch);
};

/* How an integer accumulator becomes the output code, once for all kernels (lib/quant/QUANT.md):
 *   a = (float)acc * multiplier[k];  b = (float)(r - residual_zero_point) * residual_multiplier;  v = a + b (or a)
 *   q = clamp((int)rintf(v) + zero_point_y, low, high); rintf rounds ties to even; v beyond +-2^30 is clamped
 * first. low = max(qmin, zero_point_y) where a ReLU is fused. */
struct requantize {
    const float *multiplier; /* [K] */
    const int32_t *bias;     /* [K]: acc starts here */
    float residual_multiplier;
    uint8_t zero_point_x, zero_point_y, residual_zero_point;
    uint8_t low, high;
};

/* y = requantize(sum (x - zero_point_x) * w + bias); padding is zero_point_x. */
struct conv_u8_call {
    int images; /* >= 1 */
    const uint8_t *x;
    struct layout x_at;
    const void *packed; /* from pack */
    const struct requantize *requantize;
    const uint8_t *residual; /* or NULL */
    struct layout residual_at;
    uint8_t *y; /* may be NULL where logits is given */
    struct layout y_at;
    float *before; /* v, the value before rounding; NULL unless training */
    struct layout before_at;
    float *logits; /* (float)acc * multiplier[k] and nothing more (last layer), or NULL */
    struct layout logits_at;
    int row_begin, row_end;
    struct ahead *ahead; /* or NULL; a kernel need not look at it */
};

struct conv_u8_kernel {
    const char *algorithm;
    int out_grain;
    int (*supports)(const struct conv_shape *s); /* NULL: every shape */
    size_t (*packed_bytes)(const struct conv_shape *s);
    /* weight s8 in [-127,127], OIHW; zero_point_x as in requantize: the kernel may fold it. high_x: the largest code
     * that x holds in any call, its border included. */
    void (*pack)(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                 void *packed);
    size_t (*scratch_bytes)(const struct conv_shape *s);
    void (*run)(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch);
};

/* y = x * scale[c] + shift[c] [+ residual] [relu], all [rows][c]; x or residual may be y */
struct scale_shift_call {
    const float *x;
    int rows, c;
    const float *scale, *shift; /* [c] */
    const float *residual;      /* or NULL */
    int relu;
    float *y;
};

/* One image's: q = clamp(rintf(sum(x - zero_point_x) * multiplier) + zero_point_y, low, high) */
struct average_pool_u8_call {
    const uint8_t *x; /* [pixels][c] */
    int pixels, c;
    float multiplier;
    uint8_t zero_point_x, zero_point_y, low, high;
    uint8_t *y;    /* [c] */
    float *before; /* [c], the value before rounding; or NULL */
};

/* One image's windows of kernel x kernel pixels, every `stride` of them; `pad` < kernel around it, so that every window
 * holds a pixel. Images are dense. */
struct pool_shape {
    int h, w, c;
    int kernel, stride, pad;
    int out_h, out_w; /* (h + 2 pad - kernel) / stride + 1 */
};

/* y = clamp(rintf(v) + zero_point_y, low, high),
 * v = (a - zero_point_a) * multiplier_a + (b - zero_point_b) * multiplier_b */
struct add_u8_call {
    const uint8_t *a, *b;
    size_t count;
    float multiplier_a, multiplier_b;
    uint8_t zero_point_a, zero_point_b, zero_point_y, low, high;
    uint8_t *y;
    float *before; /* v; or NULL */
    float
        offset; /* add_separate_u8 has this instead of the operands' zero points; its v is fma(a, multiplier_a, fma(b,
                    * multiplier_b, offset)), y = clamp(rintf(v), low, high), and before is v - zero_point_y */
};

/* Both parts of a batch norm's way back; xhat = (x - mean) * inv_std. x and dy are [rows][c], the rest [c]. */
struct batchnorm_backward_call {
    const float *x, *dy;
    int rows, c;
    const float *mean, *inv_std;
    /* batchnorm_backward_sums writes: */
    double *sum_dy, *sum_dy_xhat;
    /* batchnorm_backward reads the first three and writes dx, which may be dy: */
    const float *gamma, *mean_dy, *mean_dy_xhat;
    float *dx;
};

/* Elementwise and reducing operations. rows = N*H*W (or what a caller cuts of it). */
struct elementwise_kernels {
    /* q[i,c] = table[c][pixel[i,c]]: the quantized, normalised input. table [C][256]. */
    void (*lookup_u8)(const uint8_t *pixels, int rows, int c, const uint8_t *table, uint8_t *q);
    void (*normalize)(const uint8_t *pixels, int rows, int c, const float *mean, const float *std, float *y);
    void (*scale_shift)(const struct scale_shift_call *call);
    void (*add)(const float *a, const float *b, size_t count, int relu, float *y);
    void (*relu)(const float *x, size_t count, float *y);
    /* dx = y > 0 ? dy : 0; may be in place */
    void (*relu_backward)(const float *y, const float *dy, size_t count, float *dx);
    /* min(max(x, low), high); NaN stays */
    void (*clip)(const float *x, size_t count, float low, float high, float *y);
    /* dx = low < y < high ? dy : 0; may be in place */
    void (*clip_backward)(const float *y, const float *dy, size_t count, float low, float high, float *dx);
    void (*add_u8)(const struct add_u8_call *call);
    void (*add_separate_u8)(const struct add_u8_call *call);
    void (*average_pool)(const float *x, int pixels, int c, float *y); /* one image */
    void (*average_pool_u8)(const struct average_pool_u8_call *call);
    /* Row `row` of the output of one image x: the largest of each window, padding left out; a NaN stays. */
    void (*max_pool)(const struct pool_shape *s, const float *x, int row, float *y);
    void (*max_pool_u8)(const struct pool_shape *s, const uint8_t *x, int row, uint8_t *y);
    /* One image: dy goes to the first of the largest of its window, row by row. dx is overwritten. */
    void (*max_pool_backward)(const struct pool_shape *s, const float *x, const float *dy, float *dx);
    /* The sum of each window over kernel * kernel: padding counts as zeros. The codes' call is that of one image, whose
     * `pixels` and `c` are not looked at; y and before are those of the row. */
    void (*window_pool)(const struct pool_shape *s, const float *x, int row, float *y);
    void (*window_pool_u8)(const struct pool_shape *s, const struct average_pool_u8_call *call, int row);
    void (*window_pool_backward)(const struct pool_shape *s, const float *dy, float *dx); /* dx is overwritten */
    /* y[j][i] = x[i][j] of values of 1, 2 or 4 bytes: a map's channels as planes, and back */
    void (*transpose)(const void *x, int rows, int columns, size_t size, void *y);
    void (*quantize)(const float *x, size_t count, float scale, uint8_t zero_point, uint8_t low, uint8_t high,
                     uint8_t *q);
    void (*dequantize)(const uint8_t *q, size_t count, float scale, uint8_t zero_point, float *x);
    /* bf16_from_float and bf16_to_float (block.h) */
    void (*round_bf16)(const float *x, size_t count, bf16 *y);
    void (*widen_bf16)(const bf16 *x, size_t count, float *y);
    /* Batch norm, training. sums over rows in order, per channel, in float with a compensating or double
     * accumulator. */
    void (*sum_and_squares)(const float *x, int rows, int c, double *sum,
                            double *squares /* [C] each, overwritten */);
    /* sum of dy and of dy * xhat */
    void (*batchnorm_backward_sums)(const struct batchnorm_backward_call *call);
    /* dx = gamma * inv_std * (dy - mean_dy - xhat * mean_dy_xhat) */
    void (*batchnorm_backward)(const struct batchnorm_backward_call *call);
};

/* Slots that a set has no kernel of its own for hold its parent's. What computes a given shape is found by
 * kernel_conv_f32 and the functions beside it, not taken from here. Two are exact only for some weights, and whoever
 * calls them has proved it from these: conv_u8_winograd for outputs whose accumulator without bias and zero point stays
 * in [-2^25, 2^25), conv_u8_pairs for outputs whose pairs_room (pairs.h) is at least PAIRS_ROOM. */
struct kernel_table {
    const char *isa;                   /* "ref", "blas", "avx2" ... */
    const struct kernel_table *parent; /* the set that this one adds to; NULL: ref */
    struct conv_f32_kernel conv_f32, conv_f32_winograd, conv_f32_grouped;
    struct conv_f32_backward_data_kernel conv_f32_backward_data, conv_f32_backward_data_grouped;
    struct conv_f32_backward_weight_kernel conv_f32_backward_weight, conv_f32_backward_weight_grouped;
    struct conv_u8_kernel conv_u8, conv_u8_winograd, conv_u8_pairs, conv_u8_grouped;
    struct conv_bf16_kernel conv_bf16, conv_bf16_grouped;
    struct block_kernel block; /* training in 16-bit products */
    struct elementwise_kernels elementwise;
};

/* The table for an instruction set; NULL or "": RESQ_ISA from the environment, else the strongest, the last one of
 * kernels.inc that this machine and its operating system support. A name that is unknown or unsupported here is
 * STATUS_UNSUPPORTED with the list of the right ones. */
int kernel_table_get(const struct kernel_table **table, const char *isa, struct message *m) RESQ_USE_RESULT;
/* Names usable on this machine, strongest last ("ref" first); NULL past the end. */
const char *kernel_isa_at(int i);

/* The kernel of the table that takes this shape (one of the grouped ones where it has groups), else its parent's, at
 * last ref's, which takes every shape: NULL only for Winograd and pairs, which need not exist. What one of them packs
 * is for that one alone; a shape that differs only in the number of outputs has the same kernel. */
const struct conv_f32_kernel *kernel_conv_f32(const struct kernel_table *table, const struct conv_shape *s);
const struct conv_f32_kernel *kernel_conv_f32_winograd(const struct kernel_table *table,
                                                       const struct conv_shape *s);
const struct conv_f32_backward_data_kernel *kernel_conv_f32_backward_data(const struct kernel_table *table,
                                                                          const struct conv_shape *s);
const struct conv_f32_backward_weight_kernel *kernel_conv_f32_backward_weight(const struct kernel_table *table,
                                                                              const struct conv_shape *s);
const struct conv_u8_kernel *kernel_conv_u8(const struct kernel_table *table, const struct conv_shape *s);
const struct conv_u8_kernel *kernel_conv_u8_winograd(const struct kernel_table *table, const struct conv_shape *s);
const struct conv_u8_kernel *kernel_conv_u8_pairs(const struct kernel_table *table, const struct conv_shape *s);
const struct conv_bf16_kernel *kernel_conv_bf16(const struct kernel_table *table, const struct conv_shape *s);
const struct block_kernel *kernel_block(const struct kernel_table *table, const struct block_conv *s);

/* Whether the table's block kernels are more than the definition, which is too slow to train with. */
int kernel_block_is_native(const struct kernel_table *table);

/* Every kernel of every set, in the order of kernels.inc; NULL past the end. */
struct kernel_name {
    const char *operation, *types, *isa, *algorithm;
};
const struct kernel_name *kernel_name_at(int i);

/* The machine's own peak, multiply-accumulates a second on one thread, measured in a few milliseconds by a loop of
 * register-only multiply-adds of the table's strongest instruction: type "f32", "u8" or "bf16". 0 where the set has
 * no such loop (ref; blas: f32 by a large sgemm). */
double kernel_peak(const struct kernel_table *table, const char *type, double seconds);

#endif
