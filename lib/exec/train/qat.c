/* Quantized mode: the integer kernels in forward, straight-through in backward (Jacob et al. 2018,
 * arXiv:1712.05877; learned scales: Esser et al. 2020, arXiv:1902.08153).
 *
 * With v the value before rounding, in units of a code and without the zero point z, and
 *     q = clamp(rint(v) + z, low, high):
 *
 *     d q*scale / d v*scale = 1             where low <= rint(v) + z <= high, else 0
 *     d q*scale / d scale   = rint(v) - v   there, else low - z or high - z
 *
 * kernel/contract/arithmetic.h computes these (struct slope). Here is what all engines share. */
#include "exec/train/gradient_engine.h"
#include "graph/op.h"
#include <math.h>

/* Whatever the weights become, the sums must fit: 2^30 of bias and the rest of the products. */
static int check_sums(const struct graph *g, const struct node *n, struct message *m)
{
    double terms = node_weight_count(g, n) / n->out;
    if (terms * 127 * 255 < 0x1p30)
        return 0;
    return message_set(m, STATUS_UNSUPPORTED, "%s: sums of %.0f products may exceed 32 bits", n->name, terms);
}

int gradient_check_quantized(const struct graph *g, struct message *m)
{
    const struct node *last = &g->nodes[g->count - 1];
    for (int i = 0; i < g->count; i++) {
        const struct node *n = &g->nodes[i];
        if (op_of(n)->folds_away)
            return message_set(m, STATUS_UNSUPPORTED, "%s: %s cannot be trained in integers: fuse it", n->name,
                               graph_op_name(n->op));
        if (op_of(n)->weights)
            TRY(check_sums(g, n, m));
    }
    if (op_of(last)->weights && node_has_epilogue(last))
        return message_set(m, STATUS_UNSUPPORTED,
                           "%s: a relu or clip behind the logits cannot be trained in integers", last->name);
    return 0;
}

/* ---- maps ---- */

int qat_take_maps(struct gradient *g, const struct affine *activations, struct message *m)
{
    for (int i = 0; i < g->steps.count; i++) {
        int node = g->steps.at[i].output;
        const struct affine *a = &activations[node];
        if (gradient_is_last(g, node))
            continue;
        if (gradient_keeps_map(g, i)) {
            g->values[node].given = g->values[node].map = g->values[g->steps.at[i].x].given;
            continue;
        }
        if (!isnormal(a->scale) || a->scale <= 0 || a->zero_point < a->qmin || a->zero_point > a->qmax ||
            a->qmin >= a->qmax)
            return message_set(m, STATUS_MISMATCH, "%s: no usable activation map", gradient_node(g, node)->name);
        g->values[node].given = g->values[node].map = *a;
    }
    return 0;
}

int qat_map(const struct gradient *g, const float *parameters, const float *state, int step, struct affine *map,
            struct message *m)
{
    while (gradient_keeps_map(g, step))
        step = steps_maker(&g->steps, g->steps.at[step].x, step);
    const struct train_step *t = &g->train[step];
    int node = g->steps.at[step].output;
    const char *name = gradient_node(g, node)->name;
    *map = g->values[node].given;
    if (t->scale != NO_OFFSET) {
        map->scale = parameters[t->scale];
        if (!isfinite(map->scale))
            return message_set(m, STATUS_RANGE, "%s.scale: the learned scale is not finite", name);
        map->scale = learned_scale_value(map->scale, g->values[node].given.scale);
    }
    if (t->low != NO_OFFSET) {
        int bits = affine_bits(&g->values[node].given);
        int status = affine_from_range((double)state[t->low], (double)state[t->high], bits, map, m);
        return status < 0 ? message_prefix(m, status, "%s", name) : 0;
    }
    return 0;
}
