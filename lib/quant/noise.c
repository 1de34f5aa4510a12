/* What quantization costs, computed from a histogram: exact integrals over bins taken as uniform inside. */
#include "quant/observer.h"
#include <math.h>

static void edges_of(const struct histogram *h, double width, int j, double *from, double *to)
{
    double left = (j - HISTOGRAM_BINS / 2) * width, right = left + width;
    *from = left > (double)h->min ? left : (double)h->min;
    *to = right < (double)h->max ? right : (double)h->max;
    if (*to < *from)
        *to = *from;
}

void histogram_edges(const struct histogram *h, int j, double *from, double *to)
{
    edges_of(h, ldexp(1, h->exponent), j, from, to);
}

/* The mean of (x - c)^2 over [a, b]; a point where they are the same. Written around the middle, so that nothing
 * cancels. */
static double mean_square(double a, double b, double c)
{
    double middle = (a + b) / 2 - c, half = (b - a) / 2;
    return middle * middle + half * half / 3;
}

double histogram_power(const struct histogram *h)
{
    double sum = 0, from, to;
    for (int j = 0; j < HISTOGRAM_BINS; j++) {
        if (h->bins[j] == 0)
            continue;
        histogram_edges(h, j, &from, &to);
        sum += (double)h->bins[j] * mean_square(from, to, 0);
    }
    return h->count ? sum / (double)h->count : 0;
}

static double code_of(const struct affine *a, double x)
{
    double q = rint(x / (double)a->scale), low = a->qmin - a->zero_point, high = a->qmax - a->zero_point;
    return q < low ? low : q > high ? high : q;
}

/* Mean squared error over [from, to], piece by piece between the points where the code changes. */
static double interval_noise(const struct affine *a, double from, double to)
{
    double scale = (double)a->scale, q = code_of(a, from), last = code_of(a, to);
    if (q == last)
        return mean_square(from, to, q * scale);
    double sum = 0, left = from;
    for (; q <= last; q++) {
        double right = q == last ? to : (q + 0.5) * scale;
        right = right > to ? to : right;
        if (right > left)
            sum += (right - left) * mean_square(left, right, q * scale);
        left = right > left ? right : left;
    }
    return sum / (to - from);
}

/* A sum of squares only grows, rounded or not: whether it reaches the limit is known before its end. */
double histogram_noise_below(const struct histogram *h, const struct affine *a, double limit)
{
    double width = ldexp(1, h->exponent), count = (double)h->count, sum = 0, from, to;
    for (int j = 0; j < HISTOGRAM_BINS; j++) {
        if (j % 64 == 0 && h->count && sum / count >= limit)
            break;
        if (h->bins[j] == 0)
            continue;
        edges_of(h, width, j, &from, &to);
        sum += (double)h->bins[j] * interval_noise(a, from, to);
    }
    return h->count ? sum / count : 0;
}

double histogram_noise(const struct histogram *h, const struct affine *a)
{
    return histogram_noise_below(h, a, (double)INFINITY);
}

double histogram_sqnr_of(const struct histogram *h, const struct affine *a)
{
    double noise = histogram_noise(h, a);
    return noise > 0 ? 10 * log10(histogram_power(h) / noise) : (double)INFINITY;
}

double histogram_sqnr(const struct histogram *h, int bits, double low, double high)
{
    struct affine a;
    if (affine_from_range(low, high, bits, &a, NULL) < 0)
        return (double)NAN;
    return histogram_sqnr_of(h, &a);
}
