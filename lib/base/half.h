/* half.h: 16-bit floats as files store them and devices compute with them, compiled as scalar.h is. A value is rounded
 * once, to nearest, ties to even. */
#ifndef RESQ_BASE_HALF_H
#define RESQ_BASE_HALF_H

#include "base/scalar.h"
#include <string.h>

/* No structs of the toolkit's: these headers are compiled where there is no toolkit, too. */
struct half16 {
    uint16_t bits; /* IEEE binary16: 1 sign, 5 exponent, 10 fraction */
};
struct brain16 {
    uint16_t bits; /* bfloat16: the upper half of a float */
};

RESQ_VALUE uint32_t float_bits(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

RESQ_VALUE float float_from_bits(uint32_t bits)
{
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

RESQ_VALUE float half_widen(struct half16 h)
{
    uint32_t sign = (uint32_t)(h.bits & 0x8000u) << 16, magnitude = h.bits & 0x7fffu;
    if (magnitude >= 0x7c00u) /* infinity, NaN */
        return float_from_bits(sign | 0x7f800000u | (magnitude & 0x3ffu) << 13);
    if (magnitude >= 0x400u)
        return float_from_bits(sign | ((magnitude << 13) + ((127u - 15u) << 23)));
    /* Subnormal: so many 2^-24, which a float holds. */
    float v = (float)magnitude * 0x1p-24f;
    return float_from_bits(sign | float_bits(v));
}

/* Beyond 65504 + half a step is infinity. */
RESQ_VALUE struct half16 half_round(float v)
{
    uint32_t bits = float_bits(v), sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu, rounded;
    if (magnitude > 0x7f800000u)
        rounded = 0x7e00u;
    else if (magnitude >= 0x477ff000u)
        rounded = 0x7c00u;
    else if (magnitude >= 0x38800000u) /* 2^-14: the smallest normal one */
        rounded = (magnitude - ((127u - 15u) << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
    else
        rounded = (uint32_t)(int)rintf(float_from_bits(magnitude) * 0x1p24f);
    struct half16 h = {(uint16_t)(sign | rounded)};
    return h;
}

RESQ_VALUE float brain_widen(struct brain16 b)
{
    return float_from_bits((uint32_t)b.bits << 16);
}

RESQ_VALUE struct brain16 brain_round(float v)
{
    uint32_t bits = float_bits(v);
    if ((bits & 0x7fffffffu) > 0x7f800000u) /* NaN: keep it one */
        bits |= 0x400000u;
    else
        bits += 0x7fffu + (bits >> 16 & 1u);
    struct brain16 b = {(uint16_t)(bits >> 16)};
    return b;
}

#endif
