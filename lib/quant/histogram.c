#include "quant/histogram.h"
#include <math.h>
#include <string.h>

void histogram_clear(struct histogram *h)
{
    memset(h->bins, 0, sizeof h->bins);
    h->exponent = HISTOGRAM_MIN_EXPONENT;
    h->min = INFINITY;
    h->max = -INFINITY;
    h->count = 0;
}

int histogram_exponent(float min, float max)
{
    int k = HISTOGRAM_MIN_EXPONENT;
    while (ldexp(max, -k) >= HISTOGRAM_BINS / 2 || ldexp(min, -k) < -HISTOGRAM_BINS / 2)
        k++;
    return k;
}

/* Merges pairs until the exponent is k: bin q of the new width holds bins 2q and 2q+1 of the old. */
static void grow_to(struct histogram *h, int k)
{
    for (; h->exponent < k; h->exponent++) {
        uint64_t merged[HISTOGRAM_BINS] = {0};
        const int quarter = HISTOGRAM_BINS / 4;
        for (int j = 0; j < HISTOGRAM_BINS / 2; j++)
            merged[quarter + j] = h->bins[2 * j] + h->bins[2 * j + 1];
        memcpy(h->bins, merged, sizeof merged);
    }
}

/* Whole steps have a trip count that the compiler knows, so that it uses vectors at -O2. */
enum { STEP = 64 };

static void step_extremes(const float *restrict values, float *restrict low, float *restrict high,
                          uint32_t *restrict wrong)
{
    for (int i = 0; i < STEP; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        wrong[i] |= (bits & 0x7f800000u) == 0x7f800000u;
        low[i] = values[i] < low[i] ? values[i] : low[i];
        high[i] = values[i] > high[i] ? values[i] : high[i];
    }
}

/* Extremes of one block; 1 where all values are finite. */
static int block_extremes(const float *values, size_t count, float *min, float *max)
{
    float low[STEP], high[STEP], last[STEP];
    uint32_t wrong[STEP] = {0}, any = 0;
    for (int i = 0; i < STEP; i++)
        low[i] = high[i] = last[i] = values[0];
    size_t whole = count - count % STEP;
    for (size_t at = 0; at < whole; at += STEP)
        step_extremes(values + at, low, high, wrong);
    memcpy(last, values + whole, (count - whole) * sizeof *last);
    step_extremes(last, low, high, wrong);
    *min = low[0];
    *max = high[0];
    for (int i = 0; i < STEP; i++) {
        *min = low[i] < *min ? low[i] : *min;
        *max = high[i] > *max ? high[i] : *max;
        any |= wrong[i];
    }
    *min += 0.0f; /* -0 becomes 0, or the result would depend on the order */
    *max += 0.0f;
    return !any;
}

/* floor(x / width) without a division. x * inverse is exact unless it is subnormal, and then t is 0 and the sign
 * decides. */
static inline int bin_of(float x, float inverse, float width)
{
    int t = (int)(x * inverse);
    return t - (x < (float)t * width) + HISTOGRAM_BINS / 2;
}

int histogram_bin(const struct histogram *h, float x)
{
    return bin_of(x, ldexpf(1, -h->exponent), ldexpf(1, h->exponent));
}

static void step_bins(const float *restrict values, float inverse, float width, int *restrict indices)
{
    for (int i = 0; i < STEP; i++)
        indices[i] = bin_of(values[i], inverse, width);
}

/* Four counters in turn: activations repeat (zeros above all), and a counter just stored is slow to load again.
 * Returns how many values were counted: all but an incomplete step. */
static size_t block_count_steps(struct histogram *h, const float *values, size_t count, float inverse, float width)
{
    enum { LANES = 4 };
    uint32_t counts[LANES][HISTOGRAM_BINS] = {{0}};
    int indices[STEP];
    size_t at = 0;
    for (; at + STEP <= count; at += STEP) {
        step_bins(values + at, inverse, width, indices);
        for (int i = 0; i < STEP; i += LANES)
            for (int lane = 0; lane < LANES; lane++)
                counts[lane][indices[i + lane]]++;
    }
    for (int lane = 0; lane < LANES; lane++)
        for (int j = 0; j < HISTOGRAM_BINS; j++)
            h->bins[j] += counts[lane][j];
    return at;
}

static void block_count(struct histogram *h, const float *values, size_t count)
{
    enum { FEW = 8 * HISTOGRAM_BINS }; /* not worth clearing and adding up separate counters */
    float inverse = ldexpf(1, -h->exponent), width = ldexpf(1, h->exponent);
    size_t at = count < FEW ? 0 : block_count_steps(h, values, count, inverse, width);
    for (; at < count; at++)
        h->bins[bin_of(values[at], inverse, width)]++;
    h->count += count;
}

int histogram_add(struct histogram *h, const float *values, size_t count, struct message *m)
{
    enum { BLOCK = 1 << 20 }; /* well below what a 32-bit counter holds */
    for (size_t at = 0; at < count; at += BLOCK) {
        size_t n = count - at < BLOCK ? count - at : BLOCK;
        float min, max;
        if (!block_extremes(values + at, n, &min, &max)) {
            while (isfinite(values[at]))
                at++;
            return message_set(m, STATUS_RANGE, "%s at index %zu", isnan(values[at]) ? "NaN" : "Inf", at);
        }
        h->min = min < h->min ? min : h->min;
        h->max = max > h->max ? max : h->max;
        grow_to(h, histogram_exponent(h->min, h->max));
        block_count(h, values + at, n);
    }
    return 0;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    struct histogram other = *from;
    int k = into->exponent > other.exponent ? into->exponent : other.exponent;
    grow_to(into, k);
    grow_to(&other, k);
    for (int j = 0; j < HISTOGRAM_BINS; j++)
        into->bins[j] += other.bins[j];
    into->min = other.min < into->min ? other.min : into->min;
    into->max = other.max > into->max ? other.max : into->max;
    into->count += other.count;
}
