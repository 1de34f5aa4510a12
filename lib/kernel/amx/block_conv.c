/* Training's convolutions on the matrix unit: forward, and the gradient by the input as the same product with other
 * taps.
 *
 * A tile of A is 16 images x 32 channels of one pixel, half a cell; a tile of B 32 channels x 16 outputs in pairs,
 * as block_pack.c lays them. For a pixel and 32 outputs the sum over taps and channels stays in the four
 * accumulators. */
#include "kernel/amx/block_parts.h"
#include "kernel/amx/block_shape.h"
#include "kernel/amx/block_vectors.h"
#include "kernel/amx/block_tiles.h"

/* The source pixels that a destination pixel sums over. */
struct taps {
    int count;
    const bf16 *a[MOST_TAPS]; /* a pixel's cells */
    const bf16 *b[MOST_TAPS]; /* that tap's weights for 32 outputs */
};

/* What both directions need to know of their source and destination. */
struct way {
    int source_h, source_w, source_cells; /* cells of one plane a pixel */
    int w, cells;                         /* the destination */
    int forward;
    size_t tap_values;   /* packed weights of one tap and 32 outputs */
    size_t panel_values; /* of all taps */
};

static struct way way_of(const struct block_conv *s, enum block_direction d)
{
    struct way y = {.forward = d == BLOCK_FORWARD};
    int in = cells_of(conv_inputs(s)), out = cells_of(s->k);
    y.source_h = y.forward ? s->h : s->out_h;
    y.source_w = y.forward ? s->w : s->out_w;
    y.source_cells = y.forward ? in : out;
    y.w = y.forward ? s->out_w : s->w;
    y.cells = y.forward ? out : in;
    if (s->window) { /* the windows lie where the outputs do */
        y.source_h = s->out_h;
        y.source_w = s->out_w;
    }
    y.tap_values = (size_t)y.source_cells * (size_t)s->planes * CELL;
    y.panel_values = y.tap_values * (size_t)conv_taps(s);
    return y;
}

/* The source coordinate that tap `r` takes for destination coordinate `at`, or -1. */
static inline int source_of(const struct block_conv *s, int forward, int at, int r, int size)
{
    int i;
    if (forward) {
        i = at * s->stride - s->pad + r;
    } else {
        i = at + s->pad - r;
        if (i < 0 || i % s->stride != 0)
            return -1;
        i /= s->stride;
    }
    return i >= 0 && i < size ? i : -1;
}

static void taps_find(const struct block_conv *s, const struct way *y, const bf16 *x, const bf16 *panel, int row,
                      int column, struct taps *taps)
{
    size_t pixel = (size_t)y->source_cells * (size_t)s->planes * CELL;
    taps->count = 0;
    if (s->window) {
        taps->a[0] = x + ((size_t)row * (size_t)y->source_w + (size_t)column) * pixel;
        taps->b[0] = panel;
        taps->count = 1;
        return;
    }
    for (int r = 0; r < s->kernel; r++) {
        int i = source_of(s, y->forward, row, r, y->source_h);
        for (int t = 0; i >= 0 && t < s->kernel; t++) {
            int j = source_of(s, y->forward, column, t, y->source_w);
            if (j < 0)
                continue;
            taps->a[taps->count] = x + ((size_t)i * (size_t)y->source_w + (size_t)j) * pixel;
            taps->b[taps->count++] = panel + (size_t)(r * s->kernel + t) * y->tap_values;
        }
    }
}

/* Products of one cell of A with the weights of one cell: A [32][32], B [2][16][32]. */
#define LOAD_A(p)                           \
    do {                                    \
        _tile_loadd(4, (p), 64);            \
        _tile_loadd(5, (p) + CELL / 2, 64); \
    } while (0)
#define LOAD_B(p)                           \
    do {                                    \
        _tile_loadd(6, (p), 64);            \
        _tile_loadd(7, (p) + CELL / 2, 64); \
    } while (0)
#define MULTIPLY()               \
    do {                         \
        _tile_dpbf16ps(0, 4, 6); \
        _tile_dpbf16ps(1, 4, 7); \
        _tile_dpbf16ps(2, 5, 6); \
        _tile_dpbf16ps(3, 5, 7); \
    } while (0)

static inline void sum_cells(const struct taps *taps, int cells)
{
    for (int i = 0; i < taps->count; i++) {
        const bf16 *a = taps->a[i], *b = taps->b[i];
        for (int c = 0; c < cells; c++, a += CELL, b += CELL) {
            _tile_loadd(4, a, 64);
            _tile_loadd(6, b, 64);
            _tile_dpbf16ps(0, 4, 6);
            _tile_loadd(7, b + CELL / 2, 64);
            _tile_dpbf16ps(1, 4, 7);
            _tile_loadd(5, a + CELL / 2, 64);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
}

/* Three planes: the six products that count, ordered so that five of twelve operands stay where they are. */
static inline void sum_cells_planes(const struct taps *taps, int cells)
{
    for (int i = 0; i < taps->count; i++) {
        const bf16 *a = taps->a[i], *b = taps->b[i];
        for (int c = 0; c < cells; c++, a += 3 * CELL, b += 3 * CELL) {
            LOAD_A(a);
            LOAD_B(b + 2 * CELL);
            MULTIPLY();
            LOAD_B(b + CELL);
            MULTIPLY();
            LOAD_A(a + CELL);
            MULTIPLY();
            LOAD_B(b);
            MULTIPLY();
            LOAD_A(a + 2 * CELL);
            MULTIPLY();
            LOAD_A(a);
            MULTIPLY();
        }
    }
}

/* A pixel's sums [4][16][16] (images by outputs) -> the cell of the destination; sums of what was stored. */
static inline __attribute__((always_inline)) void store_cell(const float *sums, int planes, bf16 *y, int accumulate,
                                                             struct channel_sums *stats)
{
    for (int n = 0; n < BLOCK_IMAGES; n++) {
        const float *row = sums + (n / TILE_ROWS) * 2 * TILE_FLOATS + (n % TILE_ROWS) * 16;
        struct pair v = {_mm512_load_ps(row), _mm512_load_ps(row + TILE_FLOATS)};
        bf16 *to = y + n * BLOCK_CHANNELS;
        if (accumulate)
            v = pair_add(v, pair_load(to, planes));
        v = pair_store(v, to, planes);
        if (stats)
            sums_add(stats, v);
    }
}

static inline __attribute__((always_inline)) void pixel_run(const struct block_conv *s, const struct way *way,
                                                            const struct taps *taps, int planes, float *sums,
                                                            bf16 *to, int accumulate, struct channel_sums *stats)
{
    (void)s;
    TILES_ZERO();
    if (planes == 1)
        sum_cells(taps, way->source_cells);
    else
        sum_cells_planes(taps, way->source_cells);
    TILES_STORE(sums);
    if (stats)
        store_cell(sums, planes, to, 0, stats);
    else if (accumulate)
        store_cell(sums, planes, to, 1, NULL);
    else
        store_cell(sums, planes, to, 0, NULL);
}

/* One row of pixels, 32 outputs. */
static inline __attribute__((always_inline)) void row_run(const struct block_conv *s, const struct way *way,
                                                          const struct block_conv_call *call, int planes, int row,
                                                          int panel, float *sums)
{
    struct channel_sums stats = sums_zero();
    struct taps taps;
    const bf16 *weights = (const bf16 *)call->packed + (size_t)panel * way->panel_values;
    for (int column = 0; column < way->w; column++) {
        size_t pixel = (size_t)row * (size_t)way->w + (size_t)column;
        bf16 *to = call->y + (pixel * (size_t)way->cells + (size_t)panel) * (size_t)planes * CELL;
        taps_find(s, way, call->x, weights, row, column, &taps);
        pixel_run(s, way, &taps, planes, sums, to, call->accumulate, call->sums ? &stats : NULL);
    }
    if (call->sums)
        sums_to_double(&stats, call->sums + panel * BLOCK_CHANNELS,
                       call->sums + (way->cells + panel) * BLOCK_CHANNELS);
}

size_t block_conv_scratch(void)
{
    return 4 * TILE_FLOATS * sizeof(float);
}

void block_conv_run(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                    void *scratch)
{
    struct way way = way_of(s, d);
    int first = call->k_begin / BLOCK_CHANNELS, past = call->k_end / BLOCK_CHANNELS;
    for (int c = call->k_begin; call->sums && c < call->k_end; c++)
        call->sums[c] = call->sums[way.cells * BLOCK_CHANNELS + c] = 0;
    /* Wide maps: the rows around stay in the cache for all outputs. Narrow ones fit whole: the weights are read
     * once. */
    int rows_first = way.w >= 16, rows = call->row_end - call->row_begin, panels = past - first;
    tiles_configure(TILE_ROWS);
    for (int i = 0; i < rows * panels; i++) {
        int row = call->row_begin + (rows_first ? i / panels : i % rows);
        int panel = first + (rows_first ? i % panels : i / rows);
        if (s->planes == 1)
            row_run(s, &way, call, 1, row, panel, scratch);
        else
            row_run(s, &way, call, 3, row, panel, scratch);
    }
    tiles_release();
}
