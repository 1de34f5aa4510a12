/* float_outputs.h: what a fused float network's layers give, before what they add and before their relu. Private to
 * lib/ptq. */
#ifndef RESQ_PTQ_FLOAT_OUTPUTS_H
#define RESQ_PTQ_FLOAT_OUTPUTS_H

#include "graph/model.h"
#include <stdint.h>

/* Of one layer's outputs, over images and pixels, in the order of both. */
struct layer_moments {
    double *sum, *squares; /* [channels]; NULL where the node is no layer; owned */
    int channels;
    double count; /* values of a channel */
};

/* One a node of fused's graph, all-zero for others than convolutions and linear layers; *out is freed by
 * float_outputs_free, after a failure too. */
int float_outputs(struct layer_moments **out, const struct model *fused, const uint8_t *images, int64_t count,
                  int threads, struct message *m) RESQ_USE_RESULT;
void float_outputs_free(struct layer_moments *moments, int nodes);

#endif
