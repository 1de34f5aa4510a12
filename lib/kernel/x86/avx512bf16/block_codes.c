/* What quantization-aware training passes between its codes, which lie image by image, and blocks. */
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/avx512bf16/block_shape.h"
#include "kernel/x86/avx512bf16/block_vectors.h"
#include <string.h>

static __mmask32 real_channels(int c, int cell)
{
    int left = c - cell * BLOCK_CHANNELS;
    return left >= BLOCK_CHANNELS ? 0xffffffff : (1u << left) - 1;
}

void block_dequantize(const uint8_t *q, size_t q_image, int images, int pixels, int c, float scale,
                      uint8_t zero_point, int planes, bf16 *y)
{
    int cells = cells_of(c);
    __m256i zero = _mm256_set1_epi8((char)zero_point);
    __m512i offset = _mm512_set1_epi32(zero_point);
    __m512 by = _mm512_set1_ps(scale);
    for (int p = 0; p < pixels; p++)
        for (int cell = 0; cell < cells; cell++, y += (size_t)planes * CELL) {
            const uint8_t *from = q + (size_t)p * (size_t)c + (size_t)cell * BLOCK_CHANNELS;
            __mmask32 real = real_channels(c, cell);
            for (int n = 0; n < images; n++, from += q_image) {
                __m256i v = _mm256_mask_loadu_epi8(zero, real, from);
                __m512i low = _mm512_sub_epi32(_mm512_cvtepu8_epi32(_mm256_castsi256_si128(v)), offset);
                __m512i high = _mm512_sub_epi32(_mm512_cvtepu8_epi32(_mm256_extracti128_si256(v, 1)), offset);
                pair_store((struct pair){_mm512_mul_ps(by, _mm512_cvtepi32_ps(low)),
                                         _mm512_mul_ps(by, _mm512_cvtepi32_ps(high))},
                           y + n * BLOCK_CHANNELS, planes);
            }
            for (int n = images; n < BLOCK_IMAGES; n++)
                pair_store_zero(y + n * BLOCK_CHANNELS, planes);
        }
}

static uint32_t bits_within(const float *v, __mmask16 real, __m512 low, __m512 high)
{
    __m512 x = _mm512_maskz_loadu_ps(real, v);
    return (uint32_t)(_mm512_mask_cmp_ps_mask(real, x, low, _CMP_GE_OQ) & _mm512_cmp_ps_mask(x, high, _CMP_LE_OQ));
}

void block_within(const float *v, size_t v_image, int images, int pixels, int c, float low, float high,
                  uint32_t *bits)
{
    int cells = cells_of(c);
    __m512 least = _mm512_set1_ps(low), most = _mm512_set1_ps(high);
    memset(bits, 0, (size_t)(pixels * cells) * BLOCK_IMAGES * sizeof *bits);
    for (int p = 0; p < pixels; p++)
        for (int cell = 0; cell < cells; cell++, bits += BLOCK_IMAGES) {
            const float *from = v + (size_t)p * (size_t)c + (size_t)cell * BLOCK_CHANNELS;
            __mmask32 real = real_channels(c, cell);
            for (int n = 0; n < images; n++, from += v_image)
                bits[n] = bits_within(from, (__mmask16)real, least, most) |
                          bits_within(from + 16, (__mmask16)(real >> 16), least, most) << 16;
        }
}
