/* Elementwise operations on codes. */
#include "kernel/device/cuda/launch.h"

static __global__ void lookup_codes(const uint8_t *pixels, size_t count, int c, const uint8_t *table, uint8_t *q)
{
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        q[i] = table[(unsigned)i % (unsigned)c * 256 + pixels[i]];
}

int cuda_lookup_u8(struct device *d, const uint8_t *pixels, size_t rows, int c, const uint8_t *table, uint8_t *q,
                   struct message *m)
{
    size_t count = rows * (size_t)c;
    LAUNCH(lookup_codes, launch_blocks(count), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], pixels, count, c, table, q);
    return kernel_queued(m, "lookup");
}

static __global__ void pool_codes(const uint8_t *x, size_t outputs, int pixels, int c, const struct affine *map_x,
                                  const struct affine *map_y, uint8_t *y, float *before)
{
    const struct affine in = *map_x, out = *map_y;
    const float multiplier = pool_multiplier(&in, &out, pixels);
    for (size_t i = GRID_INDEX; i < outputs; i += GRID_STRIDE) {
        unsigned image = (unsigned)i / (unsigned)c;
        const uint8_t *at = x + (size_t)image * (size_t)pixels * (size_t)c + (unsigned)i % (unsigned)c;
        int sum = 0;
        for (int p = 0; p < pixels; p++, at += c)
            sum += *at;
        float v = (float)(sum - pixels * in.zero_point) * multiplier;
        if (before)
            before[i] = v;
        y[i] = code_round(v, out.zero_point, out.qmin, out.qmax);
    }
}

int cuda_average_pool_u8(struct device *d, const struct device_pool *given, const struct device_pool_u8_call *call,
                         struct message *m)
{
    const struct device_pool p = *given;
    const struct device_pool_u8_call c = *call;
    size_t outputs = (size_t)p.n * (size_t)p.c;
    LAUNCH(pool_codes, launch_blocks(outputs), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], c.x, outputs, p.pixels, p.c,
           c.map_x, c.map_y, c.y, c.before);
    return kernel_queued(m, "average pool of codes");
}

static __global__ void relu_codes(const uint8_t *x, size_t count, const struct affine *map, uint8_t *y)
{
    const int zero_point = map->zero_point;
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        y[i] = (uint8_t)(x[i] > zero_point ? x[i] : zero_point);
}

int cuda_relu_u8(struct device *d, const uint8_t *x, size_t count, const struct affine *map_x, uint8_t *y,
                 struct message *m)
{
    LAUNCH(relu_codes, launch_blocks(count), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], x, count, map_x, y);
    return kernel_queued(m, "relu of codes");
}

static __global__ void quantize_values(const float *x, size_t count, const struct affine *given, uint8_t *q)
{
    const struct affine map = *given;
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        q[i] = affine_quantize(&map, x[i]);
}

int cuda_quantize(struct device *d, const float *x, size_t count, const struct affine *map, uint8_t *q,
                  struct message *m)
{
    LAUNCH(quantize_values, launch_blocks(count), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], x, count, map, q);
    return kernel_queued(m, "quantize");
}

template <typename T>
__global__ void dequantize_codes(const uint8_t *q, size_t count, const struct affine *given, T *x)
{
    enum { V = 8 };
    const struct affine map = *given;
    size_t packs = count / V;
    for (size_t i = GRID_INDEX; i < packs; i += GRID_STRIDE) {
        pack<uint8_t, V> in = ((const pack<uint8_t, V> *)q)[i];
        pack<T, V> out;
        for (int v = 0; v < V; v++)
            narrow(affine_dequantize(&map, in.at[v]), &out.at[v]);
        ((pack<T, V> *)x)[i] = out;
    }
    for (size_t i = packs * V + GRID_INDEX; i < count; i += GRID_STRIDE)
        narrow(affine_dequantize(&map, q[i]), &x[i]);
}

int cuda_dequantize(struct device *d, const uint8_t *q, size_t count, const struct affine *map,
                    enum device_type type, void *x, struct message *m)
{
    BY_TYPE(m, type,
            LAUNCH((dequantize_codes<T>), launch_blocks(count / 8 + 1), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], q,
                   count, map, (T *)x));
    return kernel_queued(m, "dequantize");
}
