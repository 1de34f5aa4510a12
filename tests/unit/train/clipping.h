/* clipping.h: activation maps of a fused model that clip a little, so that clamping matters. */
#ifndef RESQ_TEST_CLIPPING_H
#define RESQ_TEST_CLIPPING_H

#include "exec/infer/exec.h"
#include "quant/affine.h"
#include <math.h>

enum { MAX_NODES = 64 };

struct extremes {
    double low[MAX_NODES], high[MAX_NODES];
};

static inline int widen(void *context, int node, const float *values, size_t count, struct message *m)
{
    struct extremes *x = context;
    (void)m;
    for (size_t i = 0; i < count; i++) {
        x->low[node] = fmin(x->low[node], (double)values[i]);
        x->high[node] = fmax(x->high[node], (double)values[i]);
    }
    return 0;
}

/* 0.8 of what these images show. At most MAX_NODES nodes. */
static inline int clipping_maps(const struct model *fused, const uint8_t *images, int count, int bits,
                                struct affine *maps, struct message *m)
{
    struct exec *e;
    struct extremes x = {{0}, {0}};
    TRY(exec_open(&e, fused, &(struct exec_options){.keep_activations = 1}, m));
    int status = exec_observe(e, images, count, widen, &x, m);
    exec_close(e);
    for (int i = 0; i < fused->graph.count && status >= 0; i++)
        if (node_is_observed(&fused->graph, i))
            status = affine_from_range(0.8 * x.low[i], 0.8 * x.high[i], bits, &maps[i], m);
    return status;
}

#endif
