/* agree.h: whether all ranks are about to compute the same. */
#ifndef RESQ_RANKS_AGREE_H
#define RESQ_RANKS_AGREE_H

#include "ranks/ranks.h"

enum { VIEW_BYTES = 256 };

/* view: with what this rank computes, and from what, in one line; its first VIEW_BYTES - 1 bytes count.
 * STATUS_MISMATCH, on every rank, where one has another view than the first: names both. Alone (ranks NULL): 0. */
int ranks_agree(const struct ranks *ranks, const char *view, struct message *m) RESQ_USE_RESULT;

#endif
