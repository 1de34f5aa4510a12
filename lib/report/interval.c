/* Intervals and tests on counts; distributions from GSL. */
#include "report/metrics.h"
#include <gsl/gsl_cdf.h>
#include <math.h>

static double normal_quantile(void)
{
    return gsl_cdf_ugaussian_Pinv(0.975);
}

struct interval wilson_interval(int64_t k, int64_t n)
{
    const double z = normal_quantile();
    if (n <= 0)
        return (struct interval){0, 1}; /* nothing seen, nothing excluded */
    double total = (double)n, p = (double)k / total, denominator = 1 + z * z / total;
    double centre = (p + z * z / (2 * total)) / denominator;
    double half = z / denominator * sqrt(p * (1 - p) / total + z * z / (4 * total * total));
    /* The ends are exactly 0 and 1 where nothing or everything succeeded; say so without rounding error. */
    return (struct interval){k <= 0 ? 0 : centre - half, k >= n ? 1 : centre + half};
}

struct interval paired_interval(int64_t only_first, int64_t only_second, int64_t n)
{
    double total = (double)n + 2, b = (double)only_first + 0.5, c = (double)only_second + 0.5;
    double difference = (c - b) / total;
    double half = normal_quantile() * sqrt(b + c - (c - b) * difference) / total;
    return (struct interval){difference - half, difference + half};
}

double mcnemar_exact(int64_t b, int64_t c)
{
    if (b == c)
        return 1;
    return fmin(1, 2 * gsl_cdf_binomial_P((unsigned)(b < c ? b : c), 0.5, (unsigned)(b + c)));
}
