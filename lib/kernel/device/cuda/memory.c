/* Memory of the device and page-locked memory of the host; and the list of what close has to free. */
#include "base/memory.h"
#include "kernel/device/cuda/cuda.h"

int held_add(struct device *d, enum held_kind kind, void *p, struct message *m)
{
    struct held *h = memory_new(1, sizeof *h, m);
    if (!h)
        return STATUS_NOMEM;
    h->kind = kind;
    h->p = p;
    h->next = d->held;
    d->held = h;
    return 0;
}

int held_remove(struct device *d, enum held_kind kind, void *p)
{
    for (struct held **at = &d->held; *at; at = &(*at)->next) {
        struct held *h = *at;
        if (h->kind == kind && h->p == p) {
            *at = h->next;
            memory_free(h);
            return 1;
        }
    }
    return 0;
}

int device_memory_new(size_t bytes, void **p, struct message *m)
{
    cudaError_t error = cudaMalloc(p, bytes ? bytes : 1);
    if (error == cudaSuccess)
        return 0;
    return message_prefix(m, cuda_failure(m, error, "cudaMalloc"), "%zu bytes of the device's memory", bytes);
}

void device_memory_free(void *p)
{
    (void)cudaFree(p);
}

int cuda_allocate(struct device *d, size_t bytes, void **p, struct message *m)
{
    void *new = NULL;
    TRY(device_memory_new(bytes, &new, m));
    int status = held_add(d, HELD_MEMORY, new, m);
    if (status < 0)
        device_memory_free(new);
    else
        *p = new;
    return status;
}

void cuda_release(struct device *d, void *p)
{
    if (p && held_remove(d, HELD_MEMORY, p))
        device_memory_free(p);
}

int cuda_allocate_host(struct device *d, size_t bytes, void **p, struct message *m)
{
    void *new = NULL;
    cudaError_t error = cudaHostAlloc(&new, bytes ? bytes : 1, cudaHostAllocDefault);
    if (error != cudaSuccess)
        return message_prefix(m, cuda_failure(m, error, "cudaHostAlloc"), "%zu bytes of page-locked memory", bytes);
    int status = held_add(d, HELD_HOST, new, m);
    if (status < 0)
        (void)cudaFreeHost(new);
    else
        *p = new;
    return status;
}

void cuda_release_host(struct device *d, void *p)
{
    if (p && held_remove(d, HELD_HOST, p))
        (void)cudaFreeHost(p);
}
