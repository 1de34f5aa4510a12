/* dnn.h: what conv.c and norm_dnn.c, the only files that speak to cuDNN, share. */
#ifndef RESQ_KERNEL_DEVICE_CUDA_DNN_H
#define RESQ_KERNEL_DEVICE_CUDA_DNN_H

#include "kernel/device/cuda/cuda.h"
#include <cudnn.h>

/* The name of the failed function, cuDNN's name of the status, and what it says besides where it does. */
int dnn_failure(struct message *m, cudnnStatus_t status, const char *call);
#define DNN_TRY(m, call)                                 \
    do {                                                 \
        cudnnStatus_t dnn_status_ = (call);              \
        if (dnn_status_ != CUDNN_STATUS_SUCCESS)         \
            return dnn_failure((m), dnn_status_, #call); \
    } while (0)

cudnnDataType_t dnn_type(enum device_type type);
/* A dense NHWC tensor; *t is to be destroyed by whoever asked, also after a failure where it is not NULL. */
int dnn_tensor(cudnnTensorDescriptor_t *t, int n, int h, int w, int c, enum device_type type, struct message *m);

/* ---- choosing among what cuDNN measured; plain C, for its test ---- */

struct candidate {
    int algorithm;
    int works;         /* cuDNN could run it */
    int deterministic; /* the same bits each time */
    int direct;        /* sums products of the operands themselves: no Winograd, no Fourier transform */
    int math;          /* cudnnMathType_t */
    size_t memory;
};

/* What is asked of an algorithm; each asks less than the one before. */
enum candidate_level { CANDIDATE_EXACT /* deterministic and direct */, CANDIDATE_REPEATS, CANDIDATE_ANY };

/* The first of those that may be used, in the given order, from `from` on; -1 where there is none. limit: bytes of
 * workspace. */
int candidate_next(const struct candidate *all, int count, int from, enum candidate_level level, size_t limit);
/* Puts them in an order that no measurement has a part in: algorithm 1 of each pass first, which the other
 * deterministic ones are slower than, then by number; of one algorithm the kind of arithmetic `math` first. */
void candidates_settle(struct candidate *all, int count, int math);

#endif
