/* quantized_start.h: quantization-aware training that starts from an int8 model's codes instead of the float network's:
 * what `quantize` matched, or an earlier training. */
#ifndef RESQ_TRAIN_QUANTIZED_START_H
#define RESQ_TRAIN_QUANTIZED_START_H

#include "pass/pass.h"
#include "quant/affine.h"

/* start: the fused float model that init, an int8 model, was once lowered from, with these options; its weights and
 * biases become such that lowering gives init's codes: weights as near to its own as their codes allow
 * (quant/learned.h), biases those of init. activations [nodes]: on entry any maps of start that lowering takes, then
 * init's. scales [nodes]: init's scales of weights [outputs] where a node has weights, else NULL; each is the
 * caller's to free, also on failure. STATUS_MISMATCH, by node, where init is another network, or of other bits, ends
 * or scales (one a channel or one a layer) than the options say. STATUS_UNSUPPORTED where a layer of
 * start has no bias and init has one. */
int quantized_start(struct model *start, const struct model *init, const struct lower_options *options,
                    float **scales, struct affine *activations, struct message *m) RESQ_USE_RESULT;

#endif
