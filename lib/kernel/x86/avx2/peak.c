/* The machine's own peak: independent multiply-adds that touch nothing but registers, counted by the clock. Inline
 * assembly, so that no compiler folds the loop. */
#include "kernel/list.h"
#include "kernel/contract/peak.h"
#include <immintrin.h>

enum { ROUNDS = 20000, CHAINS = 12 };

static void rounds_f32(void)
{
    __m256 a = _mm256_set1_ps(0.5f);
    long n = ROUNDS;
    /* clang-format off */
    __asm__ volatile("1:\n\t"
        "vfmadd231ps %1, %1, %%ymm2\n\t"  "vfmadd231ps %1, %1, %%ymm3\n\t"  "vfmadd231ps %1, %1, %%ymm4\n\t"
        "vfmadd231ps %1, %1, %%ymm5\n\t"  "vfmadd231ps %1, %1, %%ymm6\n\t"  "vfmadd231ps %1, %1, %%ymm7\n\t"
        "vfmadd231ps %1, %1, %%ymm8\n\t"  "vfmadd231ps %1, %1, %%ymm9\n\t"  "vfmadd231ps %1, %1, %%ymm10\n\t"
        "vfmadd231ps %1, %1, %%ymm11\n\t" "vfmadd231ps %1, %1, %%ymm12\n\t" "vfmadd231ps %1, %1, %%ymm13\n\t"
        "dec %0\n\t" "jnz 1b"
        : "+r"(n) : "x"(a)
        : "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13");
    /* clang-format on */
}

/* vpmaddwd multiplies pairs of 16-bit integers into 32, vpaddd adds them up. */
static void rounds_u8(void)
{
    __m256i a = _mm256_set1_epi16(3);
    long n = ROUNDS;
    /* clang-format off */
#define PAIR(sum, product) \
    "vpmaddwd %1, %1, %%ymm" #product "\n\tvpaddd %%ymm" #product ", %%ymm" #sum ", %%ymm" #sum "\n\t"
    __asm__ volatile("1:\n\t"
        PAIR(2, 14) PAIR(3, 15) PAIR(4, 14) PAIR(5, 15) PAIR(6, 14) PAIR(7, 15)
        PAIR(8, 14) PAIR(9, 15) PAIR(10, 14) PAIR(11, 15) PAIR(12, 14) PAIR(13, 15)
        "dec %0\n\t" "jnz 1b"
        : "+r"(n) : "x"(a)
        : "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
          "xmm15");
    /* clang-format on */
}

double peak_f32_avx2(double seconds)
{
    return peak_fastest(rounds_f32, (double)ROUNDS * CHAINS * 8, seconds);
}

double peak_u8_avx2(double seconds)
{
    return peak_fastest(rounds_u8, (double)ROUNDS * CHAINS * 16, seconds);
}
