/* kernel/ref as a table of its own, so that the backend is complete without the kernels of other sets. */
#include "kernel/device/host/queue.h"
#include "kernel/list.h"

const struct kernel_table *host_definition(void)
{
    static struct kernel_table t = {.isa = "ref"};
    t.conv_f32 = conv_f32_ref_direct;
    t.conv_f32_backward_data = conv_f32_backward_data_ref_direct;
    t.conv_f32_backward_weight = conv_f32_backward_weight_ref_direct;
    t.conv_u8 = conv_u8_ref_direct;
    t.elementwise = (struct elementwise_kernels){.lookup_u8 = elementwise_lookup_u8_ref,
                                                 .normalize = elementwise_normalize_ref,
                                                 .scale_shift = elementwise_scale_shift_ref,
                                                 .add = elementwise_add_ref,
                                                 .relu = elementwise_relu_ref,
                                                 .relu_backward = elementwise_relu_backward_ref,
                                                 .average_pool = elementwise_average_pool_ref,
                                                 .average_pool_u8 = elementwise_average_pool_u8_ref,
                                                 .quantize = elementwise_quantize_ref,
                                                 .dequantize = elementwise_dequantize_ref};
    return &t;
}
