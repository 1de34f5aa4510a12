#include "kernel/arm/neon/peak_128.h"
#include "kernel/list.h"

#define STEP(sum) "sdot v" #sum ".4s, %1.16b, %1.16b\n\t"
static void rounds_u8(void)
{
    PEAK_ROUNDS(STEP, vdupq_n_s8(3));
}

double peak_u8_neondot(double seconds)
{
    return peak_fastest(rounds_u8, (double)ROUNDS * CHAINS * 16, seconds);
}
