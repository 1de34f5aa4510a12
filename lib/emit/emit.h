/* emit.h: a model as one file of C99 that needs nothing else: what it computes is what `evaluate` computes.
 *
 * The source holds the operations of its network as short functions (lib/emit/code, as they stand there), a table of
 * constants a layer, and `int NAME_run(const uint8_t *image, float *logits, void *arena)`, which calls them in order.
 * It allocates nothing, writes no global, and uses <stdint.h> and <string.h> alone.
 *
 * Integer networks: the bits of `evaluate`, whatever the compiler and its options, since there is no arithmetic in
 * floating point: where QUANT.md has f32, the source has integers that round alike (code/real.c99). Float networks and
 * layers: the bits of RESQ_ISA=ref where float and double are IEEE's and are computed as such (FLT_EVAL_METHOD 0, no
 * -ffast-math); contraction to fused multiply-adds changes nothing (code/conv_floats.c99, code/rounded.c99). */
#ifndef RESQ_EMIT_EMIT_H
#define RESQ_EMIT_EMIT_H

#include "base/text.h"
#include "graph/model.h"

enum { EMIT_NAME_MAX = 23 }; /* NAME_classes has 31 letters then, as many as C99 tells apart in an external name */

/* Images with what they must give. */
struct emit_test {
    const uint8_t *images; /* u8 [count,H,W,C] */
    const float *logits;   /* f32 [count,K] */
    int count;             /* 0: no self-test */
};

struct emit_options {
    const char *name;   /* see emit_name_check */
    const char *header; /* the header's file name, which the source then includes; NULL: the source declares */
    const char
        *weights; /* file name of the weights, which the source then takes in by .incbin; NULL: they stand in it */
    char *const *classes; /* [class_count] names in UTF-8, any others; NULL: they are called by their numbers */
    int class_count;
    struct emit_test test;
};

/* All-zero is empty. */
struct emitted {
    struct text source, header, weights; /* weights: bytes, little-endian */
};

/* Any stage. STATUS_UNSUPPORTED names the node for which there is no code, or whose constants are beyond what it
 * computes with; STATUS_MISMATCH: classes. Same model and options, same bytes. On failure out is empty. */
int emit_model(struct emitted *out, const struct model *model, const struct emit_options *options,
               struct message *m) RESQ_USE_RESULT;
void emitted_free(struct emitted *out);

/* Bytes of all weights, as a file beside would hold them, but for padding. */
double emit_weight_bytes(const struct model *model);
/* 0 where name can be what everything is called after: a letter, then letters, digits and '_', at most
 * EMIT_NAME_MAX; else STATUS_RANGE. */
int emit_name_check(const char *name, struct message *m) RESQ_USE_RESULT;

#endif
