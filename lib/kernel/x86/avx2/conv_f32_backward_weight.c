/* Gradient of a convolution by its weights, direct: tiles of up to 6 input channels x 16 outputs of one tap, held
 * in registers while they add up the pixels that the tap sees; taps in the padding are left out rather than
 * multiplied by zero.
 *
 * An item is a range of input channels, and half of the outputs where that alone makes few items. Images are taken
 * in chunks, of one shard, whose pixels stay in the first-level cache for all taps; a chunk's sum begins at zero and is
 * then added to the shard's, which bounds the rounding error of long sums. */
#include "kernel/x86/avx2/conv_f32_backward_weight.h"
#include "kernel/list.h"
#include <immintrin.h>
#include <string.h>

enum { FEW_BLOCKS = 8, MANY_ITEMS = 12, WIDE = 64 };

/* What an item computes: two blocks of channels where there are enough of them, so that panels are copied half as
 * often; one row of taps where there is one block in all. */
struct part {
    int c_begin, channels, k_begin, k_end, r_begin, r_end;
};

static int channel_ranges(const struct conv_shape *s)
{
    int blocks = (s->c + CHANNELS - 1) / CHANNELS;
    int ranges = blocks > FEW_BLOCKS ? (blocks + 1) / 2 : blocks;
    return ranges > 1 ? (ranges + 1) / 2 * 2 : 1; /* even, for two threads */
}

static int row_ranges(const struct conv_shape *s)
{
    return channel_ranges(s) == 1 ? s->kernel : 1;
}

static int output_ranges(const struct conv_shape *s)
{
    return channel_ranges(s) < MANY_ITEMS && s->out >= WIDE ? 2 : 1;
}

static int items(const struct conv_shape *s)
{
    return channel_ranges(s) * row_ranges(s) * output_ranges(s);
}

static struct part part_of(const struct conv_shape *s, int item)
{
    int rows = row_ranges(s), ranges = channel_ranges(s), range = item / rows % ranges;
    int begin = range * s->c / ranges;
    struct part p = {.c_begin = begin,
                     .channels = (range + 1) * s->c / ranges - begin,
                     .k_begin = 0,
                     .k_end = s->out,
                     .r_begin = 0,
                     .r_end = s->kernel};
    if (output_ranges(s) > 1) {
        int middle = (s->out / OUTPUTS + 1) / 2 * OUTPUTS;
        if (item < items(s) / 2)
            p.k_end = middle;
        else
            p.k_begin = middle;
    }
    if (rows > 1) {
        p.r_begin = item % rows;
        p.r_end = p.r_begin + 1;
    }
    return p;
}

static int chunk_rows_in(const struct conv_shape *s) /* rows of x that a chunk's rows of outputs see, at most */
{
    int rows = (chunk_rows(s) - 1) * s->stride + s->kernel;
    return rows < s->h ? rows : s->h;
}

/* Channels far apart fall into few sets of the cache, so that wide tensors are copied: 16 outputs, or the item's
 * inputs, of a chunk side by side. Outputs that do not fill 16 lanes always are. */
static int copies_x(const struct conv_shape *s)
{
    return s->c >= WIDE;
}

static int copies_dy(const struct conv_shape *s)
{
    return s->out >= WIDE || s->out % OUTPUTS;
}

/* Two pixels that are multiplied, in floats from the chunk's first. */
struct pair {
    uint32_t x, dy;
};

/* Floats from one image, row and column to the next. */
struct steps {
    size_t image, row, col;
};

struct work {
    const struct conv_shape *s;
    struct part part;
    struct steps x_steps, dy_steps;
    struct pair *pairs; /* [taps of the part][chunk's pixels] */
    float *x_panel, *dy_panel;
    struct tree_rows sums; /* [16s of the part's outputs][taps of the part][2][CHANNELS][OUTPUTS] */
};

enum { TAP_FLOATS = 2 * CHANNELS * OUTPUTS };

static size_t pairs_bytes(const struct conv_shape *s)
{
    return round_up_64((size_t)(s->kernel * s->kernel) * chunk_most_pixels(s) * sizeof(struct pair));
}

static size_t dy_panel_bytes(const struct conv_shape *s)
{
    return copies_dy(s) ? chunk_most_pixels(s) * OUTPUTS * sizeof(float) : 0;
}

static size_t x_panel_bytes(const struct conv_shape *s)
{
    size_t pixels = (size_t)chunk_images(s) * (size_t)chunk_rows_in(s) * (size_t)s->w;
    return copies_x(s) ? round_up_64(pixels * 2 * CHANNELS * sizeof(float)) : 0;
}

/* Of an item, at most. */
static size_t sums_floats(const struct conv_shape *s)
{
    size_t blocks = ((size_t)s->out + OUTPUTS - 1) / OUTPUTS;
    return blocks * (size_t)(s->kernel * s->kernel) * TAP_FLOATS;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return pairs_bytes(s) + dy_panel_bytes(s) + x_panel_bytes(s) + TREE_LEVELS * sums_floats(s) * sizeof(float);
}

/* Outputs [*begin, *end), within those given, whose tap lies inside of the input. */
static void clip(int tap, int stride, int pad, int inputs, int *begin, int *end)
{
    int first = pad - tap > 0 ? (pad - tap + stride - 1) / stride : 0;
    int past = inputs - 1 + pad - tap < 0 ? 0 : (inputs - 1 + pad - tap) / stride + 1;
    *begin = *begin > first ? *begin : first;
    *end = *end < past ? *end : past;
}

static struct work work_open(const struct conv_shape *s, int item, void *scratch)
{
    struct work w = {.s = s, .part = part_of(s, item)};
    size_t width = copies_x(s) ? (size_t)w.part.channels : (size_t)s->c;
    size_t rows = copies_x(s) ? (size_t)chunk_rows_in(s) : (size_t)s->h;
    size_t outputs = copies_dy(s) ? OUTPUTS : (size_t)s->out;
    w.x_steps = (struct steps){rows * (size_t)s->w * width, (size_t)s->w * width, width};
    w.dy_steps = (struct steps){shape_pixels(s) * outputs, (size_t)s->out_w * outputs, outputs};
    char *at = scratch;
    w.pairs = scratch;
    w.dy_panel = (float *)(void *)(at += pairs_bytes(s));
    w.x_panel = (float *)(void *)(at += dy_panel_bytes(s));
    float *sums = (float *)(void *)(at += x_panel_bytes(s));
    size_t count = ((size_t)(w.part.k_end - w.part.k_begin) + OUTPUTS - 1) / OUTPUTS;
    count *= (size_t)((w.part.r_end - w.part.r_begin) * s->kernel) * TAP_FLOATS;
    w.sums = (struct tree_rows){sums, sums + count, count};
    return w;
}

/* The pairs of a whole chunk for every tap of the part, images and rows in order, from the first row that the tap
 * sees on; a chunk with fewer images or rows takes the first of them. */
static void pairs_fill(const struct work *w)
{
    const struct conv_shape *s = w->s;
    int images = chunk_images(s), whole = chunk_rows(s) == s->out_h;
    for (int tap = w->part.r_begin * s->kernel; tap < w->part.r_end * s->kernel; tap++) {
        struct pair *pair = w->pairs + (size_t)(tap - w->part.r_begin * s->kernel) * chunk_most_pixels(s);
        int r = tap / s->kernel, t = tap % s->kernel, top = 0, bottom = chunk_rows(s), left = 0, right = s->out_w;
        if (whole)
            clip(r, s->stride, s->pad, s->h, &top, &bottom);
        clip(t, s->stride, s->pad, s->w, &left, &right);
        for (int n = 0; n < images; n++)
            for (int row = 0; row < bottom - top; row++)
                for (int col = left; col < right; col++, pair++) {
                    pair->x = (uint32_t)((size_t)n * w->x_steps.image + (size_t)(row * s->stride) * w->x_steps.row +
                                         (size_t)(col * s->stride - s->pad + t) * w->x_steps.col);
                    pair->dy = (uint32_t)((size_t)n * w->dy_steps.image + (size_t)row * w->dy_steps.row +
                                          (size_t)col * w->dy_steps.col);
                }
    }
}

#define CHANNELS_1(f) f(0)
#define CHANNELS_2(f) CHANNELS_1(f) f(1)
#define CHANNELS_3(f) CHANNELS_2(f) f(2)
#define CHANNELS_4(f) CHANNELS_3(f) f(3)
#define CHANNELS_5(f) CHANNELS_4(f) f(4)
#define CHANNELS_6(f) CHANNELS_5(f) f(5)

#define TILE_OPEN(i) __m256 a##i = _mm256_setzero_ps(), b##i = _mm256_setzero_ps();
#define TILE_STEP(i)                            \
    {                                           \
        __m256 v = _mm256_broadcast_ss(at + i); \
        a##i = _mm256_fmadd_ps(v, ga, a##i);    \
        b##i = _mm256_fmadd_ps(v, gb, b##i);    \
    }
#define TILE_CLOSE(i)                                                                 \
    _mm256_store_ps(sum + 16 * i, _mm256_add_ps(_mm256_load_ps(sum + 16 * i), a##i)); \
    _mm256_store_ps(sum + 16 * i + 8, _mm256_add_ps(_mm256_load_ps(sum + 16 * i + 8), b##i));

/* sum [channels][16] += x * dy over the pairs. */
#define TILE(channels)                                                                                            \
    static void tile_##channels(const struct pair *pair, const struct pair *end, const float *x, const float *dy, \
                                float *sum)                                                                       \
    {                                                                                                             \
        CHANNELS_##channels(TILE_OPEN) for (; pair < end; pair++)                                                 \
        {                                                                                                         \
            const float *at = x + pair->x;                                                                        \
            __m256 ga = _mm256_load_ps(dy + pair->dy), gb = _mm256_load_ps(dy + pair->dy + 8);                    \
            CHANNELS_##channels(TILE_STEP)                                                                        \
        }                                                                                                         \
        CHANNELS_##channels(TILE_CLOSE)                                                                           \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

typedef void tile_function(const struct pair *pair, const struct pair *end, const float *x, const float *dy,
                           float *sum);
static tile_function *const tile_functions[CHANNELS + 1] = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};

/* Some images and rows of outputs, and where their x and dy lie, copied or not. */
struct chunk {
    int images, row_begin, row_end;
    int x_row; /* the row of the input that x begins with */
    const float *x, *dy;
};

static void dy_copy(const struct work *w, const struct chunk *chunk, const float *dy, int k)
{
    const struct conv_shape *s = w->s;
    size_t width = s->out - k < OUTPUTS ? (size_t)(s->out - k) : OUTPUTS;
    size_t pixels = (size_t)(chunk->row_end - chunk->row_begin) * (size_t)s->out_w;
    for (int n = 0; n < chunk->images; n++) {
        const float *from = dy + (size_t)n * shape_outputs(s) + k;
        float *to = w->dy_panel + (size_t)n * w->dy_steps.image;
        for (size_t i = 0; i < pixels; i++, from += s->out, to += OUTPUTS) {
            if (width == OUTPUTS) {
                _mm256_store_ps(to, _mm256_loadu_ps(from));
                _mm256_store_ps(to + 8, _mm256_loadu_ps(from + 8));
            } else {
                memcpy(to, from, width * sizeof *to);
                memset(to + width, 0, (OUTPUTS - width) * sizeof *to);
            }
        }
    }
}

static void x_copy(const struct work *w, struct chunk *chunk, const float *x)
{
    const struct conv_shape *s = w->s;
    int first = chunk->row_begin * s->stride - s->pad, past = (chunk->row_end - 1) * s->stride - s->pad + s->kernel;
    first = first > 0 ? first : 0;
    past = past < s->h ? past : s->h;
    size_t width = (size_t)w->part.channels;
    for (int n = 0; n < chunk->images; n++) {
        float *to = w->x_panel + (size_t)n * w->x_steps.image;
        const float *from =
            x + (size_t)n * shape_inputs(s) + (size_t)(first * s->w) * (size_t)s->c + w->part.c_begin;
        for (int i = first * s->w; i < past * s->w; i++, from += s->c, to += width)
            for (size_t c = 0; c < width; c++)
                to[c] = from[c];
    }
    chunk->x_row = first;
    chunk->x = w->x_panel;
}

/* All taps of the part for 16 outputs of a chunk. */
static void taps_run(const struct work *w, const struct chunk *chunk, float *sums)
{
    const struct conv_shape *s = w->s;
    const struct pair *pairs = w->pairs;
    int half = w->part.channels > CHANNELS ? (w->part.channels + 1) / 2 : w->part.channels;
    for (int r = w->part.r_begin; r < w->part.r_end; r++)
        for (int t = 0; t < s->kernel; t++, sums += TAP_FLOATS, pairs += chunk_most_pixels(s)) {
            int top = chunk->row_begin, bottom = chunk->row_end, left = 0, right = s->out_w;
            clip(r, s->stride, s->pad, s->h, &top, &bottom);
            clip(t, s->stride, s->pad, s->w, &left, &right);
            if (top >= bottom || left >= right)
                continue;
            const struct pair *end =
                pairs + (size_t)chunk->images * (size_t)(bottom - top) * (size_t)(right - left);
            const float *x = chunk->x + (size_t)(top * s->stride - s->pad + r - chunk->x_row) * w->x_steps.row;
            const float *dy = chunk->dy + (size_t)(top - chunk->row_begin) * w->dy_steps.row;
            tile_functions[half](pairs, end, x, dy, sums);
            if (half < w->part.channels)
                tile_functions[w->part.channels - half](pairs, end, x + half, dy, sums + CHANNELS * OUTPUTS);
        }
}

/* x and dy begin at the chunk's first image; sums: the shard's. */
static void chunk_run(const struct work *w, struct chunk chunk, const float *x, const float *dy, float *sums)
{
    const struct conv_shape *s = w->s;
    chunk.x = x + w->part.c_begin;
    if (copies_x(s))
        x_copy(w, &chunk, x);
    dy += (size_t)chunk.row_begin * (size_t)s->out_w * (size_t)s->out;
    for (int k = w->part.k_begin; k < w->part.k_end; k += OUTPUTS) {
        chunk.dy = dy + k;
        if (copies_dy(s)) {
            dy_copy(w, &chunk, dy, k);
            chunk.dy = w->dy_panel;
        }
        taps_run(w, &chunk, sums);
        sums += (size_t)((w->part.r_end - w->part.r_begin) * s->kernel) * TAP_FLOATS;
    }
}

static void sums_store(const struct work *w, float *dw)
{
    const struct conv_shape *s = w->s;
    const float *sums = w->sums.first;
    int half = w->part.channels > CHANNELS ? (w->part.channels + 1) / 2 : w->part.channels;
    for (int k0 = w->part.k_begin; k0 < w->part.k_end; k0 += OUTPUTS)
        for (int r = w->part.r_begin; r < w->part.r_end; r++)
            for (int t = 0; t < s->kernel; t++, sums += TAP_FLOATS)
                for (int k = k0; k < k0 + OUTPUTS && k < w->part.k_end; k++)
                    for (int c = 0; c < w->part.channels; c++)
                        dw[shape_weight_at(s, k, w->part.c_begin + c, r, t)] =
                            sums[(c < half ? c : c - half + CHANNELS) * OUTPUTS + k - k0];
}

static void shard_run(const struct work *w, int images, const float *x, const float *dy, float *sums)
{
    const struct conv_shape *s = w->s;
    int group = chunk_images(s), rows = chunk_rows(s);
    memset(sums, 0, w->sums.count * sizeof *sums);
    for (int n = 0; n < images; n += group)
        for (int row = 0; row < s->out_h; row += rows) {
            struct chunk chunk = {.images = images - n < group ? images - n : group,
                                  .row_begin = row,
                                  .row_end = row + rows < s->out_h ? row + rows : s->out_h};
            chunk_run(w, chunk, x + (size_t)n * shape_inputs(s), dy + (size_t)n * shape_outputs(s), sums);
        }
}

/* ---- either ---- */

static int all_items(const struct conv_shape *s)
{
    return one_tap_supports(s) ? one_tap_items(s) : items(s);
}

static size_t any_scratch_bytes(const struct conv_shape *s)
{
    return one_tap_supports(s) ? one_tap_scratch_bytes(s) : scratch_bytes(s);
}

static void run(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                void *scratch)
{
    if (one_tap_supports(s)) {
        one_tap_run(s, images, x, dy, item, dw, scratch);
        return;
    }
    struct work w = work_open(s, item, scratch);
    pairs_fill(&w);
    for (int shard = 0; shard < tree_shards(images); shard++) {
        size_t first = (size_t)shard * SHARD_IMAGES;
        shard_run(&w, tree_images(images, shard), x + first * shape_inputs(s), dy + first * shape_outputs(s),
                  tree_open(&w.sums, shard));
        tree_close(&w.sums, shard);
    }
    tree_finish(&w.sums, tree_shards(images));
    sums_store(&w, dw);
}

const struct conv_f32_backward_weight_kernel conv_f32_backward_weight_avx2_direct = {
    .items = all_items, .scratch_bytes = any_scratch_bytes, .run = run};
