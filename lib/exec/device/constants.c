#include "exec/device/constants.h"
#include "base/memory.h"
#include <string.h>

int device_constants_take(struct device_constants *c, size_t bytes, size_t *offset, void **to, struct message *m)
{
    size_t end = c->bytes + device_align(bytes);
    if (end > c->capacity) {
        size_t capacity = end > 2 * c->capacity ? end : 2 * c->capacity;
        unsigned char *values = memory_resize(c->values, c->bytes, capacity, 1, m);
        if (!values)
            return STATUS_NOMEM;
        c->values = values;
        c->capacity = capacity;
    }
    *offset = c->bytes;
    *to = c->values + c->bytes;
    memset(*to, 0, end - c->bytes);
    c->bytes = end;
    return 0;
}

int device_constants_add(struct device_constants *c, const void *values, size_t bytes, size_t *offset,
                         struct message *m)
{
    void *to;
    TRY(device_constants_take(c, bytes, offset, &to, m));
    memcpy(to, values, bytes);
    return 0;
}

int device_constants_upload(const struct device_constants *c, struct device_context *context, void **block,
                            struct message *m)
{
    const struct device_backend *b = context->backend;
    TRY(b->allocate(context->device, c->bytes ? c->bytes : DEVICE_ALIGNMENT, block, m));
    if (c->bytes)
        TRY(b->copy_in(context->device, QUEUE_COMPUTE, *block, c->values, c->bytes, m));
    return b->synchronize(context->device, m);
}

void device_constants_free(struct device_constants *c)
{
    memory_free(c->values);
    *c = (struct device_constants){0};
}

/* ---- weights ---- */

/* Floats are what goes in and out again and again. */
static void transpose_floats(const float *from, size_t rows, size_t columns, float *to)
{
    for (size_t j = 0; j < columns; j++)
        for (size_t i = 0; i < rows; i++)
            to[j * rows + i] = from[i * columns + j];
}

static void transpose(const unsigned char *from, size_t rows, size_t columns, size_t size, unsigned char *to)
{
    if (size == sizeof(float)) {
        transpose_floats((const void *)from, rows, columns, (void *)to);
        return;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            memcpy(to + (j * rows + i) * size, from + (i * columns + j) * size, size);
}

void device_weights_in(const void *from, int k, int c, int kernel, size_t size, void *to)
{
    size_t taps = (size_t)kernel * (size_t)kernel, row = taps * (size_t)c * size;
    for (size_t i = 0; i < (size_t)k; i++)
        transpose((const unsigned char *)from + i * row, (size_t)c, taps, size, (unsigned char *)to + i * row);
}

void device_weights_out(const void *from, int k, int c, int kernel, size_t size, void *to)
{
    size_t taps = (size_t)kernel * (size_t)kernel, row = taps * (size_t)c * size;
    for (size_t i = 0; i < (size_t)k; i++)
        transpose((const unsigned char *)from + i * row, taps, (size_t)c, size, (unsigned char *)to + i * row);
}
