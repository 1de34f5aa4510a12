/* Convolution in bfloat16, direct, by tile products. Three ways to find 16 pixels for the rows of a tile, as
 * conv_u8.c has them, one form of weights, one epilogue (blocks_bf16.h):
 *   rows     16 neighbours of an output row; four output rows a block, so that input rows are shared
 *   images   one pixel of 16 images; taps in the padding are left out altogether
 *   windows  any 16 pixels, their windows copied side by side: all other shapes, and maps too small for the others
 * A shape's products are summed in one order in all of them (a product by zero more or less changes nothing), so
 * that the ways give the same bits. */
#include "kernel/amx/blocks_bf16.h"
#include "kernel/amx/tiles.h"
#include "kernel/list.h"
#include "kernel/shape.h"
#include <string.h>

enum { FEW_IMAGES = 10, WINDOW_PIXELS = BLOCK_PIXELS, WEIGHTS_KEPT = 1 << 20, PATCHES = 4 };

/* ---- weights ---- */

/* Whole steps of 32 channels a tap: order [t][c/32][r], as shared rows are read. Else the window's R*R*C values in
 * the order [r][t][c], as they are copied. */
static int whole_steps(const struct conv_shape *s)
{
    return s->c % STEP_INPUTS == 0;
}

static size_t steps_of(const struct conv_shape *s)
{
    return (shape_reduced(s) + STEP_INPUTS - 1) / STEP_INPUTS;
}

static size_t group_bytes(const struct conv_shape *s)
{
    return steps_of(s) * WEIGHT_TILE;
}

static size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + OUTPUTS - 1) / OUTPUTS) * group_bytes(s);
}

/* Place of weight [c,r,t] in the reduction. */
static size_t reduced_at(const struct conv_shape *s, int c, int r, int t)
{
    size_t side = (size_t)s->kernel, channels = (size_t)s->c;
    if (!whole_steps(s))
        return ((size_t)r * side + (size_t)t) * channels + (size_t)c;
    size_t step = ((size_t)t * (channels / STEP_INPUTS) + (size_t)c / STEP_INPUTS) * side + (size_t)r;
    return step * STEP_INPUTS + (size_t)c % STEP_INPUTS;
}

/* Groups of 16 outputs, of tiles [16 rows of 2 inputs][16 outputs][2]. */
static void pack(const struct conv_shape *s, const float *weight, void *packed)
{
    if (s->out % OUTPUTS || !whole_steps(s)) /* else everything is written */
        memset(packed, 0, packed_bytes(s));
    for (int k = 0; k < s->out; k++) {
        bf16 *to = (bf16 *)packed + (size_t)(k / OUTPUTS) * (group_bytes(s) / sizeof(bf16)) + k % OUTPUTS * 2;
        for (int c = 0; c < s->c; c++)
            for (int r = 0; r < s->kernel; r++)
                for (int t = 0; t < s->kernel; t++) {
                    size_t at = reduced_at(s, c, r, t);
                    to[at / 2 * STEP_INPUTS + at % 2] = bf16_from_float(*weight++);
                }
    }
}

/* ---- one call ---- */

struct work {
    const struct conv_shape *s;
    const struct conv_bf16_call *call;
    struct blocks blocks;
    struct pixel_offsets offsets;
};

static __mmask16 lanes_at(const struct work *w, int k)
{
    int count = w->s->out - k;
    return (__mmask16)(count < OUTPUTS ? (1 << count) - 1 : 0xffff);
}

/* Never -0, which a product by zero would turn into 0. */
static void bias_read(const struct work *w, int k, float *first)
{
    __m512 bias = _mm512_setzero_ps();
    if (w->call->bias)
        bias = _mm512_add_ps(bias, _mm512_maskz_loadu_ps(lanes_at(w, k), w->call->bias + k));
    _mm512_store_ps(first, bias);
}

/* The taps of an output's row or column that see the map, of `size` pixels: the others lie in the padding. */
static void taps_inside(const struct conv_shape *s, int at, int size, int range[2])
{
    int first = at * s->stride - s->pad;
    range[0] = first < 0 ? (-first < s->kernel ? -first : s->kernel) : 0;
    range[1] = size - first < s->kernel ? (size - first > 0 ? size - first : 0) : s->kernel;
    if (range[1] < range[0])
        range[1] = range[0];
}

static void offsets_set(struct work *w, int i, int image, int row, int col)
{
    const struct conv_bf16_call *call = w->call;
    w->offsets.y[i] = layout_at(&call->y_at, image, row, col);
    w->offsets.residual[i] = layout_at(&call->residual_at, image, row, col);
    w->offsets.sums[i] = layout_at(&call->sums_at, image, row, col);
}

/* Where tiles are output rows and their pixels m images or columns. */
static void offsets_regular(struct work *w, int by_image)
{
    for (int i = 0; i < BLOCK_PIXELS; i++)
        offsets_set(w, i, by_image ? i % PIXELS : 0, i / PIXELS, by_image ? 0 : i % PIXELS);
}

/* Outputs from k on, of a block that begins at this pixel. */
static struct block_outputs outputs_at(const struct work *w, int k, int image, int row, int col)
{
    const struct conv_bf16_call *call = w->call;
    struct block_outputs to = {.offsets = &w->offsets, .lanes = lanes_at(w, k)};
    if (call->residual)
        to.residual = call->residual + layout_at(&call->residual_at, image, row, col) + k;
    if (call->y)
        to.y = call->y + layout_at(&call->y_at, image, row, col) + k;
    if (call->sums)
        to.sums = call->sums + layout_at(&call->sums_at, image, row, col) + k;
    return to;
}

static const char *group_at(const struct work *w, int k)
{
    return (const char *)w->call->packed + (size_t)(k / OUTPUTS) * group_bytes(w->s);
}

/* ---- rows and images: inputs read where they lie ---- */

/* A block of `tiles` output rows from (image, row, col) on. For rows: pixels [begin, PIXELS) of the tiles; for
 * images: pixels [0, end). */
struct patch {
    int image, row, col, tiles, begin, end, by_image;
};

static void patch_outputs(struct work *w, const struct patch *p, struct block_inputs *in, int k)
{
    struct block_outputs to = outputs_at(w, k, p->image, p->row, p->col);
    to.tiles = p->tiles;
    for (int j = 0; j < p->tiles; j++) {
        to.begin[j] = p->begin;
        to.end[j] = p->end;
    }
    bias_read(w, k, in->first);
    in->weights = group_at(w, k);
    bf16_blocks_add(&w->blocks, in, &to);
}

/* The parts of the map that the patch sees, and where its inputs lie. */
static void patch_open(const struct work *w, const struct patch *p, struct block_inputs *in)
{
    const struct conv_shape *s = w->s;
    const struct layout *at = &w->call->x_at;
    const ptrdiff_t value = sizeof(bf16);
    int top = p->row * s->stride - s->pad, left = p->col * s->stride - s->pad, taps[2] = {0, s->kernel};
    if (p->by_image)
        taps_inside(s, p->col, s->w, taps);
    *in = (struct block_inputs){.x = (const char *)(w->call->x + layout_at(at, p->image, top, left)),
                                .tile_step = (ptrdiff_t)at->row * s->stride * value,
                                .row_step = (ptrdiff_t)at->row * value,
                                .tap_step = (ptrdiff_t)at->pixel * value,
                                .pixel_step =
                                    (ptrdiff_t)(p->by_image ? at->image : at->pixel * (size_t)s->stride) * value,
                                .steps = s->c / STEP_INPUTS,
                                .shared = s->kernel == 1 ? 0 : s->stride,
                                .row_begin = top < 0 ? -top : 0,
                                .row_end = (p->tiles - 1) * s->stride + s->kernel,
                                .tap_begin = taps[0],
                                .tap_end = taps[1]};
    if (top + in->row_end > s->h)
        in->row_end = s->h - top;
}

static int patch_tiles(const struct work *w, int row)
{
    int left = w->call->row_end - row;
    return left < BLOCK_TILES ? left : BLOCK_TILES;
}

/* A few patches side by side, so that a group of outputs' weights are read from the second-level cache once for
 * all. */
struct patches {
    int count;
    struct patch patch[PATCHES];
    struct block_inputs in[PATCHES];
};

static void patches_flush(struct work *w, struct patches *p, int k_begin, int k_end)
{
    for (int k = k_begin; k < k_end; k += OUTPUTS)
        for (int i = 0; i < p->count; i++)
            patch_outputs(w, &p->patch[i], &p->in[i], k);
    p->count = 0;
}

static void patches_add(struct work *w, struct patches *p, const struct patch *patch, int k_begin, int k_end)
{
    p->patch[p->count] = *patch;
    patch_open(w, patch, &p->in[p->count]);
    if (++p->count == PATCHES)
        patches_flush(w, p, k_begin, k_end);
}

/* Every image by itself: 16 neighbours of four rows. The last tile of a row begins early enough to be whole. */
static void run_rows(struct work *w)
{
    const struct conv_shape *s = w->s;
    struct patches patches = {0};
    offsets_regular(w, 0);
    tiles_configure(TILE_ROWS);
    for (int image = 0; image < w->call->images; image++)
        for (int row = w->call->row_begin; row < w->call->row_end; row += BLOCK_TILES)
            for (int col = 0; col < s->out_w; col += PIXELS) {
                int early = col + PIXELS > s->out_w ? col + PIXELS - s->out_w : 0;
                struct patch p = {.image = image,
                                  .row = row,
                                  .col = col - early,
                                  .tiles = patch_tiles(w, row),
                                  .begin = early,
                                  .end = PIXELS};
                patches_add(w, &patches, &p, 0, s->out);
            }
    patches_flush(w, &patches, 0, s->out);
    bf16_blocks_close(&w->blocks);
}

/* One group of at most 16 images, outputs [k_begin, k_end). */
static void images_group(struct work *w, int image, int count, int k_begin, int k_end)
{
    struct patches patches = {0};
    for (int row = w->call->row_begin; row < w->call->row_end; row += BLOCK_TILES)
        for (int col = 0; col < w->s->out_w; col++) {
            struct patch p = {
                .image = image, .row = row, .col = col, .tiles = patch_tiles(w, row), .end = count, .by_image = 1};
            patches_add(w, &patches, &p, k_begin, k_end);
        }
    patches_flush(w, &patches, k_begin, k_end);
}

/* Images [0, images). Weights that stay in the second-level cache are read again for every group of images; others
 * are read once. */
static void run_images(struct work *w, int images)
{
    const struct conv_shape *s = w->s;
    int at_once = packed_bytes(s) <= WEIGHTS_KEPT ? s->out : OUTPUTS;
    offsets_regular(w, 1);
    for (int k = 0; k < s->out; k += at_once)
        for (int image = 0; image < images; image += PIXELS) {
            int count = images - image < PIXELS ? images - image : PIXELS;
            if (image == 0 || count < PIXELS) {
                bf16_blocks_close(&w->blocks);
                tiles_configure(count);
            }
            images_group(w, image, count, k, k + at_once < s->out ? k + at_once : s->out);
        }
    bf16_blocks_close(&w->blocks);
}

/* ---- windows ---- */

static size_t window_values(const struct conv_shape *s)
{
    return steps_of(s) * STEP_INPUTS;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return WINDOW_PIXELS * window_values(s) * sizeof(bf16);
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

/* ---- the choice ---- */

static int in_place(const struct conv_shape *s)
{
    return whole_steps(s) && (s->kernel == 1 || s->kernel == 3) && (s->stride == 1 || s->stride == 2);
}

static void run(const struct conv_shape *s, const struct conv_bf16_call *call, void *scratch)
{
    struct work w = {.s = s, .call = call};
    bf16_blocks_open(&w.blocks, call->relu);
    int images = 0; /* done */
    if (in_place(s) && s->out_w >= PIXELS && call->x_at.border >= s->pad) {
        run_rows(&w);
        images = call->images;
    } else if (in_place(s)) {
        int last = call->images % PIXELS;
        images = call->images - (last < FEW_IMAGES ? last : 0);
        if (images > 0)
            run_images(&w, images);
    }
    if (images < call->images)
        run_windows(&w, images, scratch);
    tiles_release();
}

const struct conv_bf16_kernel conv_bf16_amx_direct = {
    .out_grain = OUTPUTS, .packed_bytes = packed_bytes, .pack = pack, .scratch_bytes = scratch_bytes, .run = run};
