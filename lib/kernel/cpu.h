/* cpu.h: what the processor has and the operating system saves. */
#ifndef RESQ_KERNEL_CPU_H
#define RESQ_KERNEL_CPU_H

int cpu_has_avx2(void); /* AVX2 and FMA, and the system keeps the 256-bit registers; 0 on other architectures */

int cpu_has_avx2vnni(void);   /* the above, and AVX-VNNI: vpdpbusd in 256 bits */
int cpu_has_avx512(void);     /* AVX2, and AVX-512 F, BW, VL, DQ, CD with their registers */
int cpu_has_avx512vnni(void); /* the above, and VNNI */
int cpu_has_avx512bf16(void); /* the above, and BF16 */
/* The above, and the tiles of AMX for INT8 and BF16, whose use it asks the kernel to permit. */
int cpu_has_amx(void);

/* ARM: the vectors of ARMv8; the above, and its dot products of bytes; the above, and products of 2x8 by 8x2 bytes. */
int cpu_has_neon(void);
int cpu_has_neondot(void);
int cpu_has_neoni8mm(void);

#endif
