/* Sums over pixels and rows. */
#include "kernel/device/cuda/reduce.h"

/* ---- average pool: a thread a channel of an image, pixels in order ---- */

template <typename T> __global__ void pool_values(const T *x, size_t outputs, int pixels, int c, T *y)
{
    for (size_t i = GRID_INDEX; i < outputs; i += GRID_STRIDE) {
        unsigned image = (unsigned)i / (unsigned)c, channel = (unsigned)i % (unsigned)c;
        const T *at = x + (size_t)image * (size_t)pixels * (size_t)c + channel;
        float sum = 0;
        for (int p = 0; p < pixels; p++, at += c)
            sum += widen(*at);
        narrow(sum / (float)pixels, &y[i]);
    }
}

int cuda_average_pool(struct device *d, const struct device_pool *given, const void *x, void *y, struct message *m)
{
    const struct device_pool p = *given;
    size_t outputs = (size_t)p.n * (size_t)p.c;
    BY_TYPE(m, p.type,
            LAUNCH((pool_values<T>), launch_blocks(outputs), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], (const T *)x,
                   outputs, p.pixels, p.c, (T *)y));
    return kernel_queued(m, "average pool");
}

template <typename T> __global__ void pool_gradients(const T *dy, size_t inputs, int pixels, int c, T *dx)
{
    unsigned image_values = (unsigned)pixels * (unsigned)c, channels = (unsigned)c;
    for (size_t i = GRID_INDEX; i < inputs; i += GRID_STRIDE)
        narrow(widen(dy[(unsigned)i / image_values * channels + (unsigned)i % channels]) / (float)pixels, &dx[i]);
}

int cuda_average_pool_backward(struct device *d, const struct device_pool *given, const void *dy, void *dx,
                               struct message *m)
{
    const struct device_pool p = *given;
    size_t inputs = (size_t)p.n * (size_t)p.pixels * (size_t)p.c;
    BY_TYPE(m, p.type,
            LAUNCH((pool_gradients<T>), launch_blocks(inputs), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE],
                   (const T *)dy, inputs, p.pixels, p.c, (T *)dx));
    return kernel_queued(m, "average pool backward");
}

/* ---- rows of shards, over the tree of base/tree.h: a thread a value, a register a level ---- */

enum { TREE_LEVELS_MOST = 32 };

static __global__ void tree_add(const double *rows, int shards, int values, double *sums)
{
    for (int i = (int)GRID_INDEX; i < values; i += (int)GRID_STRIDE) {
        double levels[TREE_LEVELS_MOST];
        int depth = 0;
        for (int shard = 0; shard < shards; shard++) {
            levels[depth++] = rows[(size_t)shard * (size_t)values + (size_t)i];
            for (int n = shard; n & 1; n >>= 1, depth--)
                levels[depth - 2] += levels[depth - 1];
        }
        for (; depth > 1; depth--)
            levels[depth - 2] += levels[depth - 1];
        sums[i] = levels[0];
    }
}

int cuda_tree_sums(struct device *d, const double *rows, int shards, int values, double *sums, struct message *m)
{
    LAUNCH(tree_add, launch_blocks((size_t)values), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], rows, shards, values,
           sums);
    return kernel_queued(m, "sums of shards");
}

/* ---- sums of columns: parts of the rows, then the parts in order ---- */

enum { PARTS = 256, SUM_COLUMNS = 32, SUM_LANES = LAUNCH_THREADS / SUM_COLUMNS };

static int column_blocks(int k)
{
    return (k + SUM_COLUMNS - 1) / SUM_COLUMNS;
}

/* partial [PARTS][k]. A block: SUM_COLUMNS columns of one part. */
template <typename T> __global__ void column_sums(const T *dy, size_t rows, int k, double *partial)
{
    __shared__ double shared[LAUNCH_THREADS];
    int tiles = (k + SUM_COLUMNS - 1) / SUM_COLUMNS, part = (int)blockIdx.x / tiles;
    int column = (int)blockIdx.x % tiles * SUM_COLUMNS + (int)threadIdx.x % SUM_COLUMNS;
    int lane = (int)threadIdx.x / SUM_COLUMNS;
    size_t length = (rows + PARTS - 1) / PARTS, end = ((size_t)part + 1) * length;
    end = end < rows ? end : rows;
    double sum = 0;
    for (size_t r = (size_t)part * length + (size_t)lane; column < k && r < end; r += SUM_LANES)
        sum += (double)widen(dy[r * (size_t)k + (size_t)column]);
    shared[threadIdx.x] = sum;
    __syncthreads();
    if (lane != 0 || column >= k)
        return;
    for (int l = 1; l < SUM_LANES; l++)
        sum += shared[l * SUM_COLUMNS + (int)threadIdx.x];
    partial[(size_t)part * (size_t)k + (size_t)column] = sum;
}

static __global__ void parts_sum(const double *partial, int k, float *db)
{
    for (int i = (int)GRID_INDEX; i < k; i += (int)GRID_STRIDE) {
        double sum = 0;
        for (int part = 0; part < PARTS; part++)
            sum += partial[(size_t)part * (size_t)k + (size_t)i];
        db[i] = (float)sum;
    }
}

int cuda_bias_gradient(struct device *d, enum device_type type, const void *dy, size_t rows, int k, float *db,
                       struct message *m)
{
    double *partial = (double *)d->scratch;
    if ((size_t)k * PARTS * sizeof *partial > SCRATCH_BYTES)
        return message_set(m, STATUS_UNSUPPORTED, "bias gradient: %d outputs, want at most %zu", k,
                           SCRATCH_BYTES / sizeof *partial / PARTS);
    unsigned blocks = (unsigned)(column_blocks(k) * PARTS);
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    BY_TYPE(m, type,
            LAUNCH_BLOCKS((column_sums<T>), blocks, LAUNCH_THREADS, queue, (const T *)dy, rows, k, partial));
    LAUNCH(parts_sum, launch_blocks((size_t)k), LAUNCH_THREADS, queue, partial, k, db);
    return kernel_queued(m, "bias gradient");
}
