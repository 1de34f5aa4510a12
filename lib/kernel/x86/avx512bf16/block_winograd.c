/* Training's 3x3 convolutions of stride 1 by Winograd in 16-bit integers, products by vpdpwssd. */
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/avx512bf16/block_products_512.h"

enum { FEW_CELLS = 16, TOGETHER = 1 };

#include "kernel/x86/template/block_winograd_i16.inc"
#include "kernel/x86/template/block_winograd_conv.inc"
#include "kernel/x86/template/block_winograd_pack.inc"
#include "kernel/x86/template/block_winograd_weight.inc"

#define WINOGRAD_TABLE block_winograd_avx512bf16
#include "kernel/x86/template/block_winograd_table.inc"
