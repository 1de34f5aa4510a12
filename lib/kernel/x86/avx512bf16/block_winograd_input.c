/* Winograd's input side: magnitudes, scales, transform. */
#include "kernel/x86/avx512bf16/block_winograd.h"
#include <math.h>

/* ---- magnitudes ---- */

/* Eight images' largest channels: lanes of 128 bits hold those of a quarter of the channels each. */
ALWAYS_INLINE __m512i largest_of_8(const bf16 *row, int cells)
{
    const __m512i magnitude = _mm512_set1_epi16(0x7fff);
    __m512i v[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_and_si512(_mm512_load_si512(row + i * BLOCK_CHANNELS), magnitude);
        for (int c = 1; c < cells; c++)
            v[i] = _mm512_max_epu16(
                v[i], _mm512_and_si512(_mm512_load_si512(row + c * CELL + i * BLOCK_CHANNELS), magnitude));
    }
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2)
        v[i] = _mm512_max_epu16(_mm512_unpacklo_epi16(v[i], v[i + 1]), _mm512_unpackhi_epi16(v[i], v[i + 1]));
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4)
        v[i] = _mm512_max_epu16(_mm512_unpacklo_epi32(v[i], v[i + 2]), _mm512_unpackhi_epi32(v[i], v[i + 2]));
    return _mm512_max_epu16(_mm512_unpacklo_epi64(v[0], v[4]), _mm512_unpackhi_epi64(v[0], v[4]));
}

ALWAYS_INLINE __m512i lanes_max(__m512i a, __m512i b) /* of neighbours: a's two, b's two */
{
    return _mm512_max_epu16(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xdd));
}

void winograd_maxima(const bf16 *x, int cells, int w, int begin, int end, uint16_t *largest)
{
    size_t pixel = (size_t)cells * CELL;
    x += (size_t)begin * (size_t)w * pixel;
    for (int i = 0; i < (end - begin) * w; i++, x += pixel, largest += BLOCK_IMAGES) {
        __m512i v[4];
#pragma GCC unroll 4
        for (int k = 0; k < 4; k++)
            v[k] = largest_of_8(x + k * 8 * BLOCK_CHANNELS, cells);
        _mm512_store_si512(largest, lanes_max(lanes_max(v[0], v[1]), lanes_max(v[2], v[3])));
    }
}

/* ---- scales ---- */

static int clamp(int v, int low, int high)
{
    return v < low ? low : v > high ? high : v;
}

uint32_t winograd_largest(const uint16_t *largest, int h, int w, int row, int col, int side,
                          float most[BLOCK_IMAGES])
{
    enum { TOO_LARGE = 247 << 7 /* 2^120 */ };
    int top = clamp(row, 0, h), bottom = clamp(row + side, 0, h);
    int left = clamp(col, 0, w), right = clamp(col + side, 0, w);
    __m512i bits = _mm512_setzero_si512();
    for (int i = top; i < bottom; i++)
        for (int j = left; j < right; j++)
            bits = _mm512_max_epu16(bits, _mm512_load_si512(largest + (i * w + j) * BLOCK_IMAGES));
    struct pair values = pair_of(bits);
    _mm512_storeu_ps(most, values.low);
    _mm512_storeu_ps(most + 16, values.high);
    return _mm512_cmpge_epu16_mask(bits, _mm512_set1_epi16(TOO_LARGE));
}

void winograd_place_scale(struct winograd_place *t, const uint16_t *largest, int h, int w, int most)
{
    static const float row[CLASSES] = {1 / ROW_0, 1 / ROW_A, 1 / ROW_B};
    float values[BLOCK_IMAGES];
    uint32_t bad = winograd_largest(largest, h, w, t->row, t->col, SIDE, values);
    for (int n = 0; n < BLOCK_IMAGES; n += 16) {
        __mmask16 no = (__mmask16)(bad >> n);
        __m512 m = _mm512_max_ps(_mm512_loadu_ps(values + n), _mm512_set1_ps(0x1p-100f));
        __m512 scale = _mm512_maskz_div_ps((__mmask16)~no, _mm512_set1_ps((float)(most - 1)), m);
        __m512 descale = _mm512_mul_ps(m, _mm512_set1_ps(1.0f / (float)(most - 1)));
        for (int i = 0; i < CLASSES; i++)
            for (int j = 0; j < CLASSES; j++)
                _mm512_storeu_ps(t->scale[i][j] + n, _mm512_mul_ps(scale, _mm512_set1_ps(row[i] * row[j])));
        _mm512_storeu_ps(t->descale + n, _mm512_mask_mov_ps(descale, no, _mm512_set1_ps(NAN)));
    }
}

/* ---- transform ---- */

/* 32 channels of one image: even ones and odd ones are vectors of their own. */
ALWAYS_INLINE void image_transform(const bf16 *const pixel[POINTS], const float *scale, int16_t *v, size_t plane)
{
    static const uint8_t class_of[SIDE] = {0, 1, 1, 2, 2, 0};
    __m512 even[SIDE][SIDE], odd[SIDE][SIDE];
#pragma GCC unroll 6
    for (int j = 0; j < SIDE; j++) {
        __m512 d[SIDE], e[SIDE], o[SIDE];
#pragma GCC unroll 6
        for (int i = 0; i < SIDE; i++) {
            __m512i both = _mm512_load_si512(pixel[i * SIDE + j]);
            d[i] = even_of(both);
            e[i] = odd_of(both);
        }
        input_transform(d, o);
#pragma GCC unroll 6
        for (int i = 0; i < SIDE; i++)
            even[i][j] = o[i];
        input_transform(e, o);
#pragma GCC unroll 6
        for (int i = 0; i < SIDE; i++)
            odd[i][j] = o[i];
    }
#pragma GCC unroll 6
    for (int i = 0; i < SIDE; i++) {
        __m512 e[SIDE], o[SIDE];
        input_transform(even[i], e);
        input_transform(odd[i], o);
#pragma GCC unroll 6
        for (int j = 0; j < SIDE; j++) {
            __m512 by = _mm512_set1_ps(scale[(class_of[i] * CLASSES + class_of[j]) * BLOCK_IMAGES]);
            _mm512_store_si512(v + (size_t)(i * SIDE + j) * plane, pack_rounded(e[j], o[j], by, by));
        }
    }
}

void winograd_input(const struct winograd_place *t, const bf16 *x, int h, int w, int cells, int16_t *v,
                    size_t plane)
{
    static const _Alignas(64) bf16 zeros[CELL];
    for (int c = 0; c < cells; c++) {
        const bf16 *pixel[POINTS];
        for (int i = 0; i < POINTS; i++) {
            int row = t->row + i / SIDE, col = t->col + i % SIDE;
            int inside = row >= 0 && row < h && col >= 0 && col < w;
            pixel[i] = inside ? x + ((size_t)(row * w + col) * (size_t)cells + (size_t)c) * CELL : zeros;
        }
        for (int n = 0; n < BLOCK_IMAGES; n++) {
            image_transform(pixel, &t->scale[0][0][n], v + (size_t)c * CELL + n * BLOCK_CHANNELS, plane);
            for (int i = 0; i < POINTS; i++)
                pixel[i] += BLOCK_CHANNELS;
        }
    }
}
