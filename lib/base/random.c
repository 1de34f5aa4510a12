#include "base/random.h"
#include <math.h>

static void philox_round(uint32_t c[4], uint32_t k0, uint32_t k1)
{
    uint64_t p0 = (uint64_t)0xD2511F53u * c[0];
    uint64_t p1 = (uint64_t)0xCD9E8D57u * c[2];
    uint32_t c1 = c[1], c3 = c[3];
    c[0] = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    c[1] = (uint32_t)p1;
    c[2] = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c[3] = (uint32_t)p0;
}

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c[4] = {counter[0], counter[1], counter[2], counter[3]};
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        philox_round(c, k0, k1);
        k0 += 0x9E3779B9u; /* Weyl sequences: the golden ratio and sqrt(3) - 1 */
        k1 += 0xBB67AE85u;
    }
    for (int i = 0; i < 4; i++)
        out[i] = c[i];
}

/* The name of a stream is wider than key and counter leave room for beside a block number, so a first Philox call,
 * a bijection of (purpose, a, b) for each seed, turns it into the stream's own key and upper counter half. */
struct random_stream random_open(uint64_t seed, uint32_t purpose, uint32_t a, uint64_t b)
{
    uint32_t name[4] = {purpose, a, (uint32_t)b, (uint32_t)(b >> 32)};
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)}, derived[4];
    philox4x32(name, key, derived);
    struct random_stream r = {.key = {derived[0], derived[1]}, .counter = {0, 0, derived[2], derived[3]}};
    return r;
}

uint32_t random_u32(struct random_stream *r)
{
    if (r->left == 0) {
        philox4x32(r->counter, r->key, r->block);
        if (++r->counter[0] == 0)
            r->counter[1]++;
        r->left = 4;
    }
    return r->block[4 - r->left--];
}

/* Lemire, "Fast random integer generation in an interval", 2019: multiply, reject the few that would be biased. */
uint32_t random_below(struct random_stream *r, uint32_t bound)
{
    uint64_t product = (uint64_t)random_u32(r) * bound;
    if ((uint32_t)product < bound) {
        uint32_t threshold = -bound % bound;
        while ((uint32_t)product < threshold)
            product = (uint64_t)random_u32(r) * bound;
    }
    return (uint32_t)(product >> 32);
}

double random_uniform(struct random_stream *r)
{
    uint64_t high = random_u32(r) >> 5, low = random_u32(r) >> 6;
    return (double)((high << 26) | low) * 0x1p-53;
}

double random_normal(struct random_stream *r)
{
    double u = 1.0 - random_uniform(r); /* (0,1]: the logarithm is finite */
    double angle = 6.283185307179586476925 * random_uniform(r);
    return sqrt(-2.0 * log(u)) * cos(angle);
}

/* log of a gamma variate of shape a. Below 1: that of a + 1, times u^(1/a). */
static double log_gamma_variate(struct random_stream *r, double a)
{
    const double d = a + 1 - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = random_normal(r), v = 1 + c * x, u = 1.0 - random_uniform(r);
        v = v * v * v;
        if (v > 0 && log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return log(d * v) + log(1.0 - random_uniform(r)) / a;
    }
}

double random_beta(struct random_stream *r, double a)
{
    double first = log_gamma_variate(r, a), second = log_gamma_variate(r, a);
    return 1 / (1 + exp(second - first));
}
