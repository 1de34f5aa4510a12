#include "kernel/device/host/values.h"
#include "kernel/contract/number.h"
#include <stdlib.h>

size_t host_type_bytes(enum device_type type)
{
    return type == DEVICE_F32 || type == DEVICE_S32 ? 4 : type == DEVICE_U8 || type == DEVICE_S8 ? 1 : 2;
}

void *host_new(size_t count, size_t size)
{
    void *p = calloc(count ? count : 1, size);
    if (!p)
        host_wrong("memory exhausted", "values", count * size);
    return p;
}

float *host_widen(const void *p, enum device_type type, size_t count, const char *name)
{
    float *values = host_new(count, sizeof *values);
    host_check(p, count * host_type_bytes(type), name);
    for (size_t i = 0; i < count; i++)
        values[i] = type == DEVICE_F32   ? ((const float *)p)[i]
                    : type == DEVICE_F16 ? half_widen(((const struct half16 *)p)[i])
                                         : brain_widen(((const struct brain16 *)p)[i]);
    return values;
}

void host_narrow(float *values, enum device_type type, void *p, size_t count, const char *name)
{
    host_check(p, count * host_type_bytes(type), name);
    for (size_t i = 0; i < count; i++) {
        if (type == DEVICE_F32)
            ((float *)p)[i] = values[i];
        else if (type == DEVICE_F16)
            ((struct half16 *)p)[i] = half_round(values[i]);
        else
            ((struct brain16 *)p)[i] = brain_round(values[i]);
    }
    free(values);
}
