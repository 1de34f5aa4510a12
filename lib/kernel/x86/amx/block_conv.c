/* Training's convolutions on the matrix unit: forward, and the gradient by the input as the same product with other
 * taps.
 *
 * A tile of A is 16 images x 32 channels of one pixel, half a cell; a tile of B 32 channels x 16 outputs in pairs,
 * as block_pack.c lays them. For a pixel and 32 outputs the sum over taps and channels stays in the four
 * accumulators. */
#include "kernel/x86/amx/block_conv.h"
#include "kernel/x86/amx/block_tiles.h"
#include "kernel/x86/template/block_taps.h"
#include "kernel/x86/avx512bf16/block_vectors_512.h"

/* A finished pixel's sums [4][16][16] (images by outputs) on their way into the destination's cell. They go a few
 * rows at a time, between the products of the next pixel: the matrix unit never waits for the vector units. */
struct drain {
    const float *sums;
    bf16 *to;
    int row; /* BLOCK_IMAGES: nothing to do */
    struct channel_sums stats;
};

enum drain_mode { DRAIN_PLAIN, DRAIN_ADD, DRAIN_STATS };

ALWAYS_INLINE void drain_rows(struct drain *d, int rows, int planes, enum drain_mode mode)
{
    for (int i = 0; i < rows && d->row < BLOCK_IMAGES; i++, d->row++) {
        const float *row = d->sums + (d->row / TILE_ROWS) * 2 * TILE_FLOATS + (d->row % TILE_ROWS) * 16;
        struct row v = {{_mm512_load_ps(row), _mm512_load_ps(row + TILE_FLOATS)}};
        bf16 *to = d->to + d->row * BLOCK_CHANNELS;
        if (mode == DRAIN_ADD)
            v = row_add(v, row_load(to, planes));
        v = row_store(v, to, planes);
        if (mode == DRAIN_STATS)
            sums_add(&d->stats, v);
    }
}

ALWAYS_INLINE void sum_cells(const struct taps *taps, int cells, struct drain *d, int rows, enum drain_mode mode)
{
    for (int i = 0; i < taps->count; i++) {
        const bf16 *a = taps->a[i], *b = taps->b[i];
        for (int c = 0; c < cells; c++, a += CELL, b += CELL) {
            cell_add(a, b);
            drain_rows(d, rows, 1, mode);
        }
    }
}

ALWAYS_INLINE void sum_cells_planes(const struct taps *taps, int cells, struct drain *d, int rows,
                                    enum drain_mode mode)
{
    for (int i = 0; i < taps->count; i++) {
        const bf16 *a = taps->a[i], *b = taps->b[i];
        for (int c = 0; c < cells; c++, a += 3 * CELL, b += 3 * CELL) {
            cell_add_planes_begin(a, b);
            drain_rows(d, rows, 3, mode);
            cell_add_planes_end(a, b);
        }
    }
}

/* One row of pixels, 32 outputs; sums: [2][4][16][16]. */
ALWAYS_INLINE void row_run(const struct block_conv *s, const struct way *way, const struct block_conv_call *call,
                           int planes, enum drain_mode mode, int row, int panel, float *sums)
{
    struct drain d = {.row = BLOCK_IMAGES, .stats = sums_zero()};
    struct taps taps;
    const bf16 *weights = (const bf16 *)call->packed + (size_t)panel * way->panel_values;
    for (int column = 0; column < way->w; column++) {
        size_t pixel = (size_t)row * (size_t)way->w + (size_t)column;
        float *mine = sums + (column & 1) * 4 * TILE_FLOATS;
        taps_find(s, way, call->x, weights, row, column, &taps);
        int steps = taps.count * way->source_cells, rows = steps > 0 ? (BLOCK_IMAGES + steps - 1) / steps : 0;
        TILES_ZERO();
        if (planes == 1)
            sum_cells(&taps, way->source_cells, &d, rows, mode);
        else
            sum_cells_planes(&taps, way->source_cells, &d, rows, mode);
        drain_rows(&d, BLOCK_IMAGES, planes, mode);
        TILES_STORE(mine);
        d.sums = mine;
        d.to = call->y + (pixel * (size_t)way->cells + (size_t)panel) * (size_t)planes * CELL;
        d.row = 0;
    }
    drain_rows(&d, BLOCK_IMAGES, planes, mode);
    if (mode == DRAIN_STATS)
        sums_to_double(&d.stats, call->sums + panel * BLOCK_CHANNELS,
                       call->sums + (way->cells + panel) * BLOCK_CHANNELS);
}

size_t block_conv_scratch(void)
{
    return 2 * 4 * TILE_FLOATS * sizeof(float);
}

void block_conv_run(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                    void *scratch)
{
    struct way way = way_of(s, d, s->planes);
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
        if (s->planes == 1 && call->sums)
            row_run(s, &way, call, 1, DRAIN_STATS, row, panel, scratch);
        else if (s->planes == 1 && call->accumulate)
            row_run(s, &way, call, 1, DRAIN_ADD, row, panel, scratch);
        else if (s->planes == 1)
            row_run(s, &way, call, 1, DRAIN_PLAIN, row, panel, scratch);
        else if (call->sums)
            row_run(s, &way, call, 3, DRAIN_STATS, row, panel, scratch);
        else
            row_run(s, &way, call, 3, call->accumulate ? DRAIN_ADD : DRAIN_PLAIN, row, panel, scratch);
    }
    tiles_release();
}
