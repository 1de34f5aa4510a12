/* Implicit GEMM: a pixel's window is taps_h runs of taps_w*c floats in an NHWC image, whatever the stride, so that
 * a register tile needs one pointer a pixel and one running index. Images that need padding are copied, a band of
 * rows at a time, into scratch small enough to stay in the first-level cache. */
#include "kernel/avx2/tiles_f32.h"
#include "kernel/shape.h"
#include <immintrin.h>
#include <string.h>

enum { BAND_BYTES = 12 * 1024 };

/* One tile's work. Accumulators are variables of their own, not arrays: compilers keep arrays in memory. */
struct tile {
    const float *const *x; /* a pointer for each pixel, to its window's first value */
    const size_t *y;       /* offsets of each pixel's outputs */
    const float *w;        /* [runs][length][16] */
    int runs;
    size_t length, stride; /* floats in a run; from one run to the next */
    const float *bias;     /* [16] */
    const float *residual;
    float *out;
    __m256i low, high; /* which of the 16 outputs exist */
    int whole, relu;
};

static inline __attribute__((always_inline)) void tile_store(const struct tile *t, size_t at, __m256 a, __m256 b)
{
    if (t->residual && t->whole) {
        a = _mm256_add_ps(a, _mm256_loadu_ps(t->residual + at));
        b = _mm256_add_ps(b, _mm256_loadu_ps(t->residual + at + 8));
    } else if (t->residual) {
        a = _mm256_add_ps(a, _mm256_maskload_ps(t->residual + at, t->low));
        b = _mm256_add_ps(b, _mm256_maskload_ps(t->residual + at + 8, t->high));
    }
    if (t->relu) {
        a = _mm256_max_ps(_mm256_setzero_ps(), a);
        b = _mm256_max_ps(_mm256_setzero_ps(), b);
    }
    if (t->whole) {
        _mm256_storeu_ps(t->out + at, a);
        _mm256_storeu_ps(t->out + at + 8, b);
    } else {
        _mm256_maskstore_ps(t->out + at, t->low, a);
        _mm256_maskstore_ps(t->out + at + 8, t->high, b);
    }
}

#define PIXELS_1(f) f(0)
#define PIXELS_2(f) PIXELS_1(f) f(1)
#define PIXELS_3(f) PIXELS_2(f) f(2)
#define PIXELS_4(f) PIXELS_3(f) f(3)
#define PIXELS_5(f) PIXELS_4(f) f(4)
#define PIXELS_6(f) PIXELS_5(f) f(5)

#define TILE_OPEN(i)             \
    const float *x##i = t->x[i]; \
    __m256 a##i = bias_a, b##i = bias_b;
#define TILE_STEP(i)                              \
    {                                             \
        __m256 v = _mm256_broadcast_ss(x##i + j); \
        a##i = _mm256_fmadd_ps(v, wa, a##i);      \
        b##i = _mm256_fmadd_ps(v, wb, b##i);      \
    }
#define TILE_CLOSE(i) tile_store(t, t->y[i], a##i, b##i);

#define TILE(pixels)                                                                     \
    static void tile_##pixels(const struct tile *t)                                      \
    {                                                                                    \
        __m256 bias_a = _mm256_loadu_ps(t->bias), bias_b = _mm256_loadu_ps(t->bias + 8); \
        const float *w = t->w;                                                           \
        PIXELS_##pixels(TILE_OPEN) size_t begin = 0;                                     \
        for (int run = 0; run < t->runs; run++, begin += t->stride)                      \
            for (size_t j = begin; j < begin + t->length; j++, w += TILE_OUTPUTS) {      \
                __m256 wa = _mm256_load_ps(w), wb = _mm256_load_ps(w + 8);               \
                PIXELS_##pixels(TILE_STEP)                                               \
            }                                                                            \
        PIXELS_##pixels(TILE_CLOSE)                                                      \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

typedef void tile_function(const struct tile *t);
static tile_function *const tile_functions[TILE_PIXELS + 1] = {NULL,   tile_1, tile_2, tile_3,
                                                               tile_4, tile_5, tile_6};

size_t tiles_f32_packed_floats(int taps, int c, int out)
{
    size_t blocks = ((size_t)out + TILE_OUTPUTS - 1) / TILE_OUTPUTS;
    return blocks * (size_t)taps * (size_t)c * TILE_OUTPUTS;
}

/* Width and height of the part of x, padding included, that `rows` rows of outputs see. */
static int seen(int outputs, int stride, int taps)
{
    return (outputs - 1) * stride + taps;
}

static int band_rows(const struct tiles_f32 *t, int rows)
{
    size_t line = (size_t)seen(t->cols, t->stride, t->taps_w) * (size_t)t->c * sizeof(float);
    size_t lines = BAND_BYTES / line;
    int fit = lines > (size_t)t->taps_h ? (int)(lines - (size_t)t->taps_h) / t->stride + 1 : 1;
    if (fit > 3)
        fit -= fit % 3; /* a multiple of six pixels for the usual widths */
    return fit < rows ? fit : rows;
}

static size_t band_floats(const struct tiles_f32 *t, int rows)
{
    return (size_t)seen(rows, t->stride, t->taps_h) * (size_t)seen(t->cols, t->stride, t->taps_w) * (size_t)t->c;
}

size_t tiles_f32_scratch_bytes(const struct tiles_f32 *t, int rows)
{
    int band = band_rows(t, rows);
    size_t pixels = (size_t)band * (size_t)t->cols;
    return round_up_64(band_floats(t, band) * sizeof(float)) + round_up_64(pixels * sizeof(float *)) +
           round_up_64(pixels * sizeof(size_t));
}

/* Copies what the output rows [row_begin, row_end) see, zeros around. */
static void band_copy(const struct tiles_f32 *t, int row_begin, int row_end, float *to)
{
    int width = seen(t->cols, t->stride, t->taps_w), height = seen(row_end - row_begin, t->stride, t->taps_h);
    int first = t->top + row_begin * t->stride, c = t->c;
    int left = t->left < 0 ? -t->left : 0; /* columns of zeros, at most `width` */
    left = left < width ? left : width;
    int from = t->left > 0 ? t->left : 0;
    int inside = t->w - from < width - left ? t->w - from : width - left; /* columns of x */
    inside = inside > 0 ? inside : 0;
    size_t line = (size_t)width * (size_t)c;
    for (int row = first; row < first + height; row++, to += line) {
        if (row < 0 || row >= t->h) {
            memset(to, 0, line * sizeof *to);
            continue;
        }
        size_t zeros = (size_t)left * (size_t)c, values = (size_t)inside * (size_t)c;
        memset(to, 0, zeros * sizeof *to);
        memcpy(to + zeros, t->x + ((size_t)row * (size_t)t->w + (size_t)from) * (size_t)c, values * sizeof *to);
        memset(to + zeros + values, 0, (line - zeros - values) * sizeof *to);
    }
}

static int needs_copy(const struct tiles_f32 *t, int row_begin, int row_end)
{
    return t->left < 0 || t->left + seen(t->cols, t->stride, t->taps_w) > t->w ||
           t->top + row_begin * t->stride < 0 ||
           t->top + row_begin * t->stride + seen(row_end - row_begin, t->stride, t->taps_h) > t->h;
}

/* All tiles of one block of 16 outputs; tile.x and tile.y begin at the band's first pixel. Sizes differ by one at
 * most: six pixels and one would take the time of twelve. */
static void block_run(struct tile tile, size_t pixels)
{
    size_t tiles = (pixels + TILE_PIXELS - 1) / TILE_PIXELS;
    for (size_t i = 0; i < tiles; i++) {
        size_t count = pixels / tiles + (i < pixels % tiles);
        tile_functions[count](&tile);
        tile.x += count;
        tile.y += count;
    }
}

static void blocks_run(const struct tiles_f32 *t, struct tile tile, size_t pixels)
{
    size_t block_floats = (size_t)tile.runs * tile.length * TILE_OUTPUTS;
    for (int k = 0; k < t->out; k += TILE_OUTPUTS) {
        int width = t->out - k < TILE_OUTPUTS ? t->out - k : TILE_OUTPUTS;
        float bias[TILE_OUTPUTS] = {0};
        if (t->bias)
            memcpy(bias, t->bias + k, (size_t)width * sizeof *bias);
        __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        tile.low = _mm256_cmpgt_epi32(_mm256_set1_epi32(width), lanes);
        tile.high = _mm256_cmpgt_epi32(_mm256_set1_epi32(width - 8), lanes);
        tile.whole = width == TILE_OUTPUTS;
        tile.bias = bias;
        tile.w = t->packed + (size_t)(k / TILE_OUTPUTS) * block_floats;
        tile.out = t->y + k;
        tile.residual = t->residual ? t->residual + k : NULL;
        block_run(tile, pixels);
    }
}

void tiles_f32_run(const struct tiles_f32 *t, int row_begin, int row_end, void *scratch)
{
    int rows = band_rows(t, row_end - row_begin);
    float *copy = scratch;
    const float **x = (const float **)(void *)((char *)scratch + round_up_64(band_floats(t, rows) * sizeof(float)));
    size_t *y = (size_t *)(void *)((char *)x + round_up_64((size_t)rows * (size_t)t->cols * sizeof *x));
    for (int begin = row_begin; begin < row_end; begin += rows) {
        int end = begin + rows < row_end ? begin + rows : row_end;
        size_t line = (size_t)t->w * (size_t)t->c;
        const float *origin = t->x;
        if (needs_copy(t, begin, end)) {
            band_copy(t, begin, end, copy);
            origin = copy;
            line = (size_t)seen(t->cols, t->stride, t->taps_w) * (size_t)t->c;
        } else {
            origin += (size_t)(t->top + begin * t->stride) * line + (size_t)t->left * (size_t)t->c;
        }
        size_t pixels = 0;
        for (int row = begin; row < end; row++)
            for (int col = 0; col < t->cols; col++, pixels++) {
                x[pixels] =
                    origin + (size_t)((row - begin) * t->stride) * line + (size_t)(col * t->stride) * (size_t)t->c;
                y[pixels] = (size_t)row * t->y_row + (size_t)col * t->y_col;
            }
        struct tile tile = {.x = x,
                            .y = y,
                            .runs = t->taps_h,
                            .length = (size_t)t->taps_w * (size_t)t->c,
                            .stride = line,
                            .relu = t->relu};
        blocks_run(t, tile, pixels);
    }
}
