/* Training's 3x3 convolutions of stride 1 by Winograd F(4x4,3x3): forward, and the gradient by the input as the
 * same with turned weights. */
#include "kernel/x86/avx512bf16/block_products.h"
#include "kernel/x86/avx512bf16/block_winograd.h"

enum { M_PLANE = CELL + 32 /* see v_plane */ };

/* ---- products ---- */

#define CLOSE_HALF(v, at) \
    _mm512_store_ps(at, add ? _mm512_add_ps(_mm512_load_ps(at), _mm512_cvtepi32_ps(v)) : _mm512_cvtepi32_ps(v));
#define CLOSE_ROW(i)                                     \
    CLOSE_HALF(low##i, m + (first + i) * BLOCK_CHANNELS) \
    CLOSE_HALF(high##i, m + (first + i) * BLOCK_CHANNELS + 16)
#define MULTIPLY_ROW(i)                                            \
    {                                                              \
        __m512i x = broadcast_two(a + i * BLOCK_CHANNELS + 2 * j); \
        multiply_add(&low##i, x, b_low);                           \
        multiply_add(&high##i, x, b_high);                         \
    }
#define PRODUCT_ROWS(name, rows)                                                                         \
    ALWAYS_INLINE void name(const int16_t *v, const int16_t *u, int cells, int first, int add, float *m) \
    {                                                                                                    \
        rows(OPEN_ROW) for (int c = 0; c < cells; c++)                                                   \
        {                                                                                                \
            const int16_t *a = v + c * CELL + first * BLOCK_CHANNELS, *b = u + c * CELL;                 \
            for (int j = 0; j < BLOCK_CHANNELS / 2; j++) {                                               \
                __m512i b_low = _mm512_load_si512(b + j * BLOCK_CHANNELS);                               \
                __m512i b_high = _mm512_load_si512(b + CELL / 2 + j * BLOCK_CHANNELS);                   \
                rows(MULTIPLY_ROW)                                                                       \
            }                                                                                            \
        }                                                                                                \
        rows(CLOSE_ROW)                                                                                  \
    }

PRODUCT_ROWS(product_8, ROWS_8)
PRODUCT_ROWS(product_12, ROWS_12)

ALWAYS_INLINE void product_cells(const int16_t *v, const int16_t *u, int cells, int add, float *m)
{
    product_12(v, u, cells, 0, add, m);
    product_12(v, u, cells, 12, add, m);
    product_8(v, u, cells, 24, add, m);
}

/* One point: M [32 images][32 outputs] = V U. */
static void product(const int16_t *v, const int16_t *u, int cells, float *m)
{
    product_cells(v, u, cells < EXACT_CELLS ? cells : EXACT_CELLS, 0, m);
    for (int c = EXACT_CELLS; c < cells; c += EXACT_CELLS)
        product_cells(v + c * CELL, u + c * CELL, cells - c < EXACT_CELLS ? cells - c : EXACT_CELLS, 1, m);
}

/* ---- output ---- */

/* A^T with the factors of rows and weights. */
ALWAYS_INLINE void output_transform(const __m512 m[SIDE], __m512 o[TILE])
{
    __m512 sum_a = _mm512_add_ps(m[1], m[2]), difference_a = _mm512_sub_ps(m[1], m[2]);
    __m512 sum_b = _mm512_add_ps(m[3], m[4]), difference_b = _mm512_sub_ps(m[3], m[4]);
    o[0] = _mm512_fmadd_ps(
        _mm512_set1_ps(FACTOR_0), m[0],
        _mm512_fmadd_ps(_mm512_set1_ps(FACTOR_A), sum_a, _mm512_mul_ps(_mm512_set1_ps(FACTOR_B), sum_b)));
    o[1] = _mm512_fmadd_ps(_mm512_set1_ps(FACTOR_A * A1), difference_a,
                           _mm512_mul_ps(_mm512_set1_ps(FACTOR_B * B1), difference_b));
    o[2] =
        _mm512_fmadd_ps(_mm512_set1_ps(FACTOR_A * A2), sum_a, _mm512_mul_ps(_mm512_set1_ps(FACTOR_B * B2), sum_b));
    o[3] = _mm512_fmadd_ps(_mm512_set1_ps(FACTOR_A * A3), difference_a,
                           _mm512_fmadd_ps(_mm512_set1_ps(FACTOR_B * B3), difference_b,
                                           _mm512_mul_ps(_mm512_set1_ps(FACTOR_5), m[5])));
}

/* 16 outputs of one image: M's points -> 4x4. */
ALWAYS_INLINE void outputs_transform(const float *m, __m512 scale, __m512 y[TILE][TILE])
{
    __m512 t[TILE][SIDE];
#pragma GCC unroll 6
    for (int j = 0; j < SIDE; j++) {
        __m512 d[SIDE], o[TILE];
#pragma GCC unroll 6
        for (int i = 0; i < SIDE; i++)
            d[i] = _mm512_load_ps(m + (i * SIDE + j) * M_PLANE);
        output_transform(d, o);
#pragma GCC unroll 4
        for (int i = 0; i < TILE; i++)
            t[i][j] = o[i];
    }
#pragma GCC unroll 4
    for (int i = 0; i < TILE; i++) {
        output_transform(t[i], y[i]);
#pragma GCC unroll 4
        for (int j = 0; j < TILE; j++)
            y[i][j] = _mm512_mul_ps(y[i][j], scale);
    }
}

/* Where a tile's outputs go. */
struct target {
    bf16 *y;
    size_t row, pixel;                           /* values */
    int row_begin, row_end, col_end, accumulate; /* which of 4x4 are stored */
};

ALWAYS_INLINE void tile_store(const struct target *t, const float *m, const float *image_scale,
                              const float *output_scale, struct channel_sums *stats)
{
    struct pair scale = pair_floats(output_scale);
    for (int n = 0; n < BLOCK_IMAGES; n++, m += BLOCK_CHANNELS) {
        __m512 by = _mm512_set1_ps(image_scale[n]), low[TILE][TILE], high[TILE][TILE];
        outputs_transform(m, _mm512_mul_ps(scale.low, by), low);
        outputs_transform(m + 16, _mm512_mul_ps(scale.high, by), high);
        bf16 *to = t->y + n * BLOCK_CHANNELS;
        for (int i = t->row_begin; i < t->row_end; i++)
            for (int j = 0; j < t->col_end; j++) {
                bf16 *at = to + (size_t)i * t->row + (size_t)j * t->pixel;
                struct pair v = {low[i][j], high[i][j]};
                if (t->accumulate)
                    v = pair_add(v, pair_load(at, 1));
                v = pair_store(v, at, 1);
                if (stats)
                    sums_add(stats, v);
            }
    }
}

/* ---- a call: tile by tile, so that what a tile needs stays in the second-level cache ---- */

struct work {
    struct winograd_way way;
    const struct block_conv_call *call;
    struct winograd_place place; /* of the tile */
    int16_t *v;
    float *m;
    uint16_t *largest;
};

static int clamp_to_tile(int n)
{
    return n < 0 ? 0 : n > TILE ? TILE : n;
}

static void tile_input(struct work *w, int row, int col)
{
    const struct winograd_way *way = &w->way;
    w->place.row = row - way->pad;
    w->place.col = col - way->pad;
    winograd_place_scale(&w->place, w->largest, way->source_h, way->source_w, CONV_MOST);
    winograd_input(&w->place, w->call->x, way->source_h, way->source_w, way->in, w->v, way->v_plane);
}

/* 32 outputs of the tile whose first output is (row, col). */
static void tile_output(const struct work *w, int row, int col, int panel)
{
    const struct winograd_way *way = &w->way;
    const struct block_conv_call *call = w->call;
    size_t u_point = (size_t)way->in * CELL, u_panel = POINTS * u_point;
    const int16_t *u = (const int16_t *)call->packed + (size_t)panel * u_panel;
    const float *scale = (const float *)((const int16_t *)call->packed + (size_t)way->out * u_panel);
    for (int i = 0; i < POINTS; i++)
        product(w->v + (size_t)i * way->v_plane, u + (size_t)i * u_point, way->in, w->m + i * M_PLANE);
    struct target t = {.pixel = (size_t)way->out * CELL,
                       .row_begin = clamp_to_tile(call->row_begin - row),
                       .row_end = clamp_to_tile(call->row_end - row),
                       .col_end = clamp_to_tile(way->w - col),
                       .accumulate = call->accumulate};
    t.row = (size_t)way->w * t.pixel;
    t.y = call->y + (size_t)row * t.row + (size_t)col * t.pixel + (size_t)panel * CELL;
    if (call->sums) {
        struct channel_sums stats = sums_zero();
        tile_store(&t, w->m, w->place.descale, scale + panel * BLOCK_CHANNELS, &stats);
        sums_to_double(&stats, call->sums + panel * BLOCK_CHANNELS,
                       call->sums + (way->out + panel) * BLOCK_CHANNELS);
    } else {
        tile_store(&t, w->m, w->place.descale, scale + panel * BLOCK_CHANNELS, NULL);
    }
}

static size_t way_scratch(const struct winograd_way *way)
{
    return POINTS * (way->v_plane * sizeof(int16_t) + M_PLANE * sizeof(float)) +
           (size_t)(way->source_h * way->source_w) * BLOCK_IMAGES * sizeof(uint16_t);
}

size_t winograd_conv_scratch(const struct block_conv *s)
{
    struct winograd_way forward = winograd_way_of(s, BLOCK_FORWARD), backward = winograd_way_of(s, BLOCK_BACKWARD);
    size_t a = way_scratch(&forward), b = way_scratch(&backward);
    return a > b ? a : b;
}

/* Of all rows that a call's tiles see. */
static void call_maxima(const struct work *w)
{
    const struct winograd_way *way = &w->way;
    int begin = w->call->row_begin / TILE * TILE - way->pad;
    int end = (w->call->row_end + TILE - 1) / TILE * TILE - way->pad + SIDE - TILE;
    begin = begin < 0 ? 0 : begin;
    end = end > way->source_h ? way->source_h : end;
    winograd_maxima(w->call->x, way->in, way->source_w, begin, end,
                    w->largest + (size_t)(begin * way->source_w) * BLOCK_IMAGES);
}

void winograd_conv(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                   void *scratch)
{
    struct work w = {.way = winograd_way_of(s, d), .call = call, .v = scratch};
    int out = w.way.out * BLOCK_CHANNELS;
    w.m = (float *)(w.v + POINTS * w.way.v_plane);
    w.largest = (uint16_t *)(w.m + POINTS * M_PLANE);
    for (int k = call->k_begin; call->sums && k < call->k_end; k++)
        call->sums[k] = call->sums[out + k] = 0;
    call_maxima(&w);
    for (int row = call->row_begin / TILE * TILE; row < call->row_end; row += TILE)
        for (int col = 0; col < w.way.w; col += TILE) {
            tile_input(&w, row, col);
            for (int panel = call->k_begin / BLOCK_CHANNELS; panel < call->k_end / BLOCK_CHANNELS; panel++)
                tile_output(&w, row, col, panel);
        }
}
