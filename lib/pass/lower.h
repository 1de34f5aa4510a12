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

/* Quantizes weights and bias of layer `old` of `from` into the tensors of node `now` of `to`. input, output: the maps
 * of what it reads and gives (output NULL: it gives f32), residual: of what it adds (NULL: nothing). Maps stay the
 * caller's. STATUS_RANGE where a factor is not finite or a sum may leave 32 bits. */
int lower_weights(struct lowering *l, int old, int now, const struct affine *input, const struct affine *output,
                  const struct affine *residual, struct message *m) RESQ_USE_RESULT;
/* Adds scale, zero_point and range of u8 node `now` of `to`, which holds the value of node `old` of `from` by the map
 * a. STATUS_RANGE where a is none. */
int lower_activation(struct lowering *l, int old, int now, const struct affine *a,
                     struct message *m) RESQ_USE_RESULT;
/* The report's row for node `now`, made if it is not there; NULL where memory is out or there is no report. */
struct lower_row *lower_row_for(struct lowering *l, int now, struct message *m);
int lower_warn(struct lowering *l, struct message *m, const char *format, ...) RESQ_PRINTF(3, 4) RESQ_USE_RESULT;

#endif
