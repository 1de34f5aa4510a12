/* list.h: declarations of every kernel of kernels.inc, for the files that define them and for kernel.c. */
#ifndef RESQ_KERNEL_LIST_H
#define RESQ_KERNEL_LIST_H

#include "kernel/contract/kernel.h"

#define KERNEL(operation, isa, algorithm, types) \
    extern const __typeof__(((struct kernel_table *)0)->operation) operation##_##isa##_##algorithm;
#define ELEMENTWISE(operation, isa, types) \
    extern __typeof__(*((struct elementwise_kernels *)0)->operation) elementwise_##operation##_##isa;
#define PEAK(type, isa) double peak_##type##_##isa(double seconds);
#include "kernel/kernels.inc"

#endif
