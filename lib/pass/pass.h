/* pass.h: graph -> graph, one file each. Every pass takes a verified model and leaves a verified model (its
 * metadata still say what it was: model_store writes them anew); on failure the model is unspecified but may be
 * freed. A report (may be NULL) gets one line of text per change, for -v; a line that begins with "warning: " is
 * for everybody. */
#ifndef RESQ_PASS_PASS_H
#define RESQ_PASS_PASS_H

#include "graph/model.h"
#include "quant/histogram.h"
#include "base/text.h"

/* w' = w * gamma / sqrt(var + eps), b' = beta - mean * gamma / sqrt(var + eps) (+ bias * the same): computed in
 * double, rounded once. var + eps <= 0 is an error; a channel of zeros is legal. A batch norm that is not behind a
 * convolution or linear layer read by it alone becomes a 1x1 convolution of one channel a group, under its name; of a
 * vector it is refused by name. */
int pass_fold_batchnorm(struct model *model, struct text *report, struct message *m) RESQ_USE_RESULT;
/* Moves add, relu and clip, in this order, into the convolution or linear layer before them (of add's two inputs the
 * later convolution with a single use; linear layers take no add). */
int pass_fuse_epilogue(struct model *model, struct text *report, struct message *m) RESQ_USE_RESULT;

struct lower_options {
    const char *observer;             /* name, e.g. "mse"; NULL where the maps are given */
    double observer_parameter;        /* NaN: the observer's default */
    int weight_bits, activation_bits; /* 2..8 */
    int per_tensor;                   /* one weight scale a layer instead of one a channel */
    const char *keep_float;           /* fnmatch pattern of node names left in float, or NULL */
};

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
