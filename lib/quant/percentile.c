/* Clips the outermost (100 - p) percent of the values at either end. */
#include "quant/observers.h"

/* The value below which `share` of the counts lie, linear inside its bin. */
static double quantile(const struct histogram *h, double share)
{
    double want = share * (double)h->count, before = 0, from = (double)h->min, to = from;
    for (int j = 0; j < HISTOGRAM_BINS; j++) {
        double here = (double)h->bins[j];
        if (here == 0)
            continue;
        histogram_edges(h, j, &from, &to);
        if (before + here >= want)
            return from + (to - from) * (want - before) / here;
        before += here;
    }
    return to;
}

int percentile_range(const struct histogram *h, int bits, double parameter, double *low, double *high,
                     struct message *m)
{
    (void)bits;
    if (!(parameter > 50 && parameter <= 100))
        return message_set(m, STATUS_RANGE, "percentile %g is not in (50, 100]", parameter);
    double share = parameter / 100;
    *low = quantile(h, 1 - share);
    *high = parameter == 100 ? (double)h->max : quantile(h, share);
    return 0;
}
