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
    struct clip clip;                      /* then at the codes of its ends */
};

/* The lowest and highest code of y behind a relu and a clip, either of which may be none. */
void codes_clip(const struct affine *y, int relu, const struct clip *clip, uint8_t *low, uint8_t *high);

/* What conv_u8 takes: multiplier [outputs] is filled from weight_scale [outputs], `bias` [outputs] used as it is.
 * Both arrays stay the caller's and must outlive the result. */
struct requantize requantize_make(const struct conv_maps *maps, const float *weight_scale, int outputs,
                                  const int32_t *bias, float *multiplier);

/* What each of 256 codes of x is in codes of y: dequantized, then quantized. */
void codes_table(const struct affine *x, const struct affine *y, uint8_t table[256]);

/* The sum of codes on maps a and b as codes on y, by add_u8 or, of a separate add,
 * add_separate_u8: all but the arrays. */
struct add_u8_call add_call_make(const struct affine *a, const struct affine *b, const struct affine *y);
void add_call_run(const struct elementwise_kernels *k, int is_separate, const struct add_u8_call *call);

/* y = x * scale + shift for a batch norm with the given statistics, computed in double and rounded once. All
 * [channels]. */
void norm_constants(int channels, const float *gamma, const float *beta, const float *mean, const float *variance,
                    double eps, float *scale, float *shift);

/* The code of each of 256 pixel values in each channel after normalisation: table u8 [C][256]. values: room for
 * f32 [256][C], which are the normalised values then. */
void input_table(const struct elementwise_kernels *k, const struct node *normalize, const struct affine *a,
                 float *values, uint8_t *table);

#endif
