/* values.h: tensors of any type as the stand-ins for NVIDIA's libraries read and write them: sums in double,
 * rounded once when they are stored. */
#ifndef RESQ_TESTS_CUDA_VALUES_H
#define RESQ_TESTS_CUDA_VALUES_H

extern "C" {
#include "base/status.h"
}
#include "kernel/contract/number.h"
#include <stddef.h>

enum value_type { VALUE_F32, VALUE_F16, VALUE_BF16, VALUE_S8, VALUE_S32 };

static inline double value_at(const void *p, enum value_type type, size_t i)
{
    switch (type) {
    case VALUE_F16:
        return (double)half_widen(((const struct half16 *)p)[i]);
    case VALUE_BF16:
        return (double)brain_widen(((const struct brain16 *)p)[i]);
    case VALUE_S8:
        return (double)((const int8_t *)p)[i];
    case VALUE_S32:
        return (double)((const int32_t *)p)[i];
    default:
        return (double)((const float *)p)[i];
    }
}

static inline void value_set(void *p, enum value_type type, size_t i, double v)
{
    switch (type) {
    case VALUE_F16:
        ((struct half16 *)p)[i] = half_round((float)v);
        break;
    case VALUE_BF16:
        ((struct brain16 *)p)[i] = brain_round((float)v);
        break;
    case VALUE_S8:
        ((int8_t *)p)[i] = (int8_t)v;
        break;
    case VALUE_S32:
        ((int32_t *)p)[i] = (int32_t)v;
        break;
    default:
        ((float *)p)[i] = (float)v;
    }
}

/* What tensor cores make of a float32 where TF32 is allowed: 10 bits of fraction. */
static inline double tf32_rounded(double v)
{
    uint32_t bits = float_bits((float)v);
    bits = (bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu;
    return (double)float_from_bits(bits);
}

#endif
