/* match.h: output matching: every integer layer's scales and biases set so that its outputs have the float network's
 * mean and deviation, channel by channel, over some images; before that, where asked for, its codes by gptq.h. No
 * labels, no training, nothing to pay when it runs; lib/quant/QUANT.md has the formulas. */
#ifndef RESQ_PTQ_MATCH_H
#define RESQ_PTQ_MATCH_H

#include "graph/model.h"
#include <stdint.h>

enum match_mode {
    MATCH_OFF,
    MATCH_BIAS, /* means alone: bias correction */
    MATCH_ALL   /* means and deviations */
};

struct match_options {
    enum match_mode mode;
    int gptq;              /* choose each layer's codes anew first, see gptq.h: of layers of fewer than 8 bits */
    const uint8_t *images; /* [count,H,W,C] as the network reads them; the caller's */
    int64_t count;
    int per_tensor; /* a layer's channels share a scale: their factor is one */
    int threads;    /* 0: 1 */
    /* May be NULL. Layer `done` of `layers` is next; the first is 0. */
    void (*progress)(void *context, int done, int layers);
    void *context;
};

/* int8: what a lowering made of fused; its weight scales, biases and bounds are set anew; codes stay unless gptq is
 * set. Layers go in the order of the graph, each on what the ones before it give after their own. The same bytes for
 * any threads; the float network's statistics are those of the instruction set, as a calibration's are. STATUS_RANGE
 * where sums might leave 32 bits. */
int ptq_match(struct model *int8, const struct model *fused, const struct match_options *o,
              struct message *m) RESQ_USE_RESULT;

#endif
