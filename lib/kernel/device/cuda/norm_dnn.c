/* Batch norm, the addition and the relu in one call of cuDNN's (legacy Ex interface, NHWC). */
#include "base/memory.h"
#include "kernel/device/cuda/dnn.h"
#include "kernel/device/cuda/norm.h"

#define MODE CUDNN_BATCHNORM_SPATIAL_PERSISTENT

struct norm_dnn {
    cudnnBatchNormOps_t what;
    cudnnTensorDescriptor_t values, constants;
    cudnnActivationDescriptor_t relu; /* NULL: none */
    size_t forward_bytes, backward_bytes, reserve;
    double eps, momentum;
};

void norm_dnn_close(struct norm_dnn *n)
{
    if (!n)
        return;
    if (n->values)
        (void)cudnnDestroyTensorDescriptor(n->values);
    if (n->constants)
        (void)cudnnDestroyTensorDescriptor(n->constants);
    if (n->relu)
        (void)cudnnDestroyActivationDescriptor(n->relu);
    memory_free(n);
}

static cudnnTensorDescriptor_t other_of(const struct norm_dnn *n)
{
    return n->what == CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION ? n->values : NULL;
}

static int describe(const struct device *d, const struct device_norm *of, struct norm_dnn *n, struct message *m)
{
    TRY(dnn_tensor(&n->values, of->n, of->h, of->w, of->c, of->type, m));
    DNN_TRY(m, cudnnCreateTensorDescriptor(&n->constants));
    DNN_TRY(m, cudnnDeriveBNTensorDescriptor(n->constants, n->values, MODE));
    if (of->relu) {
        DNN_TRY(m, cudnnCreateActivationDescriptor(&n->relu));
        DNN_TRY(m, cudnnSetActivationDescriptor(n->relu, CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN, 0));
    }
    DNN_TRY(m, cudnnGetBatchNormalizationForwardTrainingExWorkspaceSize(d->dnn, MODE, n->what, n->values,
                                                                        other_of(n), n->values, n->constants,
                                                                        n->relu, &n->forward_bytes));
    cudnnTensorDescriptor_t y = of->relu ? n->values : NULL;
    DNN_TRY(m, cudnnGetBatchNormalizationBackwardExWorkspaceSize(d->dnn, MODE, n->what, n->values, y, n->values,
                                                                 other_of(n), n->values, n->constants, n->relu,
                                                                 &n->backward_bytes));
    DNN_TRY(m, cudnnGetBatchNormalizationTrainingExReserveSpaceSize(d->dnn, MODE, n->what, n->relu, n->values,
                                                                    &n->reserve));
    return 0;
}

int norm_dnn_open(struct device *d, const struct device_norm *of, struct norm_dnn **made, struct message *m)
{
    if (of->type == DEVICE_F32 || of->c % 4 != 0 || (of->has_other && !of->relu))
        return message_set(m, STATUS_UNSUPPORTED, "cuDNN fuses no batch norm of this kind");
    struct norm_dnn *n = memory_new(1, sizeof *n, m);
    if (!n)
        return STATUS_NOMEM;
    n->what = of->has_other ? CUDNN_BATCHNORM_OPS_BN_ADD_ACTIVATION
              : of->relu    ? CUDNN_BATCHNORM_OPS_BN_ACTIVATION
                            : CUDNN_BATCHNORM_OPS_BN;
    n->eps = of->eps;
    n->momentum = of->momentum;
    int status = describe(d, of, n, m);
    if (status < 0)
        norm_dnn_close(n);
    else
        *made = n;
    return status;
}

size_t norm_dnn_workspace(const struct norm_dnn *n)
{
    return n->forward_bytes > n->backward_bytes ? n->forward_bytes : n->backward_bytes;
}

size_t norm_dnn_reserve(const struct norm_dnn *n)
{
    return n->reserve;
}

int norm_dnn_forward(struct device *d, const struct norm_dnn *n, const struct device_norm_call *c,
                     struct message *m)
{
    const float one = 1, zero = 0;
    DNN_TRY(m,
            cudnnBatchNormalizationForwardTrainingEx(
                d->dnn, MODE, n->what, &one, &zero, n->values, c->x, other_of(n), c->other, n->values, c->y,
                n->constants, c->gamma, c->beta, n->momentum, c->running_mean, c->running_variance, n->eps,
                c->saved_mean, c->saved_inv_std, n->relu, c->workspace, n->forward_bytes, c->reserve, n->reserve));
    return 0;
}

int norm_dnn_backward(struct device *d, const struct norm_dnn *n, const struct device_norm_backward_call *c,
                      struct message *m)
{
    const float one = 1, zero = 0;
    int relu = n->relu != NULL;
    DNN_TRY(m, cudnnBatchNormalizationBackwardEx(
                   d->dnn, MODE, n->what, &one, &zero, &one, &zero, n->values, c->x, relu ? n->values : NULL,
                   relu ? c->y : NULL, n->values, c->dy, other_of(n), c->d_other, n->values, c->dx, n->constants,
                   c->gamma, c->beta, c->dgamma, c->dbeta, n->eps, c->saved_mean, c->saved_inv_std, n->relu,
                   c->workspace, n->backward_bytes, c->reserve, n->reserve));
    return 0;
}
