#include "exec/plan/bounds.h"
#include "base/memory.h"
#include "graph/codes.h"
#include "kernel/contract/pairs.h"
#include "quant/weights.h"
#include <math.h>

int64_t winograd_bound(const int8_t *weight, int per_output)
{
    int64_t positive, negative;
    weights_signed_sums(weight, per_output, &positive, &negative);
    return 255 * (positive > negative ? positive : negative);
}

int pairs_proved(const int8_t *weight, int per_output, int high_x)
{
    return pairs_room(weight, (size_t)per_output, high_x) >= PAIRS_ROOM;
}

static int layer_print(const struct model *model, int node, struct text *out, struct message *m)
{
    const struct node *n = &model->graph.nodes[node];
    size_t count;
    int8_t *owned;
    const int8_t *weight = model_weight_codes(model, node, &count, &owned, m);
    if (!weight)
        return STATUS_NOMEM;
    int per_output = n->out > 0 ? (int)(count / (size_t)n->out) : 0, beyond = 0;
    int64_t largest = 0;
    for (int k = 0; k < n->out; k++) {
        int64_t bound = winograd_bound(weight + (size_t)k * (size_t)per_output, per_output);
        largest = bound > largest ? bound : largest;
        beyond += bound >= WINOGRAD_SUM_LIMIT;
    }
    memory_free(owned);
    double margin = largest > 0 ? (double)WINOGRAD_SUM_LIMIT / (double)largest : INFINITY;
    return text_add(out, m, "%s: winograd bound %lld, margin %.4g (%.2f bits), %d of %d outputs beyond 2^25\n",
                    n->name, (long long)largest, margin, log2(margin), beyond, n->out);
}

int winograd_bounds_print(const struct model *model, struct text *out, struct message *m)
{
    int layers = 0;
    for (int i = 0; i < model->graph.count; i++) {
        const struct node *n = &model->graph.nodes[i];
        if (n->op != OP_CONV2D || !node_is_integer(&model->graph, i) || n->kernel != 3 || n->stride != 1 ||
            n->groups != 1)
            continue;
        TRY(layer_print(model, i, out, m));
        layers++;
    }
    if (layers == 0)
        return message_set(m, STATUS_MISMATCH, "no integer 3x3 convolution of one group: an int8 model has bounds");
    return 0;
}
