/* block_products.h: what Winograd's products of 16-bit cells are made of. */
#ifndef RESQ_KERNEL_X86_AVX512BF16_BLOCK_PRODUCTS_H
#define RESQ_KERNEL_X86_AVX512BF16_BLOCK_PRODUCTS_H

#include "kernel/x86/avx512bf16/block_vectors.h"
#include <string.h>

ALWAYS_INLINE __m512i broadcast_two(const int16_t *p)
{
    int32_t two;
    memcpy(&two, p, sizeof two);
    return _mm512_set1_epi32(two);
}

/* sum += a b, pairs of 16 bits. The instruction itself: gcc 12 moves the accumulators of its intrinsic to and from
 * the stack. */
ALWAYS_INLINE void multiply_add(__m512i *sum, __m512i a, __m512i b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(*sum) : "v"(a), "v"(b));
}

/* Sums of so many rows, 32 outputs each: one variable for each vector, since gcc 12 keeps arrays in memory. */
#define ROWS_8(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define ROWS_12(f) ROWS_8(f) f(8) f(9) f(10) f(11)
#define OPEN_ROW(i) __m512i low##i = _mm512_setzero_si512(), high##i = low##i;

#endif
