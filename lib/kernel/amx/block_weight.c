/* Gradient by the weights on the matrix unit: for a tap, 32 inputs and 32 outputs the sum over pixels and images is
 * a product of X^T (32 inputs x 32 images a pixel) and dY (32 images x 32 outputs), kept in the four accumulators
 * over many pixels.
 *
 * Few weights (small): the images are cut into parts by their number alone; a part goes through its images a few
 * rows at a time, turns what the rows hold into scratch that stays in the second-level cache, and adds to sums of
 * its own; then the parts are added up in order. Many weights: everything is turned first; then an item is 32
 * inputs, with all outputs, over all images. */
#include "base/memory.h"
#include "kernel/amx/block_parts.h"
#include "kernel/amx/block_shape.h"
#include "kernel/amx/block_tiles.h"
#include <string.h>

enum { ROUND_TURN, ROUND_SUM, ROUND_FINISH, MOST_PARTS = 8, SMALL_WEIGHTS = 192 * 1024, CHUNK_BYTES = 640 * 1024 };

static int is_small(const struct block_conv *s)
{
    return block_channels(conv_inputs(s)) * block_channels(s->k) * conv_taps(s) <= SMALL_WEIGHTS;
}

static int parts_of(int blocks)
{
    return blocks < MOST_PARTS ? blocks : MOST_PARTS;
}

static size_t sums_floats(const struct block_conv *s) /* of all weights */
{
    return (size_t)cells_of(conv_inputs(s)) * (size_t)cells_of(s->k) * (size_t)conv_taps(s) * CELL;
}

static int source_h(const struct block_conv *s)
{
    return s->window ? s->out_h : s->h;
}

static int source_w(const struct block_conv *s)
{
    return s->window ? s->out_w : s->w;
}

static size_t pixel_values(const struct block_conv *s, int cells)
{
    return (size_t)cells * (size_t)s->planes * CELL;
}

static size_t x_row_values(const struct block_conv *s)
{
    return (size_t)source_w(s) * pixel_values(s, cells_of(conv_inputs(s)));
}

static size_t y_row_values(const struct block_conv *s)
{
    return (size_t)s->out_w * pixel_values(s, cells_of(s->k));
}

/* ---- the sum over pixels ---- */

/* Turned tensors, cell by cell: x [cells][rows][W][P][32 channels][32 images], dy likewise; so the pixels of one
 * cell lie side by side and do not fight for the same sets of a cache. Row r of the image lies in slot r % x_rows.
 */
struct turned {
    const bf16 *x, *dy;     /* of the first cell */
    size_t x_cell, dy_cell; /* values from a cell to the next */
    int x_rows, y_first;    /* dy's first row here is the image's y_first */
};

static inline void pixels_sum(const bf16 *x, size_t x_step, const bf16 *dy, size_t y_step, int count)
{
    for (int i = 0; i < count; i++, x += x_step, dy += y_step) {
        _tile_loadd(4, x, 64);
        _tile_loadd(6, dy, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_loadd(7, dy + CELL / 2, 64);
        _tile_dpbf16ps(1, 4, 7);
        _tile_loadd(5, x + CELL / 2, 64);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
}

#define LOAD_X(p)                           \
    do {                                    \
        _tile_loadd(4, (p), 64);            \
        _tile_loadd(5, (p) + CELL / 2, 64); \
    } while (0)
#define LOAD_Y(p)                           \
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

static inline void pixels_sum_planes(const bf16 *x, size_t x_step, const bf16 *dy, size_t y_step, int count)
{
    for (int i = 0; i < count; i++, x += x_step, dy += y_step) {
        LOAD_X(x);
        LOAD_Y(dy + 2 * CELL);
        MULTIPLY();
        LOAD_Y(dy + CELL);
        MULTIPLY();
        LOAD_X(x + CELL);
        MULTIPLY();
        LOAD_Y(dy);
        MULTIPLY();
        LOAD_X(x + 2 * CELL);
        MULTIPLY();
        LOAD_X(x);
        MULTIPLY();
    }
}

static int floor_divide(int a, int b)
{
    return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* The outputs [*begin, *past) of [first, last) whose tap r lies inside the source. */
static void inside(const struct block_conv *s, int r, int size, int first, int last, int *begin, int *past)
{
    int lowest = floor_divide(s->pad - r + s->stride - 1, s->stride);
    int highest = floor_divide(size - 1 + s->pad - r, s->stride) + 1;
    if (s->window) {
        lowest = first;
        highest = last;
    }
    *begin = lowest > first ? lowest : first;
    *past = highest < last ? highest : last;
}

/* Adds output rows [first, last) of one block for one tap, 32 inputs and 32 outputs. */
static void tap_sum(const struct block_conv *s, const struct turned *t, int tap, int c, int k, int first, int last)
{
    int r = s->window ? 0 : tap / s->kernel, q = s->window ? 0 : tap % s->kernel;
    int stride = s->window ? 1 : s->stride, pad = s->window ? 0 : s->pad;
    int row, row_past, column, column_past;
    inside(s, r, source_h(s), first, last, &row, &row_past);
    inside(s, q, source_w(s), 0, s->out_w, &column, &column_past);
    size_t pixel = (size_t)s->planes * CELL;
    for (; row < row_past; row++) {
        int slot = (row * stride - pad + r) % t->x_rows;
        const bf16 *x = t->x + (size_t)c * t->x_cell +
                        ((size_t)slot * (size_t)source_w(s) + (size_t)(column * stride - pad + q)) * pixel;
        const bf16 *dy = t->dy + (size_t)k * t->dy_cell +
                         ((size_t)(row - t->y_first) * (size_t)s->out_w + (size_t)column) * pixel;
        if (s->planes == 1)
            pixels_sum(x, pixel * (size_t)stride, dy, pixel, column_past - column);
        else
            pixels_sum_planes(x, pixel * (size_t)stride, dy, pixel, column_past - column);
    }
}

/* `pixels` pixels of all cells, to `to` and on; `cell`: values from a cell's place to the next one's. */
static void turn_pixels(const struct block_conv *s, const bf16 *from, int pixels, int cells, bf16 *to, size_t cell,
                        int is_x)
{
    for (int i = 0; i < pixels; i++)
        for (int c = 0; c < cells; c++)
            for (int p = 0; p < s->planes; p++, from += CELL) {
                bf16 *at = to + (size_t)c * cell + ((size_t)i * (size_t)s->planes + (size_t)p) * CELL;
                if (is_x)
                    cell_transpose(from, at);
                else
                    cell_pair(from, at);
            }
}

static void turn_x(const struct block_conv *s, const bf16 *from, int pixels, bf16 *to, size_t cell)
{
    turn_pixels(s, from, pixels, cells_of(conv_inputs(s)), to, cell, 1);
}

static void turn_dy(const struct block_conv *s, const bf16 *from, int pixels, bf16 *to, size_t cell)
{
    turn_pixels(s, from, pixels, cells_of(s->k), to, cell, 0);
}

/* ---- few weights ---- */

/* Output rows of a chunk, and rows of x that its ring holds. */
static int chunk_rows(const struct block_conv *s)
{
    size_t row = (x_row_values(s) * (size_t)(s->window ? 1 : s->stride) + y_row_values(s)) * sizeof(bf16);
    int rows = (int)(CHUNK_BYTES / row);
    return rows < 1 ? 1 : rows < s->out_h ? rows : s->out_h;
}

static int ring_rows(const struct block_conv *s)
{
    return s->window ? chunk_rows(s) : (chunk_rows(s) - 1) * s->stride + s->kernel;
}

static size_t ring_values(const struct block_conv *s)
{
    return (size_t)ring_rows(s) * x_row_values(s);
}

static void chunk_sum(const struct block_conv *s, const struct turned *t, int first, int last, int is_first,
                      float *sums)
{
    int inputs = cells_of(conv_inputs(s)), outputs = cells_of(s->k), taps = conv_taps(s);
    for (int k = 0; k < outputs; k++)
        for (int c = 0; c < inputs; c++)
            for (int tap = 0; tap < taps; tap++, sums += CELL) {
                if (is_first)
                    TILES_ZERO();
                else
                    TILES_LOAD(sums);
                tap_sum(s, t, tap, c, k, first, last);
                TILES_STORE(sums);
            }
}

/* All rows of one block, added to sums [outputs][inputs][taps][4 tiles]. */
static void block_sum(const struct block_conv *s, const bf16 *x, const bf16 *dy, int is_first, float *sums,
                      bf16 *scratch)
{
    bf16 *ring = scratch, *turned_y = scratch + ring_values(s);
    size_t pixel = (size_t)s->planes * CELL;
    struct turned t = {.x = ring,
                       .dy = turned_y,
                       .x_cell = (size_t)ring_rows(s) * (size_t)source_w(s) * pixel,
                       .dy_cell = (size_t)chunk_rows(s) * (size_t)s->out_w * pixel,
                       .x_rows = ring_rows(s)};
    int stride = s->window ? 1 : s->stride, pad = s->window ? 0 : s->pad, kernel = s->window ? 1 : s->kernel;
    int rows = chunk_rows(s), turned = 0; /* rows of x turned so far */
    for (int first = 0; first < s->out_h; first += rows) {
        int last = first + rows < s->out_h ? first + rows : s->out_h;
        int wanted = (last - 1) * stride - pad + kernel;
        for (; turned < wanted && turned < source_h(s); turned++)
            turn_x(s, x + (size_t)turned * x_row_values(s), source_w(s),
                   ring + (size_t)(turned % t.x_rows) * (size_t)source_w(s) * pixel, t.x_cell);
        turn_dy(s, dy + (size_t)first * y_row_values(s), (last - first) * s->out_w, turned_y, t.dy_cell);
        t.y_first = first;
        chunk_sum(s, &t, first, last, is_first && first == 0, sums);
    }
}

static void part_sum(const struct block_conv *s, const struct block_weight_call *call, int part, float *sums,
                     bf16 *scratch)
{
    int parts = parts_of(call->blocks), first = part * call->blocks / parts,
        last = (part + 1) * call->blocks / parts;
    for (int i = first; i < last; i++)
        block_sum(s, call->x + (size_t)i * call->x_block, call->dy + (size_t)i * call->dy_block, i == first, sums,
                  scratch);
}

static void parts_finish(const struct block_conv *s, const struct block_weight_call *call, int output, float *sums)
{
    int inputs = cells_of(conv_inputs(s)), taps = conv_taps(s), parts = parts_of(call->blocks);
    size_t cell = (size_t)taps * CELL, whole = sums_floats(s);
    for (int c = 0; c < inputs; c++) {
        float *total = sums + ((size_t)output * (size_t)inputs + (size_t)c) * cell;
        for (int part = 1; part < parts; part++)
            for (size_t i = 0; i < cell; i++)
                total[i] += total[(size_t)part * whole + i];
        block_unpack(s, total, output, c, call->dw);
    }
}

/* ---- many weights ---- */

static size_t x_values(const struct block_conv *s) /* a block */
{
    return (size_t)source_h(s) * x_row_values(s);
}

static size_t y_values(const struct block_conv *s)
{
    return (size_t)s->out_h * y_row_values(s);
}

/* Values of one cell of one block. */
static size_t x_cell_values(const struct block_conv *s)
{
    return x_values(s) / (size_t)cells_of(conv_inputs(s));
}

static size_t y_cell_values(const struct block_conv *s)
{
    return y_values(s) / (size_t)cells_of(s->k);
}

static void block_turn(const struct block_conv *s, const struct block_weight_call *call, int item, bf16 *shared)
{
    size_t i = (size_t)(item / 2), blocks = (size_t)call->blocks;
    bf16 *dy = shared + blocks * x_values(s);
    if (item % 2 == 0)
        turn_x(s, call->x + i * call->x_block, source_h(s) * source_w(s), shared + i * x_cell_values(s),
               blocks * x_cell_values(s));
    else
        turn_dy(s, call->dy + i * call->dy_block, s->out_h * s->out_w, dy + i * y_cell_values(s),
                blocks * y_cell_values(s));
}

static void inputs_sum(const struct block_conv *s, const struct block_weight_call *call, int c, const bf16 *shared,
                       float *sums)
{
    size_t blocks = (size_t)call->blocks;
    const bf16 *x = shared, *dy = shared + blocks * x_values(s);
    int taps = conv_taps(s);
    for (int k = 0; k < cells_of(s->k); k++) {
        for (int tap = 0; tap < taps; tap++) {
            TILES_ZERO();
            for (int i = 0; i < call->blocks; i++) {
                struct turned t = {.x = x + (size_t)i * x_cell_values(s),
                                   .dy = dy + (size_t)i * y_cell_values(s),
                                   .x_cell = blocks * x_cell_values(s),
                                   .dy_cell = blocks * y_cell_values(s),
                                   .x_rows = source_h(s)};
                tap_sum(s, &t, tap, c, k, 0, s->out_h);
            }
            TILES_STORE(sums + (size_t)tap * CELL);
        }
        block_unpack(s, sums, k, c, call->dw);
    }
}

/* ---- the contract ---- */

size_t block_weight_scratch(const struct block_conv *s)
{
    if (is_small(s))
        return (ring_values(s) + (size_t)chunk_rows(s) * y_row_values(s)) * sizeof(bf16);
    return (size_t)conv_taps(s) * CELL * sizeof(float);
}

size_t block_weight_shared_bytes(const struct block_conv *s, int blocks)
{
    if (is_small(s))
        return (size_t)parts_of(blocks) * sums_floats(s) * sizeof(float);
    return (size_t)blocks * (x_values(s) + y_values(s)) * sizeof(bf16);
}

int block_weight_items(const struct block_conv *s, int blocks, int round)
{
    if (is_small(s))
        return round == ROUND_SUM ? parts_of(blocks) : round == ROUND_FINISH ? cells_of(s->k) : 0;
    return round == ROUND_TURN ? 2 * blocks : round == ROUND_SUM ? cells_of(conv_inputs(s)) : 0;
}

void block_weight_gradient(const struct block_conv *s, const struct block_weight_call *call, int round, int item,
                           void *shared, void *scratch)
{
    if (round == ROUND_TURN) {
        block_turn(s, call, item, shared);
        return;
    }
    if (round == ROUND_FINISH) {
        parts_finish(s, call, item, shared);
        return;
    }
    tiles_configure(TILE_ROWS);
    if (is_small(s))
        part_sum(s, call, item, (float *)shared + (size_t)item * sums_floats(s), scratch);
    else
        inputs_sum(s, call, item, shared, scratch);
    tiles_release();
}
