/* Convolution, forward, by Winograd: products of 6 tiles x 16 outputs in registers. */
#include "kernel/x86/avx2/vector_f32_256.h"

enum { GROUP = 6, FEW_TILES = 4, BLOCK_LEAST = 16 };
#include "kernel/template/products_f32.inc"

UP_TO_6(PRODUCTS, 2)
static products_function *const products_2[] = {UP_TO_6(ENTRY, 2)};

static void products(const struct products *p, int vectors, int tiles)
{
    (void)vectors; /* a half panel costs what a whole one does */
    products_2[tiles](p);
}

#include "kernel/template/winograd_f32.inc"

const struct conv_f32_kernel conv_f32_winograd_avx2_winograd = {.out_grain = PANEL_FLOATS,
                                                                .supports = supports,
                                                                .packed_bytes = packed_bytes,
                                                                .pack = pack,
                                                                .scratch_bytes = scratch_bytes,
                                                                .run = run};
