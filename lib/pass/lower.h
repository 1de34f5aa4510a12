/* lower.h: what the files of the lowering share; the layer's own. */
#ifndef RESQ_PASS_LOWER_H
#define RESQ_PASS_LOWER_H

#include "pass/pass.h"
#include "quant/affine.h"

struct lowering {
    const struct model *from;
    struct model to;
    const struct affine *activations; /* one a node of `from` */
    const struct ranges *ranges;      /* may be NULL: no activation SQNR */
    const struct lower_options *options;
    struct lower_report *report; /* may be NULL */
    int *u8, *f32;               /* per node of `from`: the node of `to` that holds it in this type, or -1 */
};

/* Quantizes weights and bias of integer layer `old` into the tensors of `to`'s node `now`; input and output are the
 * maps around it (output NULL: logits), residual NULL where there is none. */
int lower_weights(struct lowering *l, int old, int now, const struct affine *input, const struct affine *output,
                  const struct affine *residual, struct message *m) RESQ_USE_RESULT;
/* Adds scale, zero_point and range of u8 node `now`, which holds the value of node `old`. */
int lower_activation(struct lowering *l, int old, int now, const struct affine *a,
                     struct message *m) RESQ_USE_RESULT;
/* The report's row for node `now`, made if it is not there; NULL where memory is out or there is no report. */
struct lower_row *lower_row_for(struct lowering *l, int now, struct message *m);
int lower_warn(struct lowering *l, struct message *m, const char *format, ...) RESQ_PRINTF(3, 4) RESQ_USE_RESULT;

#endif
