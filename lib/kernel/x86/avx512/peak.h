/* peak.h: the peak loop of the sets with 512 bits: 16 sums in registers of their own. */
#ifndef RESQ_KERNEL_X86_AVX512_PEAK_H
#define RESQ_KERNEL_X86_AVX512_PEAK_H

#include "kernel/contract/peak.h"
#include <immintrin.h>

enum { ROUNDS = 20000, CHAINS = 16 };

/* ROUNDS times each sum += value * value by the instruction, both operands being value. */
/* clang-format off */
#define PEAK_STEP(instruction, sum) instruction " %1, %1, %%zmm" #sum "\n\t"
#define PEAK_ROUNDS(instruction, value)                                                                              \
    do {                                                                                                             \
        long n_ = ROUNDS;                                                                                            \
        __asm__ volatile("1:\n\t"                                                                                    \
            PEAK_STEP(instruction, 8) PEAK_STEP(instruction, 9) PEAK_STEP(instruction, 10) PEAK_STEP(instruction, 11)\
            PEAK_STEP(instruction, 12) PEAK_STEP(instruction, 13) PEAK_STEP(instruction, 14)                         \
            PEAK_STEP(instruction, 15) PEAK_STEP(instruction, 16) PEAK_STEP(instruction, 17)                         \
            PEAK_STEP(instruction, 18) PEAK_STEP(instruction, 19) PEAK_STEP(instruction, 20)                         \
            PEAK_STEP(instruction, 21) PEAK_STEP(instruction, 22) PEAK_STEP(instruction, 23)                         \
            "dec %0\n\t" "jnz 1b"                                                                                    \
            : "+r"(n_) : "v"(value)                                                                                  \
            : "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16", "xmm17", "xmm18",       \
              "xmm19", "xmm20", "xmm21", "xmm22", "xmm23");                                                          \
    } while (0)
/* clang-format on */

#endif
