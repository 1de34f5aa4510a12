#include "quant/rounding.h"
#include <math.h>
#include <string.h>

/* Adding and taking away 1.5 * 2^23 rounds as rint does, and takes no call. */
static inline float nearest(float v)
{
    return (v + 12582912.0f) - 12582912.0f;
}

static inline float clamped(float v, float low, float high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

/* 2^x of |x| <= 126; Taylor's series of 2^f = exp(f ln 2), |f| <= 1/2. */
static inline float power_of_two(float x)
{
    float whole = nearest(clamped(x, -126, 126)), f = (clamped(x, -126, 126) - whole) * 0.693147180f, two;
    float sum = 1 + f * (1 + f * (0.5f + f * (1.66666667e-1f +
                                              f * (4.16666667e-2f + f * (8.33333333e-3f + f * 1.38888889e-3f)))));
    int32_t bits = ((int32_t)whole + 127) * (1 << 23);
    memcpy(&two, &bits, sizeof two);
    return two * sum;
}

/* log2 of a normal x > 0: with x = 2^e * m, m in [0.75, 1.5), log m = 2 atanh(z), z = (m - 1) / (m + 1). */
static inline float logarithm_of_two(float x)
{
    int32_t bits, mantissa;
    float m;
    memcpy(&bits, &x, sizeof bits);
    int32_t e = (bits - 0x3f400000) >> 23;
    mantissa = bits - e * (1 << 23);
    memcpy(&m, &mantissa, sizeof m);
    float z = (m - 1) / (m + 1), y = z * z;
    float sum = z * (1 + y * (3.33333333e-1f + y * (2.0e-1f + y * (1.42857143e-1f + y * 1.11111111e-1f))));
    return (float)e + sum * 2.88539008f;
}

/* ---- h ---- */

static inline float sigmoid(float v)
{
    return 1 / (1 + power_of_two(v * -1.44269504f));
}

static inline float stretched(float v)
{
    return 1.2f * sigmoid(v) - 0.1f;
}

float rounding_value(float v)
{
    return clamped(stretched(v), 0, 1);
}

float rounding_start(float part)
{
    double share = ((double)clamped(part, 0.001f, 0.999f) + 0.1) / 1.2;
    return (float)log(share / (1 - share));
}

void rounding_begin(const float *w, size_t count, float s, int qmax, int8_t *base, float *v)
{
    for (size_t i = 0; i < count; i++) {
        float u = w[i] / s, floored = clamped(floorf(u), (float)-qmax, (float)(qmax - 1));
        base[i] = (int8_t)floored;
        v[i] = rounding_start(u - floored);
    }
}

void rounding_soft(const int8_t *base, const float *v, size_t count, float s, float *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = s * ((float)base[i] + clamped(stretched(v[i]), 0, 1));
}

/* ---- the gradient ---- */

/* d (1 - |x|^beta) / d h, x = 2 h - 1. */
static inline float penalty_slope(float h, float beta)
{
    float x = 2 * h - 1, size = x < 0 ? -x : x;
    float power = power_of_two((beta - 1) * logarithm_of_two(size > 1e-30f ? size : 1e-30f));
    return x < 0 ? 2 * beta * power : -2 * beta * power;
}

void rounding_backward(const float *v, size_t count, float s, float lambda, float beta, float *gradient)
{
    for (size_t i = 0; i < count; i++) {
        float g = sigmoid(v[i]), h = 1.2f * g - 0.1f;
        float slope = ((h > 0) & (h < 1)) ? 1.2f * g * (1 - g) : 0;
        float pushed = lambda > 0 ? lambda * penalty_slope(clamped(h, 0, 1), beta) : 0;
        gradient[i] = (s * gradient[i] + pushed) * slope;
    }
}

double rounding_penalty(const float *v, size_t count, float beta)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        float x = 2 * rounding_value(v[i]) - 1, size = x < 0 ? -x : x;
        sum += 1 - (size > 0 ? (double)power_of_two(beta * logarithm_of_two(size > 1e-30f ? size : 1e-30f)) : 0);
    }
    return sum;
}

void rounding_codes(const int8_t *base, const float *v, size_t count, int8_t *q)
{
    for (size_t i = 0; i < count; i++)
        q[i] = (int8_t)(base[i] + (v[i] >= 0));
}
