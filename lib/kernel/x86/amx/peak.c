/* The machine's own peak, as in avx2/peak.c: a tile product is 16 x 16 sums of 64 bytes, or of 32 bf16. */
#include "kernel/x86/amx/tiles.h"
#include "kernel/list.h"
#include "kernel/contract/peak.h"

enum { ROUNDS = 4000, CHAINS = 6, SUMS = 16 * 16 };

#define ROUNDS_OF(instruction)                                                                                     \
    tiles_configure(TILE_ROWS);                                                                                    \
    for (int i = 0; i < ROUNDS; i++)                                                                               \
        __asm__ volatile(instruction " %tmm7, %tmm6, %tmm0\n\t" instruction " %tmm7, %tmm6, %tmm1\n\t" instruction \
                                     " %tmm7, %tmm6, %tmm2\n\t" instruction " %tmm7, %tmm6, %tmm3\n\t" instruction \
                                     " %tmm7, %tmm6, %tmm4\n\t" instruction " %tmm7, %tmm6, %tmm5");               \
    tiles_release()

static void rounds_u8(void)
{
    ROUNDS_OF("tdpbusd");
}

static void rounds_bf16(void)
{
    ROUNDS_OF("tdpbf16ps");
}

double peak_u8_amx(double seconds)
{
    return peak_fastest(rounds_u8, (double)ROUNDS * CHAINS * SUMS * 64, seconds);
}

double peak_bf16_amx(double seconds)
{
    return peak_fastest(rounds_bf16, (double)ROUNDS * CHAINS * SUMS * 32, seconds);
}
