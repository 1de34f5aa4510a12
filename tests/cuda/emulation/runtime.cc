/* CUDA's runtime over malloc: what lib/kernel/device/cuda calls of it. */
#include "tests/cuda/emulation/emulate.h"
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <map>
#include <vector>

static const size_t POISON_BYTES = (size_t)1 << 20;

typedef std::vector<std::function<void()>> work_list;
static work_list *capturing;
static cudaError_t last_error;
static std::map<void *, size_t> allocated;
static size_t held;

static cudaError_t result(cudaError_t error)
{
    if (error != cudaSuccess)
        last_error = error;
    return error;
}

static size_t number_of(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    return text ? (size_t)strtoull(text, nullptr, 10) : otherwise;
}

void emulate_submit(std::function<void()> work)
{
    if (capturing)
        capturing->push_back(work);
    else
        work();
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* What a stream that is being captured refuses. */
static bool forbidden(void)
{
    return capturing != nullptr;
}

extern "C" {

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = 0;
    if (number_of("RESQ_EMULATION_DEVICES", 1) == 0)
        return result(cudaErrorNoDevice);
    *count = (int)number_of("RESQ_EMULATION_DEVICES", 1);
    return cudaSuccess;
}

static int current_device;

cudaError_t cudaGetDevice(int *device)
{
    *device = current_device;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    if (device >= 0 && device < (int)number_of("RESQ_EMULATION_DEVICES", 1))
        current_device = device;
    return result(device >= 0 && device < (int)number_of("RESQ_EMULATION_DEVICES", 1) ? cudaSuccess
                                                                                      : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int)
{
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "emulated GPU");
    p->major = 9, p->minor = 0;
    p->multiProcessorCount = (int)number_of("RESQ_EMULATION_MULTIPROCESSORS", 4);
    p->totalGlobalMem = number_of("RESQ_EMULATION_MEMORY", (size_t)1 << 32);
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    *total = number_of("RESQ_EMULATION_MEMORY", (size_t)1 << 32);
    *available = *total > held ? *total - held : 0;
    return cudaSuccess;
}

/* Fresh memory holds whatever: here bytes that are no number of any type (of large blocks the beginning, for time).
 */
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    size_t available, total;
    cudaMemGetInfo(&available, &total);
    if (forbidden() || emulate_failure("cudaMalloc") || bytes > available)
        return result(cudaErrorMemoryAllocation);
    *p = aligned_alloc(256, (bytes + 255) / 256 * 256);
    if (!*p)
        return result(cudaErrorMemoryAllocation);
    memset(*p, 0xff, bytes < POISON_BYTES ? bytes : POISON_BYTES);
    allocated[*p] = bytes;
    held += bytes;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    if (!p)
        return cudaSuccess;
    if (!allocated.count(p))
        return result(cudaErrorInvalidValue);
    held -= allocated[p];
    allocated.erase(p);
    free(p);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned)
{
    if (forbidden() || emulate_failure("cudaHostAlloc"))
        return result(cudaErrorMemoryAllocation);
    *p = malloc(bytes ? bytes : 1);
    return result(*p ? cudaSuccess : cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *p)
{
    free(p);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned)
{
    *stream = (cudaStream_t)malloc(1);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t)
{
    if (emulate_failure("cudaStreamSynchronize"))
        return result(cudaErrorIllegalAddress);
    return result(forbidden() ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind, cudaStream_t)
{
    if (emulate_failure("cudaMemcpyAsync"))
        return result(cudaErrorInvalidValue);
    emulate_submit([=] { memmove(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t)
{
    emulate_submit([=] { memset(to, value, bytes); });
    return cudaSuccess;
}

struct CUevent_st {
    double at;
};

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned)
{
    *event = (cudaEvent_t)calloc(1, sizeof(struct CUevent_st));
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t)
{
    emulate_submit([=] { event->at = seconds(); });
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t)
{
    return result(forbidden() ? cudaErrorStreamCaptureUnsupported : cudaSuccess);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t begin, cudaEvent_t end)
{
    *ms = (float)((end->at - begin->at) * 1e3);
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned)
{
    return cudaSuccess;
}

struct CUgraph_st {
    work_list work;
};
struct CUgraphExec_st {
    work_list work;
};

cudaError_t cudaStreamBeginCapture(cudaStream_t, enum cudaStreamCaptureMode)
{
    if (capturing || emulate_failure("cudaStreamBeginCapture"))
        return result(cudaErrorIllegalState);
    capturing = new work_list;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *graph)
{
    *graph = nullptr;
    if (!capturing)
        return result(cudaErrorIllegalState);
    work_list *work = capturing;
    capturing = nullptr;
    if (emulate_failure("cudaStreamEndCapture")) {
        delete work;
        return result(cudaErrorStreamCaptureInvalidated);
    }
    *graph = new CUgraph_st{*work};
    delete work;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
    if (emulate_failure("cudaGraphInstantiate"))
        return result(cudaErrorMemoryAllocation);
    *exec = new CUgraphExec_st{graph->work};
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    delete graph;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t)
{
    for (const std::function<void()> &work : exec->work)
        emulate_submit(work);
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

/* The texts of NVIDIA's own for the errors above. */
const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaSuccess:
        return "no error";
    case cudaErrorNoDevice:
        return "no CUDA-capable device is detected";
    case cudaErrorMemoryAllocation:
        return "out of memory";
    case cudaErrorIllegalAddress:
        return "an illegal memory access was encountered";
    case cudaErrorInvalidValue:
        return "invalid argument";
    case cudaErrorStreamCaptureUnsupported:
        return "operation not permitted when stream is capturing";
    case cudaErrorStreamCaptureInvalidated:
        return "operation failed due to a previous error during capture";
    default:
        return "unrecognized error code";
    }
}
}
