/* The table entry: block.h in plain C, the definition. */
#include "kernel/list.h"
#include "kernel/ref/block_ref.h"

static size_t scratch_bytes(const struct block_conv *s)
{
    size_t conv = block_ref_conv_scratch(s), weight = block_ref_weight_scratch(s);
    return conv > weight ? conv : weight;
}

const struct block_kernel block_ref_direct = {.float_planes = 3,
                                              .packed_bytes = block_ref_packed_bytes,
                                              .pack_items = block_ref_pack_items,
                                              .pack = block_ref_pack,
                                              .scratch_bytes = scratch_bytes,
                                              .conv = block_ref_conv,
                                              .weight_shared_bytes = block_ref_weight_shared_bytes,
                                              .weight_items = block_ref_weight_items,
                                              .weight_gradient = block_ref_weight_gradient,
                                              .input = block_ref_input,
                                              .norm = block_ref_norm,
                                              .norm_backward_sums = block_ref_norm_backward_sums,
                                              .norm_backward = block_ref_norm_backward,
                                              .dequantize = block_ref_dequantize,
                                              .within = block_ref_within,
                                              .pool = block_ref_pool,
                                              .pool_backward = block_ref_pool_backward};
