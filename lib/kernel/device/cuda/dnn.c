/* What the users of cuDNN share: failures, tensors, and the choice among algorithms. */
#include "kernel/device/cuda/dnn.h"
#include <string.h>

static int status_of(cudnnStatus_t status)
{
    switch (CUDNN_STATUS_CATEGORY(status)) {
    case CUDNN_STATUS_NOT_SUPPORTED:
        return STATUS_UNSUPPORTED;
    case CUDNN_STATUS_INTERNAL_ERROR:
        return status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ||
                       status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED
                   ? STATUS_NOMEM
                   : STATUS_IO;
    default:
        return STATUS_IO;
    }
}

int dnn_failure(struct message *m, cudnnStatus_t status, const char *call)
{
    char more[300] = "";
    cudnnGetLastErrorString(more, sizeof more);
    more[sizeof more - 1] = 0;
    more[strcspn(more, "\n")] = 0;
    return message_set(m, status_of(status), "%.*s: %s%s%s%s", (int)strcspn(call, "("), call,
                       cudnnGetErrorString(status), more[0] ? " (" : "", more, more[0] ? ")" : "");
}

cudnnDataType_t dnn_type(enum device_type type)
{
    return type == DEVICE_F16 ? CUDNN_DATA_HALF : type == DEVICE_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

int dnn_tensor(cudnnTensorDescriptor_t *t, int n, int h, int w, int c, enum device_type type, struct message *m)
{
    DNN_TRY(m, cudnnCreateTensorDescriptor(t));
    DNN_TRY(m, cudnnSetTensor4dDescriptor(*t, CUDNN_TENSOR_NHWC, dnn_type(type), n, c, h, w));
    return 0;
}

int candidate_next(const struct candidate *all, int count, int from, enum candidate_level level, size_t limit)
{
    for (int i = from; i < count; i++) {
        int fits = all[i].works && all[i].memory <= limit;
        if (fits && (all[i].deterministic || level == CANDIDATE_ANY) && (all[i].direct || level != CANDIDATE_EXACT))
            return i;
    }
    return -1;
}

static int is_before(const struct candidate *a, const struct candidate *b, int math)
{
    if (a->algorithm != b->algorithm)
        return a->algorithm == 1 || (b->algorithm != 1 && a->algorithm < b->algorithm);
    if ((a->math == math) != (b->math == math))
        return a->math == math;
    return a->math < b->math;
}

void candidates_settle(struct candidate *all, int count, int math)
{
    for (int i = 1; i < count; i++)
        for (int k = i; k > 0 && is_before(&all[k], &all[k - 1], math); k--) {
            struct candidate other = all[k];
            all[k] = all[k - 1];
            all[k - 1] = other;
        }
}
