/* allot.h: one of several choices for each of some items so that what they cost stays within a bound and what they
 * lose, in sum, is least: a multiple-choice knapsack, solved exactly by dynamic
 * programming over what cannot be bettered. */
#ifndef RESQ_PTQ_ALLOT_H
#define RESQ_PTQ_ALLOT_H

#include "base/status.h"
#include <stdint.h>

enum { ALLOT_CHOICES = 8, ALLOT_MOST = 1 << 15 /* partial choices kept of each number of items */ };

struct allot_item {
    int count; /* 1..ALLOT_CHOICES */
    int64_t cost[ALLOT_CHOICES];
    double loss[ALLOT_CHOICES];
};

/* All ways of choosing of which no other costs no more and loses less, or costs less and loses no more; from the
 * cheapest on, losing less and less. Of equals the one of the earlier choices. */
struct allot_front {
    int items, count;
    int64_t *cost; /* [count]; owned */
    double *loss;  /* [count]; owned */
    uint8_t *pick; /* [count, items]: indices of choices; owned */
    int is_exact;  /* 0: more than ALLOT_MOST stood in the way, and some that were close to others were left out */
};

/* allot_free after a failure too. costs >= 0, their sum fits. STATUS_RANGE where an item has no choice. */
int allot_find(struct allot_front *f, const struct allot_item *items, int count, struct message *m) RESQ_USE_RESULT;
/* The last that costs at most `most`; -1: none. */
int allot_within(const struct allot_front *f, int64_t most);
void allot_free(struct allot_front *f);

#endif
