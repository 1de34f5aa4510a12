/* crew.h: how a program that several ranks run begins and ends: what it says is said once. */
#ifndef RESQ_TOOLS_CREW_H
#define RESQ_TOOLS_CREW_H

#include "ranks/ranks.h"
#include "tools/common/options.h"

/* ranks_open. On all ranks but the first *quiet is set from then on, and *verbose cleared. */
int crew_open(const struct ranks **ranks, int *verbose, int *quiet, struct message *m) RESQ_USE_RESULT;
/* 1 on the first rank, and in a process alone: who reads standard input and writes. */
int crew_is_first(const struct ranks *ranks);

/* tool_end; ranks NULL: nothing else. Otherwise what fails on one rank ends all, and is said once, with the rank's
 * number before it where it is not the first: the others leave it to the first to say what fails on all of them. */
int tool_end_of_ranks(const struct tool *t, const struct ranks *ranks, int status, struct message *m);

#endif
