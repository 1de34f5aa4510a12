/* The convolutions of training that Winograd does not take: stride 2, 1x1, the stem's windows, maps smaller than a
 * tile. Float32 multiply-adds; bfloat16 is widened, a pixel's taps at a time, and weights when they are packed.
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

/* What a call works with; in its scratch: */
struct work {
    const struct block_conv *s;
    const struct block_conv_call *call;
    struct way way;
    float *sums;                /* of a pixel and 32 outputs: [32][32] */
    float *cells;               /* of its taps: [taps][cells][32][32] */
    struct channel_sums *stats; /* of a row of pixels: [cells of outputs] */
};

static int most_cells(const struct block_conv *s)
{
    int in = cells_of(conv_inputs(s)), out = cells_of(s->k);
    return in > out ? in : out;
}

static size_t conv_scratch(const struct block_conv *s)
{
    size_t cells = (size_t)most_cells(s);
    return (1 + (size_t)conv_taps(s) * cells) * CELL * sizeof(float) + cells * sizeof(struct channel_sums);
}

/* The taps' cells as floats, side by side: a product goes through each twelve times, by few rows. */
INLINE void taps_gather(const struct taps *taps, int cells, int planes, float *to, const float **a)
{
    for (int i = 0; i < taps->count; i++, to += cells * CELL) {
        a[i] = to;
        for (int n = 0; n < cells * BLOCK_IMAGES; n++) {
            struct row v = row_load(taps->a[i] + n * row_step(planes), planes);
            row_store(v, (bf16 *)(void *)(to + n * BLOCK_CHANNELS), BLOCK_PLAIN);
        }
    }
}

/* One pixel, 32 outputs. */
INLINE void panel_run(const struct work *w, int planes, int count, const float *const *a, const bf16 *const *b,
                      int panel, bf16 *to)
{
    const bf16 *weights[MOST_TAPS];
    for (int i = 0; i < count; i++)
        weights[i] = b[i] + (size_t)panel * w->way.panel_values;
    square_open(w->sums, 1);
    square_add(w->sums, a, weights, count, w->way.source_cells, last_halves(w->way.inputs),
               halves_of(w->way.outputs, panel));
    to += (size_t)panel * (size_t)planes * CELL;
    if (w->call->sums)
        store_cell(w->sums, planes, to, 0, w->stats + panel);
    else
        store_cell(w->sums, planes, to, w->call->accumulate, NULL);
}

/* One row of pixels, outputs [first, past) in cells. */
INLINE void row_run(const struct work *w, int planes, int row, int first, int past)
{
    const struct block_conv_call *call = w->call;
    struct taps taps;
    const float *a[MOST_TAPS];
    for (int panel = first; panel < past; panel++)
        w->stats[panel] = sums_zero();
    for (int column = 0; column < w->way.w; column++) {
        size_t pixel = (size_t)row * (size_t)w->way.w + (size_t)column;
        bf16 *to = call->y + pixel * (size_t)w->way.cells * (size_t)planes * CELL;
        taps_find(w->s, &w->way, call->x, call->packed, row, column, &taps);
        taps_gather(&taps, w->way.source_cells, planes, w->cells, a);
        for (int panel = first; panel < past; panel++)
            panel_run(w, planes, taps.count, a, taps.b, panel, to);
    }
    for (int panel = first; call->sums && panel < past; panel++)
        sums_to_double(w->stats + panel, call->sums + panel * BLOCK_CHANNELS,
                       call->sums + (w->way.cells + panel) * BLOCK_CHANNELS);
}

static void conv(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                 void *scratch)
{
    struct work w = {.s = s, .call = call, .way = way_of(s, d, PACKED_PLANES), .sums = scratch};
    w.stats = (struct channel_sums *)(void *)(w.sums + CELL);
    w.cells = (float *)(void *)(w.stats + most_cells(s));
    for (int c = call->k_begin; call->sums && c < call->k_end; c++)
        call->sums[c] = call->sums[w.way.cells * BLOCK_CHANNELS + c] = 0;
    /* Wide maps: a pixel's taps are read once for all outputs. Narrow ones have many weights, which are. */
    int begin = call->k_begin / BLOCK_CHANNELS, end = call->k_end / BLOCK_CHANNELS;
    int step = w.way.w >= 16 ? end - begin : 1;
    unsigned before = subnormals_drop(s->planes);
    for (int panel = begin; panel < end; panel += step)
        for (int row = call->row_begin; row < call->row_end; row++)
            if (s->planes == 1)
                row_run(&w, 1, row, panel, panel + step);
            else
                row_run(&w, BLOCK_PLAIN, row, panel, panel + step);
    subnormals_restore(before);
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
    size_t products = conv_scratch(s), weight = block_weight_scratch(s);
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
