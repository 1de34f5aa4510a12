/* Convolutions of floats: cuDNN's legacy interface, which is called in this file alone (batch norm: norm_dnn.c).
 *
 * Each pass of a plan has its own algorithm, chosen once by cuDNN's own measurement on memory of the right size. By
 * default one that gives the same bits each time and sums products of the operands themselves: Winograd and Fourier
 * transforms round their operands first, and come only where there is nothing else. `fast` takes whatever is
 * fastest.
 */
#include "base/memory.h"
#include "kernel/device/cuda/dnn.h"
#include <string.h>

enum { MOST = 16 }; /* algorithms that cuDNN may name, each once for every kind of arithmetic */

struct conv_plan {
    struct device_plan base;
    struct device_conv conv;
    cudnnTensorDescriptor_t x, y;
    cudnnFilterDescriptor_t w;
    cudnnConvolutionDescriptor_t how[DEVICE_PASSES]; /* the kind of arithmetic belongs to the algorithm */
    int algorithm[DEVICE_PASSES];
    size_t bytes[DEVICE_PASSES]; /* of workspace */
    size_t narrow_at;            /* in the workspace: the weights' gradient in 16 bits */
};

/* Memory of the right sizes to measure on. */
struct trial {
    void *x, *w, *y, *workspace;
    size_t limit; /* of workspace */
};

static const char *const names[DEVICE_PASSES][8] = {
    {"implicit-gemm", "implicit-precomp-gemm", "gemm", "direct", "fft", "fft-tiling", "winograd",
     "winograd-nonfused"},
    {"0", "1", "fft", "fft-tiling", "winograd", "winograd-nonfused", NULL, NULL},
    {"0", "1", "fft", "3", "winograd", "winograd-nonfused", "fft-tiling", NULL}};

static int is_direct(enum device_pass pass, int algorithm)
{
    const char *name = algorithm >= 0 && algorithm < 8 ? names[pass][algorithm] : NULL;
    return name && strncmp(name, "fft", 3) != 0 && strncmp(name, "winograd", 8) != 0;
}

static void plan_release(struct device_plan *base)
{
    struct conv_plan *p = (struct conv_plan *)base;
    for (int i = 0; i < DEVICE_PASSES; i++)
        if (p->how[i])
            (void)cudnnDestroyConvolutionDescriptor(p->how[i]);
    if (p->w)
        (void)cudnnDestroyFilterDescriptor(p->w);
    if (p->x)
        (void)cudnnDestroyTensorDescriptor(p->x);
    if (p->y)
        (void)cudnnDestroyTensorDescriptor(p->y);
    memory_free(p);
}

/* ---- descriptors ---- */

static cudnnMathType_t math_wanted(const struct device *d, enum device_type type)
{
    if (type != DEVICE_F32)
        return CUDNN_TENSOR_OP_MATH;
    return d->options.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH;
}

static int describe(const struct device *d, struct conv_plan *p, struct message *m)
{
    const struct device_conv *c = &p->conv;
    TRY(dnn_tensor(&p->x, c->n, c->h, c->w, c->c, c->type, m));
    TRY(dnn_tensor(&p->y, c->n, c->out_h, c->out_w, c->k, c->type, m));
    DNN_TRY(m, cudnnCreateFilterDescriptor(&p->w));
    DNN_TRY(m, cudnnSetFilter4dDescriptor(p->w, dnn_type(c->type), CUDNN_TENSOR_NHWC, c->k, c->c, c->kernel,
                                          c->kernel));
    for (int i = 0; i < DEVICE_PASSES; i++) {
        DNN_TRY(m, cudnnCreateConvolutionDescriptor(&p->how[i]));
        DNN_TRY(m, cudnnSetConvolution2dDescriptor(p->how[i], c->pad, c->pad, c->stride, c->stride, 1, 1,
                                                   CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT));
        DNN_TRY(m, cudnnSetConvolutionMathType(p->how[i], math_wanted(d, c->type)));
    }
    int n, k, h, w;
    DNN_TRY(m, cudnnGetConvolution2dForwardOutputDim(p->how[0], p->x, p->w, &n, &k, &h, &w));
    if (n != c->n || k != c->k || h != c->out_h || w != c->out_w)
        return message_set(m, STATUS_MISMATCH, "a convolution's output is %dx%d, not %dx%d", h, w, c->out_h,
                           c->out_w);
    return 0;
}

/* ---- one pass, whichever ---- */

static cudnnStatus_t run_pass(const struct device *d, const struct conv_plan *p, enum device_pass pass,
                              const void *a, const void *b, float beta, void *to, void *workspace)
{
    const float alpha = 1;
    switch (pass) {
    case DEVICE_FORWARD:
        return cudnnConvolutionForward(d->dnn, &alpha, p->x, a, p->w, b, p->how[pass],
                                       (cudnnConvolutionFwdAlgo_t)p->algorithm[pass], workspace, p->bytes[pass],
                                       &beta, p->y, to);
    case DEVICE_DATA:
        return cudnnConvolutionBackwardData(d->dnn, &alpha, p->w, b, p->y, a, p->how[pass],
                                            (cudnnConvolutionBwdDataAlgo_t)p->algorithm[pass], workspace,
                                            p->bytes[pass], &beta, p->x, to);
    default:
        return cudnnConvolutionBackwardFilter(d->dnn, &alpha, p->x, a, p->y, b, p->how[pass],
                                              (cudnnConvolutionBwdFilterAlgo_t)p->algorithm[pass], workspace,
                                              p->bytes[pass], &beta, p->w, to);
    }
}

static const char *const functions[DEVICE_PASSES] = {"cudnnConvolutionForward", "cudnnConvolutionBackwardData",
                                                     "cudnnConvolutionBackwardFilter"};

/* cuDNN has one struct a pass for what it measured, with the same fields. */
#define CANDIDATES_FROM(found, pass)                                                                    \
    for (int i = 0; i < count; i++)                                                                     \
        to[i] = (struct candidate)                                                                      \
        {                                                                                               \
            (int)(found)[i].algo, (found)[i].status == CUDNN_STATUS_SUCCESS,                            \
                (found)[i].determinism == CUDNN_DETERMINISTIC, is_direct((pass), (int)(found)[i].algo), \
                (int)(found)[i].mathType, (found)[i].memory                                             \
        }

/* All algorithms of a pass, the fastest first; how many. */
static int measure(const struct device *d, const struct conv_plan *p, enum device_pass pass, const struct trial *t,
                   struct candidate *to, struct message *m)
{
    int count = 0;
    if (pass == DEVICE_FORWARD) {
        cudnnConvolutionFwdAlgoPerf_t found[MOST];
        DNN_TRY(m, cudnnFindConvolutionForwardAlgorithmEx(d->dnn, p->x, t->x, p->w, t->w, p->how[pass], p->y, t->y,
                                                          MOST, &count, found, t->workspace, t->limit));
        CANDIDATES_FROM(found, pass);
    } else if (pass == DEVICE_DATA) {
        cudnnConvolutionBwdDataAlgoPerf_t found[MOST];
        DNN_TRY(m, cudnnFindConvolutionBackwardDataAlgorithmEx(d->dnn, p->w, t->w, p->y, t->y, p->how[pass], p->x,
                                                               t->x, MOST, &count, found, t->workspace, t->limit));
        CANDIDATES_FROM(found, pass);
    } else {
        cudnnConvolutionBwdFilterAlgoPerf_t found[MOST];
        DNN_TRY(m,
                cudnnFindConvolutionBackwardFilterAlgorithmEx(d->dnn, p->x, t->x, p->y, t->y, p->how[pass], p->w,
                                                              t->w, MOST, &count, found, t->workspace, t->limit));
        CANDIDATES_FROM(found, pass);
    }
    return count;
}

/* Takes a candidate and runs it: what cuDNN measured under one kind of arithmetic must also run under the plan's.
 */
static int attempt(const struct device *d, struct conv_plan *p, enum device_pass pass, const struct candidate *c,
                   const struct trial *t, struct message *m)
{
    /* Never TF32 unasked, whatever was measured. */
    cudnnMathType_t math =
        p->conv.type == DEVICE_F32 && !d->options.tf32 ? CUDNN_FMA_MATH : (cudnnMathType_t)c->math;
    DNN_TRY(m, cudnnSetConvolutionMathType(p->how[pass], math));
    p->algorithm[pass] = c->algorithm;
    p->bytes[pass] = c->memory;
    const void *a = pass == DEVICE_DATA ? t->y : t->x, *b = pass == DEVICE_WEIGHT ? t->y : t->w;
    void *to = pass == DEVICE_FORWARD ? t->y : pass == DEVICE_DATA ? t->x : t->w;
    cudnnStatus_t status = run_pass(d, p, pass, a, b, 0, to, t->workspace);
    if (status != CUDNN_STATUS_SUCCESS)
        return dnn_failure(m, status, functions[pass]);
    CUDA_TRY(m, cudaStreamSynchronize(d->queue[QUEUE_COMPUTE]));
    return 0;
}

static int choose(const struct device *d, struct conv_plan *p, enum device_pass pass, int is_fixed,
                  const struct trial *t, struct message *m)
{
    struct candidate all[MOST];
    int count = measure(d, p, pass, t, all, m), status = STATUS_OK;
    TRY(count);
    if (is_fixed)
        candidates_settle(all, count, (int)math_wanted(d, p->conv.type));
    enum candidate_level level = d->options.fast ? CANDIDATE_ANY : CANDIDATE_EXACT;
    enum candidate_level last = d->options.fast ? CANDIDATE_ANY : CANDIDATE_REPEATS;
    for (; level <= last; level++)
        for (int i = candidate_next(all, count, 0, level, t->limit); i >= 0;
             i = candidate_next(all, count, i + 1, level, t->limit)) {
            status = attempt(d, p, pass, &all[i], t, m);
            if (status >= 0) {
                p->base.algorithm[pass] = names[pass][all[i].algorithm];
                return 0;
            }
        }
    return status < 0 ? status
                      : message_set(m, STATUS_UNSUPPORTED, "%s: no %salgorithm within %zu bytes of workspace",
                                    functions[pass], d->options.fast ? "" : "deterministic ", t->limit);
}

/* ---- planning ---- */

static size_t weight_count(const struct device_conv *c)
{
    return (size_t)c->k * (size_t)c->kernel * (size_t)c->kernel * (size_t)c->c;
}

/* Filled with bytes that are ordinary small numbers in every type. */
static int trial_memory(const struct device *d, size_t bytes, void **p, struct message *m)
{
    TRY(device_memory_new(bytes, p, m));
    CUDA_TRY(m, cudaMemsetAsync(*p, 0x3c, bytes, d->queue[QUEUE_COMPUTE]));
    return 0;
}

static int trial_open(const struct device *d, const struct device_conv *c, size_t limit, struct trial *t,
                      struct message *m)
{
    size_t each = type_bytes(c->type);
    TRY(trial_memory(d, tensor_count(c->n, c->h, c->w, c->c) * each, &t->x, m));
    TRY(trial_memory(d, tensor_count(c->n, c->out_h, c->out_w, c->k) * each, &t->y, m));
    TRY(trial_memory(d, weight_count(c) * each, &t->w, m));
    /* Less workspace is better than no plan. */
    for (t->limit = limit; t->limit > 0; t->limit /= 2)
        if (device_memory_new(t->limit, &t->workspace, NULL) >= 0)
            break;
    return 0;
}

static void trial_close(struct trial *t)
{
    device_memory_free(t->x), device_memory_free(t->y), device_memory_free(t->w), device_memory_free(t->workspace);
}

static int plan_make(const struct device *d, struct conv_plan *p, unsigned passes, size_t limit, struct message *m)
{
    struct trial t = {NULL, NULL, NULL, NULL, 0};
    int status = describe(d, p, m);
    if (status >= 0)
        status = trial_open(d, &p->conv, limit, &t, m);
    for (int pass = 0; status >= 0 && pass < DEVICE_PASSES; pass++)
        if (passes & 1u << pass)
            status = choose(d, p, (enum device_pass)pass, (passes & (unsigned)DEVICE_FIXED) != 0, &t, m);
    trial_close(&t);
    if (status < 0)
        return status;
    for (int pass = 0; pass < DEVICE_PASSES; pass++)
        p->base.workspace = p->bytes[pass] > p->base.workspace ? p->bytes[pass] : p->base.workspace;
    p->narrow_at = round_up(p->bytes[DEVICE_WEIGHT], DEVICE_ALIGNMENT);
    if (p->base.algorithm[DEVICE_WEIGHT] && p->conv.type != DEVICE_F32) {
        size_t end = p->narrow_at + weight_count(&p->conv) * type_bytes(p->conv.type);
        p->base.workspace = end > p->base.workspace ? end : p->base.workspace;
    }
    return 0;
}

int conv_float_plan(struct device *d, const struct device_conv *c, unsigned passes, size_t workspace_limit,
                    struct device_plan **p, struct message *m)
{
    struct conv_plan *new = memory_new(1, sizeof *new, m);
    if (!new)
        return STATUS_NOMEM;
    new->base.free = plan_release;
    new->conv = *c;
    int status = plan_make(d, new, passes, workspace_limit, m);
    if (status < 0) {
        plan_release(&new->base);
        return message_prefix(m, status, "%dx%d convolution %dx%dx%d -> %d", c->kernel, c->kernel, c->h, c->w, c->c,
                              c->k);
    }
    *p = &new->base;
    return 0;
}

/* ---- the passes ---- */

int cuda_conv_forward(struct device *d, struct device_plan *base, const struct device_conv_call *call,
                      struct message *m)
{
    const struct conv_plan *p = (const struct conv_plan *)base;
    const struct device_conv *c = &p->conv;
    int in_place = call->other == call->y; /* then cuDNN adds it */
    cudnnStatus_t status =
        run_pass(d, p, DEVICE_FORWARD, call->x, call->w, in_place ? 1.0f : 0.0f, call->y, call->workspace);
    if (status != CUDNN_STATUS_SUCCESS)
        return dnn_failure(m, status, functions[DEVICE_FORWARD]);
    if (!call->bias && !call->relu && (in_place || !call->other))
        return 0;
    size_t rows = (size_t)c->n * (size_t)c->out_h * (size_t)c->out_w;
    const struct device_scale_shift_call epilogue = {.type = c->type,
                                                     .x = call->y,
                                                     .rows = rows,
                                                     .c = c->k,
                                                     .shift = call->bias,
                                                     .other = in_place ? NULL : call->other,
                                                     .relu = call->relu,
                                                     .y = call->y};
    return cuda_scale_shift(d, &epilogue, m);
}

int cuda_conv_data(struct device *d, struct device_plan *base, const struct device_conv_data_call *call,
                   struct message *m)
{
    const struct conv_plan *p = (const struct conv_plan *)base;
    cudnnStatus_t status =
        run_pass(d, p, DEVICE_DATA, call->dy, call->w, call->accumulate ? 1.0f : 0.0f, call->dx, call->workspace);
    return status == CUDNN_STATUS_SUCCESS ? 0 : dnn_failure(m, status, functions[DEVICE_DATA]);
}

int cuda_conv_weight(struct device *d, struct device_plan *base, const void *x, const void *dy, float *dw,
                     void *workspace, struct message *m)
{
    const struct conv_plan *p = (const struct conv_plan *)base;
    int is_f32 = p->conv.type == DEVICE_F32;
    void *to = is_f32 ? (void *)dw : byte_offset(workspace, p->narrow_at);
    cudnnStatus_t status = run_pass(d, p, DEVICE_WEIGHT, x, dy, 0, to, workspace);
    if (status != CUDNN_STATUS_SUCCESS)
        return dnn_failure(m, status, functions[DEVICE_WEIGHT]);
    return is_f32 ? 0 : cuda_cast(d, p->conv.type, to, DEVICE_F32, dw, weight_count(&p->conv), m);
}
