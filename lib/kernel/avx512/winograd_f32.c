/* Convolution, forward, by Winograd: products of 12 tiles x 32 outputs in registers. */
#include "kernel/avx512/vector_f32.h"
#include <stddef.h>

enum {
    PANEL = 2,
    GROUP = 12,
    CHUNK = 128,
    FEW_TILES = 8,
    FEW_CHUNK = 16,
    BLOCK_FLOATS = 36 * 64 * 128,
    BLOCK_LEAST = 32,
    BLOCK_MOST = 64,
    PAD = 32,
    M_TILE = 36 * PANEL * LANES + PAD,
    U_PLANE = CHUNK * PANEL * LANES + 16
};

/* For one point: m[tile][outputs] (+)= v[tile][channels] u[channels][outputs]. */
struct products {
    const float *v, *u;
    size_t v_tile;
    int count, first; /* channels; whether m is still to be begun */
    float *m;
};

#define TILES_1(f) f(0)
#define TILES_2(f) TILES_1(f) f(1)
#define TILES_3(f) TILES_2(f) f(2)
#define TILES_4(f) TILES_3(f) f(3)
#define TILES_5(f) TILES_4(f) f(4)
#define TILES_6(f) TILES_5(f) f(5)
#define TILES_7(f) TILES_6(f) f(6)
#define TILES_8(f) TILES_7(f) f(7)
#define TILES_9(f) TILES_8(f) f(8)
#define TILES_10(f) TILES_9(f) f(9)
#define TILES_11(f) TILES_10(f) f(10)
#define TILES_12(f) TILES_11(f) f(11)

/* Two, and one */
#define OPEN_2(i)                             \
    const float *v##i = p->v + (i)*p->v_tile; \
    vec a##i = vec_zero(), b##i = vec_zero();
#define RESUME_2(i)                     \
    a##i = vec_load(p->m + (i)*M_TILE); \
    b##i = vec_load(p->m + (i)*M_TILE + LANES);
#define STEP_2(i)                    \
    {                                \
        vec x = vec_set(v##i[j]);    \
        a##i = vec_fma(x, ua, a##i); \
        b##i = vec_fma(x, ub, b##i); \
    }
#define CLOSE_2(i)                      \
    vec_store(p->m + (i)*M_TILE, a##i); \
    vec_store(p->m + (i)*M_TILE + LANES, b##i);
#define WEIGHTS_2 vec ua = vec_load(u), ub = vec_load(u + LANES);

#define OPEN_1(i)                             \
    const float *v##i = p->v + (i)*p->v_tile; \
    vec a##i = vec_zero();
#define RESUME_1(i) a##i = vec_load(p->m + (i)*M_TILE);
#define STEP_1(i) a##i = vec_fma(vec_set(v##i[j]), ua, a##i);
#define CLOSE_1(i) vec_store(p->m + (i)*M_TILE, a##i);
#define WEIGHTS_1 vec ua = vec_load(u);

#define PRODUCTS(vectors, tiles)                                            \
    static void products_##vectors##_##tiles(const struct products *p)      \
    {                                                                       \
        TILES_##tiles(OPEN_##vectors) if (!p->first)                        \
        {                                                                   \
            TILES_##tiles(RESUME_##vectors)                                 \
        }                                                                   \
        const float *u = p->u;                                              \
        for (size_t j = 0; j < (size_t)p->count; j++, u += PANEL * LANES) { \
            WEIGHTS_##vectors TILES_##tiles(STEP_##vectors)                 \
        }                                                                   \
        TILES_##tiles(CLOSE_##vectors)                                      \
    }
#define UP_TO_6(f, vectors) f(vectors, 1) f(vectors, 2) f(vectors, 3) f(vectors, 4) f(vectors, 5) f(vectors, 6)
#define UP_TO_12(f, vectors) \
    UP_TO_6(f, vectors) f(vectors, 7) f(vectors, 8) f(vectors, 9) f(vectors, 10) f(vectors, 11) f(vectors, 12)

UP_TO_12(PRODUCTS, 2)
UP_TO_12(PRODUCTS, 1)

typedef void products_function(const struct products *p);
#define ENTRY(vectors, tiles) [tiles] = products_##vectors##_##tiles,
static products_function *const products_2[] = {UP_TO_12(ENTRY, 2)};
static products_function *const products_1[] = {UP_TO_12(ENTRY, 1)};

static void products(const struct products *p, int vectors, int tiles)
{
    (vectors == 1 ? products_1 : products_2)[tiles](p);
}

#include "kernel/avx2/winograd_f32.inc"

const struct conv_f32_kernel conv_f32_winograd_avx512_winograd = {.out_grain = PANEL_FLOATS,
                                                                  .supports = supports,
                                                                  .packed_bytes = packed_bytes,
                                                                  .pack = pack,
                                                                  .scratch_bytes = scratch_bytes,
                                                                  .run = run};
