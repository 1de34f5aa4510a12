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
void block_norm(const struct block_norm_call *call);
void block_norm_backward_sums(const struct block_norm_backward_call *call);
void block_norm_backward(const struct block_norm_backward_call *call);
void block_pool(const struct block_map *map, const bf16 *x, float *y, int y_stride);
void block_pool_backward(const struct block_map *map, const float *dy, int dy_stride, bf16 *dx, int accumulate);

/* block_codes.c */
void block_dequantize(const struct block_map *map, const uint8_t *q, size_t q_image, float scale,
                      uint8_t zero_point, bf16 *y);
void block_within(const struct block_map *map, const float *v, size_t v_image, float low, float high,
                  uint32_t *bits);

/* These passes in a table. */
#define BLOCK_PASSES                                                                              \
    .input = block_input, .norm = block_norm, .norm_backward_sums = block_norm_backward_sums,     \
    .norm_backward = block_norm_backward, .dequantize = block_dequantize, .within = block_within, \
    .pool = block_pool, .pool_backward = block_pool_backward

#endif
