/* block.h by AVX512-BF16, for machines without a matrix unit: 3x3 of stride 1 by Winograd in 16-bit integers
 * (block_winograd.c) unless a map is smaller than a tile, the rest here.
 *
 * A is a cell, 32 images x 32 channels of one pixel; B 32 channels x 32 outputs in pairs, as block_pack.c lays
 * them. For a pixel and 32 outputs the sum over taps and channels is one square. */
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/avx512bf16/block_square_512.h"
#include "kernel/x86/template/block_taps.h"
#include "kernel/x86/template/block_weight.inc"
#include "kernel/x86/template/block_winograd_shape.h"
#include "kernel/list.h"

/* A pixel's sums [4][16][16] (images by outputs) -> the cell of the destination; sums of what was stored. */
ALWAYS_INLINE void store_cell(const float *sums, int planes, bf16 *y, int accumulate, struct channel_sums *stats)
{
    for (int n = 0; n < BLOCK_IMAGES; n++) {
        const float *row = sums + (n / 16) * 2 * SQUARE_TILE + (n % 16) * 16;
        struct row v = {{_mm512_load_ps(row), _mm512_load_ps(row + SQUARE_TILE)}};
        bf16 *to = y + n * BLOCK_CHANNELS;
        if (accumulate)
            v = row_add(v, row_load(to, planes));
        v = row_store(v, to, planes);
        if (stats)
            sums_add(stats, v);
    }
}

ALWAYS_INLINE void pixel_run(const struct way *way, const struct taps *taps, int planes, float *sums, bf16 *to,
                             int accumulate, struct channel_sums *stats)
{
    size_t step = (size_t)planes * CELL;
    square_open(sums, 1);
    square_add(sums, taps->a, step, taps->b, step, taps->count, way->source_cells, planes);
    square_close(sums);
    if (stats)
        store_cell(sums, planes, to, 0, stats);
    else if (accumulate)
        store_cell(sums, planes, to, 1, NULL);
    else
        store_cell(sums, planes, to, 0, NULL);
}

/* One row of pixels, 32 outputs. */
ALWAYS_INLINE void row_run(const struct block_conv *s, const struct way *way, const struct block_conv_call *call,
                           int planes, int row, int panel, float *sums)
{
    struct channel_sums stats = sums_zero();
    struct taps taps;
    const bf16 *weights = (const bf16 *)call->packed + (size_t)panel * way->panel_values;
    for (int column = 0; column < way->w; column++) {
        size_t pixel = (size_t)row * (size_t)way->w + (size_t)column;
        bf16 *to = call->y + (pixel * (size_t)way->cells + (size_t)panel) * (size_t)planes * CELL;
        taps_find(s, way, call->x, weights, row, column, &taps);
        pixel_run(way, &taps, planes, sums, to, call->accumulate, call->sums ? &stats : NULL);
    }
    if (call->sums)
        sums_to_double(&stats, call->sums + panel * BLOCK_CHANNELS,
                       call->sums + (way->cells + panel) * BLOCK_CHANNELS);
}

static size_t conv_scratch(void)
{
    return 4 * SQUARE_TILE * sizeof(float);
}

static void direct(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                   void *scratch)
{
    struct way way = way_of(s, d, s->planes);
    int first = call->k_begin / BLOCK_CHANNELS, past = call->k_end / BLOCK_CHANNELS;
    for (int c = call->k_begin; call->sums && c < call->k_end; c++)
        call->sums[c] = call->sums[way.cells * BLOCK_CHANNELS + c] = 0;
    /* Wide maps: the rows around stay in the cache for all outputs. Narrow ones fit whole: the weights are read
     * once. */
    int rows_first = way.w >= 16, rows = call->row_end - call->row_begin, panels = past - first;
    square_begin();
    for (int i = 0; i < rows * panels; i++) {
        int row = call->row_begin + (rows_first ? i / panels : i % rows);
        int panel = first + (rows_first ? i % panels : i / rows);
        if (s->planes == 1)
            row_run(s, &way, call, 1, row, panel, scratch);
        else
            row_run(s, &way, call, 3, row, panel, scratch);
    }
    square_end();
}

static size_t scratch_of_direct(const struct block_conv *s)
{
    size_t products = conv_scratch(), weight = block_weight_scratch(s);
    return products > weight ? products : weight;
}

static const struct block_kernel direct_kernel = {.packed_bytes = block_packed_bytes,
                                                  .pack_items = block_pack_items,
                                                  .pack = block_pack,
                                                  .scratch_bytes = scratch_of_direct,
                                                  .conv = direct,
                                                  .weight_shared_bytes = block_weight_shared_bytes,
                                                  .weight_items = block_weight_items,
                                                  .weight_gradient = block_weight_gradient};

/* ---- which of the two ---- */

static const struct block_kernel *part_of(const struct block_conv *s)
{
    return s->planes == 1 && winograd_suits(s) ? &block_winograd_avx512bf16 : &direct_kernel;
}

#include "kernel/x86/template/block_parts.inc"

const struct block_kernel block_avx512bf16_winograd = {
    .float_planes = 3, .supports = block_supports, BLOCK_OF_PARTS, BLOCK_PASSES};
