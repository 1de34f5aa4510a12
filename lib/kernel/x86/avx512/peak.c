/* The machine's own peak, as in avx2/peak.c. */
#include "kernel/x86/avx512/peak_512.h"
#include "kernel/list.h"

static void rounds_f32(void)
{
    PEAK_ROUNDS("vfmadd231ps", _mm512_set1_ps(0.5f));
}

/* vpmaddwd multiplies pairs of 16-bit integers into 32, vpaddd adds them up. */
static void rounds_u8(void)
{
    __m512i a = _mm512_set1_epi16(3);
    long n = ROUNDS;
    /* clang-format off */
#define PAIR(sum, product) \
    "vpmaddwd %1, %1, %%zmm" #product "\n\tvpaddd %%zmm" #product ", %%zmm" #sum ", %%zmm" #sum "\n\t"
    __asm__ volatile("1:\n\t"
        PAIR(8, 24) PAIR(9, 25) PAIR(10, 26) PAIR(11, 27) PAIR(12, 24) PAIR(13, 25) PAIR(14, 26) PAIR(15, 27)
        PAIR(16, 24) PAIR(17, 25) PAIR(18, 26) PAIR(19, 27) PAIR(20, 24) PAIR(21, 25) PAIR(22, 26) PAIR(23, 27)
        "dec %0\n\t" "jnz 1b"
        : "+r"(n) : "v"(a)
        : "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
          "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27");
    /* clang-format on */
}

double peak_f32_avx512(double seconds)
{
    return peak_fastest(rounds_f32, (double)ROUNDS * CHAINS * 16, seconds);
}

double peak_u8_avx512(double seconds)
{
    return peak_fastest(rounds_u8, (double)ROUNDS * CHAINS * 32, seconds);
}
