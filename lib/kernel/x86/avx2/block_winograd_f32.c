/* Training's 3x3 convolutions of stride 1 over float32 by Winograd. */
#include "kernel/x86/avx2/block_parts_avx2.h"
#include "kernel/x86/avx2/block_products_256.h"

enum { FEW_CELLS = 16, TOGETHER = 1 };

#define product_cells product_cells_f32
#define product_images product_images_f32
#include "kernel/x86/template/block_winograd_f32.inc"
#include "kernel/x86/template/block_winograd_conv.inc"
#include "kernel/x86/template/block_winograd_pack.inc"
#include "kernel/x86/template/block_winograd_weight.inc"

#define WINOGRAD_TABLE block_winograd_f32_avx2
#include "kernel/x86/template/block_winograd_table.inc"
