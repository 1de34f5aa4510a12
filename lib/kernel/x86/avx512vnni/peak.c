/* The machine's own peak, as in avx2/peak.c: vpdpbusd multiplies and adds 64 pairs of bytes. */
#include "kernel/x86/avx512/peak.h"
#include "kernel/list.h"

static void rounds_u8(void)
{
    PEAK_ROUNDS("vpdpbusd", _mm512_set1_epi8(3));
}

double peak_u8_avx512vnni(double seconds)
{
    return peak_fastest(rounds_u8, (double)ROUNDS * CHAINS * 64, seconds);
}
