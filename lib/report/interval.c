/* Intervals and tests on counts. */
#include "report/metrics.h"
#include <math.h>

struct interval wilson_interval(int64_t k, int64_t n)
{
    const double z = 1.959963984540054; /* the normal distribution's 0.975 quantile */
    if (n <= 0)
        return (struct interval){0, 1}; /* nothing seen, nothing excluded */
    double total = (double)n, p = (double)k / total, denominator = 1 + z * z / total;
    double centre = (p + z * z / (2 * total)) / denominator;
    double half = z / denominator * sqrt(p * (1 - p) / total + z * z / (4 * total * total));
    /* The ends are exactly 0 and 1 where nothing or everything succeeded; say so without rounding error. */
    return (struct interval){k <= 0 ? 0 : centre - half, k >= n ? 1 : centre + half};
}

double mcnemar_exact(int64_t b, int64_t c)
{
    int64_t n = b + c, least = b < c ? b : c;
    if (b == c)
        return 1;
    /* The tail's largest term through logarithms, the smaller ones by their ratio: C(n,k-1) = C(n,k) * k / (n-k+1).
     */
    int sign;
    double total = (double)n, k = (double)least;
    double logarithm = lgamma_r(total + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(total - k + 1, &sign);
    double relative = 1, sum = 1;
    for (; k > 0 && relative > 0; k--) {
        relative *= k / (total - k + 1);
        sum += relative;
    }
    double p = 2 * sum * exp(logarithm - total * log(2.0));
    return p < 1 ? p : 1;
}
