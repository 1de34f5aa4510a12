/* peak_128.h: the loop that the sets measure their peak with: independent multiply-adds that touch nothing but
 * registers. Inline assembly, so that no compiler folds the loop. */
#ifndef RESQ_KERNEL_ARM_NEON_PEAK_128_H
#define RESQ_KERNEL_ARM_NEON_PEAK_128_H

#include "kernel/contract/peak.h"
#include <arm_neon.h>

enum { ROUNDS = 20000, CHAINS = 16 };

/* ROUNDS times `step(sum)` for sums in v8 to v23; the operand is %1. */
#define PEAK_ROUNDS(step, value)                                                                               \
    long n = ROUNDS;                                                                                           \
    __asm__ volatile("1:\n\t" step(8) step(9) step(10) step(11) step(12) step(13) step(14) step(15) step(16)   \
                         step(17) step(18) step(19) step(20) step(21) step(22) step(23) "subs %0, %0, #1\n\t"  \
                                                                                        "b.ne 1b"              \
                     : "+r"(n)                                                                                 \
                     : "w"(value)                                                                              \
                     : "cc", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", \
                       "v20", "v21", "v22", "v23", "v24")

#endif
