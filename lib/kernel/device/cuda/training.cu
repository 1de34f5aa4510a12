/* Loss, loss scaling and the optimizer. */
#include "kernel/device/cuda/reduce.h"

/* ---- loss: one block, which the rows of a mini-batch do not even fill ---- */

/* Row r: thread r % LAUNCH_THREADS; sums over threads in a tree. */
static __global__ void loss_rows(const float *logits, struct targets targets, int n, int k, double smoothing,
                                 struct device_report *report)
{
    __shared__ double losses[LAUNCH_THREADS];
    __shared__ int hits[LAUNCH_THREADS];
    double loss = 0;
    int correct = 0;
    for (int r = (int)threadIdx.x; r < n; r += LAUNCH_THREADS) {
        const float *row = logits + (size_t)r * (size_t)k;
        const struct target target = target_of(&targets, (size_t)r);
        struct loss_row of = loss_row_of(row, k);
        loss += loss_row_value(&of, row, k, &target, smoothing);
        correct += of.best == target.best;
    }
    loss = block_reduce(loss, losses, sum_of());
    correct = block_reduce(correct, hits, sum_of());
    if (threadIdx.x == 0) {
        report->loss = loss;
        report->correct = correct;
        report->images = n;
    }
}

template <typename T>
__global__ void loss_gradients(const float *logits, struct targets targets, int n, int images, int k,
                               double smoothing, const struct device_scale *scale, T *dlogits)
{
    size_t rows = (size_t)n;
    float factor = scale ? scale->scale : 1.0f;
    for (size_t r = GRID_INDEX; r < rows; r += GRID_STRIDE) {
        const float *row = logits + r * (size_t)k;
        const struct target target = target_of(&targets, r);
        struct loss_row of = loss_row_of(row, k);
        for (int i = 0; i < k; i++)
            narrow(loss_row_gradient(&of, row, k, &target, i, smoothing, images, factor),
                   &dlogits[r * (size_t)k + (size_t)i]);
    }
}

int cuda_loss(struct device *d, const struct device_loss_call *call, struct message *m)
{
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    const struct device_loss_call c = *call;
    int images = c.of ? c.of : c.n;
    LAUNCH_BLOCKS(loss_rows, 1, LAUNCH_THREADS, queue, c.logits, c.targets, c.n, c.k, c.smoothing, c.report);
    BY_TYPE(m, c.type,
            LAUNCH((loss_gradients<T>), launch_blocks((size_t)c.n), LAUNCH_THREADS, queue, c.logits, c.targets, c.n,
                   images, c.k, c.smoothing, c.scale, (T *)c.dlogits));
    return kernel_queued(m, "loss");
}

/* ---- loss scaling ---- */

static __global__ void overflow_clear(struct device_scale *scale)
{
    scale->overflow = 0;
}

/* Every thread that finds one writes the same value. */
static __global__ void overflow_find(const float *gradients, size_t count, struct device_scale *scale)
{
    enum { V = PER_LOAD(float) };
    int found = 0;
    size_t packs = count / V;
    for (size_t i = GRID_INDEX; i < packs; i += GRID_STRIDE) {
        pack<float, V> in = ((const pack<float, V> *)gradients)[i];
        for (int v = 0; v < V; v++)
            found |= !(in.at[v] - in.at[v] == 0.0f);
    }
    for (size_t i = packs * V + GRID_INDEX; i < count; i += GRID_STRIDE)
        found |= !(gradients[i] - gradients[i] == 0.0f);
    if (found)
        scale->overflow = 1;
}

int cuda_scale_check(struct device *d, const float *gradients, size_t count, struct device_scale *scale,
                     struct message *m)
{
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    LAUNCH(overflow_clear, 1, 1, queue, scale);
    LAUNCH(overflow_find, launch_blocks(count / 4 + 1), LAUNCH_THREADS, queue, gradients, count, scale);
    return kernel_queued(m, "overflow check");
}

static __global__ void scale_move(struct device_scale *scale)
{
    scale_update_value(scale);
}

int cuda_scale_update(struct device *d, struct device_scale *scale, struct message *m)
{
    LAUNCH(scale_move, 1, 1, d->queue[QUEUE_COMPUTE], scale);
    return kernel_queued(m, "loss scale");
}

/* ---- the optimizer: one pass over the flat buffers ---- */

/* A thread has DEVICE_FLAG_FLOATS / 4 of the parameters that share a flag: one load of each buffer. */
template <typename T> __global__ void sgd_step(struct device_sgd s, T *copy)
{
    enum { V = PER_LOAD(float), SHARE = DEVICE_FLAG_FLOATS / V };
    if (s.scale && s.scale->overflow)
        return;
    const float divide = s.scale ? s.scale->scale : 1.0f, share = s.scalars->share;
    const float own = s.nesterov ? 1.0f : 0.0f, along = s.nesterov ? s.momentum : 1.0f;
    for (size_t i = GRID_INDEX; i < s.count / V; i += GRID_STRIDE) {
        int flags = s.flags[i / SHARE];
        float step = flags & DEVICE_FLAG_BIAS ? s.scalars->bias_rate : s.scalars->rate;
        float decay = flags & DEVICE_FLAG_DECAY ? s.weight_decay : 0.0f;
        pack<float, V> w = ((pack<float, V> *)s.parameters)[i], v = ((pack<float, V> *)s.velocity)[i];
        pack<float, V> g = ((const pack<float, V> *)s.gradients)[i], average = {};
        pack<T, V> narrowed;
        if (s.average)
            average = ((pack<float, V> *)s.average)[i];
        for (int j = 0; j < V; j++) {
            w.at[j] = sgd_value(w.at[j], &v.at[j], g.at[j] / divide, decay, s.momentum, step, own, along);
            average.at[j] += share * (w.at[j] - average.at[j]);
            narrow(w.at[j], &narrowed.at[j]);
        }
        ((pack<float, V> *)s.parameters)[i] = w;
        ((pack<float, V> *)s.velocity)[i] = v;
        if (s.average)
            ((pack<float, V> *)s.average)[i] = average;
        if (copy)
            ((pack<T, V> *)copy)[i] = narrowed;
    }
}

int cuda_sgd(struct device *d, const struct device_sgd *given, struct message *m)
{
    struct device_sgd s = *given;
    if (s.count % DEVICE_FLAG_FLOATS != 0)
        return message_set(m, STATUS_MISMATCH, "sgd: %zu parameters, want a multiple of %d", s.count,
                           (int)DEVICE_FLAG_FLOATS);
    BY_TYPE(
        m, s.copy_type,
        LAUNCH((sgd_step<T>), launch_blocks(s.count / 4), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], s, (T *)s.copy));
    return kernel_queued(m, "sgd");
}

static __global__ void blend_values(float *average, const float *values, size_t count,
                                    const struct device_scalars *scalars, const struct device_scale *scale)
{
    if (scale && scale->overflow)
        return;
    const float share = scalars->share;
    for (size_t i = GRID_INDEX; i < count; i += GRID_STRIDE)
        average[i] += share * (values[i] - average[i]);
}

int cuda_blend(struct device *d, float *average, const float *values, size_t count,
               const struct device_scalars *scalars, const struct device_scale *scale, struct message *m)
{
    LAUNCH(blend_values, launch_blocks(count), LAUNCH_THREADS, d->queue[QUEUE_COMPUTE], average, values, count,
           scalars, scale);
    return kernel_queued(m, "blend");
}
