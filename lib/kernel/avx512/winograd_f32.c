/* Convolution, forward, by Winograd: products of 6 tiles x 64 outputs in registers, or 12 tiles x 16 or 32. */
#include "kernel/avx512/vector_f32.h"
#include <stddef.h>

enum { PANEL = 4, CHUNK = 64, BLOCK_FLOATS = 36 * 64 * 128, BLOCK_LEAST = 32, BLOCK_MOST = 64 };

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

/* Four vectors of outputs */
#define OPEN_4(i)                             \
    const float *v##i = p->v + (i)*p->v_tile; \
    vec a##i = vec_zero(), b##i = vec_zero(), c##i = vec_zero(), d##i = vec_zero();
#define RESUME_4(i)                                        \
    a##i = vec_load(p->m + (i)*PANEL * LANES);             \
    b##i = vec_load(p->m + (i)*PANEL * LANES + LANES);     \
    c##i = vec_load(p->m + (i)*PANEL * LANES + 2 * LANES); \
    d##i = vec_load(p->m + (i)*PANEL * LANES + 3 * LANES);
#define STEP_4(i)                    \
    {                                \
        vec x = vec_set(v##i[j]);    \
        a##i = vec_fma(x, ua, a##i); \
        b##i = vec_fma(x, ub, b##i); \
        c##i = vec_fma(x, uc, c##i); \
        d##i = vec_fma(x, ud, d##i); \
    }
#define CLOSE_4(i)                                         \
    vec_store(p->m + (i)*PANEL * LANES, a##i);             \
    vec_store(p->m + (i)*PANEL * LANES + LANES, b##i);     \
    vec_store(p->m + (i)*PANEL * LANES + 2 * LANES, c##i); \
    vec_store(p->m + (i)*PANEL * LANES + 3 * LANES, d##i);
#define WEIGHTS_4                                   \
    vec ua = vec_load(u), ub = vec_load(u + LANES); \
    vec uc = vec_load(u + 2 * LANES), ud = vec_load(u + 3 * LANES);

/* Two, and one */
#define OPEN_2(i)                             \
    const float *v##i = p->v + (i)*p->v_tile; \
    vec a##i = vec_zero(), b##i = vec_zero();
#define RESUME_2(i)                            \
    a##i = vec_load(p->m + (i)*PANEL * LANES); \
    b##i = vec_load(p->m + (i)*PANEL * LANES + LANES);
#define STEP_2(i)                    \
    {                                \
        vec x = vec_set(v##i[j]);    \
        a##i = vec_fma(x, ua, a##i); \
        b##i = vec_fma(x, ub, b##i); \
    }
#define CLOSE_2(i)                             \
    vec_store(p->m + (i)*PANEL * LANES, a##i); \
    vec_store(p->m + (i)*PANEL * LANES + LANES, b##i);
#define WEIGHTS_2 vec ua = vec_load(u), ub = vec_load(u + LANES);

#define OPEN_1(i)                             \
    const float *v##i = p->v + (i)*p->v_tile; \
    vec a##i = vec_zero();
#define RESUME_1(i) a##i = vec_load(p->m + (i)*PANEL * LANES);
#define STEP_1(i) a##i = vec_fma(vec_set(v##i[j]), ua, a##i);
#define CLOSE_1(i) vec_store(p->m + (i)*PANEL * LANES, a##i);
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

UP_TO_6(PRODUCTS, 4)
UP_TO_12(PRODUCTS, 2)
UP_TO_12(PRODUCTS, 1)

typedef void products_function(const struct products *p);
#define ENTRY(vectors, tiles) [tiles] = products_##vectors##_##tiles,
static products_function *const products_4[] = {UP_TO_6(ENTRY, 4)};
static products_function *const products_2[] = {UP_TO_12(ENTRY, 2)};
static products_function *const products_1[] = {UP_TO_12(ENTRY, 1)};

/* All tiles; groups differ by one tile at most, since few do not hide the latency of the multiply-adds. Three
 * vectors cost what four do. */
static void products(struct products *p, int vectors, int tiles)
{
    products_function *const *functions = vectors == 1 ? products_1 : vectors == 2 ? products_2 : products_4;
    int most = vectors > 2 ? 6 : 12, groups = (tiles + most - 1) / most;
    for (int i = 0; i < groups; i++) {
        int count = tiles / groups + (i < tiles % groups);
        functions[count](p);
        p->v += (size_t)count * p->v_tile;
        p->m += (size_t)count * PANEL * LANES;
    }
}

#include "kernel/avx2/winograd_f32.inc"

const struct conv_f32_kernel conv_f32_winograd_avx512_winograd = {.out_grain = PANEL_FLOATS,
                                                                  .supports = supports,
                                                                  .packed_bytes = packed_bytes,
                                                                  .pack = pack,
                                                                  .scratch_bytes = scratch_bytes,
                                                                  .run = run};
