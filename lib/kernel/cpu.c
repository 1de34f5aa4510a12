#include "kernel/cpu.h"

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* XCR0: the register states that the operating system saves on a switch. */
static unsigned saved_states(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has_bits(unsigned word, unsigned bits)
{
    return (word & bits) == bits;
}

/* Leaf 7, subleaf 1, where there is one: the bits of its eax. The processor has leaf 7. */
static int has_later_features(unsigned bits)
{
    unsigned a, b, c, d;
    __cpuid_count(7, 0, a, b, c, d);
    if (a < 1) /* subleaves */
        return 0;
    __cpuid_count(7, 1, a, b, c, d);
    return has_bits(a, bits);
}

int cpu_has_avx2(void)
{
    enum { SSE_AND_AVX = 2 | 4 };
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !has_bits(c, bit_OSXSAVE | bit_AVX | bit_FMA))
        return 0;
    if (!has_bits(saved_states(), SSE_AND_AVX))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_AVX2);
}

int cpu_has_avx2vnni(void)
{
    enum { AVX_VNNI = 1 << 4 };
    return cpu_has_avx2() && has_later_features(AVX_VNNI);
}

int cpu_has_avx512(void)
{
    enum { MASKS_AND_ZMM = 7 << 5 };
    unsigned a, b, c, d;
    if (!cpu_has_avx2() || !has_bits(saved_states(), MASKS_AND_ZMM))
        return 0;
    __cpuid_count(7, 0, a, b, c, d);
    return has_bits(b, bit_AVX512F | bit_AVX512DQ | bit_AVX512CD | bit_AVX512BW | bit_AVX512VL);
}

int cpu_has_avx512vnni(void)
{
    unsigned a, b, c, d;
    if (!cpu_has_avx512())
        return 0;
    __cpuid_count(7, 0, a, b, c, d);
    return (c & bit_AVX512VNNI) != 0;
}

int cpu_has_avx512bf16(void)
{
    enum { AVX512_BF16 = 1 << 5 };
    return cpu_has_avx512vnni() && has_later_features(AVX512_BF16);
}

/* Linux hands out the tiles' large state only to a process that asked for it. */
static int tiles_permitted(void)
{
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

int cpu_has_amx(void)
{
    enum { TILES = 3 << 17, AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };
    unsigned a, b, c, d;
    if (!cpu_has_avx512bf16() || !has_bits(saved_states(), TILES))
        return 0;
    __cpuid_count(7, 0, a, b, c, d);
    return has_bits(d, AMX_BF16 | AMX_TILE | AMX_INT8) && tiles_permitted();
}

#else

int cpu_has_avx2(void)
{
    return 0;
}

int cpu_has_avx2vnni(void)
{
    return 0;
}

int cpu_has_avx512(void)
{
    return 0;
}

int cpu_has_avx512vnni(void)
{
    return 0;
}

int cpu_has_avx512bf16(void)
{
    return 0;
}

int cpu_has_amx(void)
{
    return 0;
}

#endif

#ifdef __aarch64__
#include <sys/auxv.h>

/* Linux names what it supports: bits of AT_HWCAP and AT_HWCAP2 (asm/hwcap.h). */
static int has_hwcap(unsigned long type, unsigned long bit)
{
    return (getauxval(type) & bit) != 0;
}

int cpu_has_neon(void)
{
    enum { ASIMD = 1 << 1 };
    return has_hwcap(AT_HWCAP, ASIMD);
}

int cpu_has_neondot(void)
{
    enum { ASIMDDP = 1 << 20 };
    return cpu_has_neon() && has_hwcap(AT_HWCAP, ASIMDDP);
}

int cpu_has_neoni8mm(void)
{
    enum { I8MM = 1 << 13 };
    return cpu_has_neondot() && has_hwcap(AT_HWCAP2, I8MM);
}

#else

int cpu_has_neon(void)
{
    return 0;
}

int cpu_has_neondot(void)
{
    return 0;
}

int cpu_has_neoni8mm(void)
{
    return 0;
}

#endif
