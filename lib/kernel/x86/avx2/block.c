/* block.h by AVX2: 3x3 of stride 1 by Winograd unless a map is smaller than a tile, in 16-bit integers for bfloat16
 * and in float32 for float32, which lies as it is (BLOCK_PLAIN); the rest direct in float32. */
#include "kernel/list.h"
#include "kernel/x86/avx2/block_parts_avx2.h"
#include "kernel/x86/template/block_winograd_shape.h"

static int block_supports(const struct block_conv *s)
{
    return s->planes == 1 || s->planes == BLOCK_PLAIN;
}

static const struct block_kernel *part_of(const struct block_conv *s)
{
    if (!winograd_suits(s))
        return &block_direct_avx2;
    return s->planes == 1 ? &block_winograd_i16_avx2 : &block_winograd_f32_avx2;
}

#include "kernel/x86/template/block_parts.inc"

/* Processor time of training on 512 images over blocks, as a part of that image by image (Zen 3, one thread, float32):
 *     ResNet-18's width    4         8         12        16        24
 *     products for a real  5.9       1.9       1.4       1.0       1.2
 *     time                 1.59      1.27      0.91      0.79      0.65
 * so `worth` lies between. */
const struct block_kernel block_avx2_winograd = {.float_planes = BLOCK_PLAIN,
                                                 .grain = 16,
                                                 .worth = 1.6,
                                                 .supports = block_supports,
                                                 BLOCK_OF_PARTS,
                                                 BLOCK_PASSES};
