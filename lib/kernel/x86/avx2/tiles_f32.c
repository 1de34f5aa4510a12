/* Implicit GEMM: a pixel's window is taps_h runs of taps_w*c floats in an NHWC image, whatever the stride, so that
 * a register tile needs one pointer a pixel and one running index. Images that need padding are copied, a band of
 * rows at a time, into scratch small enough to stay in the first-level cache. */
#include "kernel/x86/avx2/tiles_f32.h"
#include "kernel/contract/shape.h"
#include <immintrin.h>
#include <string.h>

enum { BAND_BYTES = 12 * 1024 };

/* One tile's work. Accumulators are variables of their own, not arrays: compilers keep arrays in memory. */
struct tile {
    const float *const *x; /* a pointer for each pixel, to its window's first value */
    const size_t *y, *r;   /* offsets of each pixel's outputs in out and residual */
    const float *w;        /* [runs][length][16] */
    int runs;
    size_t length, stride; /* floats in a run; from one run to the next */
    const float *bias;     /* [16] */
    const float *residual;
    float *out;
    __m256i low, high; /* which of the 16 outputs exist */
    int whole, relu;
};

static inline __attribute__((always_inline)) void tile_store(const struct tile *t, int i, __m256 a, __m256 b)
{
    float *out = t->out + t->y[i];
    if (t->residual) {
        const float *residual = t->residual + t->r[i];
        a = _mm256_add_ps(a, t->whole ? _mm256_loadu_ps(residual) : _mm256_maskload_ps(residual, t->low));
        b = _mm256_add_ps(b, t->whole ? _mm256_loadu_ps(residual + 8) : _mm256_maskload_ps(residual + 8, t->high));
    }
    if (t->relu) {
        a = _mm256_max_ps(_mm256_setzero_ps(), a);
        b = _mm256_max_ps(_mm256_setzero_ps(), b);
    }
    if (t->whole) {
        _mm256_storeu_ps(out, a);
        _mm256_storeu_ps(out + 8, b);
    } else {
        _mm256_maskstore_ps(out, t->low, a);
        _mm256_maskstore_ps(out + 8, t->high, b);
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
#define TILE_CLOSE(i) tile_store(t, i, a##i, b##i);

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
           2 * round_up_64(pixels * sizeof(size_t));
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
        const float *x = t->x + (size_t)row * t->x_row + (size_t)from * t->x_pixel;
        if (t->x_pixel == (size_t)c)
            memcpy(to + zeros, x, values * sizeof *to);
        else
            for (int i = 0; i < inside; i++)
                memcpy(to + zeros + (size_t)i * (size_t)c, x + (size_t)i * t->x_pixel, (size_t)c * sizeof *to);
        memset(to + zeros + values, 0, (line - zeros - values) * sizeof *to);
    }
}

static int needs_copy(const struct tiles_f32 *t, int row_begin, int row_end)
{
    int top = t->top + row_begin * t->stride, bottom = top + seen(row_end - row_begin, t->stride, t->taps_h);
    int right = t->left + seen(t->cols, t->stride, t->taps_w);
    return t->x_pixel != (size_t)t->c || t->left < -t->border || right > t->w + t->border || top < -t->border ||
           bottom > t->h + t->border;
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
        tile.r += count;
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

/* Where the pixels of a band of rows lie. */
struct band {
    const float **x;
    size_t *y, *r;
    size_t pixels;
};

static void band_fill(struct band *b, const struct tiles_f32 *t, int begin, int end, const float *origin,
                      size_t line)
{
    b->pixels = 0;
    for (int row = begin; row < end; row++)
        for (int col = 0; col < t->cols; col++, b->pixels++) {
            b->x[b->pixels] =
                origin + (size_t)((row - begin) * t->stride) * line + (size_t)(col * t->stride) * (size_t)t->c;
            b->y[b->pixels] = (size_t)row * t->y_row + (size_t)col * t->y_col;
            b->r[b->pixels] = (size_t)row * t->residual_row + (size_t)col * t->residual_col;
        }
}

void tiles_f32_run(const struct tiles_f32 *t, int row_begin, int row_end, void *scratch)
{
    int rows = band_rows(t, row_end - row_begin);
    float *copy = scratch;
    size_t pixels = (size_t)rows * (size_t)t->cols;
    struct band band;
    band.x = (const float **)(void *)((char *)scratch + round_up_64(band_floats(t, rows) * sizeof(float)));
    band.y = (size_t *)(void *)((char *)band.x + round_up_64(pixels * sizeof *band.x));
    band.r = (size_t *)(void *)((char *)band.y + round_up_64(pixels * sizeof *band.y));
    for (int begin = row_begin; begin < row_end; begin += rows) {
        int end = begin + rows < row_end ? begin + rows : row_end;
        size_t line = t->x_row;
        const float *origin = copy;
        if (needs_copy(t, begin, end)) {
            band_copy(t, begin, end, copy);
            line = (size_t)seen(t->cols, t->stride, t->taps_w) * (size_t)t->c;
        } else {
            origin = t->x + (ptrdiff_t)(t->top + begin * t->stride) * (ptrdiff_t)line + (ptrdiff_t)t->left * t->c;
        }
        band_fill(&band, t, begin, end, origin, line);
        struct tile tile = {.x = band.x,
                            .y = band.y,
                            .r = band.r,
                            .runs = t->taps_h,
                            .length = (size_t)t->taps_w * (size_t)t->c,
                            .stride = line,
                            .relu = t->relu};
        blocks_run(t, tile, band.pixels);
    }
}
