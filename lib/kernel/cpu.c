#include "kernel/cpu.h"

#ifdef __x86_64__
#include <cpuid.h>

/* XCR0: the register states that the operating system saves on a switch. */
static unsigned saved_states(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

int cpu_has_avx2(void)
{
    enum { SSE_AND_AVX = 2 | 4 };
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX) || !(c & bit_FMA))
        return 0;
    if ((saved_states() & SSE_AND_AVX) != SSE_AND_AVX)
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

#else

int cpu_has_avx2(void)
{
    return 0;
}

#endif
