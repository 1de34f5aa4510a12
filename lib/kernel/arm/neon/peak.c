#include "kernel/arm/neon/peak_128.h"
#include "kernel/list.h"

#define FMLA(sum) "fmla v" #sum ".4s, %1.4s, %1.4s\n\t"
static void rounds_f32(void)
{
    PEAK_ROUNDS(FMLA, vdupq_n_f32(0.5f));
}

/* Two products of bytes in 16 bits, added in pairs to 32: as conv_u8.c */
#define PAIRS(sum)                      \
    "smull v24.8h, %1.8b, %1.8b\n\t"    \
    "smlal2 v24.8h, %1.16b, %1.16b\n\t" \
    "sadalp v" #sum ".4s, v24.8h\n\t"
static void rounds_u8(void)
{
    PEAK_ROUNDS(PAIRS, vdupq_n_s8(3));
}

double peak_f32_neon(double seconds)
{
    return peak_fastest(rounds_f32, (double)ROUNDS * CHAINS * 4, seconds);
}

double peak_u8_neon(double seconds)
{
    return peak_fastest(rounds_u8, (double)ROUNDS * CHAINS * 16, seconds);
}
