/* block_conv.h: block_kernel's conv on the matrix unit. */
#ifndef RESQ_KERNEL_X86_AMX_BLOCK_CONV_H
#define RESQ_KERNEL_X86_AMX_BLOCK_CONV_H

#include "kernel/contract/block.h"

size_t block_conv_scratch(void);
void block_conv_run(const struct block_conv *s, enum block_direction d, const struct block_conv_call *call,
                    void *scratch);

#endif
