/* Integer Winograd: 32 registers of 4 lanes: 12 tiles and 2 vectors of outputs in a pass of products. */
#include "kernel/arm/neon/vector_u8_128.h"

enum { PRODUCT_TILES = 12, EXPAND_TILES = 4, KEEP_TILES = 3 * EXPAND_TILES };
#include "kernel/template/products_u8.inc"

PRODUCTS(1)
PRODUCTS(2)
PRODUCTS(3)
PRODUCTS(4)
PRODUCTS(5)
PRODUCTS(6)
PRODUCTS(7)
PRODUCTS(8)
PRODUCTS(9)
PRODUCTS(10)
PRODUCTS(11)
PRODUCTS(12)
EXPAND(1)
EXPAND(2)
EXPAND(3)
EXPAND(4)

static products_function *const products[PRODUCT_TILES + 1] = {
    NULL,       products_1, products_2, products_3,  products_4,  products_5, products_6,
    products_7, products_8, products_9, products_10, products_11, products_12};
static expand_function *const expand[EXPAND_TILES + 1] = {NULL, expand_columns_1, expand_columns_2,
                                                          expand_columns_3, expand_columns_4};

#include "kernel/template/winograd_u8.inc"

const struct conv_u8_kernel conv_u8_winograd_neon_winograd = {.out_grain = GRAIN,
                                                              .supports = supports,
                                                              .packed_bytes = packed_bytes,
                                                              .pack = pack,
                                                              .scratch_bytes = scratch_bytes,
                                                              .run = run};
