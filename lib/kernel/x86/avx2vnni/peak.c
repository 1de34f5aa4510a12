/* The machine's own peak, as in avx2/peak.c: vpdpbusd, in the short encoding, multiplies and adds 32 pairs of bytes. */
#include "kernel/list.h"
#include "kernel/contract/peak.h"
#include <immintrin.h>

enum { ROUNDS = 20000, CHAINS = 12 };

static void rounds_u8(void)
{
    __m256i a = _mm256_set1_epi8(3);
    long n = ROUNDS;
    /* clang-format off */
#define DOT(sum) "%{vex%} vpdpbusd %1, %1, %%ymm" #sum "\n\t"
    __asm__ volatile("1:\n\t"
        DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10) DOT(11) DOT(12) DOT(13)
        "dec %0\n\t" "jnz 1b"
        : "+r"(n) : "x"(a)
        : "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13");
    /* clang-format on */
}

double peak_u8_avx2vnni(double seconds)
{
    return peak_fastest(rounds_u8, (double)ROUNDS * CHAINS * 32, seconds);
}
