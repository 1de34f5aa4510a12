/* norm.h: batch norm has two ways. norm_own.cu: kernels of our own, for every type and shape. norm_dnn.c: cuDNN's
 * fused form, for f16; a plan takes it where it is there, agrees with the other, and is faster. */
#ifndef RESQ_KERNEL_DEVICE_CUDA_NORM_H
#define RESQ_KERNEL_DEVICE_CUDA_NORM_H

#include "kernel/device/cuda/cuda.h"

#ifdef __cplusplus
extern "C" {
#endif

struct norm_dnn;

struct norm_plan {
    struct device_plan base;
    struct device_norm norm;
    struct norm_dnn *dnn; /* NULL: our own kernels */
};

size_t norm_own_workspace(const struct device_norm *n);
int norm_own_forward(struct device *d, const struct device_norm *n, const struct device_norm_call *call,
                     struct message *m);
int norm_own_backward(struct device *d, const struct device_norm *n, const struct device_norm_backward_call *call,
                      struct message *m);

/* STATUS_UNSUPPORTED where cuDNN has nothing for this type and shape. */
int norm_dnn_open(struct device *d, const struct device_norm *n, struct norm_dnn **made, struct message *m);
void norm_dnn_close(struct norm_dnn *n);
size_t norm_dnn_workspace(const struct norm_dnn *n);
size_t norm_dnn_reserve(const struct norm_dnn *n);
int norm_dnn_forward(struct device *d, const struct norm_dnn *n, const struct device_norm_call *call,
                     struct message *m);
int norm_dnn_backward(struct device *d, const struct norm_dnn *n, const struct device_norm_backward_call *call,
                      struct message *m);

#ifdef __cplusplus
}
#endif

#endif
