/* The passes between training's convolutions. */
#include "kernel/x86/avx512bf16/block_parts.h"
#include "kernel/x86/avx512bf16/block_vectors_512.h"
#include "kernel/x86/template/block_passes.inc"
