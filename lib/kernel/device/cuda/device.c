/* Opening and closing the device. */
#include "base/memory.h"
#include "kernel/device/cuda/dnn.h"
#include <cublasLt.h>
#include <stdio.h>

static int device_find(int wanted, int *index, struct message *m)
{
    int count = 0;
    CUDA_TRY(m, cudaGetDeviceCount(&count));
    if (count < 1)
        return message_set(m, STATUS_UNSUPPORTED, "cudaGetDeviceCount: no CUDA-capable device");
    *index = wanted % count;
    CUDA_TRY(m, cudaSetDevice(*index));
    return 0;
}

static int blas_open(struct device *d, struct message *m)
{
    cublasStatus_t status = cublasLtCreate(&d->blas);
    if (status != CUBLAS_STATUS_SUCCESS)
        return message_set(m, STATUS_UNSUPPORTED, "cublasLtCreate: %s", cublasLtGetStatusString(status));
    return 0;
}

static int device_start(struct device *d, struct message *m)
{
    for (int q = 0; q < DEVICE_QUEUES; q++)
        CUDA_TRY(m, cudaStreamCreateWithFlags(&d->queue[q], cudaStreamNonBlocking));
    DNN_TRY(m, cudnnCreate(&d->dnn));
    DNN_TRY(m, cudnnSetStream(d->dnn, d->queue[QUEUE_COMPUTE]));
    TRY(blas_open(d, m));
    TRY(cuda_allocate(d, SCRATCH_BYTES, &d->scratch, m));
    TRY(cuda_allocate(d, PRODUCT_WORKSPACE_BYTES, &d->product_workspace, m));
    return cuda_self_test(d, m);
}

int cuda_open(const struct device_options *options, struct device **d, struct message *m)
{
    int index = 0;
    TRY(device_find(options->index, &index, m));
    struct device *new = memory_new(1, sizeof *new, m);
    if (!new)
        return STATUS_NOMEM;
    new->options = *options;
    new->index = index;
    int status = device_start(new, m);
    if (status < 0)
        cuda_close(new);
    else
        *d = new;
    return status;
}

static void held_free(struct device *d, const struct held *h)
{
    switch (h->kind) {
    case HELD_MEMORY:
        cuda_release(d, h->p);
        break;
    case HELD_HOST:
        cuda_release_host(d, h->p);
        break;
    case HELD_EVENT:
        cuda_event_free(d, h->p);
        break;
    case HELD_GRAPH:
        cuda_graph_free(d, h->p);
        break;
    case HELD_PEERS:
        cuda_peers_close(d, h->p);
        break;
    case HELD_PLAN:
        cuda_plan_free(d, h->p);
        break;
    }
}

static void held_free_all(struct device *d)
{
    while (d->held)
        held_free(d, d->held);
}

void cuda_close(struct device *d)
{
    if (!d)
        return;
    (void)cuda_synchronize(d, NULL);
    held_free_all(d);
    products_free(d);
    if (d->blas)
        (void)cublasLtDestroy(d->blas);
    if (d->dnn)
        (void)cudnnDestroy(d->dnn);
    for (int q = 0; q < DEVICE_QUEUES; q++)
        if (d->queue[q])
            (void)cudaStreamDestroy(d->queue[q]);
    memory_free(d);
}

int cuda_information(struct device *d, struct device_information *i, struct message *m)
{
    struct cudaDeviceProp p;
    struct device_information new = {{0}, {0}, 0, 0, 0, 0, 0, 0};
    int driver = 0, runtime = 0;
    CUDA_TRY(m, cudaGetDeviceProperties(&p, d->index));
    CUDA_TRY(m, cudaMemGetInfo(&new.free, &new.memory));
    CUDA_TRY(m, cudaDriverGetVersion(&driver));
    CUDA_TRY(m, cudaRuntimeGetVersion(&runtime));
    size_t dnn = cudnnGetVersion();
    snprintf(new.name, sizeof new.name, "%.*s", (int)sizeof new.name - 1, p.name);
    snprintf(new.library, sizeof new.library, "CUDA %d.%d, cuDNN %zu.%zu.%zu, driver for CUDA %d.%d",
             runtime / 1000, runtime % 1000 / 10, dnn / 10000, dnn % 10000 / 100, dnn % 100, driver / 1000,
             driver % 1000 / 10);
    new.multiprocessors = p.multiProcessorCount;
    new.has_f16 = p.major >= 7;
    new.has_bf16 = p.major >= 8;
    new.has_s8 = p.major > 7 || (p.major == 7 && p.minor >= 2);
    *i = new;
    return 0;
}
