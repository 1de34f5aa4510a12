/* 16 registers of 8 lanes: 6 tiles and 2 vectors of outputs in a pass of products. */
#include "kernel/x86/avx2/vector_u8_256.h"

enum { PRODUCT_TILES = 6, EXPAND_TILES = 2, KEEP_TILES = 3 * EXPAND_TILES };
/* The lines of one pair of inputs, well ahead: few tiles wait for their weights longer than they compute. */
enum { WEIGHTS_AHEAD = 6 * 1024 };
#define EXPAND_FETCH(w)                      \
    vector_fetch((w) + WEIGHTS_AHEAD);       \
    vector_fetch((w) + WEIGHTS_AHEAD + 64);  \
    vector_fetch((w) + WEIGHTS_AHEAD + 128); \
    vector_fetch((w) + WEIGHTS_AHEAD + 192);
#include "kernel/template/products_u8.inc"

PRODUCTS(1)
PRODUCTS(2)
PRODUCTS(3)
PRODUCTS(4)
PRODUCTS(5)
PRODUCTS(6)
EXPAND(1)
EXPAND(2)

static products_function *const products[PRODUCT_TILES + 1] = {NULL,       products_1, products_2, products_3,
                                                               products_4, products_5, products_6};
static expand_function *const expand[EXPAND_TILES + 1] = {NULL, expand_columns_1, expand_columns_2};

#include "kernel/template/winograd_u8.inc"

const struct conv_u8_kernel conv_u8_winograd_avx2_winograd = {.out_grain = GRAIN,
                                                              .supports = supports,
                                                              .packed_bytes = packed_bytes,
                                                              .pack = pack,
                                                              .scratch_bytes = scratch_bytes,
                                                              .run = run};
