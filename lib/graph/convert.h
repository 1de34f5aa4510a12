/* convert.h: tensors of a record in another type. */
#ifndef RESQ_GRAPH_CONVERT_H
#define RESQ_GRAPH_CONVERT_H

#include "record/record.h"

/* Tensor i becomes one of `dtype` (F32, F16 or I64) and `rank`, 0 or what it has, its values rounded to it; its name
 * and place stay. STATUS_RANGE where a finite value has none in F16 (name and index). */
int tensor_convert(struct record *r, size_t i, enum dtype dtype, int rank, struct message *m) RESQ_USE_RESULT;
/* Every F16 and BF16 tensor becomes F32, which holds all their values. */
int tensors_widen(struct record *r, struct message *m) RESQ_USE_RESULT;
/* Every F32 tensor of rank 2 and more, which are a float network's weights, becomes F16. */
int tensors_halve(struct record *r, struct message *m) RESQ_USE_RESULT;

#endif
