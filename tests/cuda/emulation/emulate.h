/* emulate.h: a GPU in a loop. A kernel's blocks run one after the other, and so do a block's threads, each until it
 * ends or waits at __syncthreads(); then the next goes on. So the text of a `.cu` file runs, and is tested, where
 * there is no GPU; runtime.cc, dnn.cc and blas.cc stand in for NVIDIA's libraries in the same way. What none of
 * this can show: races between blocks, speed, the GPU's own arithmetic, and whether NVIDIA's libraries do what
 * their manual says.
 *
 * RESQ_EMULATION_FAIL=CALL:N lets the N-th call of that function of NVIDIA's fail (cudaMalloc:1),
 * RESQ_EMULATION_DEVICES=0 is a machine without a GPU (2: with two of
 * them), RESQ_EMULATION_MEMORY the bytes that the device has. */
#ifndef RESQ_TESTS_CUDA_EMULATE_H
#define RESQ_TESTS_CUDA_EMULATE_H

#include <cuda_runtime_api.h>
#include <functional>

struct emulated_index {
    unsigned x, y, z;
};
extern struct emulated_index emulated_thread, emulated_block, emulated_threads, emulated_blocks;
#define threadIdx emulated_thread
#define blockIdx emulated_block
#define blockDim emulated_threads
#define gridDim emulated_blocks

/* The toolkit's headers define these for other compilers, too. */
#undef __global__
#undef __device__
#undef __forceinline__
#undef __launch_bounds__
#undef __shared__
#define __global__
#define __device__
#define __forceinline__
#define __launch_bounds__(...)
#define __shared__ static /* blocks take turns */

/* What a stream is given: it runs at once, or is kept where the stream is being captured. */
void emulate_submit(std::function<void()> work);

/* Threads that never meet; one that waits ends the program. */
void emulate(unsigned blocks, unsigned threads, const std::function<void()> &kernel);
/* Threads with stacks of their own. */
void emulate_blocks(unsigned blocks, unsigned threads, const std::function<void()> &kernel);
void emulate_wait(void);
#define __syncthreads emulate_wait

/* Arguments are copied, as a launch copies them. */
#define LAUNCH(kernel, blocks, threads, stream, ...) \
    ((void)(stream), emulate_submit([=] { emulate(blocks, threads, [&] { kernel(__VA_ARGS__); }); }))
#define LAUNCH_BLOCKS(kernel, blocks, threads, stream, ...) \
    ((void)(stream), emulate_submit([=] { emulate_blocks(blocks, threads, [&] { kernel(__VA_ARGS__); }); }))

/* The result is the value before, as on the GPU. */
template <typename T> static inline T atomicAdd(T *to, T by)
{
    T before = *to;
    *to = before + by;
    return before;
}
template <typename T> static inline T atomicMin(T *to, T by)
{
    T before = *to;
    *to = by < before ? by : before;
    return before;
}
template <typename T> static inline T atomicMax(T *to, T by)
{
    T before = *to;
    *to = by > before ? by : before;
    return before;
}

/* Whether this call of NVIDIA's function is the one that is to fail. */
bool emulate_failure(const char *call);

#endif
