/* match_layer.h: output matching of one layer. Private to lib/ptq. */
#ifndef RESQ_PTQ_MATCH_LAYER_H
#define RESQ_PTQ_MATCH_LAYER_H

#include "ptq/float_outputs.h"
#include "ptq/match.h"

/* Sets scales, biases and bound of integer layer `node` by o; weights: its own in float; want: of its float outputs.
 * It is shown o->images, or, where cut is not NULL, o->count cuts before its step
 * (exec_run_part of exec/infer/exec.h). */
int match_layer(struct model *model, int node, const float *weights, const struct layer_moments *want,
                const struct match_options *o, const uint8_t *cut, struct message *m) RESQ_USE_RESULT;

#endif
