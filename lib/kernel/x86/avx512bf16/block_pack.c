/* Weights for the matrix unit, and the gradient by the weights back into PyTorch's layout.
 *
 * A tile of B holds 32 inputs by 16 outputs, [16 input pairs][16 outputs][2]. Both directions are made from one
 * reading of the weights: a gather takes 16 inputs of one output and tap, which lie R*R floats apart. */
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/template/block_shape.h"
#include "kernel/x86/avx512bf16/block_transpose.h"
#include "kernel/x86/avx512bf16/block_vectors_512.h"
#include <string.h>

size_t block_packed_bytes(const struct block_conv *s, enum block_direction d)
{
    (void)d; /* the same number of cells */
    return (size_t)cells_of(conv_inputs(s)) * (size_t)cells_of(s->k) * (size_t)conv_taps(s) * (size_t)s->planes *
           CELL * sizeof(bf16);
}

int block_pack_items(const struct block_conv *s)
{
    return cells_of(s->k);
}

/* 32 inputs of output k at one tap, zeros beyond the real ones. */
static inline struct row gather_inputs(const struct block_conv *s, const float *weight, int k, int c, int tap)
{
    int taps = conv_taps(s), inputs = conv_inputs(s), left = inputs - c;
    if (k >= s->k)
        return row_set(0);
    const float *from = weight + ((size_t)k * (size_t)inputs + (size_t)c) * (size_t)taps + tap;
    __m512i at = _mm512_mullo_epi32(_mm512_set1_epi32(taps),
                                    _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    __mmask16 low = left >= 16 ? 0xffff : (__mmask16)((1 << left) - 1);
    __mmask16 high = left >= 32 ? 0xffff : left > 16 ? (__mmask16)((1 << (left - 16)) - 1) : 0;
    __m512 zero = _mm512_setzero_ps();
    return (struct row){{_mm512_mask_i32gather_ps(zero, low, at, from, 4),
                         _mm512_mask_i32gather_ps(zero, high, at, from + (size_t)16 * (size_t)taps, 4)}};
}

/* One tap of 32 outputs by 32 inputs as a cell of each plane, outputs as rows. */
static void gather_cell(const struct block_conv *s, const float *weight, int k, int c, int tap, bf16 *cell)
{
    for (int i = 0; i < BLOCK_CHANNELS; i++)
        row_store(gather_inputs(s, weight, k + i, c, tap), cell + i * BLOCK_CHANNELS, s->planes);
}

/* Row i of a transposed cell is input i; its pairs of outputs are what backward wants; forward wants pairs of
 * inputs. */
void block_pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward)
{
    _Alignas(64) bf16 cell[BLOCK_PLANES * CELL], turned[CELL];
    int taps = conv_taps(s), inputs = cells_of(conv_inputs(s)), outputs = cells_of(s->k);
    for (int tap = 0; tap < taps; tap++)
        for (int c = 0; c < inputs; c++) {
            gather_cell(s, weight, item * BLOCK_CHANNELS, c * BLOCK_CHANNELS, tap, cell);
            size_t to =
                (((size_t)item * (size_t)taps + (size_t)tap) * (size_t)inputs + (size_t)c) * (size_t)s->planes;
            size_t back =
                (((size_t)c * (size_t)taps + (size_t)tap) * (size_t)outputs + (size_t)item) * (size_t)s->planes;
            for (int p = 0; p < s->planes; p++) {
                if (forward) {
                    cell_transpose(cell + p * CELL, turned);
                    cell_pair(turned, (bf16 *)forward + (to + (size_t)p) * CELL);
                }
                if (backward)
                    cell_pair(cell + p * CELL, (bf16 *)backward + (back + (size_t)p) * CELL);
            }
        }
}

/* Tile [16 inputs][16 outputs] of one tap -> dw[k][c][tap]. */
static void unpack_tile(const struct block_conv *s, const float *tile, int k, int c, int tap, float *dw)
{
    int taps = conv_taps(s), inputs = conv_inputs(s), left = inputs - c;
    __m512i rows[16]; /* by inputs; then by outputs */
    __m512i at = _mm512_mullo_epi32(_mm512_set1_epi32(taps),
                                    _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    __mmask16 real = left >= 16 ? 0xffff : left > 0 ? (__mmask16)((1 << left) - 1) : 0;
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++)
        rows[i] = _mm512_load_si512(tile + i * 16);
    transpose_16(rows);
    float *to = dw + ((size_t)k * (size_t)inputs + (size_t)c) * (size_t)taps + tap;
    for (int i = 0; i < 16 && k + i < s->k; i++, to += (size_t)inputs * (size_t)taps)
        _mm512_mask_i32scatter_ps(to, real, at, _mm512_castsi512_ps(rows[i]), 4);
}

void block_unpack(const struct block_conv *s, const float *sums, int output_cell, int input_cell, float *dw)
{
    for (int tap = 0; tap < conv_taps(s); tap++)
        for (int i = 0; i < 4; i++, sums += 256) /* [inputs / 16][outputs / 16] */
            unpack_tile(s, sums, output_cell * BLOCK_CHANNELS + i % 2 * 16,
                        input_cell * BLOCK_CHANNELS + i / 2 * 16, tap, dw);
}
