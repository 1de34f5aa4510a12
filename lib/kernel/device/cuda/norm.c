/* Which way a batch norm goes: cuDNN's fused form where it is there, agrees with our own kernels on a few images,
 * and is faster on as many as there will be. What a library of another version cannot do is found here, not in a
 * step. */
#include "kernel/device/cuda/norm.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

enum { TRIAL_IMAGES = 8, TRIAL_TIMES = 5 };

/* Everything that a batch norm reads and writes, in one block of the device's memory. */
struct trial {
    char *block;
    size_t values, constants; /* bytes of a tensor, of a float a channel; rounded up */
    size_t reserve, workspace;
    struct device_norm_call forward;
    struct device_norm_backward_call backward;
};

enum { VALUES = 6, CONSTANTS = 8 };

static void trial_point(struct trial *t, const struct device_norm *n)
{
    char *at = t->block;
    void *values[VALUES], *constants[CONSTANTS];
    for (int i = 0; i < VALUES; i++, at += t->values)
        values[i] = at;
    for (int i = 0; i < CONSTANTS; i++, at += t->constants)
        constants[i] = at;
    void *x = values[0], *other = n->has_other ? values[1] : NULL, *y = values[2], *dy = values[3], *dx = values[4];
    void *reserve = at, *workspace = at + t->reserve;
    t->forward = (struct device_norm_call){
        x, other,   constants[0], constants[1], constants[2], constants[3], constants[4], constants[5],
        y, reserve, workspace};
    t->backward = (struct device_norm_backward_call){x,
                                                     y,
                                                     dy,
                                                     constants[0],
                                                     constants[1],
                                                     constants[4],
                                                     constants[5],
                                                     reserve,
                                                     dx,
                                                     n->has_other ? values[5] : NULL,
                                                     constants[6],
                                                     constants[7],
                                                     workspace};
}

static size_t trial_bytes(const struct trial *t)
{
    return t->values * VALUES + t->constants * CONSTANTS + t->reserve + t->workspace;
}

static int trial_open(struct device *d, const struct device_norm *n, const struct norm_dnn *dnn, struct trial *t,
                      struct message *m)
{
    size_t count = tensor_count(n->n, n->h, n->w, n->c), own = norm_own_workspace(n);
    t->values = round_up(count * type_bytes(n->type), DEVICE_ALIGNMENT);
    t->constants = round_up((size_t)n->c * sizeof(float), DEVICE_ALIGNMENT);
    t->reserve = round_up(norm_dnn_reserve(dnn), DEVICE_ALIGNMENT);
    t->workspace = norm_dnn_workspace(dnn) > own ? norm_dnn_workspace(dnn) : own;
    void *block = NULL;
    TRY(device_memory_new(trial_bytes(t), &block, m));
    t->block = block;
    trial_point(t, n);
    for (int i = 0; i < VALUES; i++)
        TRY(fill_run(d, n->type, t->block + (size_t)i * t->values, t->values / type_bytes(n->type), m));
    return fill_run(d, DEVICE_F32, t->block + VALUES * t->values, CONSTANTS * t->constants / sizeof(float), m);
}

static int trial_run(struct device *d, const struct device_norm *n, const struct norm_dnn *dnn,
                     const struct trial *t, struct message *m)
{
    if (dnn) {
        TRY(norm_dnn_forward(d, dnn, &t->forward, m));
        return norm_dnn_backward(d, dnn, &t->backward, m);
    }
    TRY(norm_own_forward(d, n, &t->forward, m));
    return norm_own_backward(d, n, &t->backward, m);
}

/* ---- whether both agree ---- */

/* Their results as floats: y, dx and the other's gradient; then a float a channel of six kinds. */
static int trial_results(struct device *d, const struct device_norm *n, const struct trial *t, float *to,
                         struct message *m)
{
    size_t count = tensor_count(n->n, n->h, n->w, n->c), c = (size_t)n->c;
    const void *values[] = {t->forward.y, t->backward.dx, n->has_other ? t->backward.d_other : t->backward.dx};
    const float *constants[] = {t->forward.running_mean,  t->forward.running_variance, t->forward.saved_mean,
                                t->forward.saved_inv_std, t->backward.dgamma,          t->backward.dbeta};
    void *wide = NULL;
    TRY(device_memory_new(3 * count * sizeof(float), &wide, m));
    int status = 0;
    for (size_t i = 0; i < 3 && status >= 0; i++)
        status = cuda_cast(d, n->type, values[i], DEVICE_F32, (float *)wide + i * count, count, m);
    if (status >= 0)
        status = cuda_copy_out(d, QUEUE_COMPUTE, to, wide, 3 * count * sizeof(float), m);
    for (size_t i = 0; i < 6 && status >= 0; i++)
        status = cuda_copy_out(d, QUEUE_COMPUTE, to + 3 * count + i * c, constants[i], c * sizeof(float), m);
    if (status >= 0)
        status = cuda_synchronize(d, m);
    device_memory_free(wide);
    return status;
}

static size_t result_count(const struct device_norm *n)
{
    return 3 * tensor_count(n->n, n->h, n->w, n->c) + 6 * (size_t)n->c;
}

/* Within a hundredth of the largest: 16-bit rounding is far below, another formula far above. */
static int agree(const float *a, const float *b, size_t count)
{
    float largest = 0, apart = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            return 0;
        largest = fabsf(b[i]) > largest ? fabsf(b[i]) : largest;
        apart = fabsf(a[i] - b[i]) > apart ? fabsf(a[i] - b[i]) : apart;
    }
    return apart <= 0.01f * largest;
}

static int results_agree(const struct device_norm *n, const float *a, const float *b)
{
    size_t count = tensor_count(n->n, n->h, n->w, n->c), c = (size_t)n->c;
    for (size_t i = 0; i < 3; i++, a += count, b += count)
        if (!agree(a, b, count))
            return 0;
    for (size_t i = 0; i < 6; i++, a += c, b += c)
        if (!agree(a, b, c))
            return 0;
    return 1;
}

/* 1, 0, or a failure. */
static int ways_agree(struct device *d, const struct device_norm *n, const struct norm_dnn *dnn, float *results[2],
                      struct message *m)
{
    const struct norm_dnn *ways[2] = {dnn, NULL};
    int status = 0;
    for (int way = 0; way < 2 && status >= 0; way++) {
        struct trial t = {.block = NULL};
        status = trial_open(d, n, dnn, &t, m);
        if (status >= 0)
            status = trial_run(d, n, ways[way], &t, m);
        if (status >= 0)
            status = trial_results(d, n, &t, results[way], m);
        device_memory_free(t.block);
    }
    return status < 0 ? status : results_agree(n, results[0], results[1]);
}

static int dnn_agrees(struct device *d, const struct device_norm *of, struct message *m)
{
    struct device_norm n = *of;
    struct norm_dnn *dnn = NULL;
    n.n = n.n < TRIAL_IMAGES ? n.n : TRIAL_IMAGES;
    TRY(norm_dnn_open(d, &n, &dnn, m));
    float *results[2] = {memory_new_raw(result_count(&n), sizeof(float), m),
                         memory_new_raw(result_count(&n), sizeof(float), m)};
    int status = results[0] && results[1] ? ways_agree(d, &n, dnn, results, m) : STATUS_NOMEM;
    memory_free(results[0]), memory_free(results[1]);
    norm_dnn_close(dnn);
    return status;
}

/* ---- whether cuDNN's gives the same bits each time: sums in the order of arrival would show in the statistics
 * ---- */

static int dnn_repeats(struct device *d, const struct device_norm *n, const struct norm_dnn *dnn,
                       const struct trial *t, struct message *m)
{
    size_t bytes = 4 * t->constants; /* means, deviations and both gradients lie side by side */
    char *first = memory_new_raw(2, bytes, m), *again = first ? first + bytes : NULL;
    int status = first ? 1 : STATUS_NOMEM;
    for (int i = 0; i < TRIAL_TIMES && status > 0; i++) {
        status = trial_run(d, n, dnn, t, m);
        if (status >= 0)
            status = cuda_copy_out(d, QUEUE_COMPUTE, i ? again : first, t->forward.saved_mean, bytes, m);
        if (status >= 0)
            status = cuda_synchronize(d, m);
        if (status >= 0)
            status = i == 0 || memcmp(first, again, bytes) == 0;
    }
    memory_free(first);
    return status;
}

/* ---- which is faster ---- */

static int way_seconds(struct device *d, const struct device_norm *n, const struct norm_dnn *dnn,
                       const struct trial *t, struct device_event *events[2], double *seconds, struct message *m)
{
    TRY(trial_run(d, n, dnn, t, m)); /* warm */
    TRY(cuda_event_record(d, events[0], QUEUE_COMPUTE, m));
    for (int i = 0; i < TRIAL_TIMES; i++)
        TRY(trial_run(d, n, dnn, t, m));
    TRY(cuda_event_record(d, events[1], QUEUE_COMPUTE, m));
    TRY(cuda_event_synchronize(d, events[1], m));
    return cuda_event_seconds(d, events[0], events[1], seconds, m);
}

/* 1 where cuDNN's is to be taken: it repeats itself (or need not) and is faster. */
static int dnn_is_better(struct device *d, const struct device_norm *n, const struct norm_dnn *dnn,
                         struct message *m)
{
    struct trial t = {.block = NULL};
    struct device_event *events[2] = {NULL, NULL};
    double dnn_seconds = 0, own_seconds = 0;
    int status = trial_open(d, n, dnn, &t, m), repeats = 1;
    if (status >= 0 && !d->options.fast)
        status = repeats = dnn_repeats(d, n, dnn, &t, m);
    for (int i = 0; i < 2 && status >= 0 && repeats; i++)
        status = cuda_event_new(d, &events[i], m);
    if (status >= 0 && repeats)
        status = way_seconds(d, n, dnn, &t, events, &dnn_seconds, m);
    if (status >= 0 && repeats)
        status = way_seconds(d, n, NULL, &t, events, &own_seconds, m);
    cuda_event_free(d, events[0]), cuda_event_free(d, events[1]);
    device_memory_free(t.block);
    return status < 0 ? status : repeats && dnn_seconds < own_seconds;
}

/* ---- plans ---- */

static void plan_release(struct device_plan *base)
{
    struct norm_plan *p = (struct norm_plan *)base;
    norm_dnn_close(p->dnn);
    memory_free(p);
}

/* Leaves p->dnn NULL where our own kernels are to be taken, whatever cuDNN's reason was; only a device that no
 * longer answers is a failure. */
static int choose(struct device *d, struct norm_plan *p, struct message *m)
{
    int status = norm_dnn_open(d, &p->norm, &p->dnn, m);
    if (status >= 0)
        status = dnn_agrees(d, &p->norm, m);
    if (status > 0)
        status = dnn_is_better(d, &p->norm, p->dnn, m);
    if (status <= 0) {
        norm_dnn_close(p->dnn);
        p->dnn = NULL;
    }
    return status < 0 ? cuda_synchronize(d, m) : 0;
}

int cuda_norm_plan(struct device *d, const struct device_norm *n, struct device_plan **made, struct message *m)
{
    if (tensor_count(n->n, n->h, n->w, n->c) == 0)
        return message_set(m, STATUS_RANGE, "batch norm of %dx%dx%dx%d: want 1 to 2^31 - 1 values", n->n, n->h,
                           n->w, n->c);
    if (n->type != DEVICE_F32 && n->type != DEVICE_F16 && n->type != DEVICE_BF16)
        return message_set(m, STATUS_UNSUPPORTED, "batch norm of integers");
    struct norm_plan *p = memory_new(1, sizeof *p, m);
    if (!p)
        return STATUS_NOMEM;
    p->base.free = plan_release;
    p->norm = *n;
    int status = choose(d, p, m);
    if (status >= 0)
        status = held_add(d, HELD_PLAN, p, m);
    if (status < 0) {
        plan_release(&p->base);
        return status;
    }
    const char *name = p->dnn ? "cudnn-persistent" : "own";
    p->base.algorithm[DEVICE_FORWARD] = p->base.algorithm[DEVICE_DATA] = name;
    p->base.workspace = p->dnn ? norm_dnn_workspace(p->dnn) : norm_own_workspace(n);
    p->base.reserve = p->dnn ? norm_dnn_reserve(p->dnn) : 0;
    *made = &p->base;
    return 0;
}

int cuda_norm_forward(struct device *d, struct device_plan *base, const struct device_norm_call *call,
                      struct message *m)
{
    const struct norm_plan *p = (const struct norm_plan *)base;
    return p->dnn ? norm_dnn_forward(d, p->dnn, call, m) : norm_own_forward(d, &p->norm, call, m);
}

int cuda_norm_backward(struct device *d, struct device_plan *base, const struct device_norm_backward_call *call,
                       struct message *m)
{
    const struct norm_plan *p = (const struct norm_plan *)base;
    return p->dnn ? norm_dnn_backward(d, p->dnn, call, m) : norm_own_backward(d, &p->norm, call, m);
}
