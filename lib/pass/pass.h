/* pass.h: graph -> graph, one file each. Every pass takes a verified model and leaves a verified model (its
 * metadata still say what it was: model_store writes them anew); on failure the model is unspecified but may be
 * freed. A report (may be NULL) gets one line of text per change, for -v; a line that begins with "warning: " is
 * for everybody. */
#ifndef RESQ_PASS_PASS_H
#define RESQ_PASS_PASS_H

#include "graph/model.h"
#include "pass/bit_plan.h"
#include "quant/histogram.h"
#include "quant/weights.h"
#include "base/text.h"

/* w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma / sqrt(var + eps) (+ bias * the same): computed in
 * double, rounded once. var + eps <= 0 is an error; a channel of zeros is legal. A batch norm that is not behind a
 * convolution or linear layer read by it alone becomes a 1x1 convolution of one channel a group, under its name; of a
 * vector it is refused by name. */
int pass_fold_batchnorm(struct model *model, struct text *report, struct message *m) RESQ_USE_RESULT;
/* Makes every add separate, so that none becomes a convolution's last step.
 * STATUS_MISMATCH names a convolution that has taken one in. */
int pass_separate_adds(struct model *model, struct text *report, struct message *m) RESQ_USE_RESULT;
/* Moves add, relu and clip, in this order, into the convolution or linear layer before them (of add's two inputs the
 * later convolution with a single use; linear layers take no add). */
int pass_fuse_epilogue(struct model *model, struct text *report, struct message *m) RESQ_USE_RESULT;

/* Cross-layer equalization (Nagel et al. 2019, arXiv:1906.04721): where only convolution B reads what convolution A
 * gives, and A adds nothing, output channel i of A (weights and bias) is divided and what B multiplies it with is
 * multiplied by s = sqrt(r1 / r2), r1 and r2 being the largest magnitudes of A's and of B's weights of that channel:
 * both are then sqrt(r1 * r2). A relu between them changes nothing: the network computes what it did, to rounding,
 * and one scale serves a layer's channels better. Pairs go in the order of the graph, again and again until no s is
 * further from 1 than 1e-3, at most 20 times. STATUS_MISMATCH where there is no pair. */
int pass_equalize(struct model *model, struct text *report, struct message *m) RESQ_USE_RESULT;
/* The reverse of pass_fuse_epilogue: what a convolution adds and its relu become nodes of their own behind it, so
 * that its output stands under its name as it is before them. The weights stay. */
int pass_split_epilogue(struct model *model, struct message *m) RESQ_USE_RESULT;

struct lower_options {
    const char *observer;              /* name, e.g. "mse"; NULL where the maps are given */
    double observer_parameter;         /* NaN: the observer's default */
    int weight_bits, activation_bits;  /* 2..8 */
    int end_bits;                      /* at least so many at the ends, see lower_is_end; 0: as the rest */
    const struct bit_plan *plan;       /* instead of the three above, for what it says something of; or NULL */
    int per_tensor;                    /* one weight scale a layer instead of one a channel */
    int weight_observer;               /* enum weight_observer, or WEIGHT_BY_BITS */
    const float *const *weight_scales; /* [nodes] given instead, each [outputs] of that layer or NULL; or NULL */
    const char *keep_float;            /* fnmatch pattern of node names left in float, or NULL */
    int saturation_free;               /* weights by quant/saturation.h */
    int symmetric;                     /* activations by affine_symmetric; 8 bits */
    int separate_sums;                 /* STATUS_MISMATCH where a sum is not a separate add */
};

enum { WEIGHT_BY_BITS = -1 }; /* mse below 8 bits, max at 8 */

/* The ends of a fused graph: the layers that read the image and the last one, and what these read. weights: of layer i;
 * else of what node i gives. */
int lower_is_end(const struct graph *g, int i, int weights);
/* 1 where node i is a relu or clip of a separate add, with nothing else reading what lies between: that add gives
 * codes on the range that was observed behind i, to whose ends they saturate. */
int lower_is_clamp_of_sum(const struct graph *g, int i);
/* How the weights of layer i become codes, and in how many bits what node i gives. */
struct weight_codes lower_weight_codes(const struct lower_options *o, const struct graph *g, int i);
int lower_activation_bits(const struct lower_options *o, const struct graph *g, int i);
/* 1 where anything is asked to have fewer than 8 bits. */
int lower_is_low(const struct lower_options *o);
/* For metadata and lineage: bits of the ends ("8", "same") and observer of the weights' scales ("max", "mse"); NULL
 * where an 8-bit model has nothing to say of it. */
const char *lower_ends_name(const struct lower_options *o);
const char *lower_observer_name(const struct lower_options *o);

/* One row a u8 activation and integer layer, in graph order, for quantize -v. */
struct lower_row {
    char name[64];
    float scale; /* of what the node gives; 0 where that is no u8 (a linear layer) */
    int zero_point;
    double activation_sqnr, weight_sqnr; /* dB; NaN where there is none */
    int64_t bound;                       /* of the accumulator; 0 where there is none */
};

struct lower_report {
    struct lower_row *rows;
    int count, capacity;
    struct text warnings; /* one line each */
    /* Where saturation_free: channels of all integer layers, those whose scale was raised for it, and the signal and
     * the noise of all weights, before and after. */
    int channels, spared;
    double signal, noise_before, noise_after;
};
void lower_report_free(struct lower_report *r);

/* Fused float model + ranges -> int8 model (its metadata stored: graph, stage, and `quantization`, the options in
 * one line). Deterministic: the same inputs give the same tensors (qat-finetune --epochs 0 goes through this very
 * call). Every convolution, average pool, linear, add and concat not matching keep_float becomes integer (and what
 * stands behind them on their map: relu, clip, max-pool, flatten); quantize and
 * dequantize nodes are put where types change. Proves per channel that no i32 accumulator can overflow. */
int pass_lower_int8(struct model *model, const struct ranges *ranges, const struct lower_options *options,
                    struct lower_report *report, struct message *m) RESQ_USE_RESULT;

/* The same lowering with the activation maps given instead of observed: activations[i] belongs to node i of the
 * fused graph (ignored for nodes without one). Used by quantization-aware training, whose ranges move. */
struct affine;
int pass_lower_int8_with(struct model *model, const struct affine *activations, const struct lower_options *options,
                         struct lower_report *report, struct message *m) RESQ_USE_RESULT;
/* The activation maps that pass_lower_int8 would use, one an original node (zero scale where the node has none). */
int lower_choose_activations(const struct model *model, const struct ranges *ranges,
                             const struct lower_options *options, struct affine *activations,
                             struct message *m) RESQ_USE_RESULT;

#endif
