#include "kernel/amx/blocks_u8.h"
#include "kernel/requantize.h"
#include <immintrin.h>
#include <string.h>

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

/* The next `count` pixels of what is pending. */
static inline void pending_write(struct blocks *b, int count)
{
    struct pending *p = &b->last;
    int left = p->to.tiles * PIXELS - p->next, end = p->next + (count < left ? count : left);
    if (p->next >= end)
        return;
    const struct epilogue e = epilogue_of(b->requantize, &p->to);
    for (int i = p->next; i < end; i++) {
        int tile = i / PIXELS, pixel = i % PIXELS;
        if (pixel < p->to.begin[tile] || pixel >= p->to.end[tile])
            continue;
        __m512i sum = _mm512_load_si512(p->sums + i * OUTPUTS);
        sum = _mm512_add_epi32(sum, _mm512_load_si512(p->constant + tile * OUTPUTS));
        pixel_write(&e, &p->to, sum, i);
    }
    p->next = end;
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
        SUM(0, i) SUM(1, i) SUM(2, i) SUM(3, i) pending_write(b, share);                \
    }

static inline __attribute__((always_inline)) void sum_shared(struct blocks *b, const struct block_inputs *in,
                                                             const int tiles, const int shared, int share)
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
                                                            const int tiles, int share)
{
    for (int s = 0; s < in->steps; s++) {
        const uint8_t *x = in->x + s * STEP_BYTES;
        _tile_loadd(4, in->weights + (size_t)s * WEIGHT_TILE, STEP_BYTES);
        TILE(0) TILE(1) TILE(2) TILE(3) pending_write(b, share);
    }
}

static inline __attribute__((always_inline)) void sum_any(struct blocks *b, const struct block_inputs *in,
                                                          const int tiles, int share)
{
    if (in->shared == 1)
        sum_shared(b, in, tiles, 1, share);
    else if (in->shared == 2)
        sum_shared(b, in, tiles, 2, share);
    else
        sum_apart(b, in, tiles, share);
}

/* Pixels to write between two tiles of inputs, so that all are written when the products are done. */
static int pending_share(const struct blocks *b, const struct block_inputs *in)
{
    int rows = in->shared ? in->row_end - in->row_begin : 1,
        loads = (in->tap_end - in->tap_begin) * in->steps * rows;
    int left = b->last.to.tiles * PIXELS - b->last.next;
    return loads > 0 ? (left + loads - 1) / loads : left;
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
    b->last.to.tiles = b->last.next = 0;
}

void blocks_add(struct blocks *b, const struct block_inputs *in, const struct block_outputs *to,
                const int32_t *constant)
{
    int share = pending_share(b, in);
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    __asm__ volatile("" ::: "memory"); /* tile loads read what was written before */
    switch (to->tiles) {
    case 1:
        sum_any(b, in, 1, share);
        break;
    case 2:
        sum_any(b, in, 2, share);
        break;
    case 3:
        sum_any(b, in, 3, share);
        break;
    default:
        sum_any(b, in, 4, share);
    }
    blocks_close(b);
    sums_store(b->sums[b->turn], to->tiles);
    memcpy(b->constants[b->turn], constant, (size_t)to->tiles * OUTPUTS * sizeof *constant);
    b->last = (struct pending){.to = *to, .sums = b->sums[b->turn], .constant = b->constants[b->turn]};
    b->turn ^= 1;
}

void blocks_close(struct blocks *b)
{
    pending_write(b, BLOCK_PIXELS);
}
