/* What went wrong, in one line that ends in NVIDIA's own words. */
#include "kernel/device/cuda/cuda.h"
#include <string.h>

static int status_of(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation:
        return STATUS_NOMEM;
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorSystemDriverMismatch:
    case cudaErrorStreamCaptureUnsupported:
        return STATUS_UNSUPPORTED;
    default:
        return STATUS_IO;
    }
}

int cuda_failure(struct message *m, cudaError_t error, const char *call)
{
    (void)cudaGetLastError(); /* said here: a later call must not say it again */
    return message_set(m, status_of(error), "%.*s: %s", (int)strcspn(call, "("), call, cudaGetErrorString(error));
}

int kernel_queued(struct message *m, const char *kernel)
{
    cudaError_t error = cudaGetLastError();
    return error == cudaSuccess ? 0 : cuda_failure(m, error, kernel);
}

size_t tensor_count(int n, int h, int w, int c)
{
    if (n < 1 || h < 1 || w < 1 || c < 1)
        return 0;
    size_t count = (size_t)n;
    const int others[3] = {h, w, c};
    for (int i = 0; i < 3; i++) {
        count *= (size_t)others[i];
        if (count >= (size_t)1 << 31)
            return 0;
    }
    return count;
}
