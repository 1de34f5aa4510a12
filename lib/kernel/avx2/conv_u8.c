/* Integer convolution, direct: implicit GEMM as in tiles_f32.c, in 16-bit products. Bands of rows are copied as x -
 * zero point in 16 bits, so that padding is zero and no correction is needed; vpmaddwd multiplies two neighbouring
 * inputs by two weights and adds them exactly in 32 bits (vpmaddubsw would saturate). */
#include "kernel/list.h"
#include "kernel/requantize.h"
#include "kernel/shape.h"
#include <immintrin.h>
#include <string.h>

enum { PIXELS = 6, OUTPUTS = 16, BAND_BYTES = 12 * 1024 };

/* A window's row is R*C inputs side by side, taken in pairs; an odd one is paired with a weight of zero. */
static size_t run_pairs(const struct conv_shape *s)
{
    return ((size_t)s->kernel * (size_t)s->c + 1) / 2;
}

static size_t block_values(const struct conv_shape *s) /* 16-bit weights of 16 outputs */
{
    return (size_t)s->kernel * run_pairs(s) * 2 * OUTPUTS;
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + OUTPUTS - 1) / OUTPUTS) * block_values(s) * sizeof(int16_t);
}

/* [ceil(K/16)][R][pairs][16][2] */
static void pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, void *packed)
{
    (void)zero_point_x;
    int16_t *to = packed;
    memset(packed, 0, packed_bytes(s));
    for (int k = 0; k < s->out; k++) {
        int16_t *block = to + (size_t)(k / OUTPUTS) * block_values(s) + (size_t)(k % OUTPUTS) * 2;
        for (int c = 0; c < s->c; c++)
            for (int r = 0; r < s->kernel; r++)
                for (int t = 0; t < s->kernel; t++) {
                    size_t i = (size_t)t * (size_t)s->c + (size_t)c;
                    block[((size_t)r * run_pairs(s) + i / 2) * 2 * OUTPUTS + i % 2] = *weight++;
                }
    }
}

static int seen(int outputs,
                const struct conv_shape *s) /* inputs that a row or column of outputs sees, padding included */
{
    return (outputs - 1) * s->stride + s->kernel;
}

static int band_rows(const struct conv_shape *s)
{
    size_t line = (size_t)seen(s->out_w, s) * (size_t)s->c * sizeof(int16_t), lines = BAND_BYTES / line;
    int fit = lines > (size_t)s->kernel ? (int)(lines - (size_t)s->kernel) / s->stride + 1 : 1;
    if (fit > 3)
        fit -= fit % 3; /* a multiple of six pixels for the usual widths */
    return fit < s->out_h ? fit : s->out_h;
}

/* One value more than the band: an odd window's last pair reads it, to multiply it by zero. */
static size_t band_bytes(const struct conv_shape *s)
{
    return round_up_64(((size_t)seen(band_rows(s), s) * (size_t)seen(s->out_w, s) * (size_t)s->c + 1) *
                       sizeof(int16_t));
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return band_bytes(s) + round_up_64((size_t)band_rows(s) * (size_t)s->out_w * sizeof(int16_t *));
}

static void widen(const uint8_t *x, size_t count, uint8_t zero_point, int16_t *to)
{
    __m256i zero = _mm256_set1_epi16(zero_point);
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        __m256i v = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(x + i)));
        _mm256_storeu_si256((__m256i *)(void *)(to + i), _mm256_sub_epi16(v, zero));
    }
    for (; i < count; i++)
        to[i] = (int16_t)(x[i] - zero_point);
}

/* `pixels` pixels side by side. */
static void widen_pixels(const struct conv_shape *s, const struct conv_u8_call *call, const uint8_t *x,
                         size_t pixels, int16_t *to)
{
    size_t c = (size_t)s->c;
    if (call->x_at.pixel == c) {
        widen(x, pixels * c, call->requantize->zero_point_x, to);
        return;
    }
    for (size_t i = 0; i < pixels; i++)
        widen(x + i * call->x_at.pixel, c, call->requantize->zero_point_x, to + i * c);
}

/* What the output rows [row_begin, row_end) see, as x - zero point, zeros around. */
static void band_copy(const struct conv_shape *s, const struct conv_u8_call *call, int image, int row_begin,
                      int row_end, int16_t *to)
{
    int width = seen(s->out_w, s), first = row_begin * s->stride - s->pad,
        past = first + seen(row_end - row_begin, s);
    int left = s->pad < width ? s->pad : width, inside = s->w < width - left ? s->w : width - left;
    size_t line = (size_t)width * (size_t)s->c, zeros = (size_t)left * (size_t)s->c,
           values = (size_t)inside * (size_t)s->c;
    for (int row = first; row < past; row++, to += line) {
        if (row < 0 || row >= s->h) {
            memset(to, 0, line * sizeof *to);
            continue;
        }
        memset(to, 0, zeros * sizeof *to);
        widen_pixels(s, call, call->x + layout_at(&call->x_at, image, row, 0), (size_t)inside, to + zeros);
        memset(to + zeros + values, 0, (line - zeros - values) * sizeof *to);
    }
    *to = 0;
}

/* One tile's work. Accumulators are variables of their own, not arrays: compilers keep arrays in memory. */
struct tile {
    const int16_t *const *x; /* a pointer for each pixel, to its window's first value */
    const int16_t *w;        /* [runs][pairs][16][2] */
    int runs;
    size_t pairs, stride;  /* stride: values from one run to the next */
    int32_t bias[OUTPUTS]; /* zeros beyond K */
    int32_t *acc;          /* [PIXELS][16] */
};

static inline __m256i load_pair(const int16_t *x)
{
    int32_t pair;
    memcpy(&pair, x, sizeof pair);
    return _mm256_set1_epi32(pair);
}

#define PIXELS_1(f) f(0)
#define PIXELS_2(f) PIXELS_1(f) f(1)
#define PIXELS_3(f) PIXELS_2(f) f(2)
#define PIXELS_4(f) PIXELS_3(f) f(3)
#define PIXELS_5(f) PIXELS_4(f) f(4)
#define PIXELS_6(f) PIXELS_5(f) f(5)

#define TILE_OPEN(i)               \
    const int16_t *x##i = t->x[i]; \
    __m256i a##i = bias_a, b##i = bias_b;
#define TILE_STEP(i)                                             \
    {                                                            \
        __m256i v = load_pair(x##i + j);                         \
        a##i = _mm256_add_epi32(a##i, _mm256_madd_epi16(v, wa)); \
        b##i = _mm256_add_epi32(b##i, _mm256_madd_epi16(v, wb)); \
    }
#define TILE_CLOSE(i)                      \
    _mm256_store_si256(acc + 2 * i, a##i); \
    _mm256_store_si256(acc + 2 * i + 1, b##i);

#define TILE(pixels)                                                                       \
    static void tile_##pixels(const struct tile *t)                                        \
    {                                                                                      \
        __m256i bias_a = _mm256_loadu_si256((const __m256i *)(const void *)t->bias);       \
        __m256i bias_b = _mm256_loadu_si256((const __m256i *)(const void *)(t->bias + 8)); \
        const __m256i *w = (const __m256i *)(const void *)t->w;                            \
        __m256i *acc = (__m256i *)(void *)t->acc;                                          \
        PIXELS_##pixels(TILE_OPEN) size_t begin = 0;                                       \
        for (int run = 0; run < t->runs; run++, begin += t->stride)                        \
            for (size_t j = begin; j < begin + 2 * t->pairs; j += 2, w += 2) {             \
                __m256i wa = _mm256_load_si256(w), wb = _mm256_load_si256(w + 1);          \
                PIXELS_##pixels(TILE_STEP)                                                 \
            }                                                                              \
        PIXELS_##pixels(TILE_CLOSE)                                                        \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

typedef void tile_function(const struct tile *t);
static tile_function *const tile_functions[PIXELS + 1] = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

/* requantize_pixel for 8 outputs: the 32-bit codes, not yet clamped to [low, high]. */
static __m256i requantize_8(const struct requantize *rq, const struct requantize_pointers *at, __m256i acc, int k)
{
    __m256 v = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), _mm256_loadu_ps(rq->multiplier + k));
    if (at->logits)
        _mm256_storeu_ps(at->logits + k, v);
    if (at->residual) {
        __m256i r = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(at->residual + k)));
        r = _mm256_sub_epi32(r, _mm256_set1_epi32(rq->residual_zero_point));
        v = _mm256_add_ps(v, _mm256_mul_ps(_mm256_cvtepi32_ps(r), _mm256_set1_ps(rq->residual_multiplier)));
    }
    if (at->before)
        _mm256_storeu_ps(at->before + k, v);
    v = _mm256_max_ps(v, _mm256_set1_ps(-REQUANTIZE_LIMIT));
    v = _mm256_min_ps(v, _mm256_set1_ps(REQUANTIZE_LIMIT));
    return _mm256_add_epi32(_mm256_cvtps_epi32(v), _mm256_set1_epi32(rq->zero_point_y));
}

static void requantize_16(const struct requantize *rq, const struct requantize_pointers *at, const int32_t *acc,
                          int k)
{
    __m256i a = requantize_8(rq, at, _mm256_load_si256((const __m256i *)(const void *)acc), k);
    __m256i b = requantize_8(rq, at, _mm256_load_si256((const __m256i *)(const void *)(acc + 8)), k + 8);
    if (!at->y)
        return;
    /* Saturation to 16 and then 8 bits cannot change what the clamp gives. */
    __m256i both = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    __m128i q = _mm_packus_epi16(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    q = _mm_max_epu8(q, _mm_set1_epi8((char)rq->low));
    q = _mm_min_epu8(q, _mm_set1_epi8((char)rq->high));
    _mm_storeu_si128((__m128i *)(void *)(at->y + k), q);
}

/* Where a band of rows lies: its image, first row and number of pixels. */
struct band {
    int image, row;
    size_t pixels;
};

/* All tiles of 16 outputs from k on. Sizes of tiles differ by one at most. */
static void block_run(const struct conv_shape *s, const struct conv_u8_call *call, struct tile tile, int k,
                      const struct band *band)
{
    size_t tiles = (band->pixels + PIXELS - 1) / PIXELS;
    int width = s->out - k < OUTPUTS ? s->out - k : OUTPUTS, row = band->row, col = 0;
    memcpy(tile.bias, call->requantize->bias + k, (size_t)width * sizeof *tile.bias);
    for (size_t i = 0; i < tiles; i++) {
        size_t count = band->pixels / tiles + (i < band->pixels % tiles);
        tile_functions[count](&tile);
        tile.x += count;
        for (size_t p = 0; p < count; p++) {
            struct requantize_pointers at = requantize_at(call, band->image, row, col);
            if (width == OUTPUTS)
                requantize_16(call->requantize, &at, tile.acc + p * OUTPUTS, k);
            else
                requantize_pixel(call->requantize, &at, tile.acc + p * OUTPUTS, k, k + width);
            if (++col == s->out_w)
                col = 0, row++;
        }
    }
}

static void run_image(const struct conv_shape *s, const struct conv_u8_call *call, int image, void *scratch)
{
    _Alignas(32) int32_t acc[PIXELS * OUTPUTS];
    int16_t *copy = scratch;
    const int16_t **x = (const int16_t **)(void *)((char *)scratch + band_bytes(s));
    int rows = band_rows(s);
    size_t line = (size_t)seen(s->out_w, s) * (size_t)s->c;
    for (int begin = call->row_begin; begin < call->row_end; begin += rows) {
        int end = begin + rows < call->row_end ? begin + rows : call->row_end;
        struct band band = {image, begin, 0};
        band_copy(s, call, image, begin, end, copy);
        for (int row = begin; row < end; row++)
            for (int col = 0; col < s->out_w; col++)
                x[band.pixels++] =
                    copy + (size_t)((row - begin) * s->stride) * line + (size_t)(col * s->stride) * (size_t)s->c;
        struct tile tile = {
            .x = x, .w = call->packed, .runs = s->kernel, .pairs = run_pairs(s), .stride = line, .acc = acc};
        for (int k = 0; k < s->out; k += OUTPUTS, tile.w += block_values(s))
            block_run(s, call, tile, k, &band);
    }
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    for (int image = 0; image < call->images; image++)
        run_image(s, call, image, scratch);
}

const struct conv_u8_kernel conv_u8_avx2_direct = {
    .out_grain = OUTPUTS, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
