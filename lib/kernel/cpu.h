/* cpu.h: what the processor has and the operating system saves. */
#ifndef RESQ_KERNEL_CPU_H
#define RESQ_KERNEL_CPU_H

int cpu_has_avx2(void); /* AVX2 and FMA, and the system keeps the 256-bit registers; 0 on other architectures */

#endif
