/* The passes between training's convolutions. */
#include "kernel/x86/avx2/block_parts_avx2.h"
#include "kernel/x86/avx2/block_vectors_256.h"
#include "kernel/x86/template/block_passes.inc"
