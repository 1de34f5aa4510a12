/* Training's 3x3 convolutions of stride 1 over bfloat16 by Winograd in 16-bit integers, products by vpmaddwd. */
#include "kernel/x86/avx2/block_parts_avx2.h"
#include "kernel/x86/avx2/block_products_256.h"

enum { FEW_CELLS = 16, TOGETHER = 1 };

#define product_cells product_cells_i16
#define product_images product_images_i16
#include "kernel/x86/template/block_winograd_i16.inc"
#include "kernel/x86/template/block_winograd_conv.inc"
#include "kernel/x86/template/block_winograd_pack.inc"
#include "kernel/x86/template/block_winograd_weight.inc"

#define WINOGRAD_TABLE block_winograd_i16_avx2
#include "kernel/x86/template/block_winograd_table.inc"
