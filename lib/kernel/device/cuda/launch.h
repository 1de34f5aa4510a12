/* launch.h: what a `.cu` file is written with. The same text is compiled by nvcc for the GPU and, in the tests, by
 * a C++ compiler whose "GPU" is a loop over blocks and threads (tests/cuda/emulation/emulate.h, put before it).
 *
 * LAUNCH starts a kernel whose threads know nothing of each other, LAUNCH_BLOCKS one whose blocks share memory and
 * meet at __syncthreads(). No warp functions and no floating-point atomics: every sum has one order, fixed by the
 * shapes, so that a repeated step gives the same bits.
 * Arguments of a launch are values of the caller's own, not read through a pointer to its call: the emulation copies
 * variables, and looks through pointers only when the kernel runs. */
#ifndef RESQ_KERNEL_DEVICE_CUDA_LAUNCH_H
#define RESQ_KERNEL_DEVICE_CUDA_LAUNCH_H

#include "kernel/device/cuda/cuda.h"
#include "kernel/contract/number.h"

#ifdef __CUDACC__
#define LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<blocks, threads, 0, stream>>>(__VA_ARGS__)
#define LAUNCH_BLOCKS LAUNCH
#endif

enum { LAUNCH_THREADS = 256, LAUNCH_BLOCKS_MOST = 8192 };

/* Blocks of LAUNCH_THREADS for `items` threads, at most LAUNCH_BLOCKS_MOST: kernels go on by grid_stride. */
static inline unsigned launch_blocks(size_t items)
{
    size_t blocks = (items + LAUNCH_THREADS - 1) / LAUNCH_THREADS;
    size_t most = LAUNCH_BLOCKS_MOST;
    return (unsigned)(blocks < 1 ? 1 : blocks < most ? blocks : most);
}

/* A thread's first index and its stride in a loop over a whole tensor. No tensor has 2^31 elements, so an index is
 * divided in 32 bits, which a GPU does several times as fast. */
#define GRID_INDEX ((size_t)blockIdx.x * blockDim.x + threadIdx.x)
#define GRID_STRIDE ((size_t)gridDim.x * blockDim.x)

/* Loads and stores by type. The GPU's own conversions round as number.h does. */
RESQ_VALUE float widen(float v)
{
    return v;
}
RESQ_VALUE void narrow(float v, float *to)
{
    *to = v;
}
RESQ_VALUE float widen(struct brain16 v)
{
    return brain_widen(v);
}
#ifdef __CUDA_ARCH__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#endif
RESQ_VALUE float widen(struct half16 v)
{
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(v.bits));
#else
    return half_widen(v);
#endif
}
RESQ_VALUE void narrow(float v, struct half16 *to)
{
#ifdef __CUDA_ARCH__
    to->bits = __half_as_ushort(__float2half_rn(v));
#else
    *to = half_round(v);
#endif
}
RESQ_VALUE void narrow(float v, struct brain16 *to)
{
#ifdef __CUDA_ARCH__
    to->bits = __bfloat16_as_ushort(__float2bfloat16_rn(v));
#else
    *to = brain_round(v);
#endif
}

/* N values that are read and written at once: 16 bytes where N is PER_LOAD(T). */
template <typename T, int N> struct alignas(sizeof(T) * N) pack {
    T at[N];
};
#define PER_LOAD(T) (16 / (int)sizeof(T))

/* Functions of small structs that a kernel is given. */
#ifdef __CUDACC__
#define RESQ_METHOD __device__ __forceinline__
#else
#define RESQ_METHOD inline
#endif

/* As relu_value of shape.h: NaN must stay visible. */
RESQ_VALUE float relu_of(float v)
{
    return 0.0f > v ? 0.0f : v;
}

/* CALL with T the type of the floats that `type` names; anything else is a mistake of the caller's. */
#define BY_TYPE(m, type, CALL)                                                             \
    do {                                                                                   \
        switch (type) {                                                                    \
        case DEVICE_F32: {                                                                 \
            typedef float T;                                                               \
            CALL;                                                                          \
            break;                                                                         \
        }                                                                                  \
        case DEVICE_F16: {                                                                 \
            typedef struct half16 T;                                                       \
            CALL;                                                                          \
            break;                                                                         \
        }                                                                                  \
        case DEVICE_BF16: {                                                                \
            typedef struct brain16 T;                                                      \
            CALL;                                                                          \
            break;                                                                         \
        }                                                                                  \
        default:                                                                           \
            return message_set((m), STATUS_UNSUPPORTED, "no float type: %d", (int)(type)); \
        }                                                                                  \
    } while (0)

#endif
