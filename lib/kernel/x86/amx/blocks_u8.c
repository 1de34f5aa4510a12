#include "kernel/x86/amx/blocks_u8.h"
#include "kernel/contract/requantize.h"
#include <immintrin.h>

/* Lines brought with each input tile of shared rows, each step of others, and four pixels written: about what the
 * third-level cache delivers meanwhile. More of them would fill the queues that the tiles' own loads need. */
enum { ROW_LINES = 2, STEP_LINES = 4, CHUNK_LINES = 4 };

/* ---- from sums to codes ---- */

static inline __m512i load(const void *lanes)
{
    return _mm512_load_si512(lanes);
}

static inline __m512i residual_load(__m128i codes, const struct lanes *l)
{
    __m512i r = _mm512_sub_epi32(_mm512_cvtepu8_epi32(codes), load(l->residual_zero));
    return _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(r), _mm512_load_ps(l->residual_multiplier)));
}

/* One pixel, as requantize.h has it, of the outputs in the mask. The conversion gives -2^31 for what is below and
 * for NaN, which the clamp takes to `low`; above, the minimum with 2^30 (first operand, so that NaN stays) does
 * what is needed. */
static void pixel_write(const struct lanes *l, const struct pending *p, int i)
{
    const struct block_outputs *to = &p->to;
    __mmask16 mask = to->lanes;
    __m512 v = _mm512_cvtepi32_ps(load(p->sums + i * OUTPUTS));
    v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, to->multiplier + i / PIXELS * to->outputs_step));
    if (to->logits)
        _mm512_mask_storeu_ps(to->logits + to->offsets->logits[i], mask, v);
    if (to->residual) {
        __m128i codes = _mm_maskz_loadu_epi8(mask, to->residual + to->offsets->residual[i]);
        v = _mm512_add_ps(v, _mm512_castsi512_ps(residual_load(codes, l)));
    }
    if (to->before)
        _mm512_mask_storeu_ps(to->before + to->offsets->before[i], mask, v);
    if (to->y) {
        __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_load_ps(l->limit), v));
        q = _mm512_max_epi32(_mm512_add_epi32(q, load(l->zero)), load(l->low));
        q = _mm512_min_epi32(q, load(l->high));
        _mm_mask_storeu_epi8(to->y + to->offsets->y[i], mask, _mm512_cvtepi32_epi8(q));
    }
}

/* A whole pixel to integers, without the zero point. */
static inline __attribute__((always_inline)) __m512i pixel_round(const struct lanes *l, const struct pending *p,
                                                                 int i, __m512 multiplier, const int residual,
                                                                 const int small)
{
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(load(p->sums + i * OUTPUTS)), multiplier);
    if (residual) {
        const void *codes = p->to.residual + p->to.offsets->residual[i];
        v = _mm512_add_ps(v, _mm512_castsi512_ps(residual_load(_mm_loadu_si128(codes), l)));
    }
    return _mm512_cvtps_epi32(small ? v : _mm512_min_ps(_mm512_load_ps(l->limit), v));
}

/* Four whole pixels from i on, codes only. Saturation to 16 and then 8 bits cannot change what the clamp gives. */
static inline __attribute__((always_inline)) void chunk_write(const struct lanes *l, const struct pending *p, int i,
                                                              const int residual, const int small)
{
    __m512 multiplier = _mm512_loadu_ps(p->to.multiplier + i / PIXELS * p->to.outputs_step);
    __m512i a = pixel_round(l, p, i, multiplier, residual, small);
    __m512i b = pixel_round(l, p, i + 1, multiplier, residual, small);
    __m512i c = pixel_round(l, p, i + 2, multiplier, residual, small);
    __m512i d = pixel_round(l, p, i + 3, multiplier, residual, small);
    __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(a, b), load(l->zero_16));
    __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(c, d), load(l->zero_16));
    __m512i q = _mm512_max_epu8(_mm512_packus_epi16(ab, cd), load(l->low_8));
    q = _mm512_min_epu8(q, load(l->high_8));
    /* each 128 bits hold four outputs of a, b, c and d */
    q = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), q);
    const ptrdiff_t *at = p->to.offsets->y + i;
    uint8_t *y = p->to.y;
    _mm_storeu_si128((__m128i *)(void *)(y + at[0]), _mm512_castsi512_si128(q));
    _mm_storeu_si128((__m128i *)(void *)(y + at[1]), _mm512_extracti32x4_epi32(q, 1));
    _mm_storeu_si128((__m128i *)(void *)(y + at[2]), _mm512_extracti32x4_epi32(q, 2));
    _mm_storeu_si128((__m128i *)(void *)(y + at[3]), _mm512_extracti32x4_epi32(q, 3));
}

static int chunk_is_whole(const struct pending *p, int tile, int pixel)
{
    const struct block_outputs *to = &p->to;
    return pixel >= to->begin[tile] && pixel + CHUNK <= to->end[tile] && to->lanes == 0xffff && to->y &&
           !to->before && !to->logits;
}

/* Some lines of what later calls read. */
static inline void lines_bring(struct blocks *b, int lines)
{
    if (b->fetch.begin >= b->fetch.end)
        return;
    for (int i = 0; i < lines; i++)
        ahead_bring(b->fetch.begin + i * AHEAD_LINE);
    b->fetch.begin += lines * AHEAD_LINE;
}

/* The next four pixels of what is pending. */
static __attribute__((noinline)) void pending_next(struct blocks *b)
{
    struct pending *p = &b->last;
    const struct lanes *l = &b->lanes;
    int tile = p->next / PIXELS, pixel = p->next % PIXELS;
    lines_bring(b, CHUNK_LINES);
    if (!chunk_is_whole(p, tile, pixel)) {
        for (int i = 0; i < CHUNK; i++)
            if (pixel + i >= p->to.begin[tile] && pixel + i < p->to.end[tile])
                pixel_write(l, p, p->next + i);
    } else if (!b->small) {
        if (p->to.residual)
            chunk_write(l, p, p->next, 1, 0);
        else
            chunk_write(l, p, p->next, 0, 0);
    } else if (p->to.residual) {
        chunk_write(l, p, p->next, 1, 1);
    } else {
        chunk_write(l, p, p->next, 0, 1);
    }
    p->next += CHUNK;
    p->wait = p->interval;
}

/* After a tile was loaded: now and then four pixels. */
static inline void pending_turn(struct blocks *b, const int lines)
{
    if (--b->last.wait <= 0 && b->last.next < b->last.end)
        pending_next(b);
    lines_bring(b, lines);
}

/* ---- products ---- */

/* Each input tile is loaded once and multiplied with the weights of every tap row that a tile of sums sees it
 * through. Tile registers have constant names only: after inlining every condition on j, i, tiles and shared is
 * constant. */
#define SUM(j, i)                                  \
    if ((j) < tiles && (i) - (j)*shared == 0)      \
        _tile_dpbusd(j, 7, 4);                     \
    else if ((j) < tiles && (i) - (j)*shared == 1) \
        _tile_dpbusd(j, 7, 5);                     \
    else if ((j) < tiles && (i) - (j)*shared == 2) \
        _tile_dpbusd(j, 7, 6);
#define ROW(i)                                                                          \
    if ((i) <= (tiles - 1) * shared + 2 && (i) >= in->row_begin && (i) < in->row_end) { \
        _tile_loadd(7, x + (i)*in->row_step, in->pixel_step);                           \
        SUM(0, i) SUM(1, i) SUM(2, i) SUM(3, i) pending_turn(b, ROW_LINES);             \
    }

static inline __attribute__((always_inline)) void sum_shared(struct blocks *b, const struct block_inputs *in,
                                                             const int tiles, const int shared)
{
    for (int t = in->tap_begin; t < in->tap_end; t++)
        for (int s = 0; s < in->steps; s++) {
            const int8_t *w = in->weights + (size_t)((t * in->steps + s) * 3) * WEIGHT_TILE;
            const uint8_t *x = in->x + t * in->tap_step + s * STEP_BYTES;
            _tile_loadd(4, w, STEP_BYTES);
            _tile_loadd(5, w + WEIGHT_TILE, STEP_BYTES);
            _tile_loadd(6, w + 2 * WEIGHT_TILE, STEP_BYTES);
            ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8)
        }
}

#define TILE(j)                                                \
    if ((j) < tiles) {                                         \
        _tile_loadd(7, x + (j)*in->tile_step, in->pixel_step); \
        _tile_dpbusd(j, 7, 4);                                 \
    }

/* Tiles that share no inputs: one tap row. */
static inline __attribute__((always_inline)) void sum_apart(struct blocks *b, const struct block_inputs *in,
                                                            const int tiles)
{
    for (int s = 0; s < in->steps; s++) {
        const uint8_t *x = in->x + s * STEP_BYTES;
        _tile_loadd(4, in->weights + (size_t)s * WEIGHT_TILE, STEP_BYTES);
        TILE(0) TILE(1) TILE(2) TILE(3) pending_turn(b, STEP_LINES);
    }
}

#define GROUP(j, weights)                                           \
    if ((j) < tiles) {                                              \
        _tile_loadd(weights, w + (j)*in->weights_step, STEP_BYTES); \
        _tile_dpbusd(j, 7, weights);                                \
    }

/* The same pixels for several groups of outputs: inputs that fit no first-level cache are read less often. */
static inline __attribute__((always_inline)) void sum_groups(struct blocks *b, const struct block_inputs *in,
                                                             const int tiles)
{
    for (int s = 0; s < in->steps; s++) {
        const int8_t *w = in->weights + (size_t)s * WEIGHT_TILE;
        _tile_loadd(7, in->x + s * STEP_BYTES, in->pixel_step);
        GROUP(0, 4) GROUP(1, 5) GROUP(2, 6) GROUP(3, 4) pending_turn(b, STEP_LINES);
    }
}

static inline __attribute__((always_inline)) void sum_any(struct blocks *b, const struct block_inputs *in,
                                                          const int tiles)
{
    if (in->weights_step)
        sum_groups(b, in, tiles);
    else if (in->shared == 1)
        sum_shared(b, in, tiles, 1);
    else if (in->shared == 2)
        sum_shared(b, in, tiles, 2);
    else
        sum_apart(b, in, tiles);
}

/* How often what is pending takes a turn, so that all is written when the products are done. */
static void pending_pace(struct blocks *b, const struct block_inputs *in)
{
    int rows = in->shared ? in->row_end - in->row_begin : 1,
        loads = (in->tap_end - in->tap_begin) * in->steps * rows;
    int chunks = (b->last.end - b->last.next) / CHUNK;
    b->last.wait = b->last.interval = chunks > 0 ? loads / chunks : 0;
}

static void sums_store(int32_t *sums, int tiles)
{
    _tile_stored(0, sums, STEP_BYTES);
    if (tiles > 1)
        _tile_stored(1, sums + PIXELS * OUTPUTS, STEP_BYTES);
    if (tiles > 2)
        _tile_stored(2, sums + 2 * PIXELS * OUTPUTS, STEP_BYTES);
    if (tiles > 3)
        _tile_stored(3, sums + 3 * PIXELS * OUTPUTS, STEP_BYTES);
}

/* Whether sums of 32 bits and residuals stay below 2^30 before rounding, whatever they are. */
static int values_are_small(const struct requantize *rq, int outputs)
{
    float largest = 0;
    for (int k = 0; k < outputs; k++)
        if (!(rq->multiplier[k] <= largest)) /* NaN too */
            largest = rq->multiplier[k];
    return largest <= 0x1p-3f && rq->residual_multiplier <= 0x1p16f;
}

void blocks_open(struct blocks *b, const struct requantize *rq, int outputs, struct ahead *ahead)
{
    struct lanes *l = &b->lanes;
    _mm512_store_si512(l->residual_zero, _mm512_set1_epi32(rq->residual_zero_point));
    _mm512_store_si512(l->zero, _mm512_set1_epi32(rq->zero_point_y));
    _mm512_store_si512(l->low, _mm512_set1_epi32(rq->low));
    _mm512_store_si512(l->high, _mm512_set1_epi32(rq->high));
    _mm512_store_ps(l->residual_multiplier, _mm512_set1_ps(rq->residual_multiplier));
    _mm512_store_ps(l->limit, _mm512_set1_ps(CODE_LIMIT));
    _mm512_store_si512(l->zero_16, _mm512_set1_epi16(rq->zero_point_y));
    _mm512_store_si512(l->low_8, _mm512_set1_epi8((char)rq->low));
    _mm512_store_si512(l->high_8, _mm512_set1_epi8((char)rq->high));
    b->small = values_are_small(rq, outputs);
    b->turn = 0;
    b->ahead = ahead;
    b->fetch.begin = b->fetch.end = NULL;
    b->last.next = b->last.end = 0;
}

void blocks_add(struct blocks *b, const struct block_inputs *in, const struct block_outputs *to)
{
    pending_pace(b, in);
    if (b->ahead)
        b->fetch = ahead_window(b->ahead);
    __asm__ volatile("" ::: "memory"); /* tile loads read what was written before */
    _tile_loadd(0, in->first, 0);
    _tile_loadd(1, in->first + OUTPUTS, 0);
    _tile_loadd(2, in->first + 2 * OUTPUTS, 0);
    _tile_loadd(3, in->first + 3 * OUTPUTS, 0);
    switch (to->tiles) {
    case 1:
        sum_any(b, in, 1);
        break;
    case 2:
        sum_any(b, in, 2);
        break;
    case 3:
        sum_any(b, in, 3);
        break;
    default:
        sum_any(b, in, 4);
    }
    blocks_close(b);
    sums_store(b->sums[b->turn], to->tiles);
    b->last = (struct pending){.to = *to, .sums = b->sums[b->turn], .end = to->tiles * PIXELS};
    b->turn ^= 1;
    if (b->ahead)
        ahead_take(b->ahead, b->fetch.begin);
    b->fetch.end = b->fetch.begin;
}

void blocks_close(struct blocks *b)
{
    while (b->last.next < b->last.end)
        pending_next(b);
}
