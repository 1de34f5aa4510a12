/* unit.h: the parts of a network that are reconstructed one after the other: blocks (Li et al. 2021, BRECQ,
 * arXiv:2102.05426), or single layers. Private to lib/ptq. */
#ifndef RESQ_PTQ_UNIT_H
#define RESQ_PTQ_UNIT_H

#include "graph/model.h"

enum { UNIT_LAYERS = 8, UNIT_INPUTS = 2 };

/* Layers that stand side by side in the graph and hand on one value. Nodes are those of the fused graph. */
struct unit {
    int layers[UNIT_LAYERS], count;       /* in graph order: the last one's output is the unit's */
    int inputs[UNIT_INPUTS], input_count; /* what layers read that none of them gives */
};

/* A block is all that stands between two places where one value alone is handed on - of a ResNet a residual block,
 * the first convolution, the last layer -, if that is nothing but integer layers of int8, at most UNIT_LAYERS; of
 * others, and where `single`, each layer is a unit. In the order of the graph. Returns how many;
 * *units is the caller's to free. */
int units_find(struct unit **units, const struct model *fused, const struct model *int8, int single,
               struct message *m) RESQ_USE_RESULT;
/* The layer of int8 that node i of fused became, or -1. */
int unit_layer_in(const struct model *int8, const struct model *fused, int i);

#endif
