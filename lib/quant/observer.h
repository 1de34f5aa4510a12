/* observer.h: from a histogram to a clipping range. A new observer is one file and one line in observer.c's table.
 */
#ifndef RESQ_QUANT_OBSERVER_H
#define RESQ_QUANT_OBSERVER_H

#include "quant/affine.h"
#include "quant/histogram.h"

struct observer {
    const char *name;  /* "min-max", "percentile", "mse", "entropy" */
    const char *about; /* one line for --help */
    /* Finds [*low, *high] for 2^bits codes. parameter: the percentile (e.g. 99.99) where used. Bins are taken as
     * uniform inside; the exact min and max bound the range. Defined for constant and all-zero activations. */
    int (*range)(const struct histogram *h, int bits, double parameter, double *low, double *high,
                 struct message *m);
    double default_parameter;
};

const struct observer *observer_find(const char *name); /* NULL where unknown */
const struct observer *observer_at(int i);              /* NULL past the end */
/* Expected signal-to-quantization-noise ratio in dB of clipping to [low, high] with 2^bits codes, from the
 * histogram; infinite where nothing is lost, NaN where the range is none. */
double histogram_sqnr(const struct histogram *h, int bits, double low, double high);

/* Expected squared value, and squared error of quantizing by a, of one value of h. Exact for values uniform within
 * their bin (cut at min and max). */
double histogram_power(const struct histogram *h);
double histogram_noise(const struct histogram *h, const struct affine *a);
/* The same where it is below the limit; else some value that is not. */
double histogram_noise_below(const struct histogram *h, const struct affine *a, double limit);
double histogram_sqnr_of(const struct histogram *h, const struct affine *a);
/* The reals that bin j stands for, cut at min and max: at least part of it must lie between. */
void histogram_edges(const struct histogram *h, int j, double *from, double *to);

#endif
