/* Tiles of up to 6 pixels x 16 outputs in registers, for forward and backward by data. */
#include "kernel/x86/avx2/vector_f32_256.h"
#include "kernel/template/tile_f32.h"

enum { TILE_PIXELS = 6 };

#define PIXELS_1(f) f(0)
#define PIXELS_2(f) PIXELS_1(f) f(1)
#define PIXELS_3(f) PIXELS_2(f) f(2)
#define PIXELS_4(f) PIXELS_3(f) f(3)
#define PIXELS_5(f) PIXELS_4(f) f(4)
#define PIXELS_6(f) PIXELS_5(f) f(5)

#define TILE_OPEN(i)             \
    const float *x##i = t->x[i]; \
    vec a##i = bias_a, b##i = bias_b;
#define TILE_STEP(i)                 \
    {                                \
        vec v = vec_set(x##i[j]);    \
        a##i = vec_fma(v, wa, a##i); \
        b##i = vec_fma(v, wb, b##i); \
    }
#define TILE_CLOSE(i)          \
    tile_store(t, i, 0, a##i); \
    tile_store(t, i, LANES, b##i);

#define TILE(pixels)                                                                \
    static void tile_##pixels(const struct tile *t)                                 \
    {                                                                               \
        vec bias_a = vec_load(t->bias), bias_b = vec_load(t->bias + LANES);         \
        const float *w = t->w;                                                      \
        PIXELS_##pixels(TILE_OPEN) size_t begin = 0;                                \
        for (int run = 0; run < t->runs; run++, begin += t->stride)                 \
            for (size_t j = begin; j < begin + t->length; j++, w += TILE_OUTPUTS) { \
                vec wa = vec_load(w), wb = vec_load(w + LANES);                     \
                PIXELS_##pixels(TILE_STEP)                                          \
            }                                                                       \
        PIXELS_##pixels(TILE_CLOSE)                                                 \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)

static tile_function *const tile_functions[TILE_PIXELS + 1] = {NULL,   tile_1, tile_2, tile_3,
                                                               tile_4, tile_5, tile_6};

#include "kernel/template/tiles_f32.inc"
