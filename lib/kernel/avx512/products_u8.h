/* products_u8.h: the products of winograd_u8.inc for 32 registers of 16 lanes. A pass takes three rows of a column
 * of the transformed tile, four tiles and two vectors of outputs: 24 sums, and 18 loads for 24 multiply-adds. */
#ifndef RESQ_KERNEL_AVX512_PRODUCTS_U8_H
#define RESQ_KERNEL_AVX512_PRODUCTS_U8_H

#include "kernel/avx512/vector_u8.h"

enum { PRODUCT_TILES = 4 };

#define TILES_1(f, r) f(r, 0)
#define TILES_2(f, r) TILES_1(f, r) f(r, 1)
#define TILES_3(f, r) TILES_2(f, r) f(r, 2)
#define TILES_4(f, r) TILES_3(f, r) f(r, 3)
#define ROWS(tiles, f) TILES_##tiles(f, 0) TILES_##tiles(f, 1) TILES_##tiles(f, 2)

#define SUM_OPEN(r, t) vector a##r##t = vector_zero(), b##r##t = vector_zero();
#define SUM_STEP(r, t)                                   \
    {                                                    \
        vector v_ = vector_pair(v + t * tile + r * row); \
        a##r##t = vector_multiply_add(a##r##t, v_, wa);  \
        b##r##t = vector_multiply_add(b##r##t, v_, wb);  \
    }
#define SUM_CLOSE(r, t)                                           \
    vector_store(sums + ((r)*tiles_ + (t)) * 2 * LANES, a##r##t); \
    vector_store(sums + ((r)*tiles_ + (t)) * 2 * LANES + LANES, b##r##t);

/* v: [tiles][3 rows][C], `tile` and `row` apart; u: [C/2][3][2 vectors]; sums: [3][tiles][2 vectors] */
#define PRODUCTS(tiles)                                                                                     \
    static void products_##tiles(const int16_t *v, size_t tile, size_t row, const int16_t *u, size_t pairs, \
                                 int32_t *sums)                                                             \
    {                                                                                                       \
        enum { tiles_ = tiles };                                                                            \
        ROWS(tiles, SUM_OPEN)                                                                               \
        for (size_t p = 0; p < pairs; p++, v += 2, u += 3 * 2 * 2 * LANES) {                                \
            vector wa = vector_load(u), wb = vector_load(u + 2 * LANES);                                    \
            TILES_##tiles(SUM_STEP, 0) wa = vector_load(u + 4 * LANES), wb = vector_load(u + 6 * LANES);    \
            TILES_##tiles(SUM_STEP, 1) wa = vector_load(u + 8 * LANES), wb = vector_load(u + 10 * LANES);   \
            TILES_##tiles(SUM_STEP, 2)                                                                      \
        }                                                                                                   \
        ROWS(tiles, SUM_CLOSE)                                                                              \
    }

PRODUCTS(1)
PRODUCTS(2)
PRODUCTS(3)
PRODUCTS(4)

typedef void products_function(const int16_t *v, size_t tile, size_t row, const int16_t *u, size_t pairs,
                               int32_t *sums);
static products_function *const products[PRODUCT_TILES + 1] = {NULL, products_1, products_2, products_3,
                                                               products_4};

#endif
