/* layers.h: what a run knows of each node of a network. The folder's own. */
#ifndef RESQ_PAGE_LAYERS_H
#define RESQ_PAGE_LAYERS_H

#include "page/run.h"
#include "quant/affine.h"

struct layer_facts {
    double macs, weights;
    int weight_bits; /* of its codes; 0: float, or none */
    int has_map;     /* it gives codes, by map */
    struct affine map;
    const struct histogram *seen;     /* what calibration saw; NULL: nothing */
    double clipped_low, clipped_high; /* shares of the values seen that lie beyond the map's ends; NAN unknown */
    double activation_sqnr;           /* expected, in dB, from what was seen; NAN unknown */
    double weight_sqnr;               /* of codes beside the fused model's weights, in dB; NAN unknown */
    double ms;                        /* of one image on one thread, where layers were timed; NAN: they were not */
};

/* The network that a page draws: an int8 one where there is one, else a fused, else a float one; NULL: none. */
const struct run_model *layers_model(const struct run *r);
void layer_facts(const struct run *r, const struct run_model *model, int node, struct layer_facts *out);
/* "conv2d 3x3 / 2 + relu", without input names. */
void layer_title(const struct node *n, char out[96]);
/* 0 (bad) to 4 (good), by the worse of both ratios: below 10, 20, 30, 40 dB and from there; -1 unknown. */
int layer_grade(const struct layer_facts *f);

#endif
