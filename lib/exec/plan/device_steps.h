/* device_steps.h: what of a network a device computes; the rest is a CPU's. Private to lib/exec. */
#ifndef RESQ_EXEC_PLAN_DEVICE_STEPS_H
#define RESQ_EXEC_PLAN_DEVICE_STEPS_H

#include "exec/plan/steps.h"

enum device_use { DEVICE_INFERENCE, DEVICE_TRAINING, DEVICE_QUANTIZED_TRAINING };

/* STATUS_UNSUPPORTED, with the node's name, where a device lacks one of the steps of g: groups, windows, concat,
 * flatten, clip behind floats, linear layers with a step behind them or in the middle of integers, sums of codes. */
int device_steps_check(const struct steps *s, const struct graph *g, enum device_use use,
                       struct message *m) RESQ_USE_RESULT;

#endif
