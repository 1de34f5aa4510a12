/* bounds.h: whether exact Winograd, or pairs, may compute a layer, proved from its weights.
 *
 * Winograd F(4x4,3x3) in 32-bit integers gives the sum of codes times weights exactly where its absolute value
 * stays below 2^25; bias and zero point are added afterwards. With codes 0..255 the sum of an output is at most 255
 * times the larger of the sum of its positive weights and that of its negated negative ones.
 *
 * Products summed by pairs in 16 bits are exact where pairs.h says so. */
#ifndef RESQ_EXEC_PLAN_BOUNDS_H
#define RESQ_EXEC_PLAN_BOUNDS_H

#include "base/text.h"
#include "graph/model.h"
#include <stdint.h>

#define WINOGRAD_SUM_LIMIT ((int64_t)1 << 25)

/* Of one output with per_output weights. */
int64_t winograd_bound(const int8_t *weight, int per_output);

/* Whether conv_u8_pairs is exact for such an output, and worth its while; high_x: the largest code of x. */
int pairs_proved(const int8_t *weight, int per_output, int high_x);

/* A line for each integer 3x3 convolution of stride 1: the largest bound of its outputs, how far below 2^25 it
 * stays, and how many outputs are beyond. A model without any is STATUS_MISMATCH. */
int winograd_bounds_print(const struct model *model, struct text *out, struct message *m) RESQ_USE_RESULT;

#endif
