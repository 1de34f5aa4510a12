/* quantized_training.h: quantization-aware training of a fused model: what qat-finetune does its own way. The
 * forward pass is the int8 arithmetic; what is validated and delivered is the int8 model itself, lowered from the
 * weights and ranges as they are. */
#ifndef RESQ_TRAIN_QUANTIZED_TRAINING_H
#define RESQ_TRAIN_QUANTIZED_TRAINING_H

#include "pass/pass.h"
#include "quant/affine.h"
#include "train/training.h"

struct quantized_training {
    const char *model, *ranges;      /* files: fused float model, and its ranges */
    const struct model_given *given; /* of the model, where that is a state_dict; may be NULL */
    const char *init; /* an int8 model of the same bits, made of this float model, whose codes and ranges are the
                       * start (quantized_start.h); NULL: those that lowering finds */
    const char *plan; /* file: bits of each layer, see pass/bit_plan.h; or NULL */
    struct lower_options lower; /* as for quantize */
    enum range_mode range_mode;
    int learn_weight_scales; /* see exec/train/gradient.h, as for the next two */
    double scale_rate, ewgs;
    /* filled by the run: */
    struct bit_plan bits;
    struct ranges observed;
    struct affine *activations;   /* one a node */
    struct weight_codes *weights; /* one a node */
    float **
        weight_scales; /* one a node, NULL where the largest weight says it in each step; else what they are at first */
    int nodes;
    struct record *sides[3]; /* metadata of model, ranges and init */
};

/* "fixed", "average" or "learned". */
int range_mode_parse(const char *name, enum range_mode *mode, struct message *m) RESQ_USE_RESULT;
/* The kind whose context is q; q must outlive the run. */
struct training_kind quantized_training_kind(struct quantized_training *q);
void quantized_training_close(struct quantized_training *q);

#endif
