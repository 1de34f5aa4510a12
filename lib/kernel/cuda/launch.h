/* launch.h: what a `.cu` file is written with. The same text is compiled by nvcc for the GPU and, in the tests, by a
 * C++ compiler whose "GPU" is a loop over blocks and threads (tests/cuda/emulation/emulate.h).
 *
 * LAUNCH starts a kernel whose threads know nothing of each other, LAUNCH_BLOCKS one whose blocks share memory and
 * meet at __syncthreads(). No warp functions and no floating-point atomics: every sum has one order, fixed by the
 * shapes, so that a repeated step gives the same bits. */
#ifndef RESQ_KERNEL_CUDA_LAUNCH_H
#define RESQ_KERNEL_CUDA_LAUNCH_H

#include <cuda_runtime_api.h>

#ifdef __CUDACC__
#define LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<blocks, threads, 0, stream>>>(__VA_ARGS__)
#define LAUNCH_BLOCKS LAUNCH
#else
#include "tests/cuda/emulation/emulate.h"
#endif

#include "kernel/cuda/cuda.h"
#include "kernel/number.h"

/* A thread's first index and its stride in a loop over a whole tensor. */
#define GRID_INDEX ((size_t)blockIdx.x * blockDim.x + threadIdx.x)
#define GRID_STRIDE ((size_t)gridDim.x * blockDim.x)

enum { LAUNCH_THREADS = 256, LAUNCH_BLOCKS_MOST = 65536 };

/* Blocks of LAUNCH_THREADS for `items` threads, at most LAUNCH_BLOCKS_MOST: kernels go on by GRID_STRIDE. */
static inline unsigned launch_blocks(size_t items)
{
    size_t blocks = (items + LAUNCH_THREADS - 1) / LAUNCH_THREADS;
    return (unsigned)(blocks < 1 ? 1 : blocks < LAUNCH_BLOCKS_MOST ? blocks : LAUNCH_BLOCKS_MOST);
}

/* Loads and stores by type. The GPU's own conversions round as number.h does. */
#ifdef __CUDA_ARCH__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
static __device__ __forceinline__ float widen(struct half16 v)
{
    return __half2float(__ushort_as_half(v.bits));
}
static __device__ __forceinline__ float widen(struct brain16 v)
{
    return brain_widen(v);
}
static __device__ __forceinline__ void narrow(float v, struct half16 *to)
{
    to->bits = __half_as_ushort(__float2half_rn(v));
}
static __device__ __forceinline__ void narrow(float v, struct brain16 *to)
{
    to->bits = __bfloat16_as_ushort(__float2bfloat16_rn(v));
}
#else
RESQ_VALUE float widen(struct half16 v)
{
    return half_widen(v);
}
RESQ_VALUE float widen(struct brain16 v)
{
    return brain_widen(v);
}
RESQ_VALUE void narrow(float v, struct half16 *to)
{
    *to = half_round(v);
}
RESQ_VALUE void narrow(float v, struct brain16 *to)
{
    *to = brain_round(v);
}
#endif
RESQ_VALUE float widen(float v)
{
    return v;
}
RESQ_VALUE void narrow(float v, float *to)
{
    *to = v;
}

/* N values that are read and written at once. */
template <typename T, int N> struct alignas(sizeof(T) * N) pack {
    T at[N];
};

#endif
