/* cost.h: which algorithm a convolution takes, by a written rule. Private to lib/exec.
 *
 * The rule compares the vector instructions of the forms. Direct, and in pairs: one for every so many products.
 * Winograd F(4x4,3x3): 36 products for 144, `winograd` of them an instruction, and beside them what a tile costs for
 * every input channel and output (transforms), and what a weight costs to bring into the transformed form, once a call
 * for every `images` images. The constants stand in cost.c, with where they come from. */
#ifndef RESQ_EXEC_PLAN_COST_H
#define RESQ_EXEC_PLAN_COST_H

#include "base/status.h"
#include "kernel/contract/kernel.h"

enum algorithm { ALGORITHM_DIRECT, ALGORITHM_PAIRS, ALGORITHM_WINOGRAD, ALGORITHMS };

/* What RESQ_CONV says. */
enum conv_choice { CHOOSE_BY_COST, CHOOSE_DIRECT, CHOOSE_PAIRS, CHOOSE_WINOGRAD };

/* RESQ_CONV: direct, pairs, winograd; unset or empty: by cost. Anything else is STATUS_UNSUPPORTED with the list. */
int conv_choice_get(enum conv_choice *choice, struct message *m) RESQ_USE_RESULT;

/* Estimated nanoseconds an image in calls of `images`, of a machine of the kind that cost.c was measured on: only the
 * order matters. INFINITY: not to be chosen on this set. */
double cost_of(enum algorithm algorithm, const struct conv_shape *s, const char *isa, int is_integer, int images);

#endif
