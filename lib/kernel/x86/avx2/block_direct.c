/* The convolutions of training that Winograd does not take: stride 2, 1x1, the stem's windows, maps smaller than a
 * tile. Float32 multiply-adds; bfloat16 is widened on its way into a product, weights when they are packed.
 *
 * A is a cell, 32 images x 32 channels of one pixel; B 32 channels x 32 outputs. For a pixel and 32 outputs the sum
 * over taps and channels is one square. Packed: [outputs/32][taps][cells of inputs][32 inputs][32 outputs] floats. */
#include "kernel/x86/avx2/block_parts_avx2.h"
#include "kernel/x86/avx2/block_square_256.h"
#include "kernel/x86/template/block_taps.h"

enum { PACKED_PLANES = BLOCK_PLAIN, CHUNK_BYTES = 320 * 1024 };

/* ---- weights ---- */

static size_t packed_bytes(const struct block_conv *s, enum block_direction d)
{
    (void)d; /* the same number of cells */
    return (size_t)cells_of(conv_inputs(s)) * (size_t)cells_of(s->k) * (size_t)conv_taps(s) * CELL * sizeof(float);
}

static int pack_items(const struct block_conv *s)
{
    return cells_of(s->k);
}

/* One tap of 32 inputs by 32 outputs, rounded as the maps are, zeros beyond the real ones. */
static void weights_gather(const struct block_conv *s, const float *weight, int k, int c, int tap,
                           float cell[BLOCK_CHANNELS][BLOCK_CHANNELS])
{
    int taps = conv_taps(s), inputs = conv_inputs(s);
    for (int i = 0; i < BLOCK_CHANNELS; i++)
        for (int o = 0; o < BLOCK_CHANNELS; o++) {
            float v = 0;
            if (c + i < inputs && k + o < s->k)
                v = weight[((size_t)(k + o) * (size_t)inputs + (size_t)(c + i)) * (size_t)taps + (size_t)tap];
            cell[i][o] = s->planes == 1 ? bf16_to_float(bf16_from_float(v)) : v;
        }
}

static void pack(const struct block_conv *s, const float *weight, int item, void *forward, void *backward)
{
    float cell[BLOCK_CHANNELS][BLOCK_CHANNELS];
    int taps = conv_taps(s), inputs = cells_of(conv_inputs(s)), outputs = cells_of(s->k);
    for (int tap = 0; tap < taps; tap++)
        for (int c = 0; c < inputs; c++) {
            weights_gather(s, weight, item * BLOCK_CHANNELS, c * BLOCK_CHANNELS, tap, cell);
            size_t to = ((size_t)item * (size_t)taps + (size_t)tap) * (size_t)inputs + (size_t)c;
            size_t back = ((size_t)c * (size_t)taps + (size_t)tap) * (size_t)outputs + (size_t)item;
            if (forward)
                memcpy((float *)forward + to * CELL, cell, sizeof cell);
            for (int i = 0; backward && i < CELL; i++)
                ((float *)backward)[back * CELL + (size_t)i] = cell[i % BLOCK_CHANNELS][i / BLOCK_CHANNELS];
        }
}

/* ---- forward and by data ---- */

/* A pixel's sums [32 images][32 outputs] -> the cell of the destination; sums of what was stored. */
INLINE void store_cell(const float *sums, int planes, bf16 *y, int accumulate, struct channel_sums *stats)
{
    for (int n = 0; n < BLOCK_IMAGES; n++, y += row_step(planes)) {
        struct row v = row_floats(sums + n * BLOCK_CHANNELS);
        if (accumulate)
            v = row_add(v, row_load(y, planes));
        v = row_store(v, y, planes);
        if (stats)
            sums_add(stats, v);
    }
}

/* One row of pixels, 32 outputs. */
INLINE void row_run(const struct block_conv *s, const struct way *way, const struct block_conv_call *call,
                    int planes, int row, int panel, float *sums)
{
    struct channel_sums stats = sums_zero();
    struct taps taps;
    const bf16 *weights = (const bf16 *)call->packed + (size_t)panel * way->panel_values;
    for (int column = 0; column < way->w; column++) {
        size_t pixel = (size_t)row * (size_t)way->w + (size_t)column;
        bf16 *to = call->y + (pixel * (size_t)way->cells + (size_t)panel) * (size_t)planes * CELL;
        taps_find(s, way, call->x, weights, row, column, &taps);
        square_open(sums, 1);
        square_add(sums, taps.a, taps.b, taps.count, way->source_cells, planes);
        if (call->sums)
            store_cell(sums, planes, to, 0, &stats);
        else
            store_cell(sums, planes, to, call->accumulate, NULL);
    }
    if (call->sums)
        sums_to_double(&stats, call->sums + panel * BLOCK_CHANNELS,
                       call->sums + (way->cells + panel) * BLOCK_CHANNELS);
}

static void conv(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                 void *scratch)
{
    struct way way = way_of(s, d, PACKED_PLANES);
    int first = call->k_begin / BLOCK_CHANNELS, past = call->k_end / BLOCK_CHANNELS;
    for (int c = call->k_begin; call->sums && c < call->k_end; c++)
        call->sums[c] = call->sums[way.cells * BLOCK_CHANNELS + c] = 0;
    /* Wide maps: the rows around stay in the cache for all outputs. Narrow ones: the weights are read once. */
    int rows_first = way.w >= 16, rows = call->row_end - call->row_begin, panels = past - first;
    for (int i = 0; i < rows * panels; i++) {
        int row = call->row_begin + (rows_first ? i / panels : i % rows);
        int panel = first + (rows_first ? i % panels : i / rows);
        if (s->planes == 1)
            row_run(s, &way, call, 1, row, panel, scratch);
        else
            row_run(s, &way, call, BLOCK_PLAIN, row, panel, scratch);
    }
}

/* ---- by weights ---- */

/* dw[k][c][tap] of 32 outputs and 32 inputs: from sums [taps][32 inputs][32 outputs]. */
static void block_unpack(const struct block_conv *s, const float *sums, int output_cell, int input_cell, float *dw)
{
    int taps = conv_taps(s), inputs = conv_inputs(s), c = input_cell * BLOCK_CHANNELS,
        k = output_cell * BLOCK_CHANNELS;
    for (int o = 0; o < BLOCK_CHANNELS && k + o < s->k; o++) {
        float *to = dw + ((size_t)(k + o) * (size_t)inputs + (size_t)c) * (size_t)taps;
        for (int i = 0; i < BLOCK_CHANNELS && c + i < inputs; i++)
            for (int tap = 0; tap < taps; tap++)
                *to++ = sums[(tap * BLOCK_CHANNELS + i) * BLOCK_CHANNELS + o];
    }
}

/* Turned, a cell is 32 x 32 floats as they lay: rows of A are channels, which square_add_turned strides over. */
static int turned_planes(const struct block_conv *s)
{
    (void)s;
    return BLOCK_PLAIN;
}

static void turn_x_cell(const bf16 *cell, int planes, bf16 *to)
{
    if (planes != 1)
        memcpy(to, cell, CELL * sizeof(float));
    else
        for (int n = 0; n < BLOCK_IMAGES; n++)
            row_store(row_load(cell + n * BLOCK_CHANNELS, 1), to + n * row_step(BLOCK_PLAIN), BLOCK_PLAIN);
}

static void turn_dy_cell(const bf16 *cell, int planes, bf16 *to)
{
    turn_x_cell(cell, planes, to);
}

#include "kernel/x86/template/block_weight.inc"

static size_t scratch_bytes(const struct block_conv *s)
{
    size_t products = CELL * sizeof(float), weight = block_weight_scratch(s);
    return products > weight ? products : weight;
}

const struct block_kernel block_direct_avx2 = {.packed_bytes = packed_bytes,
                                               .pack_items = pack_items,
                                               .pack = pack,
                                               .scratch_bytes = scratch_bytes,
                                               .conv = conv,
                                               .weight_shared_bytes = block_weight_shared_bytes,
                                               .weight_items = block_weight_items,
                                               .weight_gradient = block_weight_gradient};
