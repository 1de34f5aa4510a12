/* Integer convolution, direct, by tile products. Three ways to find 16 pixels for the rows of a tile, one form of
 * weights, one epilogue (blocks_u8.h):
 *   rows    up to 16 neighbours of an output row; four output rows a block, so that input rows are shared
 *   images  one pixel of 16 images; taps in the padding are left out altogether, which on a 4x4 map saves 31 % of
 * the products windows any 16 pixels, their windows copied side by side: all other shapes, and maps too small for
 * the others Sums are of codes as they are; zero point times the sum of the weights that took part is subtracted
 * with the bias. */
#include "kernel/x86/amx/blocks_u8.h"
#include "kernel/x86/amx/packed_u8.h"
#include "kernel/x86/amx/tiles.h"
#include "kernel/list.h"
#include <string.h>

enum { FEW_IMAGES = 10, WINDOW_PIXELS = BLOCK_PIXELS, WEIGHTS_KEPT = 1 << 20, PATCHES = 4, NARROWEST = 5 };

/* ---- one call ---- */

struct work {
    const struct conv_shape *s;
    const struct conv_u8_call *call;
    struct blocks blocks;
    struct pixel_offsets offsets;
};

static __mmask16 lanes_at(const struct work *w, int k)
{
    int count = w->s->out - k;
    return (__mmask16)(count < OUTPUTS ? (1 << count) - 1 : 0xffff);
}

/* What is to be added to a tile's sums: bias less zero point times the weights of the taps [rows) x [taps). */
static __m512i constant_of(const struct work *w, int k, const int8_t *group, const int rows[2], const int taps[2])
{
    const struct requantize *rq = w->call->requantize;
    int side = w->s->kernel;
    __m512i bias = _mm512_maskz_loadu_epi32(lanes_at(w, k), rq->bias + k), sum = _mm512_setzero_si512();
    const int32_t *sums = tap_sums(w->s, group);
    if (rq->zero_point_x == 0)
        return bias;
    if (rows[0] == 0 && rows[1] == side && taps[0] == 0 && taps[1] == side)
        sum = _mm512_load_si512(sums + side * side * OUTPUTS);
    else
        for (int r = rows[0]; r < rows[1]; r++)
            for (int t = taps[0]; t < taps[1]; t++)
                sum = _mm512_add_epi32(sum, _mm512_load_si512(sums + (r * side + t) * OUTPUTS));
    return _mm512_sub_epi32(bias, _mm512_mullo_epi32(sum, _mm512_set1_epi32(rq->zero_point_x)));
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

/* Offset of pixel m of tile j, where tiles are `rows` output rows apart and pixels m images or columns. */
static void offsets_regular(struct pixel_offsets *o, const struct conv_u8_call *call, int by_image)
{
    for (int i = 0; i < BLOCK_PIXELS; i++) {
        int row = i / PIXELS, image = by_image ? i % PIXELS : 0, col = by_image ? 0 : i % PIXELS;
        o->y[i] = layout_at(&call->y_at, image, row, col);
        o->residual[i] = layout_at(&call->residual_at, image, row, col);
        o->before[i] = layout_at(&call->before_at, image, row, col);
        o->logits[i] = layout_at(&call->logits_at, image, row, col);
    }
}

/* Outputs from k on, of a block that begins at this pixel. */
static struct block_outputs outputs_at(const struct work *w, int k, int image, int row, int col)
{
    const struct conv_u8_call *call = w->call;
    struct block_outputs to = {
        .offsets = &w->offsets, .multiplier = call->requantize->multiplier + k, .lanes = lanes_at(w, k)};
    if (call->residual)
        to.residual = call->residual + layout_at(&call->residual_at, image, row, col) + k;
    if (call->y)
        to.y = call->y + layout_at(&call->y_at, image, row, col) + k;
    if (call->before)
        to.before = call->before + layout_at(&call->before_at, image, row, col) + k;
    if (call->logits)
        to.logits = call->logits + layout_at(&call->logits_at, image, row, col) + k;
    return to;
}

static const int8_t *group_at(const struct work *w, int k)
{
    return (const int8_t *)w->call->packed + (size_t)(k / OUTPUTS) * group_bytes(w->s);
}

/* ---- rows and images: inputs read where they lie ---- */

/* A block of `tiles` output rows from (image, row, col) on. For rows: pixels [begin, PIXELS) of the tiles; for
 * images: pixels [0, end). */
struct patch {
    int image, row, col, tiles, begin, end, by_image;
    int rows[BLOCK_TILES][2], taps[2]; /* what each tile sees of the map, by patch_open */
    int alike;                         /* all tiles see the same */
};

static void patch_outputs(struct work *w, const struct patch *p, struct block_inputs *in, int k)
{
    const int8_t *group = group_at(w, k);
    struct block_outputs to = outputs_at(w, k, p->image, p->row, p->col);
    __m512i first = constant_of(w, k, group, p->rows[0], p->taps);
    to.tiles = p->tiles;
    for (int j = 0; j < p->tiles; j++) {
        if (!p->alike)
            first = constant_of(w, k, group, p->rows[j], p->taps);
        _mm512_store_si512(in->first + j * OUTPUTS, first);
        to.begin[j] = p->begin;
        to.end[j] = p->end;
    }
    in->weights = group;
    blocks_add(&w->blocks, in, &to);
}

/* The parts of the map that the patch sees, and where its inputs lie. */
static void patch_open(const struct work *w, struct patch *p, struct block_inputs *in)
{
    const struct conv_shape *s = w->s;
    const struct layout *at = &w->call->x_at;
    int top = p->row * s->stride - s->pad, left = p->col * s->stride - s->pad;
    *in = (struct block_inputs){.x = w->call->x + layout_at(at, p->image, top, left),
                                .tile_step = (ptrdiff_t)at->row * s->stride,
                                .row_step = (ptrdiff_t)at->row,
                                .tap_step = (ptrdiff_t)at->pixel,
                                .pixel_step = (ptrdiff_t)(p->by_image ? at->image : at->pixel * (size_t)s->stride),
                                .steps = s->c / STEP_BYTES,
                                .shared = s->kernel == 1 ? 0 : s->stride,
                                .row_end = (p->tiles - 1) * s->stride + s->kernel};
    p->taps[0] = 0;
    p->taps[1] = s->kernel;
    if (p->by_image)
        taps_inside(s, p->col, s->w, p->taps);
    p->alike = 1;
    for (int j = 0; j < p->tiles; j++) {
        taps_inside(s, p->row + j, s->h, p->rows[j]);
        p->alike &= p->rows[j][0] == p->rows[0][0] && p->rows[j][1] == p->rows[0][1];
    }
    p->alike |= w->call->requantize->zero_point_x == 0;
    in->tap_begin = p->taps[0];
    in->tap_end = p->taps[1];
    if (top < 0)
        in->row_begin = -top;
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
    patch_open(w, &p->patch[p->count], &p->in[p->count]);
    if (++p->count == PATCHES)
        patches_flush(w, p, k_begin, k_end);
}

/* Images [first, images), each by itself: neighbours of four rows, 16 of each or, on a narrower map, all. The last
 * tile of a row begins early enough to be whole. A patch's outputs are written one group after the other while
 * their lines are in the first-level cache. */
static void run_rows(struct work *w, int first)
{
    const struct conv_shape *s = w->s;
    int pixels = s->out_w < PIXELS ? s->out_w : PIXELS;
    offsets_regular(&w->offsets, w->call, 0);
    tiles_configure(pixels);
    for (int image = first; image < w->call->images; image++)
        for (int row = w->call->row_begin; row < w->call->row_end; row += BLOCK_TILES)
            for (int col = 0; col < s->out_w; col += pixels) {
                int early = col + pixels > s->out_w ? col + pixels - s->out_w : 0;
                struct patch p = {.image = image,
                                  .row = row,
                                  .col = col - early,
                                  .tiles = patch_tiles(w, row),
                                  .begin = early,
                                  .end = pixels};
                struct block_inputs in;
                patch_open(w, &p, &in);
                for (int k = 0; k < s->out; k += OUTPUTS)
                    patch_outputs(w, &p, &in, k);
            }
    blocks_close(&w->blocks);
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
    offsets_regular(&w->offsets, w->call, 1);
    for (int k = 0; k < s->out; k += at_once)
        for (int image = 0; image < images; image += PIXELS) {
            int count = images - image < PIXELS ? images - image : PIXELS;
            if (image == 0 || count < PIXELS) {
                blocks_close(&w->blocks);
                tiles_configure(count);
            }
            images_group(w, image, count, k, k + at_once < s->out ? k + at_once : s->out);
        }
    blocks_close(&w->blocks);
}

/* ---- windows ---- */

static size_t window_bytes(const struct conv_shape *s)
{
    return steps_of(s) * STEP_BYTES;
}

static size_t scratch_bytes(const struct conv_shape *s)
{
    return WINDOW_PIXELS * window_bytes(s);
}

/* n bytes, of which the last 64 in one masked move. */
static inline void bytes_copy(uint8_t *to, const uint8_t *from, size_t n)
{
    for (; n >= 64; n -= 64, to += 64, from += 64)
        _mm512_storeu_si512(to, _mm512_loadu_si512(from));
    __mmask64 tail = ((__mmask64)1 << n) - 1;
    _mm512_mask_storeu_epi8(to, tail, _mm512_maskz_loadu_epi8(tail, from));
}

/* The C values of tap (r,t) of one window, or zero points. `to` points to the window. */
static void tap_copy(const struct work *w, int image, int iy, int ix, int r, int t, uint8_t *to)
{
    const struct conv_shape *s = w->s;
    const uint8_t *x = w->call->x + layout_at(&w->call->x_at, image, iy, ix);
    int inside = iy >= 0 && iy < s->h && ix >= 0 && ix < s->w, zero = w->call->requantize->zero_point_x;
    if (!whole_steps(s)) {
        to += reduced_at(s, 0, r, t);
        if (inside)
            bytes_copy(to, x, (size_t)s->c);
        else
            memset(to, zero, (size_t)s->c);
        return;
    }
    for (int c = 0; c < s->c; c += STEP_BYTES) {
        __m512i v = inside ? _mm512_loadu_si512(x + c) : _mm512_set1_epi8((char)zero);
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

/* A window of at most 64 values, put together in a register: row r's lie behind those of the rows before it. */
static inline void window_small(const uint8_t *x, size_t row, int rows, int run, uint8_t *to)
{
    __m512i v = _mm512_setzero_si512();
    for (int r = 0; r < rows; r++) {
        __mmask64 mask = (((__mmask64)1 << run) - 1) << (r * run);
        v = _mm512_mask_loadu_epi8(v, mask, x + (size_t)r * row - r * run);
    }
    _mm512_store_si512(to, v);
}

static void window_copy(const struct work *w, int image, int oy, int ox, uint8_t *to)
{
    const struct conv_shape *s = w->s;
    int top = oy * s->stride - s->pad, left = ox * s->stride - s->pad, run = s->kernel * s->c;
    if (window_readable(w, top, left)) {
        const uint8_t *x = w->call->x + layout_at(&w->call->x_at, image, top, left);
        size_t row = w->call->x_at.row;
        if (run * s->kernel <= STEP_BYTES && run < STEP_BYTES)
            window_small(x, row, s->kernel, run, to);
        else
            for (int r = 0; r < s->kernel; r++)
                bytes_copy(to + r * run, x + (size_t)r * row, (size_t)run);
        return;
    }
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            tap_copy(w, image, top + r, left + t, r, t, to);
}

/* Copies the windows of pixels [first, first + count), counted over rows and images, and notes where they go. */
static void windows_copy(struct work *w, size_t first, int count, uint8_t *to)
{
    const struct conv_u8_call *call = w->call;
    size_t rows = (size_t)(call->row_end - call->row_begin), width = (size_t)w->s->out_w,
           bytes = window_bytes(w->s);
    struct pixel_offsets *o = &w->offsets;
    int image = (int)(first / (rows * width)), row = call->row_begin + (int)(first / width % rows);
    int col = (int)(first % width);
    for (int i = 0; i < count; i++, to += bytes) {
        window_copy(w, image, row, col, to);
        o->y[i] = layout_at(&call->y_at, image, row, col);
        if (call->residual)
            o->residual[i] = layout_at(&call->residual_at, image, row, col);
        if (call->before)
            o->before[i] = layout_at(&call->before_at, image, row, col);
        if (call->logits)
            o->logits[i] = layout_at(&call->logits_at, image, row, col);
        if (++col == (int)width) {
            col = 0;
            if (++row == call->row_end)
                row = call->row_begin, image++;
        }
    }
}

/* Tiles of outputs [16 j, 16 j + 16) of the first 16 pixels. */
static void offsets_by_group(struct pixel_offsets *o)
{
    for (int i = PIXELS; i < BLOCK_PIXELS; i++) {
        ptrdiff_t outputs = i / PIXELS * OUTPUTS;
        o->y[i] = o->y[i % PIXELS] + outputs;
        o->residual[i] = o->residual[i % PIXELS] + outputs;
        o->before[i] = o->before[i % PIXELS] + outputs;
        o->logits[i] = o->logits[i % PIXELS] + outputs;
    }
}

/* `groups` whole groups of outputs from k on, of at most 16 pixels. */
static void windows_groups(struct work *w, int count, const uint8_t *windows, int k, int groups)
{
    const int all[2] = {0, w->s->kernel};
    struct block_inputs in = {.x = windows,
                              .pixel_step = (ptrdiff_t)window_bytes(w->s),
                              .weights = group_at(w, k),
                              .weights_step = group_bytes(w->s),
                              .steps = (int)steps_of(w->s)};
    struct block_outputs to = outputs_at(w, k, 0, 0, 0);
    to.tiles = groups;
    to.outputs_step = OUTPUTS;
    for (int j = 0; j < groups; j++) {
        int at = k + j * OUTPUTS;
        _mm512_store_si512(in.first + j * OUTPUTS, constant_of(w, at, group_at(w, at), all, all));
        to.begin[j] = 0;
        to.end[j] = count;
    }
    blocks_add(&w->blocks, &in, &to);
}

static void windows_outputs(struct work *w, int count, const uint8_t *windows, int k)
{
    const int all[2] = {0, w->s->kernel};
    ptrdiff_t bytes = (ptrdiff_t)window_bytes(w->s);
    struct block_inputs in = {.x = windows,
                              .tile_step = PIXELS * bytes,
                              .pixel_step = bytes,
                              .weights = group_at(w, k),
                              .steps = (int)steps_of(w->s),
                              .tap_end = 1};
    struct block_outputs to = outputs_at(w, k, 0, 0, 0);
    __m512i constant = constant_of(w, k, in.weights, all, all);
    to.tiles = (count + PIXELS - 1) / PIXELS;
    for (int j = 0; j < to.tiles; j++) {
        _mm512_store_si512(in.first + j * OUTPUTS, constant);
        to.begin[j] = 0;
        to.end[j] = count - j * PIXELS < PIXELS ? count - j * PIXELS : PIXELS;
    }
    blocks_add(&w->blocks, &in, &to);
}

/* Few pixels: several groups of outputs at once, so that the windows are read less often. */
static void windows_all(struct work *w, int count, const uint8_t *windows)
{
    int k = 0, whole = count <= PIXELS ? w->s->out / OUTPUTS * OUTPUTS : 0;
    if (whole > 0)
        offsets_by_group(&w->offsets);
    for (int groups; k < whole; k += groups * OUTPUTS) {
        groups = (whole - k) / OUTPUTS < BLOCK_TILES ? (whole - k) / OUTPUTS : BLOCK_TILES;
        windows_groups(w, count, windows, k, groups);
    }
    for (; k < w->s->out; k += OUTPUTS)
        windows_outputs(w, count, windows, k);
}

/* Images [first, images). Bytes of a window beyond its values are whatever they are: their weights are zero. */
static void run_windows(struct work *w, int first, void *scratch)
{
    size_t pixels = (size_t)(w->call->row_end - w->call->row_begin) * (size_t)w->s->out_w;
    size_t end = pixels * (size_t)w->call->images;
    tiles_configure(TILE_ROWS);
    for (size_t at = pixels * (size_t)first; at < end; at += WINDOW_PIXELS) {
        int count = end - at < WINDOW_PIXELS ? (int)(end - at) : WINDOW_PIXELS;
        blocks_close(&w->blocks); /* the offsets change */
        windows_copy(w, at, count, scratch);
        windows_all(w, count, scratch);
    }
    blocks_close(&w->blocks);
}

/* ---- the choice ---- */

static int in_place(const struct conv_shape *s)
{
    return whole_steps(s) && (s->kernel == 1 || s->kernel == 3) && (s->stride == 1 || s->stride == 2);
}

static void run(const struct conv_shape *s, const struct conv_u8_call *call, void *scratch)
{
    struct work w = {.s = s, .call = call};
    blocks_open(&w.blocks, call->requantize, s->out, call->ahead);
    int images = 0 /* done */, by_rows = in_place(s) && s->out_w >= NARROWEST && call->x_at.border >= s->pad;
    if (in_place(s) && !(by_rows && s->out_w >= PIXELS)) {
        int last = call->images % PIXELS;
        images = call->images - (last < FEW_IMAGES ? last : 0);
        if (images > 0)
            run_images(&w, images);
    }
    if (images < call->images && by_rows)
        run_rows(&w, images);
    else if (images < call->images)
        run_windows(&w, images, scratch);
    tiles_release();
}

const struct conv_u8_kernel conv_u8_amx_direct = {.out_grain = OUTPUTS,
                                                  .packed_bytes = packed_bytes,
                                                  .pack = packed_u8_pack,
                                                  .scratch_bytes = scratch_bytes,
                                                  .run = run};
