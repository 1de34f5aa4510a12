/* Cells turned for the weight gradient. */
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/template/block_shape.h"
#include "kernel/x86/avx512bf16/block_transpose.h"
#include <immintrin.h>

/* Rows i and i+1 interleaved: pairs of images for each channel, channels 0-15 and 16-31. */
static inline void pair_rows(const bf16 *rows, __m512i *low, __m512i *high)
{
    /* unpack works in quarters: words 0-3, 8-11, ... and 4-7, 12-15, ...; quarters are put in order afterwards */
    __m512i a = _mm512_load_si512(rows), b = _mm512_load_si512(rows + BLOCK_CHANNELS);
    __m512i even = _mm512_unpacklo_epi16(a, b), odd = _mm512_unpackhi_epi16(a, b);
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0),
                  second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    *low = _mm512_permutex2var_epi64(even, first, odd);
    *high = _mm512_permutex2var_epi64(even, second, odd);
}

void cell_pair(const bf16 *cell, bf16 *to)
{
    for (int n = 0; n < BLOCK_IMAGES; n += 2) {
        __m512i low, high;
        pair_rows(cell + n * BLOCK_CHANNELS, &low, &high);
        _mm512_store_si512(to + n * 16, low);
        _mm512_store_si512(to + CELL / 2 + n * 16, high);
    }
}

void cell_transpose(const bf16 *cell, bf16 *to)
{
    __m512i half[2][16]; /* pairs of images by channels */
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) {
        __m512i a = _mm512_load_si512(cell + 2 * i * BLOCK_CHANNELS);
        __m512i b = _mm512_load_si512(cell + (2 * i + 1) * BLOCK_CHANNELS);
        half[0][i] = _mm512_unpacklo_epi16(a, b);
        half[1][i] = _mm512_unpackhi_epi16(a, b);
    }
    /* column 4 q + e of half h is channel 8 q + 4 h + e */
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
        transpose_16(half[h]);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++)
            _mm512_store_si512(to + (8 * (i / 4) + 4 * h + i % 4) * BLOCK_IMAGES, half[h][i]);
    }
}
