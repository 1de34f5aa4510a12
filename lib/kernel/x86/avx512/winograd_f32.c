/* Convolution, forward, by Winograd: products of 12 tiles x 32 outputs in registers. */
#include "kernel/x86/avx512/vector_f32_512.h"

enum { GROUP = 12, FEW_TILES = 8, BLOCK_LEAST = 32 };
#include "kernel/template/products_f32.inc"

UP_TO_12(PRODUCTS, 2)
UP_TO_12(PRODUCTS, 1)
static products_function *const products_2[] = {UP_TO_12(ENTRY, 2)};
static products_function *const products_1[] = {UP_TO_12(ENTRY, 1)};

static void products(const struct products *p, int vectors, int tiles)
{
    (vectors == 1 ? products_1 : products_2)[tiles](p);
}

#include "kernel/template/winograd_f32.inc"

const struct conv_f32_kernel conv_f32_winograd_avx512_winograd = {.out_grain = PANEL_FLOATS,
                                                                  .supports = supports,
                                                                  .packed_bytes = packed_bytes,
                                                                  .pack = pack,
                                                                  .scratch_bytes = scratch_bytes,
                                                                  .run = run};
