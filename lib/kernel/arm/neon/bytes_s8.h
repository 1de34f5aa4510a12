/* bytes_s8.h: inputs of the direct integer convolutions as x - 128, which are signed bytes,
 * and weights as they are packed. */
#ifndef RESQ_KERNEL_ARM_NEON_BYTES_S8_H
#define RESQ_KERNEL_ARM_NEON_BYTES_S8_H

#include "kernel/arm/neon/vector_u8_128.h"

typedef int8_t input;
typedef int8_t weight_value;
enum { WEIGHTS_EXPANDED = 0, INPUT_IN_PLACE = 0 };
#define INPUT_ZERO(zero_point) ((zero_point)-128)

static inline void input_copy(const uint8_t *x, size_t count, uint8_t zero_point, input *to)
{
    (void)zero_point;
    for (size_t i = 0; i < count; i++)
        to[i] = (input)(x[i] - 128);
}

static inline void input_fill(input *to, size_t count, uint8_t zero_point)
{
    memset(to, zero_point ^ 128, count);
}

static inline const weight_value *weights_for(const int8_t *packed, size_t count, weight_value *to)
{
    (void)count, (void)to;
    return packed;
}

#endif
