/* block_parts_avx2.h: the parts of this set's block kernel, a file each. Contracts: block.h. */
#ifndef RESQ_KERNEL_X86_AVX2_BLOCK_PARTS_AVX2_H
#define RESQ_KERNEL_X86_AVX2_BLOCK_PARTS_AVX2_H

#define SET(name) block_##name##_avx2
#include "kernel/x86/template/block_passes.h"

/* The convolutions of a block_kernel, each for its shapes: winograd_suits of one plane and of float32; the others. */
extern const struct block_kernel block_winograd_i16_avx2, block_winograd_f32_avx2, block_direct_avx2;

#endif
