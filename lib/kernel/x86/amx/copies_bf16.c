/* Convolution in bfloat16 by tile products, where inputs are copied before they are multiplied. */
#include "kernel/x86/amx/tiles.h"
#include "kernel/x86/amx/work_bf16.h"
#include <string.h>

enum { WINDOW_PIXELS = BLOCK_PIXELS, WEIGHTS_AHEAD = 1 << 14 /* one image reads each weight once */ };

/* ---- windows: any 64 pixels ---- */

static size_t window_values(const struct conv_shape *s)
{
    return steps_of(s) * STEP_INPUTS;
}

/* n values, of which the last 32 in one masked move. */
static inline void values_copy(bf16 *to, const bf16 *from, int n)
{
    for (; n >= STEP_INPUTS; n -= STEP_INPUTS, to += STEP_INPUTS, from += STEP_INPUTS)
        _mm512_storeu_si512(to, _mm512_loadu_si512(from));
    __mmask32 tail = ((__mmask32)1 << n) - 1;
    _mm512_mask_storeu_epi16(to, tail, _mm512_maskz_loadu_epi16(tail, from));
}

/* The C values of tap (r,t) of one window, or zeros. `to` points to the window. */
static void tap_copy(const struct work *w, int image, int iy, int ix, int r, int t, bf16 *to)
{
    const struct conv_shape *s = w->s;
    const bf16 *x = w->call->x + layout_at(&w->call->x_at, image, iy, ix);
    int inside = iy >= 0 && iy < s->h && ix >= 0 && ix < s->w;
    if (!whole_steps(s)) {
        to += reduced_at(s, 0, r, t);
        if (inside)
            values_copy(to, x, s->c);
        else
            memset(to, 0, (size_t)s->c * sizeof *to);
        return;
    }
    for (int c = 0; c < s->c; c += STEP_INPUTS) {
        __m512i v = inside ? _mm512_loadu_si512(x + c) : _mm512_setzero_si512();
        _mm512_storeu_si512(to + reduced_at(s, c, r, t), v);
    }
}

/* Where window rows may be copied whole: pixels side by side, and nothing outside of what may be read. */
static int window_readable(const struct work *w, int top, int left)
{
    const struct conv_shape *s = w->s;
    int b = w->call->x_at.border, end = s->kernel;
    return w->call->x_at.pixel == (size_t)s->c && !whole_steps(s) && top >= -b && left >= -b &&
           top + end <= s->h + b && left + end <= s->w + b;
}

/* A window of at most 32 values, put together in a register: row r's lie behind those of the rows before it. */
static inline void window_small(const bf16 *x, size_t row, int rows, int run, bf16 *to)
{
    __m512i v = _mm512_setzero_si512();
    for (int r = 0; r < rows; r++) {
        __mmask32 mask = (((__mmask32)1 << run) - 1) << (r * run);
        v = _mm512_mask_loadu_epi16(v, mask, x + (size_t)r * row - r * run);
    }
    _mm512_store_si512(to, v);
}

static void window_copy(const struct work *w, int image, int oy, int ox, bf16 *to)
{
    const struct conv_shape *s = w->s;
    int top = oy * s->stride - s->pad, left = ox * s->stride - s->pad, run = s->kernel * s->c;
    if (window_readable(w, top, left)) {
        const bf16 *x = w->call->x + layout_at(&w->call->x_at, image, top, left);
        size_t row = w->call->x_at.row;
        if (run * s->kernel <= STEP_INPUTS && run < STEP_INPUTS)
            window_small(x, row, s->kernel, run, to);
        else
            for (int r = 0; r < s->kernel; r++)
                values_copy(to + r * run, x + (size_t)r * row, run);
        return;
    }
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            tap_copy(w, image, top + r, left + t, r, t, to);
}

/* Copies the windows of pixels [first, first + count), counted over rows and images, and notes where they go. */
static void windows_copy(struct work *w, size_t first, int count, bf16 *to)
{
    const struct conv_bf16_call *call = w->call;
    size_t rows = (size_t)(call->row_end - call->row_begin), width = (size_t)w->s->out_w;
    int image = (int)(first / (rows * width)), row = call->row_begin + (int)(first / width % rows);
    int col = (int)(first % width);
    for (int i = 0; i < count; i++, to += window_values(w->s)) {
        window_copy(w, image, row, col, to);
        offsets_set(w, i, image, row, col);
        if (++col == (int)width) {
            col = 0;
            if (++row == call->row_end)
                row = call->row_begin, image++;
        }
    }
}

static void windows_outputs(struct work *w, int count, const bf16 *windows, int k)
{
    ptrdiff_t bytes = (ptrdiff_t)(window_values(w->s) * sizeof(bf16));
    struct block_inputs in = {.x = (const char *)windows,
                              .tile_step = PIXELS * bytes,
                              .input_step = STEP_BYTES,
                              .pixel_step = bytes,
                              .weights = group_at(w, k),
                              .steps = (int)steps_of(w->s),
                              .tap_end = 1};
    struct block_outputs to = outputs_at(w, k, 0, 0, 0);
    bias_read(w, k, in.first);
    to.tiles = (count + PIXELS - 1) / PIXELS;
    for (int j = 0; j < to.tiles; j++)
        to.end[j] = count - j * PIXELS < PIXELS ? count - j * PIXELS : PIXELS;
    bf16_blocks_add(&w->blocks, &in, &to);
}

/* What lies in a window beyond its values has weights of zero, and must be a number. */
static void windows_clear(const struct conv_shape *s, bf16 *windows)
{
    size_t values = window_values(s);
    if (shape_reduced(s) % STEP_INPUTS)
        for (int i = 0; i < WINDOW_PIXELS; i++)
            _mm512_storeu_si512(windows + ((size_t)i + 1) * values - STEP_INPUTS, _mm512_setzero_si512());
}

/* Images [first, images). */
static void run_windows(struct work *w, int first, void *scratch)
{
    size_t pixels = (size_t)(w->call->row_end - w->call->row_begin) * (size_t)w->s->out_w;
    size_t end = pixels * (size_t)w->call->images;
    tiles_configure(TILE_ROWS);
    windows_clear(w->s, scratch);
    for (size_t at = pixels * (size_t)first; at < end; at += WINDOW_PIXELS) {
        int count = end - at < WINDOW_PIXELS ? (int)(end - at) : WINDOW_PIXELS;
        bf16_blocks_close(&w->blocks); /* the offsets change */
        windows_copy(w, at, count, scratch);
        for (int k = 0; k < w->s->out; k += OUTPUTS)
            windows_outputs(w, count, scratch, k);
    }
    bf16_blocks_close(&w->blocks);
}

/* ---- planes: rows of 8 pixels or fewer ---- */

/* A tile is 16 / W' whole output rows. For each tap t of a row the map is copied, moved by t:
 * [t][C/32][rows][W'][32], so that every tile of inputs is 1 KiB in a row, and tiles share them as in place. Less
 * is copied than for windows and stays nearer. */
static int planes_suit(const struct conv_shape *s)
{
    return whole_steps(s) && s->kernel == 3 && s->stride == 1 && s->out_w < PIXELS && PIXELS % s->out_w == 0;
}

/* Of one tile. */
static int plane_rows(const struct conv_shape *s)
{
    return PIXELS / s->out_w;
}

/* Values of a plane [rows][W'][32] for that many output rows. */
static size_t plane_values(const struct conv_shape *s, int out_rows)
{
    int step = plane_rows(s), rows = (out_rows + step - 1) / step * step + s->kernel - 1;
    return (size_t)(rows * s->out_w * STEP_INPUTS);
}

/* Row iy of the map as tap t sees it, into the same row of C/32 planes. */
static void plane_row(const struct work *w, int image, int iy, int t, bf16 *to, size_t plane)
{
    const struct conv_shape *s = w->s;
    for (int ox = 0; ox < s->out_w; ox++, to += STEP_INPUTS) {
        int ix = ox + t - s->pad, inside = iy >= 0 && iy < s->h && ix >= 0 && ix < s->w;
        const bf16 *x = w->call->x + layout_at(&w->call->x_at, image, iy, ix);
        for (int c = 0; c < s->c; c += STEP_INPUTS) {
            __m512i v = inside ? _mm512_loadu_si512(x + c) : _mm512_setzero_si512();
            _mm512_storeu_si512(to + (size_t)(c / STEP_INPUTS) * plane, v);
        }
    }
}

static void planes_copy(const struct work *w, int image, bf16 *planes)
{
    const struct conv_shape *s = w->s;
    int rows = w->call->row_end - w->call->row_begin, row = s->out_w * STEP_INPUTS;
    size_t plane = plane_values(s, rows), tap = plane * (size_t)(s->c / STEP_INPUTS);
    for (int t = 0; t < s->kernel; t++)
        for (int i = 0; i < rows + s->kernel - 1; i++)
            plane_row(w, image, w->call->row_begin - s->pad + i, t, planes + (size_t)t * tap + (size_t)(i * row),
                      plane);
}

/* Tiles from output row `row` on. What the last one has beyond the call's rows is computed and not written. */
static void planes_block(struct work *w, int image, int row, int tiles, const bf16 *planes)
{
    const struct conv_shape *s = w->s;
    const ptrdiff_t line = s->out_w * STEP_BYTES;
    int step = plane_rows(s), first = row - w->call->row_begin;
    ptrdiff_t plane = (ptrdiff_t)(plane_values(s, w->call->row_end - w->call->row_begin) * sizeof(bf16));
    struct block_inputs in = {.x = (const char *)planes + first * line,
                              .row_step = line,
                              .tap_step = plane * (s->c / STEP_INPUTS),
                              .pixel_step = STEP_BYTES,
                              .input_step = plane,
                              .steps = s->c / STEP_INPUTS,
                              .shared = tiles > 1 ? step : 1,
                              .ahead = WEIGHTS_AHEAD,
                              .row_end = (tiles - 1) * step + s->kernel,
                              .tap_end = s->kernel};
    for (int k = 0; k < s->out; k += OUTPUTS) {
        struct block_outputs to = outputs_at(w, k, image, row, 0);
        to.tiles = tiles;
        for (int j = 0; j < tiles; j++) {
            int pixels = (w->call->row_end - row - j * step) * s->out_w;
            to.end[j] = pixels < PIXELS ? pixels : PIXELS;
        }
        bias_read(w, k, in.first);
        in.weights = group_at(w, k);
        bf16_blocks_add(&w->blocks, &in, &to);
    }
}

/* Images [first, images). */
static void run_planes(struct work *w, int first, bf16 *planes)
{
    const struct conv_bf16_call *call = w->call;
    int step = plane_rows(w->s), most = step <= 2 ? BLOCK_TILES : 1;
    for (int i = 0; i < BLOCK_PIXELS; i++)
        offsets_set(w, i, 0, i / w->s->out_w, i % w->s->out_w);
    tiles_configure(TILE_ROWS);
    for (int image = first; image < call->images; image++) {
        planes_copy(w, image, planes);
        for (int row = call->row_begin; row < call->row_end; row += most * step) {
            int tiles = (call->row_end - row + step - 1) / step;
            planes_block(w, image, row, tiles < most ? tiles : most, planes);
        }
    }
    bf16_blocks_close(&w->blocks);
}

/* ---- the choice ---- */

size_t bf16_copies_scratch(const struct conv_shape *s)
{
    size_t windows = WINDOW_PIXELS * window_values(s);
    size_t planes = planes_suit(s) ? (size_t)(s->kernel * s->c / STEP_INPUTS) * plane_values(s, s->out_h) : 0;
    return (windows > planes ? windows : planes) * sizeof(bf16);
}

/* Windows of several images share the weights that they load: where a map is one tile, that counts more. */
void bf16_copies_run(struct work *w, int first, void *scratch)
{
    if (planes_suit(w->s) && (plane_rows(w->s) <= 2 || w->call->images - first == 1))
        run_planes(w, first, scratch);
    else
        run_windows(w, first, scratch);
}
