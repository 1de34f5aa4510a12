/* peak.h: what the sets' peak loops share. */
#ifndef RESQ_KERNEL_CONTRACT_PEAK_H
#define RESQ_KERNEL_CONTRACT_PEAK_H

#include "base/progress.h"

/* Products a second of the fastest of as many calls of rounds as fit: others share the machine. */
static inline double peak_fastest(void (*rounds)(void), double products, double seconds)
{
    double start = clock_seconds(), best = 0;
    do {
        double t = clock_seconds();
        rounds();
        t = clock_seconds() - t;
        double rate = t > 0 ? products / t : 0;
        best = rate > best ? rate : best;
    } while (clock_seconds() - start < seconds);
    return best;
}

#endif
