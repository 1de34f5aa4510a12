/* crew.h: how a program that several ranks run ends: with one line where it fails. */
#ifndef RESQ_TOOLS_CREW_H
#define RESQ_TOOLS_CREW_H

#include "ranks/ranks.h"
#include "tools/common/options.h"

/* tool_end; ranks NULL: nothing else. Otherwise what fails on one rank ends all, and is said once, with the rank's
 * number before it where it is not the first: the others leave it to the first to say what fails on all of them. */
int tool_end_of_ranks(const struct tool *t, const struct ranks *ranks, int status, struct message *m);

#endif
