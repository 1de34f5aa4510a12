/* constants.h: a block of constants that is put together on the host and then lies on the device. Private to
 * lib/exec. */
#ifndef RESQ_EXEC_DEVICE_CONSTANTS_H
#define RESQ_EXEC_DEVICE_CONSTANTS_H

#include "exec/device/context.h"
#include "kernel/contract/kernel.h"

/* All-zero is empty. */
struct device_constants {
    unsigned char *values;
    size_t bytes, capacity;
};

/* Room for so many bytes, zeroed: *offset on the device, and *to where they are to be written, until the next call.
 */
int device_constants_take(struct device_constants *c, size_t bytes, size_t *offset, void **to,
                          struct message *m) RESQ_USE_RESULT;
int device_constants_add(struct device_constants *c, const void *values, size_t bytes, size_t *offset,
                         struct message *m) RESQ_USE_RESULT;
/* A new block of the device with them; waits until it is there. */
int device_constants_upload(const struct device_constants *c, struct device_context *context, void **block,
                            struct message *m) RESQ_USE_RESULT;
void device_constants_free(struct device_constants *c);

/* Convolution weights between PyTorch's [K][C][R][R] and the device's [K][R][R][C], `size` bytes each. */
void device_weights_in(const void *from, int k, int c, int kernel, size_t size, void *to);
void device_weights_out(const void *from, int k, int c, int kernel, size_t size, void *to);

#endif
