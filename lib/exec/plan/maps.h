/* maps.h: what integers mean, and the constants that integer kernels take. lib/quant/QUANT.md has the arithmetic.
 * Private to lib/exec and lib/emit. */
#ifndef RESQ_EXEC_PLAN_MAPS_H
#define RESQ_EXEC_PLAN_MAPS_H

#include "graph/model.h"
#include "kernel/contract/arithmetic.h" /* pool_multiplier */
#include "kernel/contract/kernel.h"
#include "quant/affine.h"

/* The affine map of u8 node i, from the model's `N.scale`, `N.zero_point`, `N.range`. STATUS_MISMATCH: one is
 * missing. */
int node_affine(const struct model *model, int node, struct affine *a, struct message *m) RESQ_USE_RESULT;

/* The maps around an integer convolution. */
struct conv_maps {
    const struct affine *x, *y, *residual; /* y NULL: logits; residual NULL: none */
    int relu;                              /* clamps at y's zero point */
};

/* What conv_u8 takes: multiplier [outputs] is filled from weight_scale [outputs], `bias` [outputs] used as it is.
 * Both arrays stay the caller's and must outlive the result. */
struct requantize requantize_make(const struct conv_maps *maps, const float *weight_scale, int outputs,
                                  const int32_t *bias, float *multiplier);

/* y = x * scale + shift for a batch norm with the given statistics, computed in double and rounded once. All
 * [channels]. */
void norm_constants(int channels, const float *gamma, const float *beta, const float *mean, const float *variance,
                    double eps, float *scale, float *shift);

/* The code of each of 256 pixel values in each channel after normalisation: table u8 [C][256]. values: room for
 * f32 [256][C], which are the normalised values then. */
void input_table(const struct elementwise_kernels *k, const struct node *normalize, const struct affine *a,
                 float *values, uint8_t *table);

#endif
