/* Training's 3x3 convolutions of stride 1 by Winograd F(4x4,3x3): forward, and the gradient by the input as the
 * same with turned weights. */
#include "kernel/avx512bf16/block_winograd.h"

enum { MOST_TILES = 4 /* transformed at a time */, V_BYTES = 1280 * 1024, M_PLANE = CELL + 32 /* see v_plane */ };

/* ---- products ---- */

/* One variable for each accumulator: gcc 12 keeps arrays in memory. */
#define ROWS_8(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define ROWS_12(f) ROWS_8(f) f(8) f(9) f(10) f(11)
#define OPEN_ROW(i) __m512i low##i = _mm512_setzero_si512(), high##i = low##i;
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

/* ---- a call ---- */

struct work {
    struct winograd_way way;
    const struct block_conv_call *call;
    int cols, first_row; /* of tiles */
    struct winograd_place place[MOST_TILES];
    int16_t *v;
    float *m;
    uint16_t *largest;
};

static int tiles_at_a_time(const struct winograd_way *way)
{
    int fit = (int)(V_BYTES / (way->v_tile * sizeof(int16_t)));
    return fit < 1 ? 1 : fit > MOST_TILES ? MOST_TILES : fit;
}

static int clamp_to_tile(int n)
{
    return n < 0 ? 0 : n > TILE ? TILE : n;
}

static void tile_inputs(struct work *w, int tile, int count)
{
    const struct winograd_way *way = &w->way;
    for (int i = 0; i < count; i++) {
        struct winograd_place *p = &w->place[i];
        p->row = (w->first_row + (tile + i) / w->cols) * TILE - way->pad;
        p->col = (tile + i) % w->cols * TILE - way->pad;
        winograd_place_scale(p, w->largest, way->source_h, way->source_w, CONV_MOST);
        winograd_input(p, w->call->x, way->source_h, way->source_w, way->in, w->v + (size_t)i * way->v_tile,
                       way->v_plane);
    }
}

static void tile_outputs(const struct work *w, int index, int panel)
{
    const struct winograd_way *way = &w->way;
    const struct block_conv_call *call = w->call;
    const struct winograd_place *p = &w->place[index];
    size_t u_point = (size_t)way->in * CELL, u_panel = POINTS * u_point;
    const int16_t *u = (const int16_t *)call->packed + (size_t)panel * u_panel;
    const float *scale = (const float *)((const int16_t *)call->packed + (size_t)way->out * u_panel);
    for (int i = 0; i < POINTS; i++)
        product(w->v + (size_t)index * way->v_tile + (size_t)i * way->v_plane, u + (size_t)i * u_point, way->in,
                w->m + i * M_PLANE);
    int row = p->row + way->pad, col = p->col + way->pad;
    struct target t = {.pixel = (size_t)way->out * CELL,
                       .row_begin = clamp_to_tile(call->row_begin - row),
                       .row_end = clamp_to_tile(call->row_end - row),
                       .col_end = clamp_to_tile(way->w - col),
                       .accumulate = call->accumulate};
    t.row = (size_t)way->w * t.pixel;
    t.y = call->y + (size_t)row * t.row + (size_t)col * t.pixel + (size_t)panel * CELL;
    if (call->sums) {
        struct channel_sums stats = sums_zero();
        tile_store(&t, w->m, p->descale, scale + panel * BLOCK_CHANNELS, &stats);
        sums_to_double(&stats, call->sums + panel * BLOCK_CHANNELS,
                       call->sums + (way->out + panel) * BLOCK_CHANNELS);
    } else {
        tile_store(&t, w->m, p->descale, scale + panel * BLOCK_CHANNELS, NULL);
    }
}

static size_t way_scratch(const struct winograd_way *way)
{
    size_t v = (size_t)tiles_at_a_time(way) * way->v_tile * sizeof(int16_t);
    size_t largest = (size_t)(way->source_h * way->source_w) * BLOCK_IMAGES * sizeof(uint16_t);
    return v + POINTS * M_PLANE * sizeof(float) + largest;
}

size_t winograd_conv_scratch(const struct block_conv *s)
{
    struct winograd_way forward = winograd_way_of(s, BLOCK_FORWARD), backward = winograd_way_of(s, BLOCK_BACKWARD);
    size_t a = way_scratch(&forward), b = way_scratch(&backward);
    return a > b ? a : b;
}

static void call_maxima(struct work *w)
{
    const struct winograd_way *way = &w->way;
    int begin = w->first_row * TILE - way->pad, end = (w->call->row_end + TILE - 1) / TILE * TILE - way->pad + 2;
    begin = begin < 0 ? 0 : begin;
    end = end > way->source_h ? way->source_h : end;
    winograd_maxima(w->call->x, way->in, way->source_w, begin, end,
                    w->largest + (size_t)(begin * way->source_w) * BLOCK_IMAGES);
}

void winograd_conv(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                   void *scratch)
{
    struct work w = {.way = winograd_way_of(s, d), .call = call, .first_row = call->row_begin / TILE, .v = scratch};
    int at_a_time = tiles_at_a_time(&w.way), out = w.way.out * BLOCK_CHANNELS;
    w.m = (float *)(w.v + (size_t)at_a_time * w.way.v_tile);
    w.largest = (uint16_t *)(w.m + POINTS * M_PLANE);
    w.cols = (w.way.w + TILE - 1) / TILE;
    for (int k = call->k_begin; call->sums && k < call->k_end; k++)
        call->sums[k] = call->sums[out + k] = 0;
    call_maxima(&w);
    int tiles = ((call->row_end + TILE - 1) / TILE - w.first_row) * w.cols;
    for (int tile = 0; tile < tiles; tile += at_a_time) {
        int count = tiles - tile < at_a_time ? tiles - tile : at_a_time;
        tile_inputs(&w, tile, count);
        for (int panel = call->k_begin / BLOCK_CHANNELS; panel < call->k_end / BLOCK_CHANNELS; panel++)
            for (int i = 0; i < count; i++)
                tile_outputs(&w, i, panel);
    }
}
