/* Convolution, forward, by Winograd: products of 6 tiles x 16 outputs in registers. */
#include "kernel/avx2/vector_f32.h"
#include <stddef.h>

enum {
    PANEL = 2,
    GROUP = 6,
    CHUNK = 128,
    FEW_TILES = 4,
    FEW_CHUNK = 16,
    BLOCK_FLOATS = 36 * 64 * 128,
    BLOCK_LEAST = 16,
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

#define OPEN(i)                               \
    const float *v##i = p->v + (i)*p->v_tile; \
    vec a##i = vec_zero(), b##i = vec_zero();
#define RESUME(i)                       \
    a##i = vec_load(p->m + (i)*M_TILE); \
    b##i = vec_load(p->m + (i)*M_TILE + LANES);
#define STEP(i)                      \
    {                                \
        vec x = vec_set(v##i[j]);    \
        a##i = vec_fma(x, ua, a##i); \
        b##i = vec_fma(x, ub, b##i); \
    }
#define CLOSE(i)                        \
    vec_store(p->m + (i)*M_TILE, a##i); \
    vec_store(p->m + (i)*M_TILE + LANES, b##i);

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
static products_function *const products_functions[GROUP + 1] = {NULL,       products_1, products_2, products_3,
                                                                 products_4, products_5, products_6};

static void products(const struct products *p, int vectors, int tiles)
{
    (void)vectors; /* a half panel costs what a whole one does */
    products_functions[tiles](p);
}

#include "kernel/avx2/winograd_f32.inc"

const struct conv_f32_kernel conv_f32_winograd_avx2_winograd = {.out_grain = PANEL_FLOATS,
                                                                .supports = supports,
                                                                .packed_bytes = packed_bytes,
                                                                .pack = pack,
                                                                .scratch_bytes = scratch_bytes,
                                                                .run = run};
