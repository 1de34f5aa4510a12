/* The range whose expected squared error is least, by search. The error counts clipping and rounding on the very
 * grid that affine_from_range makes. It has no convexity to lean on (with few codes the zero point jumps), so a
 * whole grid of ranges is tried first, then the neighbours of the best at ever smaller steps. */
#include "quant/observers.h"

enum { GRID_ONE_END = 128, GRID_BOTH_ENDS = 48, HALVINGS = 6 };

struct search {
    const struct histogram *h;
    int bits;
    double low, high, noise; /* the best so far */
};

/* Tries a range, the ends kept within what was seen and on their own side of zero. Returns whether it is the best
 * yet. */
static int consider(struct search *s, double low, double high)
{
    struct affine a;
    low = low < (double)s->h->min ? (double)s->h->min : low;
    high = high > (double)s->h->max ? (double)s->h->max : high;
    if (low > high || (s->h->max > 0 && high <= 0) || (s->h->min < 0 && low >= 0) ||
        affine_from_range(low, high, s->bits, &a, NULL) < 0)
        return 0;
    double noise = histogram_noise_below(s->h, &a, s->noise);
    if (noise >= s->noise)
        return 0;
    s->noise = noise;
    s->low = low;
    s->high = high;
    return 1;
}

/* An end that is not on its own side of zero does not matter (zero is always held) and stays where it is. */
static double end_step(double end, int is_moving, int divisions)
{
    return is_moving ? end / divisions : 0;
}

static void descend(struct search *s, double step_low, double step_high)
{
    for (int halving = 0; halving < HALVINGS;) {
        double low = s->low, high = s->high;
        int better = 0;
        for (int k = 0; k < 9; k++)
            better |= consider(s, low + (k / 3 - 1) * step_low, high + (k % 3 - 1) * step_high);
        if (better)
            continue;
        step_low /= 2;
        step_high /= 2;
        halving++;
    }
}

int mse_range(const struct histogram *h, int bits, double parameter, double *low, double *high, struct message *m)
{
    (void)parameter, (void)m;
    struct affine a;
    *low = (double)h->min;
    *high = (double)h->max;
    TRY(affine_from_range(*low, *high, bits, &a, m));
    struct search s = {h, bits, *low, *high, histogram_noise(h, &a)};
    int grid = h->min < 0 && h->max > 0 ? GRID_BOTH_ENDS : GRID_ONE_END;
    double step_low = end_step(*low, h->min < 0, grid), step_high = end_step(*high, h->max > 0, grid);
    for (int i = 0; i < (step_low < 0 ? grid : 1); i++)
        for (int j = 0; j < (step_high > 0 ? grid : 1); j++)
            consider(&s, *low - i * step_low, *high - j * step_high);
    descend(&s, step_low / 2, step_high / 2);
    *low = s.low;
    *high = s.high;
    return 0;
}
