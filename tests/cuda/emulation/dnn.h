/* dnn.h: what dnn.cc and dnn_norm.cc share. */
#ifndef RESQ_TESTS_CUDA_DNN_H
#define RESQ_TESTS_CUDA_DNN_H

#include "tests/cuda/emulation/emulate.h"
#include "tests/cuda/emulation/values.h"
#include <cudnn.h>
#include <stdlib.h>

/* The types that cuDNN's header leaves open. */
struct cudnnTensorStruct {
    cudnnDataType_t type;
    int n, h, w, c;
};
struct cudnnFilterStruct {
    cudnnDataType_t type;
    int k, c, side;
};
struct cudnnConvolutionStruct {
    int pad, stride;
    cudnnMathType_t math;
};
struct cudnnActivationStruct {
    cudnnActivationMode_t mode;
};

/* Keeps the reason for cudnnGetLastErrorString; returns status. */
cudnnStatus_t dnn_refuse(cudnnStatus_t status, const char *reason);

static inline enum value_type dnn_value_type(cudnnDataType_t type)
{
    return type == CUDNN_DATA_HALF ? VALUE_F16 : type == CUDNN_DATA_BFLOAT16 ? VALUE_BF16 : VALUE_F32;
}

static inline size_t dnn_count(const cudnnTensorStruct *t)
{
    return (size_t)t->n * (size_t)t->h * (size_t)t->w * (size_t)t->c;
}

#endif
