/* block_parts.h: the parts of block.h's kernels that multiply no matrices, a file each; `amx` takes them from here.
 * Contracts: block.h. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_PARTS_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_PARTS_H

#define SET(name) block_##name##_avx512bf16
#include "kernel/x86/template/block_passes.h"
#include "kernel/x86/template/block_shape.h"

/* block_pack.c. Packed: [outputs/32][taps][cells of inputs][P][2][16 input pairs][16 outputs][2]. */
size_t block_packed_bytes(const struct block_conv *s, enum block_direction d);
int block_pack_items(const struct block_conv *s);
void block_pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward);
/* dw[k][c][tap] of 32 outputs and 32 inputs, whole: from sums [taps][4 tiles of inputs by outputs][16][16]. */
void block_unpack(const struct block_conv *s, const float *sums, int output_cell, int input_cell, float *dw);

/* block_winograd.c: the convolutions for winograd_suits. */
extern const struct block_kernel block_winograd_avx512bf16;

/* block_transpose.c: a cell for the weight gradient, whose sum runs over images. */
/* [32 images][32 channels] -> [32 channels][32 images], the A operand. */
void cell_transpose(const bf16 *cell, bf16 *to);
/* -> [2][16 image pairs][16 channels][2], the B operand. */
void cell_pair(const bf16 *cell, bf16 *to);

static inline int block_supports(const struct block_conv *s)
{
    return s->planes != BLOCK_PLAIN;
}

/* ---- block_weight.inc: cells turned plane by plane ---- */

enum { CHUNK_BYTES = 640 * 1024 };

static inline int turned_planes(const struct block_conv *s)
{
    return s->planes;
}

static inline void turn_x_cell(const bf16 *cell, int planes, bf16 *to)
{
    for (int p = 0; p < planes; p++)
        cell_transpose(cell + p * CELL, to + p * CELL);
}

static inline void turn_dy_cell(const bf16 *cell, int planes, bf16 *to)
{
    for (int p = 0; p < planes; p++)
        cell_pair(cell + p * CELL, to + p * CELL);
}

#endif
