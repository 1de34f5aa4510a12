/* Winograd's gradient by the weights: dW = G^T [ sum over tiles (B^T X B) . (A dY A^T) ] G.
 *
 * For one place of a tile and one point the sum over 32 images is a product of cells: V^T [32 inputs][32 images] by
 * Z [32 images][32 outputs], both kept in pairs of images: [16 pairs][even channels, odd channels][2]. V is scaled
 * as forward is, image by image; Z takes that back and has one scale for all images, so that the product has one:
 * sum of |Z| times WEIGHT_MOST stays below 2^31 for any input. Sums over places and blocks run in float32.
 *
 * Few weights: images are cut into parts by their number alone; a part transforms a tile at a time and adds it to
 * sums of its own. Many: all tiles are transformed first, then an item is a point. */
#include "kernel/x86/avx512bf16/block_products.h"
#include "kernel/x86/avx512bf16/block_winograd.h"
#include <math.h>

enum { ROUND_TURN, ROUND_SUM, ROUND_FINISH, MOST_PARTS = 8, FEW_CELLS = 16 /* of weights at a point */ };
enum { PAIRS_OF_IMAGES = BLOCK_IMAGES / 2, TAPS = 9 };

/* A's sums of absolute coefficients. */
#define Z_A ((1.0f + A1) * (1.0f + A2))
#define Z_B ((1.0f + B1) * (1.0f + B2))

struct shape {
    const struct block_conv *s;
    int in, out, rows, cols, tiles; /* cells; tiles of a block */
    size_t point_sums;              /* floats of a point's sums [out][in][32][32] */
};

static struct shape shape_of(const struct block_conv *s)
{
    struct shape y = {.s = s,
                      .in = cells_of(s->c),
                      .out = cells_of(s->k),
                      .rows = (s->out_h + TILE - 1) / TILE,
                      .cols = (s->out_w + TILE - 1) / TILE};
    y.tiles = y.rows * y.cols;
    y.point_sums = (size_t)y.in * (size_t)y.out * CELL;
    return y;
}

static int is_few(const struct shape *y)
{
    return y->in * y->out <= FEW_CELLS;
}

/* Transformed tiles: V [36][tiles][in] and Z [36][tiles][out] cells, and what a tile's products are multiplied by.
 */
struct turned {
    int16_t *v, *z;
    size_t v_plane, z_plane;
    float *descale;
};

static size_t round_up_64(size_t bytes)
{
    return (bytes + 63) / 64 * 64;
}

static size_t turned_bytes(const struct shape *y, int tiles)
{
    size_t cells = (size_t)tiles * (size_t)(y->in + y->out);
    return POINTS * (cells * CELL + 2 * BLOCK_CHANNELS) * sizeof(int16_t) +
           round_up_64((size_t)tiles * sizeof(float));
}

static struct turned turned_at(const struct shape *y, int tiles, void *memory)
{
    struct turned t = {.v = memory};
    t.v_plane = (size_t)tiles * (size_t)y->in * CELL + BLOCK_CHANNELS; /* no power of two */
    t.z_plane = (size_t)tiles * (size_t)y->out * CELL + BLOCK_CHANNELS;
    t.z = t.v + POINTS * t.v_plane;
    t.descale = (float *)(t.z + POINTS * t.z_plane);
    return t;
}

/* ---- transforms, two images at a time ---- */

/* A: four outputs' gradients at the points. */
ALWAYS_INLINE void gradient_transform(const __m512 d[TILE], __m512 o[SIDE])
{
    __m512 even_a = _mm512_fmadd_ps(_mm512_set1_ps(A2), d[2], d[0]);
    __m512 odd_a = _mm512_fmadd_ps(_mm512_set1_ps(A3), d[3], _mm512_mul_ps(_mm512_set1_ps(A1), d[1]));
    __m512 even_b = _mm512_fmadd_ps(_mm512_set1_ps(B2), d[2], d[0]);
    __m512 odd_b = _mm512_fmadd_ps(_mm512_set1_ps(B3), d[3], _mm512_mul_ps(_mm512_set1_ps(B1), d[1]));
    o[0] = d[0];
    o[1] = _mm512_add_ps(even_a, odd_a);
    o[2] = _mm512_sub_ps(even_a, odd_a);
    o[3] = _mm512_add_ps(even_b, odd_b);
    o[4] = _mm512_sub_ps(even_b, odd_b);
    o[5] = d[3];
}

/* Even and odd channels of one image: first columns, then rows. side: 6 for B^T, 4 for A. */
ALWAYS_INLINE void columns_transform(const bf16 *const *pixel, int side, __m512 even[SIDE][SIDE],
                                     __m512 odd[SIDE][SIDE])
{
#pragma GCC unroll 6
    for (int j = 0; j < side; j++) {
        __m512 d[SIDE], e[SIDE], o[SIDE];
#pragma GCC unroll 6
        for (int i = 0; i < side; i++) {
            __m512i both = _mm512_load_si512(pixel[i * side + j]);
            d[i] = even_of(both);
            e[i] = odd_of(both);
        }
        if (side == SIDE)
            input_transform(d, o);
        else
            gradient_transform(d, o);
#pragma GCC unroll 6
        for (int i = 0; i < SIDE; i++)
            even[i][j] = o[i];
        if (side == SIDE)
            input_transform(e, o);
        else
            gradient_transform(e, o);
#pragma GCC unroll 6
        for (int i = 0; i < SIDE; i++)
            odd[i][j] = o[i];
    }
}

ALWAYS_INLINE void row_transform(const __m512 *d, int side, __m512 o[SIDE])
{
    if (side == SIDE)
        input_transform(d, o);
    else
        gradient_transform(d, o);
}

/* scale: [3][3][32], of the first image. */
ALWAYS_INLINE void images_transform(const bf16 *const *pixel, const bf16 *const *next, int side, const float *scale,
                                    int16_t *to, size_t plane)
{
    static const uint8_t class_of[SIDE] = {0, 1, 1, 2, 2, 0};
    __m512 even[2][SIDE][SIDE], odd[2][SIDE][SIDE];
    columns_transform(pixel, side, even[0], odd[0]);
    columns_transform(next, side, even[1], odd[1]);
#pragma GCC unroll 6
    for (int i = 0; i < SIDE; i++) {
        __m512 e[2][SIDE], o[2][SIDE];
        row_transform(even[0][i], side, e[0]);
        row_transform(even[1][i], side, e[1]);
        row_transform(odd[0][i], side, o[0]);
        row_transform(odd[1][i], side, o[1]);
#pragma GCC unroll 6
        for (int j = 0; j < SIDE; j++) {
            const float *by = scale + (class_of[i] * CLASSES + class_of[j]) * BLOCK_IMAGES;
            __m512 first = _mm512_set1_ps(by[0]), second = _mm512_set1_ps(by[1]);
            int16_t *at = to + (size_t)(i * SIDE + j) * plane;
            _mm512_store_si512(at, pack_rounded(e[0][j], e[1][j], first, second));
            _mm512_store_si512(at + BLOCK_CHANNELS, pack_rounded(o[0][j], o[1][j], first, second));
        }
    }
}

/* A map's cells for a tile whose first pixel is (row, col). */
ALWAYS_INLINE void tile_transform(const bf16 *x, int h, int w, int cells, int row, int col, int side,
                                  const float *scale, int16_t *to, size_t plane)
{
    static const _Alignas(64) bf16 zeros[CELL];
    for (int c = 0; c < cells; c++, to += CELL) {
        const bf16 *pixel[POINTS], *next[POINTS];
        for (int i = 0; i < side * side; i++) {
            int y = row + i / side, at = col + i % side, inside = y >= 0 && y < h && at >= 0 && at < w;
            pixel[i] = inside ? x + ((size_t)(y * w + at) * (size_t)cells + (size_t)c) * CELL : zeros;
        }
        for (int n = 0; n < BLOCK_IMAGES; n += 2) {
            for (int i = 0; i < side * side; i++)
                next[i] = pixel[i] + BLOCK_CHANNELS;
            images_transform(pixel, next, side, scale + n, to + n * BLOCK_CHANNELS, plane);
            for (int i = 0; i < side * side; i++)
                pixel[i] = next[i] + BLOCK_CHANNELS;
        }
    }
}

/* The scales of Z, from V's: one for the products of all images. */
static float gradient_scale(const struct winograd_place *v, const float *most, uint32_t bad,
                            float scale[CLASSES][CLASSES][BLOCK_IMAGES])
{
    static const float row[CLASSES] = {1, 1 / Z_A, 1 / Z_B};
    float sum = 0x1p-100f, largest = 0x1p-100f;
    for (int n = 0; n < BLOCK_IMAGES; n++) {
        float t = most[n] * v->descale[n]; /* NaN where V has none */
        sum += t;
        largest = t > largest ? t : largest;
    }
    float by_sum = 0.999f * (0x1p31f / WEIGHT_MOST - BLOCK_IMAGES) / sum, by_largest = 32766 / largest;
    float by = by_sum < by_largest ? by_sum : by_largest;
    int finite = sum < 0x1p120f && !bad;
    for (int i = 0; i < CLASSES; i++)
        for (int j = 0; j < CLASSES; j++)
            for (int n = 0; n < BLOCK_IMAGES; n++)
                scale[i][j][n] = finite ? by * v->descale[n] * (row[i] * row[j]) : 0;
    return finite ? 1 / by : NAN;
}

/* Tile `tile` of a block becomes tile `to` of `turned`; magnitudes of both maps are known. */
static void tile_turn(const struct shape *y, const bf16 *x, const bf16 *dy, const uint16_t *x_largest,
                      const uint16_t *y_largest, int tile, const struct turned *turned, int to)
{
    const struct block_conv *s = y->s;
    int row = tile / y->cols * TILE, col = tile % y->cols * TILE;
    struct winograd_place place = {.row = row - s->pad, .col = col - s->pad};
    float most[BLOCK_IMAGES], scale[CLASSES][CLASSES][BLOCK_IMAGES];
    winograd_place_scale(&place, x_largest, s->h, s->w, WEIGHT_MOST);
    uint32_t bad = winograd_largest(y_largest, s->out_h, s->out_w, row, col, TILE, most);
    turned->descale[to] = gradient_scale(&place, most, bad, scale);
    tile_transform(x, s->h, s->w, y->in, place.row, place.col, SIDE, &place.scale[0][0][0],
                   turned->v + (size_t)to * (size_t)y->in * CELL, turned->v_plane);
    tile_transform(dy, s->out_h, s->out_w, y->out, row, col, TILE, &scale[0][0][0],
                   turned->z + (size_t)to * (size_t)y->out * CELL, turned->z_plane);
}

/* ---- products ---- */

#define CLOSE_HALF(v, at) _mm512_store_ps(at, _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), scale, _mm512_load_ps(at)));
#define CLOSE_ROW(i)                                        \
    CLOSE_HALF(low##i, sums + (first + i) * BLOCK_CHANNELS) \
    CLOSE_HALF(high##i, sums + (first + i) * BLOCK_CHANNELS + 16)
#define MULTIPLY_ROW(i)                       \
    {                                         \
        __m512i x = broadcast_two(a + 2 * i); \
        multiply_add(&low##i, x, b_low);      \
        multiply_add(&high##i, x, b_high);    \
    }
#define PRODUCT_ROWS(name, rows)                                                                        \
    ALWAYS_INLINE void name(const int16_t *v, const int16_t *z, int first, __m512 scale, float *sums)   \
    {                                                                                                   \
        rows(OPEN_ROW) for (int j = 0; j < PAIRS_OF_IMAGES; j++)                                        \
        {                                                                                               \
            const int16_t *a = v + j * 2 * BLOCK_CHANNELS + 2 * first, *b = z + j * 2 * BLOCK_CHANNELS; \
            __m512i b_low = _mm512_load_si512(b), b_high = _mm512_load_si512(b + BLOCK_CHANNELS);       \
            rows(MULTIPLY_ROW)                                                                          \
        }                                                                                               \
        rows(CLOSE_ROW)                                                                                 \
    }

PRODUCT_ROWS(product_8, ROWS_8)
PRODUCT_ROWS(product_12, ROWS_12)

/* One point, all weights: sums [out][in][32][32] += the products of `tiles` tiles. */
static void point_sum(const struct shape *y, const struct turned *t, int point, int tiles, float *sums)
{
    for (int k = 0; k < y->out; k++)
        for (int c = 0; c < y->in; c++, sums += CELL)
            for (int i = 0; i < tiles; i++) {
                const int16_t *v =
                    t->v + (size_t)point * t->v_plane + ((size_t)i * (size_t)y->in + (size_t)c) * CELL;
                const int16_t *z =
                    t->z + (size_t)point * t->z_plane + ((size_t)i * (size_t)y->out + (size_t)k) * CELL;
                __m512 scale = _mm512_set1_ps(t->descale[i]);
                product_12(v, z, 0, scale, sums);
                product_12(v, z, 12, scale, sums);
                product_8(v, z, 24, scale, sums);
            }
}

/* ---- from points to weights ---- */

/* G^T with the divisors of V's and Z's rows. */
ALWAYS_INLINE void finish_transform(const __m512 m[SIDE], __m512 o[3])
{
    const float by_a = ROW_A * Z_A / (2 * A2 * (A2 - B2)), by_b = ROW_B * Z_B / (2 * B2 * (B2 - A2));
    __m512 sum_a = _mm512_add_ps(m[1], m[2]), difference_a = _mm512_sub_ps(m[1], m[2]);
    __m512 sum_b = _mm512_add_ps(m[3], m[4]), difference_b = _mm512_sub_ps(m[3], m[4]);
    o[0] =
        _mm512_fmadd_ps(_mm512_set1_ps(FACTOR_0), m[0],
                        _mm512_fmadd_ps(_mm512_set1_ps(by_a), sum_a, _mm512_mul_ps(_mm512_set1_ps(by_b), sum_b)));
    o[1] = _mm512_fmadd_ps(_mm512_set1_ps(by_a * A1), difference_a,
                           _mm512_mul_ps(_mm512_set1_ps(by_b * B1), difference_b));
    o[2] = _mm512_fmadd_ps(
        _mm512_set1_ps(ROW_0), m[5],
        _mm512_fmadd_ps(_mm512_set1_ps(by_a * A2), sum_a, _mm512_mul_ps(_mm512_set1_ps(by_b * B2), sum_b)));
}

/* Row or column r of a cell of sums is this channel of 32. */
static int channel_of(int r)
{
    return r % 16 * 2 + r / 16;
}

/* 16 outputs (even or odd ones of 32) of one input; m: the points, `plane` floats apart. */
static void weights_finish(const struct shape *y, const float *m, int k, int c, float *dw)
{
    __m512 t[3][SIDE];
    for (int j = 0; j < SIDE; j++) {
        __m512 d[SIDE], o[3];
        for (int i = 0; i < SIDE; i++)
            d[i] = _mm512_load_ps(m + (size_t)(i * SIDE + j) * y->point_sums);
        finish_transform(d, o);
        for (int i = 0; i < 3; i++)
            t[i][j] = o[i];
    }
    int step = y->s->c * TAPS, left = y->s->k - k; /* outputs k, k + 2, ... */
    __mmask16 real = left >= 31 ? 0xffff : left > 0 ? (__mmask16)((1 << (left + 1) / 2) - 1) : 0;
    __m512i at = _mm512_mullo_epi32(_mm512_set1_epi32(2 * step),
                                    _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
    float *to = dw + (size_t)k * (size_t)step + (size_t)c * TAPS;
    for (int i = 0; i < 3; i++) {
        __m512 o[3];
        finish_transform(t[i], o);
        for (int j = 0; j < 3; j++)
            _mm512_mask_i32scatter_ps(to + i * 3 + j, real, at, o[j], 4);
    }
}

/* 32 outputs; the parts' sums are added up in order first. */
static void outputs_finish(const struct shape *y, int parts, int k, float *sums, float *dw)
{
    size_t part_sums = POINTS * y->point_sums;
    for (int c = 0; c < y->in; c++) {
        float *cell = sums + ((size_t)k * (size_t)y->in + (size_t)c) * CELL;
        for (int part = 1; part < parts; part++)
            for (int p = 0; p < POINTS; p++) {
                float *to = cell + (size_t)p * y->point_sums;
                const float *from = to + (size_t)part * part_sums;
                for (int i = 0; i < CELL; i++)
                    to[i] += from[i];
            }
        for (int r = 0; r < BLOCK_CHANNELS; r++) {
            int channel = c * BLOCK_CHANNELS + channel_of(r);
            for (int half = 0; half < 2 && channel < y->s->c; half++)
                weights_finish(y, cell + r * BLOCK_CHANNELS + half * 16, k * BLOCK_CHANNELS + half, channel, dw);
        }
    }
}

/* ---- rounds ---- */

static size_t largest_values(const struct block_conv *s)
{
    return (size_t)(s->h * s->w + s->out_h * s->out_w) * BLOCK_IMAGES;
}

/* Magnitudes of a map's rows [*known, wanted), as far as there are any. */
static void rows_maxima(const bf16 *x, int cells, int h, int w, int *known, int wanted, uint16_t *largest)
{
    int end = wanted < h ? wanted : h;
    if (end > *known)
        winograd_maxima(x, cells, w, *known, end, largest + (size_t)(*known * w) * BLOCK_IMAGES);
    *known = end > *known ? end : *known;
}

static void block_sum(const struct shape *y, const bf16 *x, const bf16 *dy, float *sums, void *scratch)
{
    const struct block_conv *s = y->s;
    struct turned t = turned_at(y, 1, scratch);
    uint16_t *x_largest = (uint16_t *)((char *)scratch + turned_bytes(y, 1));
    uint16_t *y_largest = x_largest + (size_t)(s->h * s->w) * BLOCK_IMAGES;
    int x_known = 0, y_known = 0;
    for (int tile = 0; tile < y->tiles; tile++) {
        int row = tile / y->cols * TILE;
        rows_maxima(x, y->in, s->h, s->w, &x_known, row - s->pad + SIDE, x_largest);
        rows_maxima(dy, y->out, s->out_h, s->out_w, &y_known, row + TILE, y_largest);
        tile_turn(y, x, dy, x_largest, y_largest, tile, &t, 0);
        for (int p = 0; p < POINTS; p++)
            point_sum(y, &t, p, 1, sums + (size_t)p * y->point_sums);
    }
}

static int parts_of(const struct shape *y, int blocks)
{
    return !is_few(y) ? 1 : blocks < MOST_PARTS ? blocks : MOST_PARTS;
}

static void part_sum(const struct shape *y, const struct block_weight_call *call, int part, float *sums,
                     void *scratch)
{
    int parts = parts_of(y, call->blocks), first = part * call->blocks / parts;
    int last = (part + 1) * call->blocks / parts;
    memset(sums, 0, POINTS * y->point_sums * sizeof *sums);
    for (int i = first; i < last; i++)
        block_sum(y, call->x + (size_t)i * call->x_block, call->dy + (size_t)i * call->dy_block, sums, scratch);
}

/* A row of tiles of one block. */
static void row_turn(const struct shape *y, const struct block_weight_call *call, int item, const struct turned *t,
                     void *scratch)
{
    const struct block_conv *s = y->s;
    int block = item / y->rows, row = item % y->rows;
    const bf16 *x = call->x + (size_t)block * call->x_block, *dy = call->dy + (size_t)block * call->dy_block;
    uint16_t *x_largest = scratch, *y_largest = x_largest + (size_t)(s->h * s->w) * BLOCK_IMAGES;
    int x_known = row * TILE - s->pad > 0 ? row * TILE - s->pad : 0, y_known = row * TILE;
    rows_maxima(x, y->in, s->h, s->w, &x_known, row * TILE - s->pad + SIDE, x_largest);
    rows_maxima(dy, y->out, s->out_h, s->out_w, &y_known, row * TILE + TILE, y_largest);
    for (int tile = row * y->cols; tile < (row + 1) * y->cols; tile++)
        tile_turn(y, x, dy, x_largest, y_largest, tile, t, block * y->tiles + tile);
}

size_t winograd_weight_scratch(const struct block_conv *s)
{
    struct shape y = shape_of(s);
    return (is_few(&y) ? turned_bytes(&y, 1) : 0) + largest_values(s) * sizeof(uint16_t);
}

size_t winograd_weight_shared_bytes(const struct block_conv *s, int blocks)
{
    struct shape y = shape_of(s);
    size_t sums = (size_t)parts_of(&y, blocks) * POINTS * y.point_sums * sizeof(float);
    return is_few(&y) ? sums : sums + turned_bytes(&y, blocks * y.tiles);
}

int winograd_weight_items(const struct block_conv *s, int blocks, int round)
{
    struct shape y = shape_of(s);
    if (round == ROUND_FINISH)
        return y.out;
    if (is_few(&y))
        return round == ROUND_SUM ? parts_of(&y, blocks) : 0;
    return round == ROUND_TURN ? blocks * y.rows : POINTS;
}

void winograd_weight_gradient(const struct block_conv *s, const struct block_weight_call *call, int round, int item,
                              void *shared, void *scratch)
{
    struct shape y = shape_of(s);
    float *sums = shared;
    struct turned t = turned_at(&y, call->blocks * y.tiles, sums + POINTS * y.point_sums);
    if (round == ROUND_FINISH) {
        outputs_finish(&y, parts_of(&y, call->blocks), item, sums, call->dw);
    } else if (is_few(&y)) {
        part_sum(&y, call, item, sums + (size_t)item * POINTS * y.point_sums, scratch);
    } else if (round == ROUND_TURN) {
        row_turn(&y, call, item, &t, scratch);
    } else {
        memset(sums + (size_t)item * y.point_sums, 0, y.point_sums * sizeof *sums);
        point_sum(&y, &t, item, call->blocks * y.tiles, sums + (size_t)item * y.point_sums);
    }
}
