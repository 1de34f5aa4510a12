/* block_parts.h: the parts of block.h's kernels that multiply no matrices, a file each; `amx` takes them from here.
 * Contracts: block.h. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_PARTS_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_PARTS_H

#include "kernel/contract/block.h"

/* block_pack.c. Packed: [outputs/32][taps][cells of inputs][P][2][16 input pairs][16 outputs][2]. */
size_t block_packed_bytes(const struct block_conv *s, enum block_direction d);
int block_pack_items(const struct block_conv *s);
void block_pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward);
/* dw[k][c][tap] of 32 outputs and 32 inputs, whole: from sums [taps][4 tiles of inputs by outputs][16][16]. */
void block_unpack(const struct block_conv *s, const float *sums, int output_cell, int input_cell, float *dw);

/* block_transpose.c: a cell for the weight gradient, whose sum runs over images. */
/* [32 images][32 channels] -> [32 channels][32 images], the A operand. */
void cell_transpose(const bf16 *cell, bf16 *to);
/* -> [2][16 image pairs][16 channels][2], the B operand. */
void cell_pair(const bf16 *cell, bf16 *to);

/* block_elementwise.c */
void block_input(const struct block_conv *s, const uint8_t *const *images, int count, const float *table, int row,
                 bf16 *y);
void block_norm(const bf16 *x, int pixels, int c, int planes, int images, const float *scale, const float *shift,
                const bf16 *other, int relu, bf16 *y, uint32_t *positive);
void block_norm_backward_sums(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c,
                              int planes, int images, const float *mean, const float *inv_std, double *sums);
void block_norm_backward(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c, int planes,
                         int images, const float *a, const float *b, const float *d, bf16 *dx, int accumulate,
                         bf16 *other, int accumulate_other);

/* block_codes.c */
void block_dequantize(const uint8_t *q, size_t q_image, int images, int pixels, int c, float scale,
                      uint8_t zero_point, int planes, bf16 *y);
void block_within(const float *v, size_t v_image, int images, int pixels, int c, float low, float high,
                  uint32_t *bits);

/* block_elementwise.c */
void block_pool(const bf16 *x, int pixels, int c_real, int planes, int images, float *y, int y_stride);
void block_pool_backward(const float *dy, int dy_stride, int pixels, int c_real, int planes, int images, bf16 *dx,
                         int accumulate);

/* These passes in a table. */
#define BLOCK_PASSES                                                                              \
    .input = block_input, .norm = block_norm, .norm_backward_sums = block_norm_backward_sums,     \
    .norm_backward = block_norm_backward, .dequantize = block_dequantize, .within = block_within, \
    .pool = block_pool, .pool_backward = block_pool_backward

#endif
