/* The table entry: block.h on the matrix unit (AMX), elementwise passes in AVX-512. */
#include "kernel/x86/amx/block_conv.h"
#include "kernel/x86/amx/block_square_amx.h"
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/template/block_weight.inc"
#include "kernel/list.h"

static size_t scratch_bytes(const struct block_conv *s)
{
    size_t conv = block_conv_scratch(), weight = block_weight_scratch(s);
    return conv > weight ? conv : weight;
}

const struct block_kernel block_amx_direct = {.float_planes = 3,
                                              .supports = block_supports,
                                              .packed_bytes = block_packed_bytes,
                                              .pack_items = block_pack_items,
                                              .pack = block_pack,
                                              .scratch_bytes = scratch_bytes,
                                              .conv = block_conv_run,
                                              .weight_shared_bytes = block_weight_shared_bytes,
                                              .weight_items = block_weight_items,
                                              .weight_gradient = block_weight_gradient,
                                              BLOCK_PASSES};
