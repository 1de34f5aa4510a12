/* Implicit GEMM: a pixel's window is taps_h runs of taps_w*c floats in an NHWC image, whatever the stride, so that
 * a register tile needs one pointer a pixel and one running index.
 *
 * Pixels are taken in groups, of several images where these are small. The reduction is cut into chunks whose
 * weights for 64 outputs stay in the first-level cache while all pixels of the group pass; sums lie in scratch
 * meanwhile. An output's sum has one order whatever its place in the group: no cut changes a bit. */
#include "kernel/x86/avx512/tiles_f32_512.h"
#include "kernel/x86/avx512/vector_f32_512.h"
#include "kernel/contract/shape.h"
#include <string.h>

enum { GROUP = 256, CHUNK = 96, WHOLE_CHUNK = 192 };

/* One chunk of the reduction for one register tile: sums[pixel][outputs] (+)= x * w. Sums are variables of their
 * own, not arrays: compilers keep arrays in memory. */
struct chunk {
    const float *const *x; /* a pointer for each pixel, to its window's first value */
    size_t offset;         /* where the chunk's first run begins */
    const float *w;        /* [runs][length][outputs] */
    int runs, first;       /* first: sums are still to be begun */
    size_t length, stride; /* floats in a run; from one run to the next */
    float *sums;           /* [pixels][TILE_OUTPUTS] */
};

#define PIXELS_1(f) f(0)
#define PIXELS_2(f) PIXELS_1(f) f(1)
#define PIXELS_3(f) PIXELS_2(f) f(2)
#define PIXELS_4(f) PIXELS_3(f) f(3)
#define PIXELS_5(f) PIXELS_4(f) f(4)
#define PIXELS_6(f) PIXELS_5(f) f(5)
#define PIXELS_7(f) PIXELS_6(f) f(6)
#define PIXELS_8(f) PIXELS_7(f) f(7)

#define SUM(i, vector) (t->sums + (i)*TILE_OUTPUTS + (vector)*LANES)

/* Four vectors of outputs */
#define OPEN_4(i)                \
    const float *x##i = t->x[i]; \
    vec a##i = vec_zero(), b##i = vec_zero(), c##i = vec_zero(), d##i = vec_zero();
#define RESUME_4(i)             \
    a##i = vec_load(SUM(i, 0)); \
    b##i = vec_load(SUM(i, 1)); \
    c##i = vec_load(SUM(i, 2)); \
    d##i = vec_load(SUM(i, 3));
#define WEIGHTS_4                                   \
    vec wa = vec_load(w), wb = vec_load(w + LANES); \
    vec wc = vec_load(w + 2 * LANES), wd = vec_load(w + 3 * LANES);
#define STEP_4(i)                    \
    {                                \
        vec v = vec_set(x##i[j]);    \
        a##i = vec_fma(v, wa, a##i); \
        b##i = vec_fma(v, wb, b##i); \
        c##i = vec_fma(v, wc, c##i); \
        d##i = vec_fma(v, wd, d##i); \
    }
#define CLOSE_4(i)              \
    vec_store(SUM(i, 0), a##i); \
    vec_store(SUM(i, 1), b##i); \
    vec_store(SUM(i, 2), c##i); \
    vec_store(SUM(i, 3), d##i);

/* Two */
#define OPEN_2(i)                \
    const float *x##i = t->x[i]; \
    vec a##i = vec_zero(), b##i = vec_zero();
#define RESUME_2(i)             \
    a##i = vec_load(SUM(i, 0)); \
    b##i = vec_load(SUM(i, 1));
#define WEIGHTS_2 vec wa = vec_load(w), wb = vec_load(w + LANES);
#define STEP_2(i)                    \
    {                                \
        vec v = vec_set(x##i[j]);    \
        a##i = vec_fma(v, wa, a##i); \
        b##i = vec_fma(v, wb, b##i); \
    }
#define CLOSE_2(i)              \
    vec_store(SUM(i, 0), a##i); \
    vec_store(SUM(i, 1), b##i);

/* One */
#define OPEN_1(i)                \
    const float *x##i = t->x[i]; \
    vec a##i = vec_zero();
#define RESUME_1(i) a##i = vec_load(SUM(i, 0));
#define WEIGHTS_1 vec wa = vec_load(w);
#define STEP_1(i) a##i = vec_fma(vec_set(x##i[j]), wa, a##i);
#define CLOSE_1(i) vec_store(SUM(i, 0), a##i);

#define TILE(vectors, pixels)                                                          \
    static void tile_##vectors##_##pixels(const struct chunk *t)                       \
    {                                                                                  \
        PIXELS_##pixels(OPEN_##vectors) if (!t->first)                                 \
        {                                                                              \
            PIXELS_##pixels(RESUME_##vectors)                                          \
        }                                                                              \
        const float *w = t->w;                                                         \
        size_t begin = t->offset;                                                      \
        for (int run = 0; run < t->runs; run++, begin += t->stride)                    \
            for (size_t j = begin; j < begin + t->length; j++, w += (vectors)*LANES) { \
                WEIGHTS_##vectors PIXELS_##pixels(STEP_##vectors)                      \
            }                                                                          \
        PIXELS_##pixels(CLOSE_##vectors)                                               \
    }
#define UP_TO_6(f, vectors) f(vectors, 1) f(vectors, 2) f(vectors, 3) f(vectors, 4) f(vectors, 5) f(vectors, 6)
#define UP_TO_8(f, vectors) UP_TO_6(f, vectors) f(vectors, 7) f(vectors, 8)

UP_TO_6(TILE, 4)
UP_TO_8(TILE, 2)
UP_TO_8(TILE, 1)

typedef void tile_function(const struct chunk *t);
#define ENTRY(vectors, pixels) [pixels] = tile_##vectors##_##pixels,
static tile_function *const tiles_4[] = {UP_TO_6(ENTRY, 4)};
static tile_function *const tiles_2[] = {UP_TO_8(ENTRY, 2)};
static tile_function *const tiles_1[] = {UP_TO_8(ENTRY, 1)};

/* Vectors of outputs in the panel that begins at output k: a panel of three is computed as four. */
static int panel_vectors(int out, int k)
{
    int left = (out - k + LANES - 1) / LANES;
    return left > 2 ? 4 : left;
}

size_t tiles_f32_avx512_packed_floats(int taps, int c, int out)
{
    size_t panels = (size_t)(out / TILE_OUTPUTS), rest = (size_t)(out % TILE_OUTPUTS);
    size_t floats = panels * TILE_OUTPUTS + (rest ? (size_t)panel_vectors((int)rest, 0) * LANES : 0);
    return floats * (size_t)taps * (size_t)c;
}

size_t tiles_f32_avx512_packed_at(int taps, int c, int out, int k, size_t *step)
{
    int panel = k / TILE_OUTPUTS * TILE_OUTPUTS;
    *step = (size_t)panel_vectors(out, panel) * LANES;
    return (size_t)panel * (size_t)taps * (size_t)c + (size_t)(k - panel);
}

/* Width and height of the part of x, padding included, that some outputs see. */
static int seen(int outputs, int stride, int taps)
{
    return (outputs - 1) * stride + taps;
}

/* A group: some rows of one image, or several whole images. */
static int group_rows(const struct tiles_f32 *t)
{
    int rows = GROUP / t->cols;
    return rows < 1 ? 1 : rows < t->rows ? rows : t->rows;
}

static int group_images(const struct tiles_f32 *t)
{
    int images = GROUP / (t->cols * t->rows);
    return images < 1 ? 1 : images;
}

static size_t group_pixels(const struct tiles_f32 *t)
{
    return (size_t)group_images(t) * (size_t)group_rows(t) * (size_t)t->cols;
}

static size_t copy_line(const struct tiles_f32 *t)
{
    return (size_t)seen(t->cols, t->stride, t->taps_w) * (size_t)t->c;
}

static size_t copy_floats(const struct tiles_f32 *t)
{
    return (size_t)group_images(t) * (size_t)seen(group_rows(t), t->stride, t->taps_h) * copy_line(t);
}

/* A group's pixels. */
struct group {
    const float **x;     /* each one's window */
    size_t *y, *r;       /* offsets of its outputs and residuals */
    float *sums;         /* [pixels][TILE_OUTPUTS] */
    float *copy;         /* [images][rows seen][columns seen][c] */
    size_t pixels, line; /* line: floats from one row of x to the next */
    int image, images, row_begin, row_end;
};

size_t tiles_f32_avx512_scratch_bytes(const struct tiles_f32 *t)
{
    size_t pixels = group_pixels(t);
    return pixels * TILE_OUTPUTS * sizeof(float) + round_up_64(copy_floats(t) * sizeof(float)) +
           round_up_64(pixels * sizeof(float *)) + 2 * round_up_64(pixels * sizeof(size_t));
}

static struct group group_open(const struct tiles_f32 *t, void *scratch)
{
    struct group g = {.sums = scratch};
    size_t pixels = group_pixels(t);
    char *at = scratch;
    g.copy = (float *)(void *)(at += pixels * TILE_OUTPUTS * sizeof(float));
    g.x = (const float **)(void *)(at += round_up_64(copy_floats(t) * sizeof(float)));
    g.y = (size_t *)(void *)(at += round_up_64(pixels * sizeof(float *)));
    g.r = (size_t *)(void *)(at + round_up_64(pixels * sizeof(size_t)));
    return g;
}

static int needs_copy(const struct tiles_f32 *t, const struct group *g)
{
    int top = t->top + g->row_begin * t->stride;
    int bottom = top + seen(g->row_end - g->row_begin, t->stride, t->taps_h);
    int right = t->left + seen(t->cols, t->stride, t->taps_w), b = t->x_at.border;
    return t->x_at.pixel != (size_t)t->c || t->left < -b || right > t->w + b || top < -b || bottom > t->h + b;
}

/* What the group sees of one image, zeros around. */
static void image_copy(const struct tiles_f32 *t, int image, int first_row, int height, float *to)
{
    int width = seen(t->cols, t->stride, t->taps_w);
    int left = t->left < 0 ? -t->left : 0; /* columns of zeros, at most `width` */
    left = left < width ? left : width;
    int from = t->left > 0 ? t->left : 0;
    int inside = t->w - from < width - left ? t->w - from : width - left; /* columns of x */
    inside = inside > 0 ? inside : 0;
    size_t c = (size_t)t->c, zeros = (size_t)left * c, values = (size_t)inside * c, line = copy_line(t);
    for (int row = first_row; row < first_row + height; row++, to += line) {
        if (row < 0 || row >= t->h) {
            memset(to, 0, line * sizeof *to);
            continue;
        }
        const float *x = t->x + layout_at(&t->x_at, image, row, from);
        memset(to, 0, zeros * sizeof *to);
        if (t->x_at.pixel == c)
            memcpy(to + zeros, x, values * sizeof *to);
        else
            for (int i = 0; i < inside; i++)
                memcpy(to + zeros + (size_t)i * c, x + (size_t)i * t->x_at.pixel, c * sizeof *to);
        memset(to + zeros + values, 0, (line - zeros - values) * sizeof *to);
    }
}

static void group_fill(struct group *g, const struct tiles_f32 *t)
{
    int first = t->top + g->row_begin * t->stride, height = seen(g->row_end - g->row_begin, t->stride, t->taps_h);
    int copies = needs_copy(t, g);
    g->line = copies ? copy_line(t) : t->x_at.row;
    g->pixels = 0;
    for (int i = 0; i < g->images; i++) {
        const float *origin = g->copy + (size_t)i * (size_t)height * g->line;
        if (copies)
            image_copy(t, g->image + i, first, height, g->copy + (size_t)i * (size_t)height * g->line);
        else
            origin = t->x + layout_at(&t->x_at, g->image + i, first, t->left);
        for (int row = g->row_begin; row < g->row_end; row++)
            for (int col = 0; col < t->cols; col++, g->pixels++) {
                g->x[g->pixels] = origin + (size_t)((row - g->row_begin) * t->stride) * g->line +
                                  (size_t)(col * t->stride) * (size_t)t->c;
                g->y[g->pixels] = (size_t)layout_at(&t->y_at, g->image + i, row, col);
                g->r[g->pixels] = t->residual ? (size_t)layout_at(&t->residual_at, g->image + i, row, col) : 0;
            }
    }
}

/* All pixels of the group; tiles differ by one pixel at most, since few do not hide the latency of the
 * multiply-adds. */
static void chunk_run(struct chunk t, int vectors, size_t pixels)
{
    tile_function *const *functions = vectors == 4 ? tiles_4 : vectors == 2 ? tiles_2 : tiles_1;
    size_t most = vectors == 4 ? 6 : 8, tiles = (pixels + most - 1) / most;
    for (size_t i = 0; i < tiles; i++) {
        size_t count = pixels / tiles + (i < pixels % tiles);
        functions[count](&t);
        t.x += count;
        t.sums += count * TILE_OUTPUTS;
    }
}

static void panel_sums(const struct tiles_f32 *t, const struct group *g, const float *w, int vectors)
{
    size_t run = (size_t)t->taps_w * (size_t)t->c, step = (size_t)vectors * LANES;
    struct chunk chunk = {.x = g->x, .w = w, .runs = t->taps_h, .first = 1, .length = run, .stride = g->line};
    chunk.sums = g->sums;
    if ((size_t)t->taps_h * run <= WHOLE_CHUNK) {
        chunk_run(chunk, vectors, g->pixels);
        return;
    }
    size_t pieces = (run + CHUNK - 1) / CHUNK;
    chunk.runs = 1;
    for (int r = 0; r < t->taps_h; r++)
        for (size_t i = 0; i < pieces; i++) {
            size_t from = run * i / pieces;
            chunk.offset = (size_t)r * g->line + from;
            chunk.length = run * (i + 1) / pieces - from;
            chunk_run(chunk, vectors, g->pixels);
            chunk.w += chunk.length * step;
            chunk.first = 0;
        }
}

static void output_store(const struct tiles_f32 *t, const struct group *g, int k)
{
    int whole = k + LANES <= t->out;
    vec_mask mask = vec_first(t->out - k);
    vec bias = t->bias ? vec_load_some(t->bias + k, mask) : vec_zero();
    const float *sum = g->sums + k % TILE_OUTPUTS;
    for (size_t i = 0; i < g->pixels; i++, sum += TILE_OUTPUTS) {
        vec v = vec_add(vec_load(sum), bias);
        if (t->residual)
            v = vec_add(v, vec_load_some(t->residual + g->r[i] + k, mask));
        if (t->relu)
            v = vec_relu(v);
        if (t->clip)
            v = vec_clip(t->clip, v);
        if (whole)
            vec_store(t->y + g->y[i] + k, v);
        else
            vec_store_some(t->y + g->y[i] + k, mask, v);
    }
}

void tiles_f32_avx512_run(const struct tiles_f32 *t, int row_begin, int row_end, void *scratch)
{
    struct group g = group_open(t, scratch);
    int rows = group_rows(t), images = group_images(t);
    for (g.image = 0; g.image < t->images; g.image += images)
        for (g.row_begin = row_begin; g.row_begin < row_end; g.row_begin += rows) {
            g.images = t->images - g.image < images ? t->images - g.image : images;
            g.row_end = g.row_begin + rows < row_end ? g.row_begin + rows : row_end;
            group_fill(&g, t);
            for (int k = 0; k < t->out; k += TILE_OUTPUTS) {
                size_t step;
                const float *w =
                    t->packed + tiles_f32_avx512_packed_at(t->taps_h * t->taps_w, t->c, t->out, k, &step);
                panel_sums(t, &g, w, (int)(step / LANES));
                for (int i = k; i < t->out && i < k + TILE_OUTPUTS; i += LANES)
                    output_store(t, &g, i);
            }
        }
}
