/* allotment_choose.h: the plan that keeps a bound, and how it is written down. */
#ifndef RESQ_TOOLS_ALLOTMENT_CHOOSE_H
#define RESQ_TOOLS_ALLOTMENT_CHOOSE_H

#include "tools/common/trial.h"

enum bound_kind { BOUND_BYTES, BOUND_AVERAGE, BOUND_MS, BOUND_DROP };
struct bound {
    enum bound_kind kind;
    double most;
};

/* trials: open, or NULL: nothing is tried (not of BOUND_DROP). What is chosen is "chosen" among them. STATUS_RANGE
 * where no plan keeps the bound: the least that one can is said. plan: the caller's, to be freed. */
int plan_choose(struct allotment *a, const struct bound *bound, struct trials *trials, struct bit_plan *plan,
                struct message *m) RESQ_USE_RESULT;
/* Tries `points` plans from the cheapest to the dearest, and all widths of the table for all layers. */
int plans_around(struct allotment *a, struct trials *trials, int points, struct message *m) RESQ_USE_RESULT;
/* As a text to be edited: lib/FORMATS.md. The first line says in short what it is. */
int plan_print(const struct allotment *a, const struct bound *bound, const struct trials *trials,
               const struct bit_plan *plan, struct text *t, struct message *m) RESQ_USE_RESULT;

#endif
