/* cuDNN's convolutions, as far as lib/kernel/device/cuda calls them: NHWC, dense, one group. */
#include "tests/cuda/emulation/dnn.h"
#include <stdio.h>
#include <string.h>
#include <algorithm>
#include <vector>

static char last_reason[200];

cudnnStatus_t dnn_refuse(cudnnStatus_t status, const char *reason)
{
    snprintf(last_reason, sizeof last_reason, "%s", reason);
    return status;
}

extern "C" {

size_t cudnnGetVersion(void)
{
    return CUDNN_VERSION;
}

void cudnnGetLastErrorString(char *message, size_t size)
{
    snprintf(message, size, "%s", last_reason);
    last_reason[0] = 0;
}

const char *cudnnGetErrorString(cudnnStatus_t status)
{
    switch (status) {
    case CUDNN_STATUS_SUCCESS:
        return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_BAD_PARAM:
        return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_NOT_SUPPORTED:
        return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_EXECUTION_FAILED:
        return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
        return "CUDNN_STATUS_INTERNAL_ERROR";
    }
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    if (emulate_failure("cudnnCreate"))
        return CUDNN_STATUS_NOT_INITIALIZED;
    *handle = (cudnnHandle_t)malloc(1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t, cudaStream_t)
{
    return CUDNN_STATUS_SUCCESS;
}

/* ---- descriptors ---- */

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *t)
{
    *t = new cudnnTensorStruct();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t t, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w)
{
    if (format != CUDNN_TENSOR_NHWC)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "emulation: NHWC alone");
    *t = {type, n, h, w, c};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t t)
{
    delete t;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *f)
{
    *f = new cudnnFilterStruct();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t f, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w)
{
    if (format != CUDNN_TENSOR_NHWC || h != w)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "emulation: square NHWC filters alone");
    *f = {type, k, c, h};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t f)
{
    delete f;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *c)
{
    *c = new cudnnConvolutionStruct();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t c, int pad_h, int pad_w, int u, int v,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute)
{
    if (pad_h != pad_w || u != v || dilation_h != 1 || dilation_w != 1 || mode != CUDNN_CROSS_CORRELATION ||
        compute != CUDNN_DATA_FLOAT)
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "emulation: no such convolution");
    c->pad = pad_h, c->stride = u, c->math = CUDNN_DEFAULT_MATH;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t c, cudnnMathType_t math)
{
    c->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t c)
{
    delete c;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t x,
                                                    cudnnFilterDescriptor_t f, int *n, int *k, int *h, int *w)
{
    *n = x->n, *k = f->k;
    *h = (x->h + 2 * c->pad - f->side) / c->stride + 1;
    *w = (x->w + 2 * c->pad - f->side) / c->stride + 1;
    return CUDNN_STATUS_SUCCESS;
}
}

/* ---- the arithmetic ---- */

enum pass { FORWARD, DATA, FILTER };

struct work {
    enum pass pass;
    cudnnTensorStruct x, y;
    cudnnFilterStruct f;
    cudnnConvolutionStruct c;
    const void *a, *b; /* forward: x, w; data: dy, w; filter: x, dy */
    void *to;
    double beta;
    bool single; /* sums are rounded to float on the way */
};

static double operand(const struct work *k, const void *p, size_t i)
{
    double v = value_at(p, dnn_value_type(k->x.type), i);
    return k->x.type == CUDNN_DATA_FLOAT && k->c.math != CUDNN_FMA_MATH ? tf32_rounded(v) : v;
}

static double rounded(const struct work *k, double sum)
{
    return k->single ? (double)(float)sum : sum;
}

/* Every product once, added to where its pass wants it. */
static void convolve(const struct work *k)
{
    const cudnnTensorStruct &x = k->x, &y = k->y;
    int side = k->f.side;
    size_t outputs = k->pass == FORWARD ? dnn_count(&y)
                     : k->pass == DATA  ? dnn_count(&x)
                                        : (size_t)k->f.k * side * side * k->f.c;
    std::vector<double> sums(outputs, 0.0);
    for (int n = 0; n < y.n; n++)
        for (int oy = 0; oy < y.h; oy++)
            for (int ox = 0; ox < y.w; ox++)
                for (int r = 0; r < side; r++)
                    for (int t = 0; t < side; t++) {
                        int iy = oy * k->c.stride - k->c.pad + r, ix = ox * k->c.stride - k->c.pad + t;
                        if (iy < 0 || iy >= x.h || ix < 0 || ix >= x.w)
                            continue;
                        size_t at_x = ((size_t)(n * x.h + iy) * x.w + ix) * x.c;
                        size_t at_y = ((size_t)(n * y.h + oy) * y.w + ox) * y.c;
                        for (int o = 0; o < y.c; o++) {
                            size_t at_w = ((size_t)(o * side + r) * side + t) * x.c;
                            for (int i = 0; i < x.c; i++) {
                                if (k->pass == FORWARD)
                                    sums[at_y + o] = rounded(k, sums[at_y + o] + operand(k, k->a, at_x + i) *
                                                                                     operand(k, k->b, at_w + i));
                                else if (k->pass == DATA)
                                    sums[at_x + i] += operand(k, k->a, at_y + o) * operand(k, k->b, at_w + i);
                                else
                                    sums[at_w + i] += operand(k, k->a, at_x + i) * operand(k, k->b, at_y + o);
                            }
                        }
                    }
    enum value_type type = dnn_value_type(x.type);
    for (size_t i = 0; i < outputs; i++)
        value_set(k->to, type, i, sums[i] + (k->beta != 0 ? k->beta * value_at(k->to, type, i) : 0));
}

/* ---- algorithms: what is made up about each, so that a choice among them can be seen ---- */

struct made_up {
    int algorithm;
    cudnnDeterminism_t determinism;
    cudnnStatus_t status;
    size_t memory;
};

static const std::vector<struct made_up> algorithms[] = {
    {{CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED, CUDNN_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 1 << 16},
     {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM, CUDNN_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 4096},
     {CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM, CUDNN_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 0},
     {CUDNN_CONVOLUTION_FWD_ALGO_FFT, CUDNN_DETERMINISTIC, CUDNN_STATUS_NOT_SUPPORTED, 0}},
    {{CUDNN_CONVOLUTION_BWD_DATA_ALGO_0, CUDNN_NON_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 0},
     {CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, CUDNN_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 2048}},
    {{CUDNN_CONVOLUTION_BWD_FILTER_ALGO_3, CUDNN_NON_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 512},
     {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, CUDNN_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 4000},
     {CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0, CUDNN_NON_DETERMINISTIC, CUDNN_STATUS_SUCCESS, 0}}};

static cudnnStatus_t submit(const struct work &w, int algorithm, const void *workspace, size_t bytes)
{
    static const char *const names[] = {"cudnnConvolutionForward", "cudnnConvolutionBackwardData",
                                        "cudnnConvolutionBackwardFilter"};
    if (emulate_failure(names[w.pass]))
        return CUDNN_STATUS_EXECUTION_FAILED;
    if (w.x.type != w.y.type || w.x.type != w.f.type || w.x.c != w.f.c || w.y.c != w.f.k)
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "emulation: descriptors that do not fit");
    for (const struct made_up &a : algorithms[w.pass])
        if (a.algorithm == algorithm) {
            if (bytes < a.memory || (a.memory > 0 && !workspace))
                return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "emulation: too little workspace");
            struct work its = w;
            its.single = w.pass == FORWARD && algorithm == CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_GEMM;
            emulate_submit([=] { convolve(&its); });
            return CUDNN_STATUS_SUCCESS;
        }
    return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "emulation: no such algorithm");
}

/* RESQ_EMULATION_CONV=indirect: of the forward algorithms only Winograd's works; reversed: what was the fastest is the
 * slowest. */
static bool is_missing(enum pass pass, int algorithm)
{
    const char *text = getenv("RESQ_EMULATION_CONV");
    return text && strcmp(text, "indirect") == 0 && pass == FORWARD &&
           algorithm != CUDNN_CONVOLUTION_FWD_ALGO_WINOGRAD_NONFUSED;
}

template <typename P> static cudnnStatus_t find(enum pass pass, cudnnMathType_t math, int wanted, int *count, P *to)
{
    const char *text = getenv("RESQ_EMULATION_CONV");
    std::vector<struct made_up> all = algorithms[pass];
    *count = 0;
    if (text && strcmp(text, "reversed") == 0)
        std::reverse(all.begin(), all.end());
    for (const struct made_up &a : all) {
        if (*count == wanted)
            break;
        P &p = to[(*count)++];
        memset(&p, 0, sizeof p);
        p.algo = (decltype(p.algo))a.algorithm;
        p.status = is_missing(pass, a.algorithm) ? CUDNN_STATUS_NOT_SUPPORTED : a.status, p.memory = a.memory,
        p.determinism = a.determinism, p.mathType = math;
        p.time = (float)*count;
    }
    return CUDNN_STATUS_SUCCESS;
}

extern "C" {

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t, const void *, cudnnTensorDescriptor_t x, const void *px,
                                      cudnnFilterDescriptor_t f, const void *pw, cudnnConvolutionDescriptor_t c,
                                      cudnnConvolutionFwdAlgo_t algorithm, void *workspace, size_t bytes,
                                      const void *beta, cudnnTensorDescriptor_t y, void *py)
{
    struct work w = {FORWARD, *x, *y, *f, *c, px, pw, py, (double)*(const float *)beta, false};
    return submit(w, algorithm, workspace, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t, const void *, cudnnFilterDescriptor_t f, const void *pw,
                                           cudnnTensorDescriptor_t y, const void *pdy,
                                           cudnnConvolutionDescriptor_t c, cudnnConvolutionBwdDataAlgo_t algorithm,
                                           void *workspace, size_t bytes, const void *beta,
                                           cudnnTensorDescriptor_t x, void *pdx)
{
    struct work w = {DATA, *x, *y, *f, *c, pdy, pw, pdx, (double)*(const float *)beta, false};
    return submit(w, algorithm, workspace, bytes);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t, const void *, cudnnTensorDescriptor_t x, const void *px,
                                             cudnnTensorDescriptor_t y, const void *pdy,
                                             cudnnConvolutionDescriptor_t c,
                                             cudnnConvolutionBwdFilterAlgo_t algorithm, void *workspace,
                                             size_t bytes, const void *beta, cudnnFilterDescriptor_t f, void *pdw)
{
    struct work w = {FILTER, *x, *y, *f, *c, px, pdy, pdw, (double)*(const float *)beta, false};
    return submit(w, algorithm, workspace, bytes);
}

cudnnStatus_t cudnnFindConvolutionForwardAlgorithmEx(cudnnHandle_t, cudnnTensorDescriptor_t, const void *,
                                                     cudnnFilterDescriptor_t, const void *,
                                                     cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t,
                                                     void *, int wanted, int *count,
                                                     cudnnConvolutionFwdAlgoPerf_t *to, void *, size_t)
{
    return find(FORWARD, c->math, wanted, count, to);
}

cudnnStatus_t cudnnFindConvolutionBackwardDataAlgorithmEx(cudnnHandle_t, cudnnFilterDescriptor_t, const void *,
                                                          cudnnTensorDescriptor_t, const void *,
                                                          cudnnConvolutionDescriptor_t c, cudnnTensorDescriptor_t,
                                                          void *, int wanted, int *count,
                                                          cudnnConvolutionBwdDataAlgoPerf_t *to, void *, size_t)
{
    return find(DATA, c->math, wanted, count, to);
}

cudnnStatus_t cudnnFindConvolutionBackwardFilterAlgorithmEx(cudnnHandle_t, cudnnTensorDescriptor_t, const void *,
                                                            cudnnTensorDescriptor_t, const void *,
                                                            cudnnConvolutionDescriptor_t c, cudnnFilterDescriptor_t,
                                                            void *, int wanted, int *count,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t *to, void *, size_t)
{
    return find(FILTER, c->math, wanted, count, to);
}
}
