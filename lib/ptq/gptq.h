/* gptq.h: codes of a layer chosen together (Frantar et al. 2022, arXiv:2210.17323): each weight is rounded to its
 * nearest code, and what that changes in the outputs is taken over by the weights that are still to be rounded.
 * lib/quant/QUANT.md has the formulas. */
#ifndef RESQ_PTQ_GPTQ_H
#define RESQ_PTQ_GPTQ_H

#include "base/threads.h"
#include "graph/model.h"
#include <stddef.h>
#include <stdint.h>

/* Of what a layer reads: the products of its inputs with each other, summed over samples. They are integers below 2^53,
 * so that the sums are exact in any order. */
struct gram {
    int inputs;  /* products an output: C*R*R, in the order of its weights */
    double *sum; /* [inputs, inputs], row i from column i on; owned */
};

int gram_open(struct gram *g, int inputs, struct message *m) RESQ_USE_RESULT;
/* values s16 [inputs, samples] in -255..255, samples <= 32768: adds their products. */
void gram_add(struct gram *g, const int16_t *values, int samples, struct threads *pool);
void gram_close(struct gram *g);

/* w f32 [outputs, inputs] -> codes in -qmax..qmax, at scale[outputs]. g is used up. 0, or 1 where the inputs were all
 * zero and codes is left as it was. */
int gptq_codes(struct gram *g, const float *w, const float *scale, int outputs, int qmax, struct threads *pool,
               int8_t *codes, struct message *m) RESQ_USE_RESULT;

/* The codes of integer layer `node`, chosen by what it reads over these images ([count,H,W,C]), at its scales as they
 * are; w: its weights in float. */
int gptq_layer(struct model *int8, int node, const float *w, const uint8_t *images, int64_t count, int threads,
               struct message *m) RESQ_USE_RESULT;

#endif
