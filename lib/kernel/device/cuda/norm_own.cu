/* Batch norm of our own: two passes over memory forward (sums, then y) and two backward (sums, then dx).
 *
 * A pass is cut into `parts` of the rows and tiles of the channels, by the shape alone. A thread has V neighbouring
 * channels, which it reads 16 bytes at a time, and every STEP-th row of its part; it adds a few rows in float (f32:
 * in double, so that a variance is exact that is left of large squares) and those sums in double. Then a block's
 * threads add theirs in a fixed tree, and a second kernel the parts' in order. */
#include "kernel/device/cuda/launch.h"
#include "kernel/device/cuda/norm.h"

/* More blocks for the passes without sums: nobody has to add up theirs. */
enum {
    ROWS_IN_FLOAT = 16,
    COLUMNS_MOST = 32,
    SUM_BLOCKS = 512,
    APPLY_BLOCKS = 2048,
    ROWS_A_THREAD = 8,
    LANES = 32
};
enum { CHANNELS_A_BLOCK = LAUNCH_THREADS / LANES };

/* How a pass over [rows][c] is cut. */
struct cut {
    int columns;   /* of threads in a block: a power of two */
    int step;      /* rows at a time in a block */
    int tiles;     /* of channels */
    int parts;     /* of rows */
    size_t length; /* rows of a part */
    int c, v;
    size_t rows;
};

static struct cut cut_of(const struct device_norm *n, int blocks)
{
    struct cut k;
    k.c = n->c;
    k.rows = (size_t)n->n * (size_t)n->h * (size_t)n->w;
    k.v = 16 / (int)type_bytes(n->type);
    if (n->c % k.v != 0)
        k.v = 1;
    int columns = n->c / k.v;
    k.columns = 1;
    while (k.columns < columns && k.columns < COLUMNS_MOST)
        k.columns *= 2;
    k.step = LAUNCH_THREADS / k.columns;
    k.tiles = (columns + k.columns - 1) / k.columns;
    size_t wanted = (k.rows + (size_t)k.step * ROWS_A_THREAD - 1) / ((size_t)k.step * ROWS_A_THREAD);
    int most = blocks / k.tiles > 1 ? blocks / k.tiles : 1;
    k.parts = wanted < (size_t)most ? (int)wanted : most;
    k.length = (k.rows + (size_t)k.parts - 1) / (size_t)k.parts;
    return k;
}

/* Sums of two kinds a channel: [parts][c][2], then what the second pass needs: [c][2]. */
static size_t partial_bytes(const struct cut *k)
{
    return round_up((size_t)k->parts * (size_t)k->c * 2 * sizeof(double), DEVICE_ALIGNMENT);
}

size_t norm_own_workspace(const struct device_norm *n)
{
    struct cut k = cut_of(n, SUM_BLOCKS);
    return partial_bytes(&k) + (size_t)k.c * 2 * sizeof(float);
}

/* What a few rows are added in. */
template <typename T> struct few {
    typedef float sum;
};
template <> struct few<float> {
    typedef double sum;
};

/* A thread's place: its first channel, first row and where its part ends; channel -1: it has none. */
struct place {
    int column, lane, channel;
    size_t row, end;
};

static __device__ struct place place_of(const struct cut *k)
{
    struct place p;
    int tile = (int)blockIdx.x % k->tiles, part = (int)blockIdx.x / k->tiles;
    p.column = (int)threadIdx.x % k->columns;
    p.lane = (int)threadIdx.x / k->columns;
    int column = tile * k->columns + p.column;
    p.channel = column * k->v < k->c ? column * k->v : -1;
    p.row = (size_t)part * k->length + (size_t)p.lane;
    p.end = ((size_t)part + 1) * k->length;
    p.end = p.end < k->rows ? p.end : k->rows;
    return p;
}

/* Adds the sums of V channels over a column's threads, halving, and stores them: partial [part][c][2]. shared: 2 *
 * V places a thread. */
template <int V>
static __device__ void block_store(const struct cut *k, const struct place *p, const double sums[V][2],
                                   double *shared, double *partial)
{
    double *own = shared + threadIdx.x;
    for (int v = 0; v < V; v++)
        for (int i = 0; i < 2; i++)
            own[(2 * v + i) * LAUNCH_THREADS] = sums[v][i];
    for (int half = k->step / 2; half > 0; half /= 2) {
        __syncthreads();
        if (p->lane < half)
            for (int i = 0; i < 2 * V; i++)
                own[i * LAUNCH_THREADS] += own[i * LAUNCH_THREADS + half * k->columns];
    }
    if (p->lane != 0 || p->channel < 0)
        return; /* a column's first thread made its last additions itself */
    double *to = partial + ((size_t)((int)blockIdx.x / k->tiles) * (size_t)k->c + (size_t)p->channel) * 2;
    for (int i = 0; i < 2 * V; i++)
        to[i] = own[i * LAUNCH_THREADS];
}

/* ---- forward ---- */

template <typename T, int V> __global__ void norm_sums(const T *x, struct cut k, double *partial)
{
    __shared__ double shared[2 * V * LAUNCH_THREADS];
    struct place p = place_of(&k);
    double sums[V][2] = {};
    size_t step = (size_t)k.step;
    while (p.channel >= 0 && p.row < p.end) {
        typename few<T>::sum some[V] = {}, squares[V] = {};
        for (int i = 0; i < ROWS_IN_FLOAT && p.row < p.end; i++, p.row += step) {
            pack<T, V> in = *(const pack<T, V> *)(x + p.row * (size_t)k.c + (size_t)p.channel);
            for (int v = 0; v < V; v++) {
                typename few<T>::sum value = widen(in.at[v]);
                some[v] += value;
                squares[v] += value * value;
            }
        }
        for (int v = 0; v < V; v++) {
            sums[v][0] += (double)some[v];
            sums[v][1] += (double)squares[v];
        }
    }
    block_store<V>(&k, &p, sums, shared, partial);
}

/* Adds the parts of CHANNELS_A_BLOCK channels; lane 0 has both sums of its channel. */
static __device__ void parts_add(const double *partial, int parts, int c, int channel, double *shared, double *of)
{
    int lane = (int)threadIdx.x % LANES;
    of[0] = of[1] = 0;
    for (int part = lane; channel < c && part < parts; part += LANES)
        for (int i = 0; i < 2; i++)
            of[i] += partial[((size_t)part * (size_t)c + (size_t)channel) * 2 + (size_t)i];
    for (int i = 0; i < 2; i++)
        shared[i * LAUNCH_THREADS + (int)threadIdx.x] = of[i];
    __syncthreads();
    for (int l = 1; lane == 0 && l < LANES; l++)
        for (int i = 0; i < 2; i++)
            of[i] += shared[i * LAUNCH_THREADS + (int)threadIdx.x + l];
}

/* Mean and variance of each channel; scale and shift so that y = x * scale + shift. */
struct statistics {
    const float *gamma, *beta;
    float *running_mean, *running_variance, *saved_mean, *saved_inv_std, *scale, *shift;
    int stride; /* of scale and shift */
    double rows, eps, momentum;
};

static __device__ void statistics_set(const struct statistics *s, const double *sums, int channel)
{
    double mean = sums[0] / s->rows, variance = sums[1] / s->rows - mean * mean;
    variance = variance > 0 ? variance : 0;
    double inv_std = 1 / sqrt(variance + s->eps), factor = (double)s->gamma[channel] * inv_std;
    double unbiased = s->rows > 1 ? variance * s->rows / (s->rows - 1) : variance;
    s->saved_mean[channel] = (float)mean;
    s->saved_inv_std[channel] = (float)inv_std;
    s->scale[s->stride * channel] = (float)factor;
    s->shift[s->stride * channel] = (float)((double)s->beta[channel] - mean * factor);
    s->running_mean[channel] = (float)((1 - s->momentum) * (double)s->running_mean[channel] + s->momentum * mean);
    s->running_variance[channel] =
        (float)((1 - s->momentum) * (double)s->running_variance[channel] + s->momentum * unbiased);
}

static __global__ void norm_statistics(const double *partial, int parts, int c, struct statistics s)
{
    __shared__ double shared[2 * LAUNCH_THREADS];
    int channel = (int)(blockIdx.x * CHANNELS_A_BLOCK + threadIdx.x / LANES);
    double sums[2];
    parts_add(partial, parts, c, channel, shared, sums);
    if (threadIdx.x % LANES != 0 || channel >= c)
        return;
    statistics_set(&s, sums, channel);
}

template <typename T, int V>
__global__ void norm_apply(const T *x, const T *other, struct cut k, const float *scale_shift, int relu, T *y)
{
    struct place p = place_of(&k);
    if (p.channel < 0)
        return;
    float scale[V], shift[V];
    for (int v = 0; v < V; v++) {
        scale[v] = scale_shift[2 * (p.channel + v)];
        shift[v] = scale_shift[2 * (p.channel + v) + 1];
    }
    for (; p.row < p.end; p.row += (size_t)k.step) {
        size_t at = p.row * (size_t)k.c + (size_t)p.channel;
        pack<T, V> in = *(const pack<T, V> *)(x + at), add = {}, out;
        if (other)
            add = *(const pack<T, V> *)(other + at);
        for (int v = 0; v < V; v++) {
            float value = widen(in.at[v]) * scale[v] + shift[v];
            if (other)
                value += widen(add.at[v]);
            narrow(relu ? relu_of(value) : value, &out.at[v]);
        }
        *(pack<T, V> *)(y + at) = out;
    }
}

/* ---- backward ---- */

/* Sums of g and of g * xhat, where g is dy that the relu let pass; g is kept as d_other where that is wanted. */
template <typename T, int V>
__global__ void norm_backward_sums(const T *x, const T *y, const T *dy, struct cut k, const float *mean,
                                   const float *inv_std, T *d_other, double *partial)
{
    __shared__ double shared[2 * V * LAUNCH_THREADS];
    struct place p = place_of(&k);
    double sums[V][2] = {};
    size_t step = (size_t)k.step;
    while (p.channel >= 0 && p.row < p.end) {
        typename few<T>::sum some[V] = {}, along[V] = {};
        for (int i = 0; i < ROWS_IN_FLOAT && p.row < p.end; i++, p.row += step) {
            size_t at = p.row * (size_t)k.c + (size_t)p.channel;
            pack<T, V> in = *(const pack<T, V> *)(x + at), out = {}, g = *(const pack<T, V> *)(dy + at);
            if (y)
                out = *(const pack<T, V> *)(y + at);
            for (int v = 0; v < V; v++) {
                if (y && !(widen(out.at[v]) > 0.0f))
                    narrow(0.0f, &g.at[v]);
                typename few<T>::sum value = widen(g.at[v]);
                some[v] += value;
                along[v] += value * ((widen(in.at[v]) - mean[p.channel + v]) * inv_std[p.channel + v]);
            }
            if (d_other)
                *(pack<T, V> *)(d_other + at) = g;
        }
        for (int v = 0; v < V; v++) {
            sums[v][0] += (double)some[v];
            sums[v][1] += (double)along[v];
        }
    }
    block_store<V>(&k, &p, sums, shared, partial);
}

static __global__ void norm_gradients(const double *partial, int parts, int c, double rows, float *dgamma,
                                      float *dbeta, float *means)
{
    __shared__ double shared[2 * LAUNCH_THREADS];
    int channel = (int)(blockIdx.x * CHANNELS_A_BLOCK + threadIdx.x / LANES);
    double sums[2];
    parts_add(partial, parts, c, channel, shared, sums);
    if (threadIdx.x % LANES != 0 || channel >= c)
        return;
    dbeta[channel] = (float)sums[0];
    dgamma[channel] = (float)sums[1];
    means[2 * channel] = (float)(sums[0] / rows);
    means[2 * channel + 1] = (float)(sums[1] / rows);
}

/* g: masked already where y is NULL. */
template <typename T, int V>
__global__ void norm_backward_apply(const T *x, const T *y, const T *g, struct cut k, const float *mean,
                                    const float *inv_std, const float *gamma, const float *means, T *dx)
{
    struct place p = place_of(&k);
    if (p.channel < 0)
        return;
    float m[V], s[V], factor[V], mean_g[V], mean_along[V];
    for (int v = 0; v < V; v++) {
        int channel = p.channel + v;
        m[v] = mean[channel], s[v] = inv_std[channel], factor[v] = gamma[channel] * inv_std[channel];
        mean_g[v] = means[2 * channel], mean_along[v] = means[2 * channel + 1];
    }
    for (; p.row < p.end; p.row += (size_t)k.step) {
        size_t at = p.row * (size_t)k.c + (size_t)p.channel;
        pack<T, V> in = *(const pack<T, V> *)(x + at), d = *(const pack<T, V> *)(g + at), out = {};
        if (y)
            out = *(const pack<T, V> *)(y + at);
        for (int v = 0; v < V; v++) {
            float value = y && !(widen(out.at[v]) > 0.0f) ? 0.0f : widen(d.at[v]);
            float xhat = (widen(in.at[v]) - m[v]) * s[v];
            narrow(factor[v] * (value - mean_g[v] - xhat * mean_along[v]), &out.at[v]);
        }
        *(pack<T, V> *)(dx + at) = out;
    }
}

/* ---- the host's side ---- */

/* CALL with V what one load holds, or 1 where the channels do not fill it. */
#define BY_WIDTH(k, CALL)             \
    do {                              \
        if ((k).v == 1) {             \
            enum { V = 1 };           \
            CALL;                     \
        } else {                      \
            enum { V = PER_LOAD(T) }; \
            CALL;                     \
        }                             \
    } while (0)

int norm_own_forward(struct device *d, const struct device_norm *n, const struct device_norm_call *call,
                     struct message *m)
{
    struct cut k = cut_of(n, SUM_BLOCKS), a = cut_of(n, APPLY_BLOCKS);
    unsigned blocks = (unsigned)(k.parts * k.tiles), apply_blocks = (unsigned)(a.parts * a.tiles);
    unsigned of_channels = (unsigned)((k.c + CHANNELS_A_BLOCK - 1) / CHANNELS_A_BLOCK);
    struct device_norm_call c = *call;
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    double *partial = (double *)c.workspace;
    float *scale_shift = (float *)byte_offset(c.workspace, partial_bytes(&k));
    struct statistics s = {c.gamma,
                           c.beta,
                           c.running_mean,
                           c.running_variance,
                           c.saved_mean,
                           c.saved_inv_std,
                           scale_shift,
                           scale_shift + 1,
                           2,
                           (double)k.rows,
                           n->eps,
                           n->momentum};
    BY_TYPE(
        m, n->type,
        BY_WIDTH(k, LAUNCH_BLOCKS((norm_sums<T, V>), blocks, LAUNCH_THREADS, queue, (const T *)c.x, k, partial)));
    LAUNCH_BLOCKS(norm_statistics, of_channels, LAUNCH_THREADS, queue, partial, k.parts, k.c, s);
    int relu = n->relu;
    BY_TYPE(m, n->type,
            BY_WIDTH(k, LAUNCH((norm_apply<T, V>), apply_blocks, LAUNCH_THREADS, queue, (const T *)c.x,
                               (const T *)c.other, a, scale_shift, relu, (T *)c.y)));
    return kernel_queued(m, "norm forward");
}

int norm_own_backward(struct device *d, const struct device_norm *n, const struct device_norm_backward_call *call,
                      struct message *m)
{
    struct cut k = cut_of(n, SUM_BLOCKS), a = cut_of(n, APPLY_BLOCKS);
    struct device_norm_backward_call c = *call;
    unsigned blocks = (unsigned)(k.parts * k.tiles), apply_blocks = (unsigned)(a.parts * a.tiles);
    unsigned of_channels = (unsigned)((k.c + CHANNELS_A_BLOCK - 1) / CHANNELS_A_BLOCK);
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    double *partial = (double *)c.workspace;
    float *means = (float *)byte_offset(c.workspace, partial_bytes(&k));
    const void *y = n->relu ? c.y : NULL;
    BY_TYPE(m, n->type,
            BY_WIDTH(k, LAUNCH_BLOCKS((norm_backward_sums<T, V>), blocks, LAUNCH_THREADS, queue, (const T *)c.x,
                                      (const T *)y, (const T *)c.dy, k, c.saved_mean, c.saved_inv_std,
                                      (T *)c.d_other, partial)));
    double rows = (double)k.rows;
    LAUNCH_BLOCKS(norm_gradients, of_channels, LAUNCH_THREADS, queue, partial, k.parts, k.c, rows, c.dgamma,
                  c.dbeta, means);
    /* What was kept for the other input is masked already, and one tensor less to read. */
    const void *g = c.d_other ? c.d_other : c.dy, *mask = c.d_other ? NULL : y;
    BY_TYPE(m, n->type,
            BY_WIDTH(k, LAUNCH((norm_backward_apply<T, V>), apply_blocks, LAUNCH_THREADS, queue, (const T *)c.x,
                               (const T *)mask, (const T *)g, a, c.saved_mean, c.saved_inv_std, c.gamma, means,
                               (T *)c.dx)));
    return kernel_queued(m, "norm backward");
}

/* ---- a mini-batch in shards: the same passes, their sums left to the caller to add up. Partial sums lie in the
 * device's scratch: SUM_BLOCKS of CHANNELS at most ---- */

static int scratch_holds(const struct cut *k, struct message *m)
{
    return partial_bytes(k) <= SCRATCH_BYTES
               ? 0
               : message_set(m, STATUS_UNSUPPORTED, "batch norm of %d channels", k->c);
}

static __global__ void norm_sums_store(const double *partial, int parts, int c, double *sums)
{
    __shared__ double shared[2 * LAUNCH_THREADS];
    int channel = (int)(blockIdx.x * CHANNELS_A_BLOCK + threadIdx.x / LANES);
    double of[2];
    parts_add(partial, parts, c, channel, shared, of);
    if (threadIdx.x % LANES != 0 || channel >= c)
        return;
    sums[2 * channel] = of[0];
    sums[2 * channel + 1] = of[1];
}

int cuda_norm_sums(struct device *d, const struct device_norm *n, const void *x, double *sums, struct message *m)
{
    struct cut k = cut_of(n, SUM_BLOCKS);
    unsigned blocks = (unsigned)(k.parts * k.tiles);
    unsigned of_channels = (unsigned)((k.c + CHANNELS_A_BLOCK - 1) / CHANNELS_A_BLOCK);
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    double *partial = (double *)d->scratch;
    int parts = k.parts, c = k.c;
    TRY(scratch_holds(&k, m));
    BY_TYPE(m, n->type,
            BY_WIDTH(k, LAUNCH_BLOCKS((norm_sums<T, V>), blocks, LAUNCH_THREADS, queue, (const T *)x, k, partial)));
    LAUNCH_BLOCKS(norm_sums_store, of_channels, LAUNCH_THREADS, queue, partial, parts, c, sums);
    return kernel_queued(m, "norm sums");
}

static __global__ void norm_statistics_given(const double *sums, int c, struct statistics s)
{
    for (int i = (int)GRID_INDEX; i < c; i += (int)GRID_STRIDE)
        statistics_set(&s, sums + 2 * (size_t)i, i);
}

int cuda_norm_statistics(struct device *d, const struct device_norm_statistics_call *call, struct message *m)
{
    struct statistics s = {call->gamma,
                           call->beta,
                           call->running_mean,
                           call->running_variance,
                           call->saved_mean,
                           call->saved_inv_std,
                           call->scale,
                           call->shift,
                           1,
                           call->rows,
                           call->eps,
                           call->momentum};
    const double *sums = call->sums;
    int c = call->c;
    LAUNCH(norm_statistics_given, launch_blocks((size_t)c), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], sums, c, s);
    return kernel_queued(m, "norm statistics");
}

static __global__ void norm_shard_gradients(const double *sums, int c, float *dgamma, float *dbeta)
{
    for (int i = (int)GRID_INDEX; i < c; i += (int)GRID_STRIDE) {
        dbeta[i] = (float)sums[2 * i];
        dgamma[i] = (float)sums[2 * i + 1];
    }
}

int cuda_norm_backward_sums(struct device *d, const struct device_norm *n,
                            const struct device_norm_backward_call *call, double *sums, struct message *m)
{
    struct cut k = cut_of(n, SUM_BLOCKS);
    struct device_norm_backward_call c = *call;
    unsigned blocks = (unsigned)(k.parts * k.tiles);
    unsigned of_channels = (unsigned)((k.c + CHANNELS_A_BLOCK - 1) / CHANNELS_A_BLOCK);
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    double *partial = (double *)d->scratch;
    const void *y = n->relu ? c.y : NULL;
    TRY(scratch_holds(&k, m));
    BY_TYPE(m, n->type,
            BY_WIDTH(k, LAUNCH_BLOCKS((norm_backward_sums<T, V>), blocks, LAUNCH_THREADS, queue, (const T *)c.x,
                                      (const T *)y, (const T *)c.dy, k, c.saved_mean, c.saved_inv_std,
                                      (T *)c.d_other, partial)));
    LAUNCH_BLOCKS(norm_sums_store, of_channels, LAUNCH_THREADS, queue, partial, k.parts, k.c, sums);
    LAUNCH(norm_shard_gradients, launch_blocks((size_t)k.c), LAUNCH_THREADS, queue, sums, k.c, c.dgamma, c.dbeta);
    return kernel_queued(m, "norm backward sums");
}

static __global__ void norm_means(const double *sums, int c, double rows, float *means)
{
    for (int i = (int)GRID_INDEX; i < 2 * c; i += (int)GRID_STRIDE)
        means[i] = (float)(sums[i] / rows);
}

int cuda_norm_backward_apply(struct device *d, const struct device_norm *n,
                             const struct device_norm_backward_call *call, const double *sums, double rows,
                             struct message *m)
{
    struct cut k = cut_of(n, APPLY_BLOCKS);
    struct device_norm_backward_call c = *call;
    unsigned blocks = (unsigned)(k.parts * k.tiles);
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    float *means = (float *)d->scratch;
    const void *g = c.d_other ? c.d_other : c.dy, *mask = c.d_other || !n->relu ? NULL : c.y;
    LAUNCH(norm_means, launch_blocks(2 * (size_t)k.c), LAUNCH_THREADS, queue, sums, k.c, rows, means);
    BY_TYPE(m, n->type,
            BY_WIDTH(k, LAUNCH((norm_backward_apply<T, V>), blocks, LAUNCH_THREADS, queue, (const T *)c.x,
                               (const T *)mask, (const T *)g, k, c.saved_mean, c.saved_inv_std, c.gamma, means,
                               (T *)c.dx)));
    return kernel_queued(m, "norm backward");
}
