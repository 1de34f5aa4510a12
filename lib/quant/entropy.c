/* The range that keeps the distribution's shape: least Kullback-Leibler divergence between the clipped distribution
 * and its quantized form. The method of S. Migacz, "8-bit Inference with TensorRT" (GTC 2017), with windows that
 * grow symmetrically around zero and are cut at what was seen, as ONNX Runtime does for affine codes. As in
 * NVIDIA's pytorch-quantization, the bin at zero counts as its neighbour: the many exact zeros behind a ReLU are
 * free. */
#include "quant/observers.h"
#include <math.h>

enum { ZERO = HISTOGRAM_BINS / 2 };

/* One quantized level over bins [from, to): its share of the divergence. p has clipped counts in its end bins, q
 * spreads the level's own counts evenly over the bins that p has. */
static double level_divergence(const double *slice, const double *p, int from, int to, double p_total,
                               double q_total)
{
    double mass = 0, divergence = 0;
    int bins = 0;
    for (int j = from; j < to; j++) {
        mass += slice[j];
        bins += p[j] > 0;
    }
    if (bins == 0)
        return 0;
    if (mass == 0)
        return (double)INFINITY; /* only clipped values here: nothing represents them */
    double q = mass / bins / q_total;
    for (int j = from; j < to; j++)
        if (p[j] > 0)
            divergence += p[j] / p_total * log(p[j] / p_total / q);
    return divergence;
}

/* Of clipping to bins [first, end) in `levels` codes. */
static double divergence_of(const double *counts, int first, int end, int levels)
{
    double p[HISTOGRAM_BINS], p_total = 0, q_total = 0, sum = 0;
    for (int j = 0; j < HISTOGRAM_BINS; j++)
        p[j] = j >= first && j < end ? counts[j] : 0;
    for (int j = 0; j < HISTOGRAM_BINS; j++) {
        p[j < first ? first : j >= end ? end - 1 : j] += j < first || j >= end ? counts[j] : 0;
        p_total += counts[j];
        q_total += j >= first && j < end ? counts[j] : 0;
    }
    if (q_total == 0)
        return (double)INFINITY;
    int width = end - first, from = first;
    for (int level = 0; level < levels && from < end; level++) {
        int to = first + (int)((int64_t)(level + 1) * width / levels);
        if (to > from)
            sum += level_divergence(counts, p, from, to, p_total, q_total);
        from = to > from ? to : from;
    }
    return sum;
}

static int occupied(const struct histogram *h, int from_top)
{
    int j = from_top ? HISTOGRAM_BINS - 1 : 0;
    while (j >= 0 && j < HISTOGRAM_BINS - 1 && h->bins[j] == 0)
        j += from_top ? -1 : 1;
    return j;
}

int entropy_range(const struct histogram *h, int bits, double parameter, double *low, double *high,
                  struct message *m)
{
    (void)parameter, (void)m;
    int first = occupied(h, 0), last = occupied(h, 1), levels = 1 << bits;
    first = first < ZERO ? first : ZERO; /* zero always has a code */
    last = last > ZERO - 1 ? last : ZERO - 1;
    double counts[HISTOGRAM_BINS], best = (double)INFINITY, width = ldexp(1, h->exponent);
    for (int j = 0; j < HISTOGRAM_BINS; j++)
        counts[j] = (double)h->bins[j];
    if (first <= ZERO && last > ZERO)
        counts[ZERO] = counts[ZERO + 1];
    int reach = last - ZERO + 1 > ZERO - first ? last - ZERO + 1 : ZERO - first;
    *low = (double)h->min;
    *high = (double)h->max;
    for (int half = 1; half <= reach; half++) {
        int from = ZERO - half > first ? ZERO - half : first, to = ZERO + half < last + 1 ? ZERO + half : last + 1;
        if (to - from < levels)
            continue; /* fewer bins than codes cannot show what rounding costs */
        double divergence = divergence_of(counts, from, to, levels);
        if (divergence <= best) { /* of equals the widest */
            best = divergence;
            *low = (from - ZERO) * width > (double)h->min ? (from - ZERO) * width : (double)h->min;
            *high = (to - ZERO) * width < (double)h->max ? (to - ZERO) * width : (double)h->max;
        }
    }
    return 0;
}
