/* The constants of a step's integers: maps of activations, codes of weights, multipliers. */
#include "kernel/device/cuda/reduce.h"

/* ---- maps ---- */

static __global__ void maps_make(const struct device_map_source *sources, int count, struct affine *maps,
                                 struct device_report *report)
{
    __shared__ int firsts[LAUNCH_THREADS];
    int bad = count;
    for (int i = (int)threadIdx.x; i < count; i += LAUNCH_THREADS) {
        struct affine map;
        if (!map_from_source(&sources[i], &map) && i < bad)
            bad = i;
        maps[i] = map;
    }
    bad = block_reduce(bad, firsts, least_of());
    if (threadIdx.x == 0 && report)
        report->bad_map = bad < count ? 1 + bad : 0;
}

int cuda_maps(struct device *d, const struct device_map_source *sources, int count, struct affine *maps,
              struct device_report *report, struct message *m)
{
    LAUNCH_BLOCKS(maps_make, 1, LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], sources, count, maps, report);
    return kernel_queued(m, "maps");
}

/* ---- weights: a block an output channel ---- */

static __device__ float row_magnitude(const float *w, int per, float *shared)
{
    float largest = 0;
    for (int i = (int)threadIdx.x; i < per; i += LAUNCH_THREADS) {
        float magnitude = fabsf(w[i]);
        largest = magnitude > largest ? magnitude : largest;
    }
    return block_reduce(largest, shared, largest_of());
}

static __global__ void row_magnitudes(const float *w, int per, float *magnitudes)
{
    __shared__ float shared[LAUNCH_THREADS];
    float largest = row_magnitude(w + (size_t)blockIdx.x * (size_t)per, per, shared);
    if (threadIdx.x == 0)
        magnitudes[blockIdx.x] = largest;
}

/* One scale for all: that of the largest weight, raised by the bias that needs it most. */
static __global__ void shared_scale(const float *magnitudes, const float *bias, int k, int qmax,
                                    const struct affine *x, float *scale)
{
    __shared__ float shared[LAUNCH_THREADS];
    float largest = 0;
    for (int i = (int)threadIdx.x; i < k; i += LAUNCH_THREADS)
        largest = magnitudes[i] > largest ? magnitudes[i] : largest;
    float first = weight_scale(block_reduce(largest, shared, largest_of()), qmax), raised = first;
    for (int i = (int)threadIdx.x; i < k; i += LAUNCH_THREADS) {
        float own = weight_scale_for_bias(bias ? bias[i] : 0, x->scale, first);
        raised = own > raised ? own : raised;
    }
    raised = block_reduce(raised, shared, largest_of());
    if (threadIdx.x == 0)
        *scale = raised;
}

static __global__ void row_codes(const float *w, const float *bias, int per, int qmax, const float *one_scale,
                                 const struct affine *x, int8_t *codes, float *code_scale, int32_t *code_bias)
{
    __shared__ float shared[LAUNCH_THREADS];
    size_t k = blockIdx.x, at = k * (size_t)per;
    float scale;
    if (one_scale) {
        scale = *one_scale;
    } else {
        scale = weight_scale(row_magnitude(w + at, per, shared), qmax);
        scale = weight_scale_for_bias(bias ? bias[k] : 0, x->scale, scale);
    }
    for (int i = (int)threadIdx.x; i < per; i += LAUNCH_THREADS)
        codes[at + (size_t)i] = (int8_t)weight_code(w[at + (size_t)i], scale, qmax);
    if (threadIdx.x == 0) {
        code_scale[k] = scale;
        code_bias[k] = bias ? (int32_t)bias_code_value(bias[k], x->scale, scale) : 0;
    }
}

int cuda_quantize_weights(struct device *d, const struct device_quantize_weights_call *call, struct message *m)
{
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    const struct device_quantize_weights_call c = *call;
    int qmax = (1 << (c.bits - 1)) - 1;
    float *magnitudes = (float *)d->scratch, *one_scale = NULL;
    if (c.k < 1 || (size_t)c.k + 1 > SCRATCH_BYTES / sizeof *magnitudes)
        return message_set(m, STATUS_UNSUPPORTED, "quantize weights: %d outputs", c.k);
    if (c.per_tensor) {
        one_scale = magnitudes + c.k;
        LAUNCH_BLOCKS(row_magnitudes, (unsigned)c.k, LAUNCH_THREADS, queue, c.w, c.per, magnitudes);
        LAUNCH_BLOCKS(shared_scale, 1, LAUNCH_THREADS, queue, magnitudes, c.bias, c.k, qmax, c.x, one_scale);
    }
    LAUNCH_BLOCKS(row_codes, (unsigned)c.k, LAUNCH_THREADS, queue, c.w, c.bias, c.per, qmax, one_scale, c.x,
                  c.codes, c.code_scale, c.code_bias);
    return kernel_queued(m, "quantize weights");
}

template <typename T>
__global__ void weight_values(const int8_t *codes, const float *code_scale, size_t count, int per, T *w)
{
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        narrow(code_scale[(unsigned)i / (unsigned)per] * (float)codes[i], &w[i]);
}

int cuda_dequantize_weights(struct device *d, const struct device_dequantize_weights_call *call, struct message *m)
{
    const struct device_dequantize_weights_call c = *call;
    size_t count = (size_t)c.k * (size_t)c.per;
    BY_TYPE(m, c.type,
            LAUNCH((weight_values<T>), launch_blocks(count), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], c.codes,
                   c.code_scale, count, c.per, (T *)c.w));
    return kernel_queued(m, "dequantize weights");
}

/* ---- multipliers ---- */

static __global__ void multipliers_make(struct device_requantize_call c)
{
    const float scale_y = c.y ? c.y->scale : 0.0f;
    for (int i = (int)GRID_INDEX; i < c.k; i += (int)GRID_STRIDE)
        c.multiplier[i] = multiplier_value(c.x->scale, c.code_scale[i], scale_y);
    if (GRID_INDEX == 0)
        *c.requantize = requantize_of(c.x, c.y, c.residual, c.relu);
}

int cuda_requantize_prepare(struct device *d, const struct device_requantize_call *call, struct message *m)
{
    const struct device_requantize_call c = *call;
    LAUNCH(multipliers_make, launch_blocks((size_t)c.k), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], c);
    return kernel_queued(m, "multipliers");
}
