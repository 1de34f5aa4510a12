/* fit.h: a network as text made to fit the pictures that it is to be trained on. */
#ifndef RESQ_GRAPH_FIT_H
#define RESQ_GRAPH_FIT_H

#include "graph/graph.h"

/* What is 0 or NULL stays as the text has it. */
struct graph_fit {
    int h, w, c;             /* of the input */
    int classes;             /* outputs of the last layer with weights */
    const float *mean, *std; /* [channels of the input] of every normalize; both or neither */
};

/* g is verified, and is so again, or of no use where this fails: STATUS_RANGE or STATUS_MISMATCH, as verification has
 * it, or where no layer gives the classes. */
int graph_fit(struct graph *g, const struct graph_fit *fit, struct message *m) RESQ_USE_RESULT;

#endif
