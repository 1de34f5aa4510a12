/* reduce.h: sums and extremes over a block of threads, in one fixed order. For `.cu` files. */
#ifndef RESQ_KERNEL_DEVICE_CUDA_REDUCE_H
#define RESQ_KERNEL_DEVICE_CUDA_REDUCE_H

#include "kernel/device/cuda/launch.h"

struct sum_of {
    template <typename T> RESQ_METHOD T operator()(T a, T b) const
    {
        return a + b;
    }
};
struct least_of {
    template <typename T> RESQ_METHOD T operator()(T a, T b) const
    {
        return b < a ? b : a;
    }
};
struct largest_of {
    template <typename T> RESQ_METHOD T operator()(T a, T b) const
    {
        return b > a ? b : a;
    }
};

/* f over one value a thread, in a tree: every thread of the block (a power of two of them) gets the result. shared:
 * a place for each thread. All threads of the block must come here. */
template <typename T, typename F> static __device__ T block_reduce(T value, T *shared, F f)
{
    shared[threadIdx.x] = value;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half)
            shared[threadIdx.x] = f(shared[threadIdx.x], shared[threadIdx.x + half]);
    }
    __syncthreads();
    T result = shared[0];
    __syncthreads(); /* before anyone writes there again */
    return result;
}

#endif
