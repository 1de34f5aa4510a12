/* Gradient of a 1x1 convolution by its weights: one tap, no padding, so that a chunk's pixels are rows of two matrices
 * whose product it is. Here x and dy come from memory and there is little else to do, so that an item takes as many
 * channels and outputs as its sums leave room for: it copies its part of a chunk side by side, pixel by pixel as they
 * lie, and multiplies the copies, which stay in the second-level cache. */
#include "kernel/x86/avx2/conv_f32_backward_weight.h"
#include "kernel/x86/avx2/vector_f32_256.h"

enum {
    ITEM_WEIGHTS = 32768, /* so many sums are a quarter of the second-level cache */
    APART = 16 /* floats between panels, whose pixels would else share the sets of the first-level cache */
};

int one_tap_supports(const struct conv_shape *s)
{
    return s->kernel == 1 && s->pad == 0;
}

/* ---- items ---- */

/* Into how many ranges channels and outputs are cut, the longer ones first. At least two items. */
struct grid {
    int c, k;
};

static struct grid grid_of(const struct conv_shape *s)
{
    struct grid g = {1, 1};
    while (g.c * g.k < 2 || (size_t)s->c * (size_t)s->out > (size_t)(g.c * g.k) * ITEM_WEIGHTS) {
        if (s->out / g.k >= s->c / g.c && s->out / g.k >= 2 * OUTPUTS)
            g.k *= 2;
        else if (s->c / g.c >= 2 * CHANNELS)
            g.c *= 2;
        else
            break;
    }
    return g;
}

int one_tap_items(const struct conv_shape *s)
{
    struct grid g = grid_of(s);
    return g.c * g.k;
}

/* Part i of n of so many channels or outputs, in whole grains. */
struct range {
    int begin, end;
};

static struct range range_of(int values, int grain, int i, int n)
{
    int grains = (values + grain - 1) / grain, end = (i + 1) * grains / n * grain;
    return (struct range){i * grains / n * grain, end < values ? end : values};
}

static int range_count(struct range r)
{
    return r.end - r.begin;
}

/* ---- an item's memory ---- */

struct work {
    const struct conv_shape *s;
    struct range c, k;
    int blocks, sixteens;     /* blocks of channels differ by one at most */
    size_t x_panel, dy_panel; /* floats from one to the next */
    float *x, *dy;            /* [blocks][pixels][LANES], [sixteens][pixels][OUTPUTS] */
    struct tree_rows sums;    /* [sixteens][blocks][CHANNELS][OUTPUTS] */
};

enum { BLOCK_FLOATS = CHANNELS * OUTPUTS };

static struct work work_open(const struct conv_shape *s, int item, void *scratch)
{
    struct grid g = grid_of(s);
    struct work w = {
        .s = s, .c = range_of(s->c, 1, item % g.c, g.c), .k = range_of(s->out, LANES, item / g.c, g.k)};
    w.blocks = (range_count(w.c) + CHANNELS - 1) / CHANNELS;
    w.sixteens = (range_count(w.k) + OUTPUTS - 1) / OUTPUTS;
    w.x_panel = chunk_most_pixels(s) * LANES + APART;
    w.dy_panel = chunk_most_pixels(s) * OUTPUTS + APART;
    w.x = scratch;
    w.dy = w.x + (size_t)w.blocks * w.x_panel;
    float *sums = w.dy + (size_t)w.sixteens * w.dy_panel;
    size_t count = (size_t)w.blocks * (size_t)w.sixteens * BLOCK_FLOATS;
    w.sums = (struct tree_rows){sums, sums + count, count};
    return w;
}

size_t one_tap_scratch_bytes(const struct conv_shape *s)
{
    size_t most = 0;
    for (int item = 0; item < one_tap_items(s); item++) {
        struct work w = work_open(s, item, NULL);
        size_t floats = (size_t)w.blocks * w.x_panel + (size_t)w.sixteens * w.dy_panel + TREE_LEVELS * w.sums.count;
        most = floats > most ? floats : most;
    }
    return most * sizeof(float);
}

static int block_first(const struct work *w, int block)
{
    return block * range_count(w->c) / w->blocks;
}

/* ---- copies ---- */

static void x_copy(const struct work *w, const float *x, size_t pixel)
{
    float *to = w->x + pixel * LANES;
    int count = range_count(w->c);
    for (int b = 0; b < w->blocks; b++, to += w->x_panel) {
        int first = block_first(w, b);
        vec v = count - first >= LANES ? vec_load(x + first) : vec_load_some(x + first, vec_first(count - first));
        vec_store(to, v);
    }
}

static void dy_copy(const struct work *w, const float *dy, size_t pixel)
{
    float *to = w->dy + pixel * OUTPUTS;
    int left = range_count(w->k);
    for (; left >= OUTPUTS; left -= OUTPUTS, dy += OUTPUTS, to += w->dy_panel) {
        vec_store(to, vec_load(dy));
        vec_store(to + LANES, vec_load(dy + LANES));
    }
    if (left > 0) {
        vec_store(to, vec_load_some(dy, vec_first(left)));
        vec_store(to + LANES, vec_load_some(dy + LANES, vec_first(left - LANES)));
    }
}

/* ---- products ---- */

#define CHANNELS_1(f) f(0)
#define CHANNELS_2(f) CHANNELS_1(f) f(1)
#define CHANNELS_3(f) CHANNELS_2(f) f(2)
#define CHANNELS_4(f) CHANNELS_3(f) f(3)
#define CHANNELS_5(f) CHANNELS_4(f) f(4)
#define CHANNELS_6(f) CHANNELS_5(f) f(5)

#define OPEN(i) vec a##i = vec_zero(), b##i = vec_zero();
#define STEP(i)                      \
    {                                \
        vec v = vec_set(x[i]);       \
        a##i = vec_fma(v, ga, a##i); \
        b##i = vec_fma(v, gb, b##i); \
    }
#define CLOSE(i)                                                    \
    vec_store(sum + 16 * i, vec_add(vec_load(sum + 16 * i), a##i)); \
    vec_store(sum + 16 * i + 8, vec_add(vec_load(sum + 16 * i + 8), b##i));
#define HALF_OPEN(i) vec a##i = vec_zero();
#define HALF_STEP(i) a##i = vec_fma(vec_set(x[i]), ga, a##i);
#define HALF_CLOSE(i) vec_store(sum + 16 * i, vec_add(vec_load(sum + 16 * i), a##i));

/* sum [channels][16] += x * dy over the pixels of a panel each; half: the first 8 outputs alone. */
#define TILE(channels)                                                                                \
    static void tile_##channels(const float *x, const float *dy, size_t pixels, float *sum)           \
    {                                                                                                 \
        CHANNELS_##channels(OPEN) for (size_t i = 0; i < pixels; i++, x += LANES, dy += OUTPUTS)      \
        {                                                                                             \
            vec ga = vec_load(dy), gb = vec_load(dy + LANES);                                         \
            CHANNELS_##channels(STEP)                                                                 \
        }                                                                                             \
        CHANNELS_##channels(CLOSE)                                                                    \
    }                                                                                                 \
    static void half_##channels(const float *x, const float *dy, size_t pixels, float *sum)           \
    {                                                                                                 \
        CHANNELS_##channels(HALF_OPEN) for (size_t i = 0; i < pixels; i++, x += LANES, dy += OUTPUTS) \
        {                                                                                             \
            vec ga = vec_load(dy);                                                                    \
            CHANNELS_##channels(HALF_STEP)                                                            \
        }                                                                                             \
        CHANNELS_##channels(HALF_CLOSE)                                                               \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

typedef void tile_function(const float *x, const float *dy, size_t pixels, float *sum);
static tile_function *const tile_functions[CHANNELS + 1] = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6};
static tile_function *const half_functions[CHANNELS + 1] = {NULL, half_1, half_2, half_3, half_4, half_5, half_6};

static void products_add(const struct work *w, size_t pixels, float *sums)
{
    for (int j = 0; j < w->sixteens; j++) {
        int is_half = range_count(w->k) - j * OUTPUTS <= LANES;
        for (int b = 0; b < w->blocks; b++, sums += BLOCK_FLOATS)
            (is_half ? half_functions : tile_functions)[block_first(w, b + 1) - block_first(w, b)](
                w->x + (size_t)b * w->x_panel, w->dy + (size_t)j * w->dy_panel, pixels, sums);
    }
}

/* ---- the way through the images ---- */

/* Rows [begin, end) of outputs of some images; x and dy begin with the first of them. */
static void chunk_add(const struct work *w, int images, int begin, int end, const float *x, const float *dy,
                      float *sums)
{
    const struct conv_shape *s = w->s;
    size_t pixel = 0, step = (size_t)s->stride * (size_t)s->c;
    for (int n = 0; n < images; n++, x += shape_inputs(s), dy += shape_outputs(s))
        for (int row = begin; row < end; row++) {
            const float *from = x + (size_t)(row * s->stride * s->w) * (size_t)s->c + w->c.begin;
            const float *g = dy + (size_t)(row * s->out_w) * (size_t)s->out + w->k.begin;
            for (int col = 0; col < s->out_w; col++, pixel++, from += step, g += s->out) {
                x_copy(w, from, pixel);
                dy_copy(w, g, pixel);
            }
        }
    products_add(w, pixel, sums);
}

static void shard_sum(const struct work *w, int images, const float *x, const float *dy, float *sums)
{
    const struct conv_shape *s = w->s;
    int group = chunk_images(s), rows = chunk_rows(s);
    for (size_t i = 0; i < w->sums.count; i++)
        sums[i] = 0;
    for (int n = 0; n < images; n += group)
        for (int row = 0; row < s->out_h; row += rows)
            chunk_add(w, images - n < group ? images - n : group, row,
                      row + rows < s->out_h ? row + rows : s->out_h, x + (size_t)n * shape_inputs(s),
                      dy + (size_t)n * shape_outputs(s), sums);
}

static void sums_store(const struct work *w, float *dw)
{
    const float *sums = w->sums.first;
    for (int k0 = w->k.begin; k0 < w->k.end; k0 += OUTPUTS)
        for (int b = 0; b < w->blocks; b++, sums += BLOCK_FLOATS) {
            int first = block_first(w, b), past = block_first(w, b + 1);
            for (int k = k0; k < k0 + OUTPUTS && k < w->k.end; k++)
                for (int c = first; c < past; c++)
                    dw[(size_t)k * (size_t)w->s->c + (size_t)(w->c.begin + c)] =
                        sums[(c - first) * OUTPUTS + k - k0];
        }
}

void one_tap_run(const struct conv_shape *s, int images, const float *x, const float *dy, int item, float *dw,
                 void *scratch)
{
    struct work w = work_open(s, item, scratch);
    for (int shard = 0; shard < tree_shards(images); shard++) {
        size_t first = (size_t)shard * SHARD_IMAGES;
        shard_sum(&w, tree_images(images, shard), x + first * shape_inputs(s), dy + first * shape_outputs(s),
                  tree_open(&w.sums, shard));
        tree_close(&w.sums, shard);
    }
    tree_finish(&w.sums, tree_shards(images));
    sums_store(&w, dw);
}
