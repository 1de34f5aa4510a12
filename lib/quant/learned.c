#include "quant/learned.h"
#include <math.h>

/* rint of |v| < 2^22: adding and taking away 1.5 * 2^23, which takes no call. */
static float nearest(float v)
{
    return (v + 12582912.0f) - 12582912.0f;
}

static float clamped(float v, float low, float high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

double learned_weights_backward(const float *w, size_t count, float s, int qmax, double delta, float *gradient)
{
    const float most = (float)qmax, share = (float)delta;
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        float v = w[i] / s, r = nearest(clamped(v, -most - 1, most + 1)), q = clamped(r, -most, most),
              g = gradient[i];
        float scaled = r == q ? g + share * fabsf(g) * (v - q) : 0;
        sum += (double)(g * q) - (double)scaled * (double)(r == q ? v : 0);
        gradient[i] = scaled;
    }
    return sum;
}

float learned_scale_gradient(double sum, size_t n, int qmax)
{
    return (float)(sum / sqrt((double)n * qmax));
}

/* By what w is a code's real. */
static double scale_of_codes(const float *w, const int8_t *q, size_t count, float s)
{
    double products = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        products += (double)w[i] * q[i];
        squares += (double)(q[i] * q[i]);
    }
    return squares > 0 && products > 0 ? products / squares : (double)s;
}

void learned_weights_of_codes(const float *w, const int8_t *q, size_t count, float s, int qmax, float *to)
{
    const double margin = 0.49, scale = scale_of_codes(w, q, count, s);
    for (size_t i = 0; i < count; i++) {
        double v = (double)w[i] / scale;
        double low = q[i] == -qmax ? -INFINITY : q[i] - margin, high = q[i] == qmax ? INFINITY : q[i] + margin;
        v = v < low ? low : v;
        v = v > high ? high : v;
        to[i] = (float)(v * (double)s);
    }
}
