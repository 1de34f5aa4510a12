/* Convolution, forward, by Winograd: products of 6 tiles x 16 outputs in registers. */
#include "kernel/avx2/vector_f32.h"
#include <stddef.h>

enum { PANEL = 2, MOST_TILES = 6, CHUNK = 64, BLOCK_FLOATS = 36 * 64 * 128, BLOCK_LEAST = 16, BLOCK_MOST = 64 };

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

#define OPEN(i)                               \
    const float *v##i = p->v + (i)*p->v_tile; \
    vec a##i = vec_zero(), b##i = vec_zero();
#define RESUME(i)                          \
    a##i = vec_load(p->m + (i)*2 * LANES); \
    b##i = vec_load(p->m + (i)*2 * LANES + LANES);
#define STEP(i)                      \
    {                                \
        vec x = vec_set(v##i[j]);    \
        a##i = vec_fma(x, ua, a##i); \
        b##i = vec_fma(x, ub, b##i); \
    }
#define CLOSE(i)                           \
    vec_store(p->m + (i)*2 * LANES, a##i); \
    vec_store(p->m + (i)*2 * LANES + LANES, b##i);

#define PRODUCTS(tiles)                                                 \
    static void products_##tiles(const struct products *p)              \
    {                                                                   \
        TILES_##tiles(OPEN) if (!p->first)                              \
        {                                                               \
            TILES_##tiles(RESUME)                                       \
        }                                                               \
        const float *u = p->u;                                          \
        for (size_t j = 0; j < (size_t)p->count; j++, u += 2 * LANES) { \
            vec ua = vec_load(u), ub = vec_load(u + LANES);             \
            TILES_##tiles(STEP)                                         \
        }                                                               \
        TILES_##tiles(CLOSE)                                            \
    }

PRODUCTS(1)
PRODUCTS(2)
PRODUCTS(3)
PRODUCTS(4)
PRODUCTS(5)
PRODUCTS(6)

typedef void products_function(const struct products *p);
static products_function *const products_functions[MOST_TILES + 1] = {
    NULL, products_1, products_2, products_3, products_4, products_5, products_6};

/* All tiles; groups differ by one tile at most, since few do not hide the latency of the multiply-adds. */
static void products(struct products *p, int vectors, int tiles)
{
    (void)vectors; /* a half panel costs what a whole one does */
    int groups = (tiles + MOST_TILES - 1) / MOST_TILES;
    for (int i = 0; i < groups; i++) {
        int count = tiles / groups + (i < tiles % groups);
        products_functions[count](p);
        p->v += (size_t)count * p->v_tile;
        p->m += (size_t)count * PANEL * LANES;
    }
}

#include "kernel/avx2/winograd_f32.inc"

const struct conv_f32_kernel conv_f32_winograd_avx2_winograd = {.out_grain = PANEL_FLOATS,
                                                                .supports = supports,
                                                                .packed_bytes = packed_bytes,
                                                                .pack = pack,
                                                                .scratch_bytes = scratch_bytes,
                                                                .run = run};
