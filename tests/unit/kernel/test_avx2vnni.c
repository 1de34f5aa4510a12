/* The integer convolution of AVX-VNNI on processors without it: the set's own file, its one instruction computed by
 * AVX2, through all that test_conv_u8.c asks of a set. */
#include "tests/unit/kernel/arrange.h"

#ifdef __x86_64__
#include <immintrin.h>

/* vpdpbusd: four products u8 * s8 a lane, exact, added modulo 2^32. */
static inline __m256i vpdpbusd(__m256i sum, __m256i x, __m256i w)
{
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(255)),
                                     _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
    return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

#define _mm256_dpbusd_avx_epi32 vpdpbusd
#include "lib/kernel/x86/avx2vnni/conv_u8.c"

/* AVX2's table with that kernel, or NULL where not even AVX2 is. */
static const struct kernel_table *stand_in(void)
{
    static struct kernel_table table;
    const struct kernel_table *avx2 = NULL;
    struct message m;
    if (kernel_table_get(&avx2, "avx2", &m) < 0)
        return NULL;
    table = *avx2;
    table.isa = "avx2vnni, emulated";
    table.parent = avx2;
    table.conv_u8 = conv_u8_avx2vnni_direct;
    table.conv_u8.algorithm = "direct";
    table.conv_u8_winograd = (struct conv_u8_kernel){0};
    return &table;
}

#undef FOR_EACH_TABLE
#define FOR_EACH_TABLE(table) for (const struct kernel_table *table = stand_in(); table; table = NULL)
#endif

#include "tests/unit/kernel/test_conv_u8.c"
