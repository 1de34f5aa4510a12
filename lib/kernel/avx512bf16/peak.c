/* The machine's own peak, as in avx2/peak.c: vdpbf16ps multiplies and adds 32 pairs. */
#include "kernel/list.h"
#include "kernel/peak.h"
#include <immintrin.h>

enum { ROUNDS = 20000, CHAINS = 16 };

static void rounds_bf16(void)
{
    __m512i a = _mm512_set1_epi8(0x3f);
    long n = ROUNDS;
    /* clang-format off */
    __asm__ volatile("1:\n\t"
        "vdpbf16ps %1, %1, %%zmm8\n\t" "vdpbf16ps %1, %1, %%zmm9\n\t"
        "vdpbf16ps %1, %1, %%zmm10\n\t" "vdpbf16ps %1, %1, %%zmm11\n\t"
        "vdpbf16ps %1, %1, %%zmm12\n\t" "vdpbf16ps %1, %1, %%zmm13\n\t"
        "vdpbf16ps %1, %1, %%zmm14\n\t" "vdpbf16ps %1, %1, %%zmm15\n\t"
        "vdpbf16ps %1, %1, %%zmm16\n\t" "vdpbf16ps %1, %1, %%zmm17\n\t"
        "vdpbf16ps %1, %1, %%zmm18\n\t" "vdpbf16ps %1, %1, %%zmm19\n\t"
        "vdpbf16ps %1, %1, %%zmm20\n\t" "vdpbf16ps %1, %1, %%zmm21\n\t"
        "vdpbf16ps %1, %1, %%zmm22\n\t" "vdpbf16ps %1, %1, %%zmm23\n\t"
        "dec %0\n\t" "jnz 1b"
        : "+r"(n) : "v"(a)
        : "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",
          "xmm19", "xmm20", "xmm21", "xmm22", "xmm23");
    /* clang-format on */
}

double peak_bf16_avx512bf16(double seconds)
{
    return peak_fastest(rounds_bf16, (double)ROUNDS * CHAINS * 32, seconds);
}
