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

/* Extremes of one block; 1 where all values are finite. Written for the compiler to vectorise. */
static int block_extremes(const float *values, size_t count, float *min, float *max)
{
    float low = values[0], high = values[0];
    uint32_t wrong = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        wrong |= (bits & 0x7f800000u) == 0x7f800000u;
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    *min = low + 0.0f; /* -0 becomes 0, or the result would depend on the order */
    *max = high + 0.0f;
    return !wrong;
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

/* Four counters in turn: activations repeat (zeros above all), and a counter just stored is slow to load again. */
static void block_count(struct histogram *h, const float *values, size_t count)
{
    enum { LANES = 4, STEP = 512, FEW = 2 * LANES * HISTOGRAM_BINS };
    static const size_t lane_mask = LANES - 1;
    float inverse = ldexpf(1, -h->exponent), width = ldexpf(1, h->exponent);
    h->count += count;
    for (size_t i = 0; count < FEW && i < count; i++)
        h->bins[bin_of(values[i], inverse, width)]++;
    if (count < FEW)
        return;
    uint32_t counts[LANES][HISTOGRAM_BINS] = {{0}};
    int indices[STEP];
    for (size_t at = 0; at < count; at += STEP) {
        size_t n = count - at < STEP ? count - at : STEP;
        for (size_t i = 0; i < n; i++)
            indices[i] = bin_of(values[at + i], inverse, width);
        for (size_t i = 0; i < n; i++)
            counts[i & lane_mask][indices[i]]++;
    }
    for (int lane = 0; lane < LANES; lane++)
        for (int j = 0; j < HISTOGRAM_BINS; j++)
            h->bins[j] += counts[lane][j];
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
