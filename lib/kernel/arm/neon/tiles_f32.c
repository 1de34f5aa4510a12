/* Tiles of up to 4 pixels x 16 outputs in registers, for forward and backward by data: four inputs of a pixel are
 * loaded at once, and multiply the weights as elements of their register. */
#include "kernel/arm/neon/vector_f32_128.h"
#include "kernel/template/tile_f32.h"

enum { TILE_PIXELS = 4 };

#define PIXELS_1(f, a) f(0, a)
#define PIXELS_2(f, a) PIXELS_1(f, a) f(1, a)
#define PIXELS_3(f, a) PIXELS_2(f, a) f(2, a)
#define PIXELS_4(f, a) PIXELS_3(f, a) f(3, a)

#define TILE_OPEN(i, unused)                                                                  \
    const float *x##i = t->x[i];                                                              \
    vec a##i = vec_load(t->bias), b##i = vec_load(t->bias + 4), c##i = vec_load(t->bias + 8), \
        d##i = vec_load(t->bias + 12);
#define TILE_LOAD(i, unused) vec v##i = vec_load(x##i + j);
#define TILE_STEP(i, lane)                        \
    a##i = vfmaq_laneq_f32(a##i, wa, v##i, lane); \
    b##i = vfmaq_laneq_f32(b##i, wb, v##i, lane); \
    c##i = vfmaq_laneq_f32(c##i, wc, v##i, lane); \
    d##i = vfmaq_laneq_f32(d##i, wd, v##i, lane);
#define TILE_LANE(pixels, lane)                             \
    {                                                       \
        vec wa = vec_load(w), wb = vec_load(w + 4);         \
        vec wc = vec_load(w + 8), wd = vec_load(w + 12);    \
        PIXELS_##pixels(TILE_STEP, lane) w += TILE_OUTPUTS; \
    }
#define TILE_LAST(i, unused) vec v##i = vec_set(x##i[j]);
#define TILE_CLOSE(i, unused)  \
    tile_store(t, i, 0, a##i); \
    tile_store(t, i, 4, b##i); \
    tile_store(t, i, 8, c##i); \
    tile_store(t, i, 12, d##i);

#define TILE(pixels)                                                                                        \
    static void tile_##pixels(const struct tile *t)                                                         \
    {                                                                                                       \
        const float *w = t->w;                                                                              \
        PIXELS_##pixels(TILE_OPEN, ) size_t begin = 0;                                                      \
        for (int run = 0; run < t->runs; run++, begin += t->stride) {                                       \
            size_t j = begin, end = begin + t->length;                                                      \
            for (; j + LANES <= end; j += LANES) {                                                          \
                PIXELS_##pixels(TILE_LOAD, ) TILE_LANE(pixels, 0) TILE_LANE(pixels, 1) TILE_LANE(pixels, 2) \
                    TILE_LANE(pixels, 3)                                                                    \
            }                                                                                               \
            for (; j < end; j++) {                                                                          \
                PIXELS_##pixels(TILE_LAST, ) TILE_LANE(pixels, 0)                                           \
            }                                                                                               \
        }                                                                                                   \
        PIXELS_##pixels(TILE_CLOSE, )                                                                       \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)

static tile_function *const tile_functions[TILE_PIXELS + 1] = {NULL, tile_1, tile_2, tile_3, tile_4};

#include "kernel/template/tiles_f32.inc"
