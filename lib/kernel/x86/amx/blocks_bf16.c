#include "kernel/x86/amx/blocks_bf16.h"
#include "kernel/x86/amx/tiles.h"
#include <math.h>

/* ---- sums to results ---- */

static inline __m512 residual_load(__m256i v)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16));
}

/* One pixel, of the outputs in the mask. The maximum gives its second operand where one is a NaN, which stays. */
static void pixel_write(const struct blocks *b, int i)
{
    const struct pending *p = &b->last;
    const struct block_outputs *to = &p->to;
    __mmask16 mask = to->lanes;
    __m512 v = _mm512_load_ps(p->sums + i * OUTPUTS);
    if (to->residual)
        v = _mm512_add_ps(v,
                          residual_load(_mm256_maskz_loadu_epi16(mask, to->residual + to->offsets->residual[i])));
    v = _mm512_max_ps(_mm512_load_ps(b->floor), v);
    if (to->sums)
        _mm512_mask_storeu_ps(to->sums + to->offsets->sums[i], mask, v);
    if (to->y)
        _mm256_mask_storeu_epi16(to->y + to->offsets->y[i], mask, (__m256i)_mm512_cvtneps_pbh(v));
}

static inline __attribute__((always_inline)) __m512 pixel_value(const struct blocks *b, int i, const int residual)
{
    const struct pending *p = &b->last;
    __m512 v = _mm512_load_ps(p->sums + i * OUTPUTS);
    if (residual) {
        const void *r = p->to.residual + p->to.offsets->residual[i];
        v = _mm512_add_ps(v, residual_load(_mm256_loadu_si256(r)));
    }
    return _mm512_max_ps(_mm512_load_ps(b->floor), v);
}

/* Four whole pixels from i on. */
static inline __attribute__((always_inline)) void chunk_write(const struct blocks *b, int i, const int residual)
{
    const ptrdiff_t *at = b->last.to.offsets->y + i;
    bf16 *y = b->last.to.y;
    for (int k = 0; k < CHUNK; k += 2) {
        __m512 low = pixel_value(b, i + k, residual), high = pixel_value(b, i + k + 1, residual);
        __m512i v = (__m512i)_mm512_cvtne2ps_pbh(high, low);
        _mm256_storeu_si256((__m256i *)(void *)(y + at[k]), _mm512_castsi512_si256(v));
        _mm256_storeu_si256((__m256i *)(void *)(y + at[k + 1]), _mm512_extracti64x4_epi64(v, 1));
    }
}

static int chunk_is_whole(const struct pending *p, int tile, int pixel)
{
    const struct block_outputs *to = &p->to;
    return pixel >= to->begin[tile] && pixel + CHUNK <= to->end[tile] && to->lanes == 0xffff && to->y && !to->sums;
}

/* The next four pixels of what is pending. */
static __attribute__((noinline)) void pending_next(struct blocks *b)
{
    struct pending *p = &b->last;
    int tile = p->next / PIXELS, pixel = p->next % PIXELS;
    if (!chunk_is_whole(p, tile, pixel)) {
        for (int i = 0; i < CHUNK; i++)
            if (pixel + i >= p->to.begin[tile] && pixel + i < p->to.end[tile])
                pixel_write(b, p->next + i);
    } else if (p->to.residual) {
        chunk_write(b, p->next, 1);
    } else {
        chunk_write(b, p->next, 0);
    }
    p->next += CHUNK;
    p->wait = p->interval;
}

/* After a tile was loaded: now and then four pixels. */
static inline void pending_turn(struct blocks *b)
{
    if (--b->last.wait <= 0 && b->last.next < b->last.end)
        pending_next(b);
}

/* ---- products ---- */

/* Part `part` of `parts` of three tiles of weights to come: at once they would wait for each other. */
static inline __attribute__((always_inline)) void fetch(const struct block_inputs *in, const char *w,
                                                        const int part, const int parts)
{
    enum { LINES = 3 * WEIGHT_TILE / 64 };
    if (in->ahead > 0)
        for (int i = LINES * part / parts; i < LINES * (part + 1) / parts; i++)
            _mm_prefetch(w + in->ahead + i * 64, _MM_HINT_T0);
}

/* Each input tile is loaded once and multiplied with the weights of every tap row that a tile of sums sees it
 * through. Tile registers have constant names only: after inlining every condition on j, i, tiles and shared is
 * constant. */
#define SUM(j, i)                                  \
    if ((j) < tiles && (i) - (j)*shared == 0)      \
        _tile_dpbf16ps(j, 7, 4);                   \
    else if ((j) < tiles && (i) - (j)*shared == 1) \
        _tile_dpbf16ps(j, 7, 5);                   \
    else if ((j) < tiles && (i) - (j)*shared == 2) \
        _tile_dpbf16ps(j, 7, 6);
#define ROW(i)                                                                          \
    if ((i) <= (tiles - 1) * shared + 2 && (i) >= in->row_begin && (i) < in->row_end) { \
        _tile_loadd(7, x + (i)*in->row_step, in->pixel_step);                           \
        SUM(0, i) SUM(1, i) SUM(2, i) SUM(3, i) pending_turn(b);                        \
        fetch(in, w, i, (tiles - 1) * shared + 3);                                      \
    }

static inline __attribute__((always_inline)) void sum_shared(struct blocks *b, const struct block_inputs *in,
                                                             const int tiles, const int shared)
{
    for (int t = in->tap_begin; t < in->tap_end; t++)
        for (int s = 0; s < in->steps; s++) {
            const char *w = in->weights + (size_t)((t * in->steps + s) * 3) * WEIGHT_TILE;
            const char *x = in->x + t * in->tap_step + s * in->input_step;
            _tile_loadd(4, w, STEP_BYTES);
            _tile_loadd(5, w + WEIGHT_TILE, STEP_BYTES);
            _tile_loadd(6, w + 2 * WEIGHT_TILE, STEP_BYTES);
            ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7) ROW(8)
        }
}

#define TILE(j)                                                \
    if ((j) < tiles) {                                         \
        _tile_loadd(7, x + (j)*in->tile_step, in->pixel_step); \
        _tile_dpbf16ps(j, 7, 4);                               \
    }

/* Tiles that share no inputs: one tap row. */
static inline __attribute__((always_inline)) void sum_apart(struct blocks *b, const struct block_inputs *in,
                                                            const int tiles)
{
    for (int s = 0; s < in->steps; s++) {
        const char *x = in->x + s * in->input_step;
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

static void sums_store(float *sums, int tiles)
{
    _tile_stored(0, sums, STEP_BYTES);
    if (tiles > 1)
        _tile_stored(1, sums + PIXELS * OUTPUTS, STEP_BYTES);
    if (tiles > 2)
        _tile_stored(2, sums + 2 * PIXELS * OUTPUTS, STEP_BYTES);
    if (tiles > 3)
        _tile_stored(3, sums + 3 * PIXELS * OUTPUTS, STEP_BYTES);
}

void bf16_blocks_open(struct blocks *b, int relu)
{
    for (int i = 0; i < OUTPUTS; i++)
        b->floor[i] = relu ? 0.0f : -INFINITY;
    b->turn = 0;
    b->last.next = b->last.end = 0;
}

void bf16_blocks_add(struct blocks *b, const struct block_inputs *in, const struct block_outputs *to)
{
    pending_pace(b, in);
    __asm__ volatile("" ::: "memory"); /* tile loads read what was written before */
    _tile_loadd(0, in->first, 0);
    _tile_loadd(1, in->first, 0);
    _tile_loadd(2, in->first, 0);
    _tile_loadd(3, in->first, 0);
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
    bf16_blocks_close(b);
    sums_store(b->sums[b->turn], to->tiles);
    b->last = (struct pending){.to = *to, .sums = b->sums[b->turn], .end = to->tiles * PIXELS};
    b->turn ^= 1;
}

void bf16_blocks_close(struct blocks *b)
{
    while (b->last.next < b->last.end)
        pending_next(b);
}
