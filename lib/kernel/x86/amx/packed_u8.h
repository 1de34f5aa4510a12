/* packed_u8.h: the integer convolution's weights as its tile products read them. */
#ifndef RESQ_KERNEL_X86_AMX_PACKED_U8_H
#define RESQ_KERNEL_X86_AMX_PACKED_U8_H

#include "kernel/x86/amx/blocks_u8.h"
#include "kernel/x86/amx/reduction.h"

static inline size_t taps_of(const struct conv_shape *s)
{
    return (size_t)s->kernel * (size_t)s->kernel;
}

/* A group: tiles of weights, then the sums of each tap [R*R][16] and of all [16]. */
static inline size_t group_bytes(const struct conv_shape *s)
{
    return steps_of(s) * WEIGHT_TILE + (taps_of(s) + 1) * OUTPUTS * sizeof(int32_t);
}

static inline size_t packed_bytes(const struct conv_shape *s)
{
    return (size_t)((s->out + OUTPUTS - 1) / OUTPUTS) * group_bytes(s);
}

static inline const int32_t *tap_sums(const struct conv_shape *s, const int8_t *group)
{
    return (const int32_t *)(const void *)(group + steps_of(s) * WEIGHT_TILE);
}

void packed_u8_pack(const struct conv_shape *s, const int8_t *weight, uint8_t zero_point_x, uint8_t high_x,
                    void *packed);

#endif
