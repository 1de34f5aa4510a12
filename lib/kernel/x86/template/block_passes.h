/* block_passes.h: the passes of block.h as a set defines them by block_passes.inc,
 * under names of its own: SET(name). */
#ifndef RESQ_KERNEL_X86_TEMPLATE_BLOCK_PASSES_H
#define RESQ_KERNEL_X86_TEMPLATE_BLOCK_PASSES_H

#include "kernel/contract/block.h"

void SET(input)(const struct block_conv *s, const uint8_t *const *images, int count, const float *table, int row,
                bf16 *y);
void SET(norm)(const struct block_norm_call *call);
void SET(norm_backward_sums)(const struct block_norm_backward_call *call);
void SET(norm_backward)(const struct block_norm_backward_call *call);
void SET(dequantize)(const struct block_map *map, const uint8_t *q, size_t q_image, float scale, uint8_t zero_point,
                     bf16 *y);
void SET(within)(const struct block_map *map, const float *v, size_t v_image, float low, float high,
                 uint32_t *bits);
void SET(pool)(const struct block_map *map, const bf16 *x, float *y, int y_stride);
void SET(pool_backward)(const struct block_map *map, const float *dy, int dy_stride, bf16 *dx, int accumulate);

/* These passes in a table. */
#define BLOCK_PASSES                                                                                              \
    .input = SET(input), .norm = SET(norm), .norm_backward_sums = SET(norm_backward_sums),                        \
    .norm_backward = SET(norm_backward), .dequantize = SET(dequantize), .within = SET(within), .pool = SET(pool), \
    .pool_backward = SET(pool_backward)

#endif
