/* step_constants.h: what a step of inference needs beside the images, from the model's tensors: biases, tables,
 * requantization constants, folded weights. Made once, by exec_open. Private to lib/exec/infer and lib/emit. */
#ifndef RESQ_EXEC_INFER_STEP_CONSTANTS_H
#define RESQ_EXEC_INFER_STEP_CONSTANTS_H

#include "exec/plan/maps.h"
#include "exec/plan/steps.h"

/* All-zero is empty; what a step does not need is NULL. Everything is owned. */
struct step_constants {
    float *scale, *shift; /* [C] of a batch norm; scale also: multipliers [K] of an integer convolution */
    float *bias;          /* [K] of a float convolution, aligned */
    int32_t *bias_q;      /* [K] of an integer one */
    uint8_t *table;       /* lookup: [C][256]; relu and clip of codes: [256]; concat of codes: [operands][256] */
    float *folded;        /* weights [K,C,R,R] with their batch norm in them, until they are packed */
    struct requantize requantize;
    struct affine map_x, map_y, map_other; /* of u8 values */
};

/* k: for tables. STATUS_MISMATCH: the model lacks a tensor; STATUS_RANGE: a variance, or sums beyond 32 bits. */
int step_constants_make(struct step_constants *c, const struct model *model, const struct step *s,
                        const struct elementwise_kernels *k, struct message *m) RESQ_USE_RESULT;
void step_constants_free(struct step_constants *c);

/* Weights that a convolution multiplies with: folded, or the model's; f32 or s8 [K,C,R,R]. Codes that the model has
 * packed are expanded into *owned, the caller's to free (NULL otherwise): a layer's at a time, so that they never
 * stand in memory twice as a whole. NULL where memory is out. */
const void *step_weights(const struct step_constants *c, const struct model *model, const struct step *s,
                         void **owned, struct message *m) RESQ_USE_RESULT;

#endif
