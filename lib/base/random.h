/* random.h: counter-based random numbers, Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A draw depends on its key and counter alone, so nothing depends on threads, order or what
 * else was drawn, and no generator state needs saving. */
#ifndef RESQ_BASE_RANDOM_H
#define RESQ_BASE_RANDOM_H

#include <stdint.h>

void philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* A stream of draws for one purpose. Different (seed, purpose, a, b) give independent streams. */
struct random_stream {
    uint32_t key[2], counter[4], block[4];
    int left; /* unread words of block */
};

/* purpose: a small constant that names the use (see RANDOM_ below); a: e.g. the epoch; b: e.g. the image index. */
struct random_stream random_open(uint64_t seed, uint32_t purpose, uint32_t a, uint64_t b);
uint32_t random_u32(struct random_stream *r);
uint32_t random_below(struct random_stream *r, uint32_t bound); /* uniform 0..bound-1 without bias; bound >= 1 */
double random_uniform(struct random_stream *r);                 /* [0,1), 53 bits */
double random_normal(struct random_stream *r);                  /* Box-Muller, mean 0, deviation 1 */
/* Beta(a, a), in [0,1]; a > 0. Two gamma variates (Marsaglia and Tsang, "A simple method for generating gamma
 * variables", 2000), by their logarithms, so that a small a gives numbers next to 0 and 1, not 0/0. */
double random_beta(struct random_stream *r, double a);

/* Purposes: one constant a use, never renumbered (numbers are part of reproducibility). */
enum random_purpose {
    RANDOM_SHUFFLE = 1, /* order of an epoch */
    RANDOM_INITIALISE = 2,
    RANDOM_CROP = 3,
    RANDOM_FLIP = 4,
    RANDOM_JITTER = 5,
    RANDOM_ROTATION = 6,
    RANDOM_CUTOUT = 7,
    RANDOM_RESIZED_CROP = 8,
    RANDOM_CUTMIX = 20,
    RANDOM_MIXUP = 21,
    RANDOM_RICAP = 22,
    RANDOM_ROUNDING = 23, /* order of the images that rounding is learned on */
    RANDOM_DROP = 24,
    RANDOM_TEST = 100
};

#endif
