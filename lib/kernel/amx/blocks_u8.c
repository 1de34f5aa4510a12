#include "kernel/amx/blocks_u8.h"
#include "kernel/requantize.h"
#include <immintrin.h>

/* ---- from sums to codes ---- */

/* What all pixels of a block have in common, in registers. */
struct epilogue {
    __m512 multiplier, residual_multiplier, limit;
    __m512i residual_zero, zero, low, high;
    __mmask16 lanes;
};

static inline struct epilogue epilogue_of(const struct requantize *rq, const struct block_outputs *to)
{
    return (struct epilogue){.multiplier = _mm512_maskz_loadu_ps(to->lanes, to->multiplier),
                             .residual_multiplier = _mm512_set1_ps(rq->residual_multiplier),
                             .limit = _mm512_set1_ps(REQUANTIZE_LIMIT),
                             .residual_zero = _mm512_set1_epi32(rq->residual_zero_point),
                             .zero = _mm512_set1_epi32(rq->zero_point_y),
                             .low = _mm512_set1_epi32(rq->low),
                             .high = _mm512_set1_epi32(rq->high),
                             .lanes = to->lanes};
}

/* One pixel, as requantize.h has it. The conversion gives -2^31 for what is below and for NaN, which the clamp
 * takes to `low`; above, the minimum with 2^30 (first operand, so that NaN stays) does what is needed. */
static inline __attribute__((always_inline)) void pixel_write(const struct epilogue *e,
                                                              const struct block_outputs *to, __m512i sum, int i)
{
    __m512 v = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), e->multiplier);
    if (to->logits)
        _mm512_mask_storeu_ps(to->logits + to->offsets->logits[i], e->lanes, v);
    if (to->residual) {
        __m128i codes = _mm_maskz_loadu_epi8(e->lanes, to->residual + to->offsets->residual[i]);
        __m512i r = _mm512_sub_epi32(_mm512_cvtepu8_epi32(codes), e->residual_zero);
        v = _mm512_add_ps(v, _mm512_mul_ps(_mm512_cvtepi32_ps(r), e->residual_multiplier));
    }
    if (to->before)
        _mm512_mask_storeu_ps(to->before + to->offsets->before[i], e->lanes, v);
    if (to->y) {
        __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(e->limit, v)), e->zero);
        q = _mm512_min_epi32(_mm512_max_epi32(q, e->low), e->high);
        _mm_mask_storeu_epi8(to->y + to->offsets->y[i], e->lanes, _mm512_cvtepi32_epi8(q));
    }
}

/* acc to the integer nearest to v, as in pixel_write, of one pixel of the four of a chunk. */
static inline __attribute__((always_inline)) __m512i nearest(const int32_t *sums, __m512i constant,
                                                             __m512 multiplier)
{
    __m512i sum = _mm512_add_epi32(_mm512_load_si512(sums), constant);
    return _mm512_castps_si512(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier));
}

static inline __attribute__((always_inline)) __m512i rounded(__m512i v)
{
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_set1_ps(REQUANTIZE_LIMIT), _mm512_castsi512_ps(v)));
}

static inline __attribute__((always_inline)) __m512i residual_add(__m512i v, const uint8_t *residual, __m512i zero,
                                                                  __m512 multiplier)
{
    __m512i r = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)residual));
    __m512 b = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(r, zero)), multiplier);
    return _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(v), b));
}

/* Four whole pixels from i on, codes only. Saturation to 16 and then 8 bits cannot change what the clamp gives. */
static void chunk_write(const struct requantize *rq, const struct pending *p, int i)
{
    const int32_t *sums = p->sums + i * OUTPUTS;
    __m512i constant = _mm512_load_si512(p->constant + i / PIXELS * OUTPUTS);
    __m512 multiplier = _mm512_loadu_ps(p->to.multiplier);
    __m512i a = nearest(sums, constant, multiplier), b = nearest(sums + OUTPUTS, constant, multiplier);
    __m512i c = nearest(sums + 2 * OUTPUTS, constant, multiplier),
            d = nearest(sums + 3 * OUTPUTS, constant, multiplier);
    if (p->to.residual) {
        const ptrdiff_t *at = p->to.offsets->residual + i;
        __m512i zero = _mm512_set1_epi32(rq->residual_zero_point);
        __m512 factor = _mm512_set1_ps(rq->residual_multiplier);
        a = residual_add(a, p->to.residual + at[0], zero, factor);
        b = residual_add(b, p->to.residual + at[1], zero, factor);
        c = residual_add(c, p->to.residual + at[2], zero, factor);
        d = residual_add(d, p->to.residual + at[3], zero, factor);
    }
    __m512i zero = _mm512_set1_epi16(rq->zero_point_y);
    __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32(rounded(a), rounded(b)), zero);
    __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32(rounded(c), rounded(d)), zero);
    __m512i q = _mm512_max_epu8(_mm512_packus_epi16(ab, cd), _mm512_set1_epi8((char)rq->low));
    q = _mm512_min_epu8(q, _mm512_set1_epi8((char)rq->high));
    /* each 128 bits hold four outputs of a, b, c and d */
    q = _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), q);
    const ptrdiff_t *at = p->to.offsets->y + i;
    uint8_t *y = p->to.y;
    _mm_storeu_si128((__m128i *)(void *)(y + at[0]), _mm512_castsi512_si128(q));
    _mm_storeu_si128((__m128i *)(void *)(y + at[1]), _mm512_extracti32x4_epi32(q, 1));
    _mm_storeu_si128((__m128i *)(void *)(y + at[2]), _mm512_extracti32x4_epi32(q, 2));
    _mm_storeu_si128((__m128i *)(void *)(y + at[3]), _mm512_extracti32x4_epi32(q, 3));
}

/* The next four pixels of what is pending. */
static __attribute__((noinline)) void pending_next(struct blocks *b)
{
    struct pending *p = &b->last;
    const struct block_outputs *to = &p->to;
    int tile = p->next / PIXELS, pixel = p->next % PIXELS;
    p->wait = p->interval;
    if (pixel >= to->begin[tile] && pixel + CHUNK <= to->end[tile] && to->lanes == 0xffff && to->y && !to->before &&
        !to->logits) {
        chunk_write(b->requantize, p, p->next);
    } else {
        const struct epilogue e = epilogue_of(b->requantize, to);
        __m512i constant = _mm512_load_si512(p->constant + tile * OUTPUTS);
        for (int i = 0; i < CHUNK; i++)
            if (pixel + i >= to->begin[tile] && pixel + i < to->end[tile])
                pixel_write(&e, to,
                            _mm512_add_epi32(_mm512_load_si512(p->sums + (p->next + i) * OUTPUTS), constant),
                            p->next + i);
    }
    p->next += CHUNK;
}

/* After a tile was loaded: now and then four pixels. */
static inline void pending_turn(struct blocks *b)
{
    if (--b->last.wait <= 0 && b->last.next < b->last.end)
        pending_next(b);
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
        SUM(0, i) SUM(1, i) SUM(2, i) SUM(3, i) pending_turn(b);                        \
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
        TILE(0) TILE(1) TILE(2) TILE(3) pending_turn(b);
    }
}

static inline __attribute__((always_inline)) void sum_any(struct blocks *b, const struct block_inputs *in,
                                                          const int tiles)
{
    if (in->shared == 1)
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

void blocks_open(struct blocks *b, const struct requantize *requantize)
{
    b->requantize = requantize;
    b->turn = 0;
    b->last.next = b->last.end = 0;
}

void blocks_add(struct blocks *b, const struct block_inputs *in, const struct block_outputs *to)
{
    pending_pace(b, in);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    __asm__ volatile("" ::: "memory"); /* tile loads read what was written before */
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
    b->last = (struct pending){
        .to = *to, .sums = b->sums[b->turn], .constant = b->constants[b->turn], .end = to->tiles * PIXELS};
    b->turn ^= 1;
}

void blocks_close(struct blocks *b)
{
    while (b->last.next < b->last.end)
        pending_next(b);
}
