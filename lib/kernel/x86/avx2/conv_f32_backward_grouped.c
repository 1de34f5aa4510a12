/* Gradients of a depthwise convolution: eight channels at a time. By the input, each pixel gathers from the outputs that saw
 * it; by the weights, an item is eight channels, each tap summed over one image in a register, over a shard's in double. */
#include "base/tree.h"
#include "kernel/list.h"
#include "kernel/x86/avx2/depthwise_f32.h"
#include <string.h>

/* ---- by the input ---- */

static size_t no_scratch(const struct conv_shape *s)
{
    (void)s;
    return 0;
}

/* The output coordinate whose tap r lies on input coordinate i, or -1. */
static int output_of(int i, int r, int stride, int pad, int outputs)
{
    int o = i + pad - r;
    return o >= 0 && o % stride == 0 && o / stride < outputs ? o / stride : -1;
}

static __m256 gather(const struct conv_shape *s, const float *dy, const float *packed, int iy, int ix, __m256i mask)
{
    __m256 sum = _mm256_setzero_ps();
    for (int r = 0; r < s->kernel; r++) {
        int oy = output_of(iy, r, s->stride, s->pad, s->out_h);
        for (int t = 0; t < s->kernel && oy >= 0; t++) {
            int ox = output_of(ix, t, s->stride, s->pad, s->out_w);
            if (ox < 0)
                continue;
            const float *g = dy + ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out;
            sum = _mm256_fmadd_ps(_mm256_maskload_ps(g, mask),
                                  _mm256_loadu_ps(packed + (size_t)(r * s->kernel + t) * stride_of(s)), sum);
        }
    }
    return sum;
}

static void run_data(const struct conv_shape *s, const float *dy, const void *packed, float *dx, int accumulate,
                     void *scratch)
{
    (void)scratch;
    for (int iy = 0; iy < s->h; iy++)
        for (int ix = 0; ix < s->w; ix++, dx += s->c)
            for (int k = 0; k < s->c; k += LANES) {
                __m256i mask = mask_of(s->c - k);
                __m256 v = gather(s, dy + k, (const float *)packed + k, iy, ix, mask);
                if (accumulate)
                    v = _mm256_add_ps(v, _mm256_maskload_ps(dx + k, mask));
                _mm256_maskstore_ps(dx + k, mask, v);
            }
}

const struct conv_f32_backward_data_kernel conv_f32_backward_data_grouped_avx2_depthwise = {
    .supports = supports, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = no_scratch, .run = run_data};

/* ---- by the weights ---- */

static int items(const struct conv_shape *s)
{
    return (s->out + LANES - 1) / LANES;
}

static size_t sums_bytes(const struct conv_shape *s)
{
    return shape_reduced(s) * LANES * (sizeof(double) + TREE_LEVELS * sizeof(float));
}

/* One tap of one image: the sum over its output pixels of dy * x. */
static __m256 tap_sum(const struct conv_shape *s, const float *x, const float *dy, int r, int t, __m256i mask)
{
    __m256 sum = _mm256_setzero_ps();
    for (int oy = 0; oy < s->out_h; oy++) {
        int iy = oy * s->stride - s->pad + r;
        __m256 row = _mm256_setzero_ps();
        for (int ox = 0; ox < s->out_w && iy >= 0 && iy < s->h; ox++) {
            int ix = ox * s->stride - s->pad + t;
            if (ix < 0 || ix >= s->w)
                continue;
            row = _mm256_fmadd_ps(
                _mm256_maskload_ps(x + ((size_t)iy * (size_t)s->w + (size_t)ix) * (size_t)s->c, mask),
                _mm256_maskload_ps(dy + ((size_t)oy * (size_t)s->out_w + (size_t)ox) * (size_t)s->out, mask), row);
        }
        sum = _mm256_add_ps(sum, row);
    }
    return sum;
}

/* sums [taps][LANES] += one image's. */
static void image_add(const struct conv_shape *s, const float *x, const float *dy, __m256i mask, double *sums)
{
    for (int tap = 0; tap < s->kernel * s->kernel; tap++) {
        float part[LANES];
        _mm256_storeu_ps(part, tap_sum(s, x, dy, tap / s->kernel, tap % s->kernel, mask));
        for (int k = 0; k < LANES; k++)
            sums[tap * LANES + k] += (double)part[k];
    }
}

static void run_weight(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                       void *scratch)
{
    double *sums = scratch;
    int first = item * LANES, taps = s->kernel * s->kernel;
    size_t count = (size_t)taps * LANES;
    float *rows = (float *)(void *)(sums + count);
    const struct tree_rows tree = {rows, rows + count, count};
    __m256i mask = mask_of(s->out - first);
    for (int shard = 0; shard < tree_shards(images); shard++) {
        float *row = tree_open(&tree, shard);
        memset(sums, 0, count * sizeof *sums);
        for (int n = 0; n < tree_images(images, shard); n++, x += shape_inputs(s), dy += shape_outputs(s))
            image_add(s, x + first, dy + first, mask, sums);
        tree_from_doubles(sums, count, row);
        tree_close(&tree, shard);
    }
    tree_finish(&tree, tree_shards(images));
    for (int k = 0; k < LANES && first + k < s->out; k++)
        for (int tap = 0; tap < taps; tap++)
            dw[(size_t)(first + k) * (size_t)taps + (size_t)tap] = rows[tap * LANES + k];
}

const struct conv_f32_backward_weight_kernel conv_f32_backward_weight_grouped_avx2_depthwise = {
    .supports = supports, .items = items, .scratch_bytes = sums_bytes, .run = run_weight};
