/* Backward through the rounding, and the ranges that move: sums and extremes of the values before rounding. Partial
 * results a block, whose number follows from the shape; then one block adds them. */
#include "kernel/device/cuda/reduce.h"

enum { REDUCE_BLOCKS_MOST = 1024 };

static unsigned reduce_blocks(size_t count)
{
    unsigned blocks = launch_blocks((count + 7) / 8), most = REDUCE_BLOCKS_MOST;
    return blocks < most ? blocks : most;
}

/* ---- straight-through ---- */

template <typename T>
__global__ void mask_gradients(const float *before, size_t count, int relu, const struct affine *map, T *dy)
{
    const struct slope s = slope_of(map, relu);
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        if (!slope_passes(&s, before[i]))
            narrow(0.0f, &dy[i]);
}

/* The same, and the block's sum of dy * slope. */
template <typename T>
__global__ void mask_and_sum(const float *before, size_t count, int relu, const struct affine *map, T *dy,
                             double *partial)
{
    __shared__ double shared[LAUNCH_THREADS];
    const struct slope s = slope_of(map, relu);
    double sum = 0;
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE) {
        float v = before[i];
        sum += (double)(widen(dy[i]) * slope_at(&s, v));
        if (!slope_passes(&s, v))
            narrow(0.0f, &dy[i]);
    }
    sum = block_reduce(sum, shared, sum_of());
    if (threadIdx.x == 0)
        partial[blockIdx.x] = sum;
}

static __global__ void scale_gradient_set(const double *partial, int count, size_t elements,
                                          const struct affine *map, float *scale_gradient)
{
    __shared__ double shared[LAUNCH_THREADS];
    double sum = 0;
    for (int i = (int)threadIdx.x; i < count; i += LAUNCH_THREADS)
        sum += partial[i];
    sum = block_reduce(sum, shared, sum_of());
    if (threadIdx.x == 0)
        *scale_gradient = scale_gradient_value(sum, elements, map);
}

int cuda_straight_through(struct device *d, const struct device_straight_through_call *call, struct message *m)
{
    const struct device_straight_through_call c = *call;
    size_t count = (size_t)c.n * c.elements;
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    if (!c.scale_gradient) {
        BY_TYPE(m, c.type,
                LAUNCH((mask_gradients<T>), launch_blocks(count), LAUNCH_THREADS, queue, c.before, count, c.relu,
                       c.map, (T *)c.dy));
        return kernel_queued(m, "straight through");
    }
    unsigned blocks = reduce_blocks(count);
    double *partial = (double *)d->scratch;
    BY_TYPE(m, c.type,
            LAUNCH_BLOCKS((mask_and_sum<T>), blocks, LAUNCH_THREADS, queue, c.before, count, c.relu, c.map,
                          (T *)c.dy, partial));
    LAUNCH_BLOCKS(scale_gradient_set, 1, LAUNCH_THREADS, queue, partial, (int)blocks, c.elements, c.map,
                  c.scale_gradient);
    return kernel_queued(m, "straight through");
}

/* ---- moving ranges ---- */

static __global__ void extremes_find(const float *before, size_t count, float *partial)
{
    __shared__ float shared[LAUNCH_THREADS];
    float low = 0, high = 0;
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE) {
        float v = before[i];
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    low = block_reduce(low, shared, least_of());
    high = block_reduce(high, shared, largest_of());
    if (threadIdx.x == 0) {
        partial[2 * blockIdx.x] = low;
        partial[2 * blockIdx.x + 1] = high;
    }
}

static __global__ void range_move(const float *partial, int count, int relu, const struct affine *map,
                                  double averaging, float *to_low, float *to_high)
{
    __shared__ float shared[LAUNCH_THREADS];
    float low = 0, high = 0;
    for (int i = (int)threadIdx.x; i < count; i += LAUNCH_THREADS) {
        low = partial[2 * i] < low ? partial[2 * i] : low;
        high = partial[2 * i + 1] > high ? partial[2 * i + 1] : high;
    }
    low = block_reduce(low, shared, least_of());
    high = block_reduce(high, shared, largest_of());
    if (threadIdx.x != 0)
        return;
    *to_low = range_moved(*to_low, relu ? 0.0 : (double)low, map->scale, averaging);
    *to_high = range_moved(*to_high, (double)high, map->scale, averaging);
}

int cuda_range_update(struct device *d, const struct device_range_call *call, struct message *m)
{
    const struct device_range_call c = *call;
    unsigned blocks = reduce_blocks(c.count);
    float *partial = (float *)d->scratch;
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    LAUNCH_BLOCKS(extremes_find, blocks, LAUNCH_THREADS, queue, c.before, c.count, partial);
    LAUNCH_BLOCKS(range_move, 1, LAUNCH_THREADS, queue, partial, (int)blocks, c.relu, c.map, c.averaging, c.low,
                  c.high);
    return kernel_queued(m, "moving range");
}

static __global__ void extremes_store(const float *partial, int count, float *ends)
{
    __shared__ float shared[LAUNCH_THREADS];
    float low = 0, high = 0;
    for (int i = (int)threadIdx.x; i < count; i += LAUNCH_THREADS) {
        low = partial[2 * i] < low ? partial[2 * i] : low;
        high = partial[2 * i + 1] > high ? partial[2 * i + 1] : high;
    }
    low = block_reduce(low, shared, least_of());
    high = block_reduce(high, shared, largest_of());
    if (threadIdx.x == 0) {
        ends[0] = low;
        ends[1] = high;
    }
}

int cuda_extremes(struct device *d, const float *values, size_t count, float *ends, struct message *m)
{
    unsigned blocks = reduce_blocks(count);
    float *partial = (float *)d->scratch;
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    LAUNCH_BLOCKS(extremes_find, blocks, LAUNCH_THREADS, queue, values, count, partial);
    LAUNCH_BLOCKS(extremes_store, 1, LAUNCH_THREADS, queue, partial, (int)blocks, ends);
    return kernel_queued(m, "extremes");
}
