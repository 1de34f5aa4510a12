/* Elementwise operations on floats: memory is the limit, so 16 bytes a load, and everything in one pass. */
#include "kernel/device/cuda/launch.h"

/* ---- two tensors in, one out ---- */

struct add_values { /* b: 0 where there is none */
    int relu;
    RESQ_METHOD float operator()(float a, float b) const
    {
        float v = a + b;
        return relu ? relu_of(v) : v;
    }
};
struct relu_values {
    RESQ_METHOD float operator()(float a, float) const
    {
        return relu_of(a);
    }
};
struct relu_gradients { /* a: y, b: dy */
    RESQ_METHOD float operator()(float a, float b) const
    {
        return a > 0.0f ? b : 0.0f;
    }
};

template <typename T, typename F> __global__ void over_values(const T *a, const T *b, size_t count, F f, T *y)
{
    enum { V = PER_LOAD(T) };
    size_t packs = count / V;
    for (size_t i = GRID_INDEX; i < packs; i += GRID_STRIDE) {
        pack<T, V> pa = ((const pack<T, V> *)a)[i], pb = {}, out;
        if (b)
            pb = ((const pack<T, V> *)b)[i];
        for (int v = 0; v < V; v++)
            narrow(f(widen(pa.at[v]), widen(pb.at[v])), &out.at[v]);
        ((pack<T, V> *)y)[i] = out;
    }
    for (size_t i = packs * V + GRID_INDEX; i < count; i += GRID_STRIDE)
        narrow(f(widen(a[i]), b ? widen(b[i]) : 0.0f), &y[i]);
}

template <typename F>
static int over_run(struct device *d, enum device_type type, const void *a, const void *b, size_t count, F f,
                    void *y, const char *name, struct message *m)
{
    unsigned blocks = launch_blocks(count / (16 / type_bytes(type)) + 1);
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    BY_TYPE(
        m, type,
        LAUNCH((over_values<T, F>), blocks, LAUNCH_THREADS, queue, (const T *)a, (const T *)b, count, f, (T *)y));
    return kernel_queued(m, name);
}

int cuda_add(struct device *d, const struct device_add_call *call, struct message *m)
{
    struct add_values f = {call->relu};
    return over_run(d, call->type, call->a, call->b, call->count, f, call->y, "add", m);
}

int cuda_relu(struct device *d, enum device_type type, const void *x, size_t count, void *y, struct message *m)
{
    return over_run(d, type, x, NULL, count, relu_values(), y, "relu", m);
}

int cuda_relu_backward(struct device *d, enum device_type type, const void *y, const void *dy, size_t count,
                       void *dx, struct message *m)
{
    return over_run(d, type, y, dy, count, relu_gradients(), dx, "relu backward", m);
}

/* ---- constants a channel ---- */

/* y = [relu](x * scale[c] + shift[c] [+ other]); scale or shift may be NULL: 1, 0. */
template <typename T, int V>
__global__ void channel_values(const T *x, size_t packs, int c, const float *scale, const float *shift,
                               const T *other, int relu, T *y)
{
    for (size_t i = GRID_INDEX; i < packs; i += GRID_STRIDE) {
        unsigned channel = (unsigned)i * V % (unsigned)c;
        pack<T, V> in = ((const pack<T, V> *)x)[i], add = {}, out;
        if (other)
            add = ((const pack<T, V> *)other)[i];
        for (int v = 0; v < V; v++) {
            float value = widen(in.at[v]);
            if (scale)
                value = value * scale[channel + v];
            if (shift)
                value += shift[channel + v];
            if (other)
                value += widen(add.at[v]);
            narrow(relu ? relu_of(value) : value, &out.at[v]);
        }
        ((pack<T, V> *)y)[i] = out;
    }
}

/* Channels that fill whole loads; or one value at a time. */
template <typename T> static void channel_launch(cudaStream_t queue, const struct device_scale_shift_call &given)
{
    enum { V = PER_LOAD(T) };
    const struct device_scale_shift_call call = given;
    const T *x = (const T *)call.x, *other = (const T *)call.other;
    T *y = (T *)call.y;
    int c = call.c;
    size_t count = call.rows * (size_t)c;
    if (c % V == 0) {
        size_t packs = count / V;
        LAUNCH((channel_values<T, V>), launch_blocks(packs), LAUNCH_THREADS, queue, x, packs, c, call.scale,
               call.shift, other, call.relu, y);
    } else {
        LAUNCH((channel_values<T, 1>), launch_blocks(count), LAUNCH_THREADS, queue, x, count, c, call.scale,
               call.shift, other, call.relu, y);
    }
}

int cuda_scale_shift(struct device *d, const struct device_scale_shift_call *call, struct message *m)
{
    BY_TYPE(m, call->type, channel_launch<T>(d->queue[QUEUE_COMPUTE], *call));
    return kernel_queued(m, "scale and shift");
}

/* ---- pixels and casts ---- */

struct channel_constants {
    float mean[4], std[4];
};

template <typename T>
__global__ void normalize_pixels(const uint8_t *pixels, size_t count, int c, struct channel_constants k, T *y)
{
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE) {
        unsigned channel = (unsigned)i % (unsigned)c;
        narrow(((float)pixels[i] / 255.0f - k.mean[channel]) / k.std[channel], &y[i]);
    }
}

int cuda_normalize(struct device *d, const struct device_normalize_call *call, struct message *m)
{
    const uint8_t *pixels = call->pixels;
    void *y = call->y;
    int c = call->c;
    if (c < 1 || c > 4)
        return message_set(m, STATUS_UNSUPPORTED, "normalize: %d channels, want 1..4", c);
    struct channel_constants k = {};
    for (int i = 0; i < c; i++)
        k.mean[i] = call->mean[i], k.std[i] = call->std[i];
    size_t count = call->rows * (size_t)c;
    BY_TYPE(m, call->type,
            LAUNCH((normalize_pixels<T>), launch_blocks(count), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], pixels,
                   count, c, k, (T *)y));
    return kernel_queued(m, "normalize");
}

template <typename F, typename T> __global__ void cast_values(const F *from, size_t count, T *to)
{
    enum { V = 4 };
    size_t packs = count / V;
    for (size_t i = GRID_INDEX; i < packs; i += GRID_STRIDE) {
        pack<F, V> in = ((const pack<F, V> *)from)[i];
        pack<T, V> out;
        for (int v = 0; v < V; v++)
            narrow(widen(in.at[v]), &out.at[v]);
        ((pack<T, V> *)to)[i] = out;
    }
    for (size_t i = packs * V + GRID_INDEX; i < count; i += GRID_STRIDE)
        narrow(widen(from[i]), &to[i]);
}

template <typename F>
static int cast_from(cudaStream_t queue, const F *from, enum device_type to_type, void *to, size_t count,
                     struct message *m)
{
    BY_TYPE(m, to_type,
            LAUNCH((cast_values<F, T>), launch_blocks(count / 4 + 1), LAUNCH_THREADS, queue, from, count, (T *)to));
    return kernel_queued(m, "cast");
}

int cuda_cast(struct device *d, enum device_type from_type, const void *from, enum device_type to_type, void *to,
              size_t count, struct message *m)
{
    BY_TYPE(m, from_type, return cast_from<T>(d->queue[QUEUE_COMPUTE], (const T *)from, to_type, to, count, m));
    return 0;
}

/* ---- something to measure on ---- */

/* A number's bits, well mixed (the finaliser of MurmurHash3). */
static __device__ uint32_t mixed(uint32_t h)
{
    h ^= h >> 16, h *= 0x85ebca6bu, h ^= h >> 13, h *= 0xc2b2ae35u;
    return h ^ h >> 16;
}

template <typename T> __global__ void fill_values(T *to, size_t count)
{
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        narrow((float)(int32_t)mixed((uint32_t)i) * 4.656612873077393e-10f /* 2^-31 */, &to[i]);
}

static __global__ void fill_codes(int8_t *to, size_t count)
{
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        to[i] = (int8_t)((int)(mixed((uint32_t)i) % 255u) - 127);
}

int fill_run(struct device *d, enum device_type type, void *to, size_t count, struct message *m)
{
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    if (type == DEVICE_S8)
        LAUNCH(fill_codes, launch_blocks(count), LAUNCH_THREADS, queue, (int8_t *)to, count);
    else
        BY_TYPE(m, type, LAUNCH((fill_values<T>), launch_blocks(count), LAUNCH_THREADS, queue, (T *)to, count));
    return kernel_queued(m, "fill");
}
