/* Convolution in bfloat16, direct, by tile products. Four ways to find 16 pixels for the rows of a tile, one form
 * of weights, one epilogue (blocks_bf16.h): rows     16 neighbours of an output row; four output rows a block, so
 * that input rows are shared images   one pixel of 16 images; taps in the padding are left out altogether planes a
 * few whole rows of a small map, copied once for each tap of a row (copies_bf16.c) windows  any 16 pixels, their
 * windows copied side by side: all other shapes (copies_bf16.c) A shape's products are summed in one order in all
 * of them (a product by zero more or less changes nothing), so that the ways give the same bits. */
#include "kernel/x86/amx/tiles.h"
#include "kernel/x86/amx/work_bf16.h"
#include "kernel/list.h"
#include <string.h>

enum { FEW_IMAGES = 10, WEIGHTS_KEPT = 1 << 20, PATCHES = 4 };

/* ---- weights ---- */

static size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + OUTPUTS - 1) / OUTPUTS) * group_bytes(s);
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

/* The taps of an output's row or column that see the map, of `size` pixels: the others lie in the padding. */
static void taps_inside(const struct conv_shape *s, int at, int size, int range[2])
{
    int first = at * s->stride - s->pad;
    range[0] = first < 0 ? (-first < s->kernel ? -first : s->kernel) : 0;
    range[1] = size - first < s->kernel ? (size - first > 0 ? size - first : 0) : s->kernel;
    if (range[1] < range[0])
        range[1] = range[0];
}

/* Where tiles are output rows and their pixels m images or columns. */
static void offsets_regular(struct work *w, int by_image)
{
    for (int i = 0; i < BLOCK_PIXELS; i++)
        offsets_set(w, i, by_image ? i % PIXELS : 0, i / PIXELS, by_image ? 0 : i % PIXELS);
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
                                .input_step = STEP_BYTES,
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
        bf16_copies_run(&w, images, scratch);
    tiles_release();
}

const struct conv_bf16_kernel conv_bf16_amx_direct = {.out_grain = OUTPUTS,
                                                      .packed_bytes = packed_bytes,
                                                      .pack = pack,
                                                      .scratch_bytes = bf16_copies_scratch,
                                                      .run = run};
