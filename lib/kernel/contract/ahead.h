/* ahead.h: memory that later calls will read, most of all their weights, in the order in which they will. A kernel
 * that waits for its instructions more than for memory may bring it into the second-level cache while it computes:
 * one image's weights otherwise arrive while nothing else happens. What it brings it takes off the front. */
#ifndef RESQ_KERNEL_CONTRACT_AHEAD_H
#define RESQ_KERNEL_CONTRACT_AHEAD_H

#include <stddef.h>

enum { AHEAD_LINE = 64 };

/* Multiples of a line. */
struct ahead_range {
    const char *begin, *end;
};

struct ahead {
    const struct ahead_range *range, *last; /* still to come, [range, last) */
    const char *next, *end;                 /* of the present one */
    size_t room;                            /* bytes that the cache has room for */
};

static inline size_t ahead_most(const struct ahead *a)
{
    size_t left = (size_t)(a->end - a->next);
    return left < a->room ? left : a->room;
}

/* The next bytes that may be brought, at most what is left of one range; an empty one where there are none. */
static inline struct ahead_range ahead_window(struct ahead *a)
{
    if (a->next == a->end && a->range < a->last) {
        a->next = a->range->begin;
        a->end = a->range++->end;
    }
    return (struct ahead_range){a->next, a->next + ahead_most(a)};
}

/* Takes what was brought: what lies before `next`, which began as the window did and may have gone past its end. */
static inline void ahead_take(struct ahead *a, const char *next)
{
    size_t brought = (size_t)(next - a->next), most = ahead_most(a);
    brought = brought < most ? brought : most;
    a->next += brought;
    a->room -= brought;
}

/* One line, without waiting for it. */
static inline void ahead_bring(const char *line)
{
    __builtin_prefetch(line, 0, 2);
}

#endif
