/* difference.h: how far tensors are apart, relative to the norm of what is right. */
#ifndef RESQ_TEST_DIFFERENCE_H
#define RESQ_TEST_DIFFERENCE_H

#include "common.h"

struct difference {
    double squares, norm;
    double worst; /* of several tensors, and which it was */
    char name[96];
};

static inline void difference_add(struct difference *d, double got, double want)
{
    d->squares += (got - want) * (got - want);
    d->norm += want * want;
}

static inline double relative(const struct difference *d)
{
    return sqrt(d->squares / d->norm);
}

/* The tensor that is furthest off; what is not a number is further than all. */
static inline void keep_worst(struct difference *worst, const struct difference *d, const char *name)
{
    double far = relative(d);
    if (!(far <= worst->worst)) {
        worst->worst = far;
        snprintf(worst->name, sizeof worst->name, "%s", name);
    }
}

/* SHOW_DIFFERENCES=1 in the environment prints them all, for whoever sets a tolerance. */
static inline void expect_near(const char *who, const char *what, const struct difference *worst, double tolerance)
{
    if (getenv("SHOW_DIFFERENCES"))
        print_message("%s: %s: %.3g (%s), at most %g\n", who, what, worst->worst, worst->name, tolerance);
    if (!(worst->worst <= tolerance))
        fail_msg("%s: %s of %s is %.3g of its norm off, at most %g", who, what, worst->name, worst->worst,
                 tolerance);
}

#endif
