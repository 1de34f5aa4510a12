/* The passes between convolutions: memory in, memory out, 32 channels of an image at a time. */
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/avx512bf16/block_shape.h"
#include "kernel/x86/avx512bf16/block_vectors.h"
#include <string.h>

/* ---- input ---- */

/* The 32 values of one image at one place, from channel `first` on; c*R*R windows or the c channels of a pixel. */
static void window_values(const struct block_conv *s, const uint8_t *image, const float *table, int row, int column,
                          int first, float *values)
{
    int side = s->window ? s->kernel : 1, inputs = conv_inputs(s);
    for (int i = 0; i < BLOCK_CHANNELS; i++) {
        int at = first + i, c = at / (side * side), r = at / side % side, t = at % side;
        int y = s->window ? row * s->stride - s->pad + r : row,
            x = s->window ? column * s->stride - s->pad + t : column;
        int real = at < inputs && y >= 0 && y < s->h && x >= 0 && x < s->w;
        values[i] =
            real ? table[c * 256 + image[((size_t)y * (size_t)s->w + (size_t)x) * (size_t)s->c + (size_t)c]] : 0;
    }
}

enum { MOST_LINE = 4096 /* floats of an image's rows that one row of windows sees */ };

/* The rows of one image that the windows of output row `row` see, as floats with their padding around:
 * [R][width][c]. */
static void line_read(const struct block_conv *s, const uint8_t *image, const float *table, int row, int width,
                      float *line)
{
    memset(line, 0, (size_t)(s->kernel * width * s->c) * sizeof *line);
    for (int r = 0; r < s->kernel; r++) {
        int y = row * s->stride - s->pad + r;
        if (y < 0 || y >= s->h)
            continue;
        const uint8_t *from = image + (size_t)y * (size_t)s->w * (size_t)s->c;
        float *to = line + (r * width + s->pad) * s->c;
        for (int x = 0; x < s->w; x++)
            for (int c = 0; c < s->c; c++)
                *to++ = table[c * 256 + *from++];
    }
}

/* One cell a pixel: two gathers of the window's values. */
static void input_windows(const struct block_conv *s, const uint8_t *image, const float *table, int row, int n,
                          bf16 *y)
{
    _Alignas(64) float line[MOST_LINE];
    _Alignas(64) int at[BLOCK_CHANNELS] = {0};
    int width = s->w + 2 * s->pad, inputs = conv_inputs(s), side = s->kernel;
    for (int i = 0; i < inputs; i++)
        at[i] = (i / side % side * width + i % side) * s->c + i / (side * side);
    line_read(s, image, table, row, width, line);
    __m512i low = _mm512_load_si512(at), high = _mm512_load_si512(at + 16);
    __mmask16 low_real = inputs >= 16 ? 0xffff : (__mmask16)((1 << inputs) - 1);
    __mmask16 high_real = inputs >= 32 ? 0xffff : inputs > 16 ? (__mmask16)((1 << (inputs - 16)) - 1) : 0;
    for (int column = 0; column < s->out_w; column++, y += (size_t)s->planes * CELL) {
        const float *from = line + column * s->stride * s->c;
        struct pair v = {_mm512_mask_i32gather_ps(_mm512_setzero_ps(), low_real, low, from, 4),
                         _mm512_mask_i32gather_ps(_mm512_setzero_ps(), high_real, high, from, 4)};
        pair_store(v, y + n * BLOCK_CHANNELS, s->planes);
    }
}

static void input_plain(const struct block_conv *s, const uint8_t *const *images, int count, const float *table,
                        int row, bf16 *y)
{
    _Alignas(64) float values[BLOCK_CHANNELS];
    int cells = cells_of(conv_inputs(s)), width = s->window ? s->out_w : s->w;
    for (int column = 0; column < width; column++)
        for (int cell = 0; cell < cells; cell++, y += (size_t)s->planes * CELL)
            for (int n = 0; n < count; n++) {
                window_values(s, images[n], table, row, column, cell * BLOCK_CHANNELS, values);
                pair_store(pair_floats(values), y + n * BLOCK_CHANNELS, s->planes);
            }
}

void block_input(const struct block_conv *s, const uint8_t *const *images, int count, const float *table, int row,
                 bf16 *y)
{
    int cells = cells_of(conv_inputs(s)), width = s->window ? s->out_w : s->w;
    if (count < BLOCK_IMAGES)
        memset(y, 0, (size_t)(width * cells * s->planes) * CELL * sizeof *y);
    if (!s->window || cells > 1 || s->kernel * (s->w + 2 * s->pad) * s->c > MOST_LINE) {
        input_plain(s, images, count, table, row, y);
        return;
    }
    for (int n = 0; n < count; n++)
        input_windows(s, images[n], table, row, n, y);
}

/* ---- batch norm, add, relu ---- */

ALWAYS_INLINE void norm_cell(const bf16 *x, int planes, int images, struct pair scale, struct pair shift,
                             const bf16 *other, int relu, bf16 *y, uint32_t *positive)
{
    const __m512 zero = _mm512_setzero_ps();
    for (int n = 0; n < images; n++) {
        struct pair v = pair_fma(pair_load(x + n * BLOCK_CHANNELS, planes), scale, shift);
        if (other)
            v = pair_add(v, pair_load(other + n * BLOCK_CHANNELS, planes));
        if (relu) {
            if (positive)
                positive[n] = (uint32_t)_mm512_cmp_ps_mask(v.low, zero, _CMP_GT_OQ) |
                              (uint32_t)_mm512_cmp_ps_mask(v.high, zero, _CMP_GT_OQ) << 16;
            v.low = _mm512_max_ps(zero, v.low); /* the second operand where unordered: a NaN stays */
            v.high = _mm512_max_ps(zero, v.high);
        }
        pair_store(v, y + n * BLOCK_CHANNELS, planes);
    }
    for (int n = images; n < BLOCK_IMAGES; n++) {
        pair_store_zero(y + n * BLOCK_CHANNELS, planes);
        if (positive)
            positive[n] = 0;
    }
}

ALWAYS_INLINE void norm_all(const bf16 *x, int pixels, int c, int planes, int images, const float *scale,
                            const float *shift, const bf16 *other, int relu, bf16 *y, uint32_t *positive)
{
    int cells = c / BLOCK_CHANNELS;
    size_t step = (size_t)planes * CELL;
    for (int i = 0; i < pixels * cells; i++, x += step, y += step) {
        int at = i % cells * BLOCK_CHANNELS;
        struct pair by = scale ? pair_floats(scale + at) : pair_set(1),
                    plus = shift ? pair_floats(shift + at) : pair_set(0);
        norm_cell(x, planes, images, by, plus, other ? other + (size_t)i * step : NULL, relu, y,
                  positive ? positive + (size_t)i * BLOCK_IMAGES : NULL);
    }
}

void block_norm(const bf16 *x, int pixels, int c, int planes, int images, const float *scale, const float *shift,
                const bf16 *other, int relu, bf16 *y, uint32_t *positive)
{
    if (planes != 1)
        norm_all(x, pixels, c, planes, images, scale, shift, other, relu, y, positive);
    else if (relu && positive && other)
        norm_all(x, pixels, c, 1, images, scale, shift, other, 1, y, positive);
    else if (relu && positive)
        norm_all(x, pixels, c, 1, images, scale, shift, NULL, 1, y, positive);
    else
        norm_all(x, pixels, c, 1, images, scale, shift, other, relu, y, positive);
}

/* ---- back ---- */

ALWAYS_INLINE struct pair gradient_load(const bf16 *dy, const uint32_t *positive, int n, int planes)
{
    struct pair g = pair_load(dy + n * BLOCK_CHANNELS, planes);
    return positive ? pair_mask(g, positive[n]) : g;
}

ALWAYS_INLINE void backward_sums_cell(const bf16 *x, const bf16 *dy, const uint32_t *positive, int planes,
                                      int images, struct pair mean, struct pair *sum, struct pair *product)
{
    for (int n = 0; n < images; n++) {
        struct pair g = gradient_load(dy, positive, n, planes);
        *sum = pair_add(*sum, g);
        *product = pair_fma(g, pair_subtract(pair_load(x + n * BLOCK_CHANNELS, planes), mean), *product);
    }
}

void block_norm_backward_sums(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c,
                              int planes, int images, const float *mean, const float *inv_std, double *sums)
{
    enum { PIXELS_A_SUM = 32 }; /* in float32; then in double */
    int cells = c / BLOCK_CHANNELS;
    size_t step = (size_t)planes * CELL;
    memset(sums, 0, 2 * (size_t)c * sizeof *sums);
    for (int first = 0; first < pixels; first += PIXELS_A_SUM) {
        int last = first + PIXELS_A_SUM < pixels ? first + PIXELS_A_SUM : pixels;
        for (int cell = 0; cell < cells; cell++) {
            struct pair centre = pair_floats(mean + cell * BLOCK_CHANNELS);
            struct channel_sums s = sums_zero();
            for (int pixel = first; pixel < last; pixel++) {
                size_t i = (size_t)pixel * (size_t)cells + (size_t)cell;
                const uint32_t *bits = positive ? positive + i * BLOCK_IMAGES : NULL;
                if (planes == 1)
                    backward_sums_cell(x + i * step, dy + i * step, bits, 1, images, centre, &s.sum, &s.squares);
                else
                    backward_sums_cell(x + i * step, dy + i * step, bits, 3, images, centre, &s.sum, &s.squares);
            }
            sums_to_double(&s, sums + cell * BLOCK_CHANNELS, sums + c + cell * BLOCK_CHANNELS);
        }
    }
    for (int i = 0; i < c; i++)
        sums[c + i] *= (double)inv_std[i];
}

/* How one cell of gradients is passed on. */
struct passing {
    int planes, images, accumulate, accumulate_other;
    struct pair a, b, d;
    int has_affine;
};

ALWAYS_INLINE void store_or_add(struct pair v, bf16 *to, int planes, int accumulate)
{
    pair_store(accumulate ? pair_add(v, pair_load(to, planes)) : v, to, planes);
}

ALWAYS_INLINE void backward_cell(const struct passing *p, int planes, const bf16 *x, const bf16 *dy,
                                 const uint32_t *positive, bf16 *dx, bf16 *other)
{
    for (int n = 0; n < p->images; n++) {
        struct pair g = gradient_load(dy, positive, n, planes), v = g;
        if (p->has_affine)
            v = pair_fma(p->a, g, pair_fma(p->b, pair_load(x + n * BLOCK_CHANNELS, planes), p->d));
        if (other)
            store_or_add(g, other + n * BLOCK_CHANNELS, planes, p->accumulate_other);
        if (dx)
            store_or_add(v, dx + n * BLOCK_CHANNELS, planes, p->accumulate);
    }
    for (int n = p->images; n < BLOCK_IMAGES; n++) {
        if (dx)
            pair_store_zero(dx + n * BLOCK_CHANNELS, planes);
        if (other)
            pair_store_zero(other + n * BLOCK_CHANNELS, planes);
    }
}

void block_norm_backward(const bf16 *x, const bf16 *dy, const uint32_t *positive, int pixels, int c, int planes,
                         int images, const float *a, const float *b, const float *d, bf16 *dx, int accumulate,
                         bf16 *other, int accumulate_other)
{
    int cells = c / BLOCK_CHANNELS;
    struct passing p = {.planes = planes,
                        .images = images,
                        .accumulate = accumulate,
                        .accumulate_other = accumulate_other,
                        .has_affine = a != NULL};
    for (int i = 0; i < pixels * cells; i++) {
        size_t at = (size_t)i * (size_t)planes * CELL;
        int channel = i % cells * BLOCK_CHANNELS;
        const uint32_t *bits = positive ? positive + (size_t)i * BLOCK_IMAGES : NULL;
        if (a) {
            p.a = pair_floats(a + channel);
            p.b = pair_floats(b + channel);
            p.d = pair_floats(d + channel);
        }
        const bf16 *from = x ? x + at : NULL;
        if (planes == 1)
            backward_cell(&p, 1, from, dy + at, bits, dx ? dx + at : NULL, other ? other + at : NULL);
        else
            backward_cell(&p, 3, from, dy + at, bits, dx ? dx + at : NULL, other ? other + at : NULL);
    }
}

/* ---- pool ---- */

static __mmask16 lanes(int count)
{
    return count >= 16 ? 0xffff : count > 0 ? (__mmask16)((1 << count) - 1) : 0;
}

void block_pool(const bf16 *x, int pixels, int c_real, int planes, int images, float *y, int y_stride)
{
    int cells = cells_of(c_real);
    struct pair share = pair_set(1.0f / (float)pixels);
    for (int cell = 0; cell < cells; cell++)
        for (int n = 0; n < images; n++) {
            struct pair sum = pair_set(0);
            for (int i = 0; i < pixels; i++)
                sum =
                    pair_add(sum, pair_load(x + ((size_t)i * (size_t)cells + (size_t)cell) * (size_t)planes * CELL +
                                                n * BLOCK_CHANNELS,
                                            planes));
            int left = c_real - cell * BLOCK_CHANNELS;
            float *to = y + (size_t)n * (size_t)y_stride + cell * BLOCK_CHANNELS;
            _mm512_mask_storeu_ps(to, lanes(left), _mm512_mul_ps(sum.low, share.low));
            _mm512_mask_storeu_ps(to + 16, lanes(left - 16), _mm512_mul_ps(sum.high, share.high));
        }
}

void block_pool_backward(const float *dy, int dy_stride, int pixels, int c_real, int planes, int images, bf16 *dx,
                         int accumulate)
{
    int cells = cells_of(c_real);
    __m512 share = _mm512_set1_ps(1.0f / (float)pixels);
    for (int i = 0; i < pixels; i++)
        for (int cell = 0; cell < cells; cell++, dx += (size_t)planes * CELL)
            for (int n = 0; n < BLOCK_IMAGES; n++) {
                if (n >= images) {
                    pair_store_zero(dx + n * BLOCK_CHANNELS, planes);
                    continue;
                }
                int left = c_real - cell * BLOCK_CHANNELS;
                const float *from = dy + (size_t)n * (size_t)dy_stride + cell * BLOCK_CHANNELS;
                struct pair v = {_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(left), from), share),
                                 _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes(left - 16), from + 16), share)};
                store_or_add(v, dx + n * BLOCK_CHANNELS, planes, accumulate);
            }
}
