/* values.h: tensors of any float type as floats and back. Private to lib/kernel/device/host. */
#ifndef RESQ_KERNEL_DEVICE_HOST_VALUES_H
#define RESQ_KERNEL_DEVICE_HOST_VALUES_H

#include "kernel/device/host/queue.h"

size_t host_type_bytes(enum device_type type);
/* A new array of floats with what lies at p, which is checked. */
float *host_widen(const void *p, enum device_type type, size_t count, const char *name);
/* Rounds the floats to p, which is checked, and frees them. */
void host_narrow(float *values, enum device_type type, void *p, size_t count, const char *name);
/* count * size bytes, zeroed; there is always enough. */
void *host_new(size_t count, size_t size);

/* For what queues pointers that were const. */
static inline void *host_written(const void *p)
{
    return (void *)(uintptr_t)p;
}

#endif
