/* The machine's own peak, as in avx2/peak.c: vdpbf16ps multiplies and adds 32 pairs. */
#include "kernel/x86/avx512/peak.h"
#include "kernel/list.h"

static void rounds_bf16(void)
{
    PEAK_ROUNDS("vdpbf16ps", _mm512_set1_epi8(0x3f));
}

double peak_bf16_avx512bf16(double seconds)
{
    return peak_fastest(rounds_bf16, (double)ROUNDS * CHAINS * 32, seconds);
}
