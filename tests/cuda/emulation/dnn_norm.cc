/* cuDNN's fused batch norm: f16 alone, as the real one has it. Its mask of the relu is a byte a value in the
 * reserve. RESQ_EMULATION_NORM=none: there is no such form; =wrong: it gives another result;
 * =unsteady: another one each time. */
#include "tests/cuda/emulation/dnn.h"
#include <math.h>
#include <string.h>
#include <vector>

static bool wish(const char *what)
{
    const char *text = getenv("RESQ_EMULATION_NORM");
    return text && strcmp(text, what) == 0;
}

static cudnnStatus_t check(const cudnnTensorStruct *x, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t what,
                           cudnnTensorDescriptor_t z, cudnnActivationDescriptor_t relu)
{
    if (x->type != CUDNN_DATA_HALF || x->c % 4 != 0 || mode != CUDNN_BATCHNORM_SPATIAL_PERSISTENT || wish("none"))
        return dnn_refuse(CUDNN_STATUS_NOT_SUPPORTED, "emulation: no fused batch norm");
    if ((what == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION) != (z != NULL) ||
        (what != CUDNN_BATCHNORM_OPS_BN) != (relu != NULL))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "emulation: operands that do not fit");
    return CUDNN_STATUS_SUCCESS;
}

struct forward {
    cudnnTensorStruct t;
    const void *x, *z;
    const float *gamma, *beta;
    float *running_mean, *running_variance, *saved_mean, *saved_inv_std;
    void *y;
    unsigned char *mask;
    double factor, eps;
    bool relu;
};

static void run_forward(const struct forward *f)
{
    size_t c = (size_t)f->t.c, rows = dnn_count(&f->t) / c;
    for (size_t k = 0; k < c; k++) {
        double sum = 0, squares = 0;
        for (size_t r = 0; r < rows; r++) {
            double v = value_at(f->x, VALUE_F16, r * c + k);
            sum += v, squares += v * v;
        }
        double mean = sum / (double)rows, variance = squares / (double)rows - mean * mean;
        variance = variance > 0 ? variance : 0;
        double inv_std = 1 / sqrt(variance + f->eps);
        double unbiased = rows > 1 ? variance * (double)rows / (double)(rows - 1) : variance;
        f->saved_mean[k] = (float)mean, f->saved_inv_std[k] = (float)inv_std;
        f->running_mean[k] = (float)((1 - f->factor) * (double)f->running_mean[k] + f->factor * mean);
        f->running_variance[k] = (float)((1 - f->factor) * (double)f->running_variance[k] + f->factor * unbiased);
        for (size_t r = 0; r < rows; r++) {
            size_t i = r * c + k;
            double v = (value_at(f->x, VALUE_F16, i) - mean) * inv_std * (double)f->gamma[k] + (double)f->beta[k];
            v += f->z ? value_at(f->z, VALUE_F16, i) : 0;
            if (f->relu) {
                f->mask[i] = v > 0;
                v = v < 0 ? 0 : v;
            }
            value_set(f->y, VALUE_F16, i, wish("wrong") ? v + 1 : v);
        }
    }
}

struct backward {
    cudnnTensorStruct t;
    const void *x, *dy;
    const float *gamma, *saved_mean, *saved_inv_std;
    const unsigned char *mask;
    void *dx, *dz;
    float *dgamma, *dbeta;
    bool relu;
};

static void run_backward(const struct backward *b)
{
    size_t c = (size_t)b->t.c, rows = dnn_count(&b->t) / c;
    for (size_t k = 0; k < c; k++) {
        double mean = (double)b->saved_mean[k], inv_std = (double)b->saved_inv_std[k], sum = 0, along = 0;
        for (int turn = 0; turn < 2; turn++)
            for (size_t r = 0; r < rows; r++) {
                size_t i = r * c + k;
                double g = b->relu && !b->mask[i] ? 0 : value_at(b->dy, VALUE_F16, i);
                double xhat = (value_at(b->x, VALUE_F16, i) - mean) * inv_std;
                if (turn == 0) {
                    sum += g, along += g * xhat;
                    continue;
                }
                if (b->dz)
                    value_set(b->dz, VALUE_F16, i, g);
                value_set(b->dx, VALUE_F16, i,
                          (double)b->gamma[k] * inv_std * (g - sum / (double)rows - xhat * along / (double)rows));
            }
        static int times;
        along += wish("unsteady") ? 1e-3 * ++times : 0;
        b->dgamma[k] = (float)along, b->dbeta[k] = (float)sum;
    }
}

extern "C" {

cudnnStatus_t cudnnDeriveBNTensorDescriptor(cudnnTensorDescriptor_t to, cudnnTensorDescriptor_t x,
                                            cudnnBatchNormMode_t)
{
    *to = {CUDNN_DATA_FLOAT, 1, 1, 1, x->c};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t *a)
{
    *a = new cudnnActivationStruct();
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t a, cudnnActivationMode_t mode,
                                           cudnnNanPropagation_t, double)
{
    a->mode = mode;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t a)
{
    delete a;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(
    cudnnHandle_t, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t what, cudnnTensorDescriptor_t x,
    cudnnTensorDescriptor_t z, cudnnTensorDescriptor_t, cudnnTensorDescriptor_t, cudnnActivationDescriptor_t relu,
    size_t *bytes)
{
    *bytes = 1000;
    return check(x, mode, what, z, relu);
}

cudnnStatus_t cudnnGetBatchNormalizationBackwardExWorkspaceSize(cudnnHandle_t, cudnnBatchNormMode_t mode,
                                                                cudnnBatchNormOps_t what, cudnnTensorDescriptor_t x,
                                                                cudnnTensorDescriptor_t, cudnnTensorDescriptor_t,
                                                                cudnnTensorDescriptor_t dz, cudnnTensorDescriptor_t,
                                                                cudnnTensorDescriptor_t,
                                                                cudnnActivationDescriptor_t relu, size_t *bytes)
{
    *bytes = 2000;
    return check(x, mode, what, dz, relu);
}

cudnnStatus_t cudnnGetBatchNormalizationTrainingExReserveSpaceSize(cudnnHandle_t, cudnnBatchNormMode_t,
                                                                   cudnnBatchNormOps_t, cudnnActivationDescriptor_t,
                                                                   cudnnTensorDescriptor_t x, size_t *bytes)
{
    *bytes = dnn_count(x);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationForwardTrainingEx(
    cudnnHandle_t, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t what, const void *, const void *,
    cudnnTensorDescriptor_t x, const void *px, cudnnTensorDescriptor_t z, const void *pz, cudnnTensorDescriptor_t,
    void *py, cudnnTensorDescriptor_t, const void *gamma, const void *beta, double factor, void *running_mean,
    void *running_variance, double eps, void *saved_mean, void *saved_inv_std, cudnnActivationDescriptor_t relu,
    void *, size_t bytes, void *reserve, size_t reserve_bytes)
{
    cudnnStatus_t status = check(x, mode, what, z, relu);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (bytes < 1000 || reserve_bytes < dnn_count(x) || (z && !pz))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "emulation: too little memory");
    struct forward f = {*x,
                        px,
                        z ? pz : NULL,
                        (const float *)gamma,
                        (const float *)beta,
                        (float *)running_mean,
                        (float *)running_variance,
                        (float *)saved_mean,
                        (float *)saved_inv_std,
                        py,
                        (unsigned char *)reserve,
                        factor,
                        eps,
                        relu != NULL};
    emulate_submit([=] { run_forward(&f); });
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBatchNormalizationBackwardEx(cudnnHandle_t, cudnnBatchNormMode_t mode, cudnnBatchNormOps_t what,
                                                const void *, const void *, const void *, const void *,
                                                cudnnTensorDescriptor_t x, const void *px, cudnnTensorDescriptor_t,
                                                const void *, cudnnTensorDescriptor_t, const void *dy,
                                                cudnnTensorDescriptor_t dz, void *pdz, cudnnTensorDescriptor_t,
                                                void *dx, cudnnTensorDescriptor_t, const void *gamma, const void *,
                                                void *dgamma, void *dbeta, double, const void *saved_mean,
                                                const void *saved_inv_std, cudnnActivationDescriptor_t relu, void *,
                                                size_t bytes, void *reserve, size_t reserve_bytes)
{
    cudnnStatus_t status = check(x, mode, what, dz, relu);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (bytes < 2000 || reserve_bytes < dnn_count(x) || (dz && !pdz))
        return dnn_refuse(CUDNN_STATUS_BAD_PARAM, "emulation: too little memory");
    struct backward b = {*x,
                         px,
                         dy,
                         (const float *)gamma,
                         (const float *)saved_mean,
                         (const float *)saved_inv_std,
                         (const unsigned char *)reserve,
                         dx,
                         dz ? pdz : NULL,
                         (float *)dgamma,
                         (float *)dbeta,
                         relu != NULL};
    emulate_submit([=] { run_backward(&b); });
    return CUDNN_STATUS_SUCCESS;
}
}
