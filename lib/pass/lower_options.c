/* What is asked of a lowering, layer by layer. */
#include "graph/op.h"
#include "pass/pass.h"

int lower_is_end(const struct graph *g, int i, int weights)
{
    const struct node *n = &g->nodes[i], *last = &g->nodes[g->count - 1];
    if (weights)
        return n == last || op_of(node_input(g, n, 0))->reads_pixels;
    return op_of(n)->reads_pixels || (op_of(last)->weights && last->inputs[0] == i);
}

int lower_is_clamp_of_sum(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    if (n->op != OP_RELU && n->op != OP_CLIP)
        return 0;
    int x = n->inputs[0];
    return graph_uses(g, x) == 1 && (g->nodes[x].is_separate || lower_is_clamp_of_sum(g, x));
}

int lower_activation_bits(const struct lower_options *o, const struct graph *g, int i)
{
    if (o->plan && o->plan->rows[i].activations)
        return o->plan->rows[i].activations;
    return o->end_bits > o->activation_bits && lower_is_end(g, i, 0) ? o->end_bits : o->activation_bits;
}

/* Of all layers but the ends. */
static enum weight_observer observer_of(const struct lower_options *o, int bits)
{
    enum weight_observer by_bits = bits < 8 ? WEIGHT_MSE : WEIGHT_MAX;
    return o->weight_observer == WEIGHT_BY_BITS ? by_bits : (enum weight_observer)o->weight_observer;
}

static int weight_bits(const struct lower_options *o, const struct graph *g, int i)
{
    if (o->plan && o->plan->rows[i].weights)
        return o->plan->rows[i].weights;
    return o->end_bits > o->weight_bits && lower_is_end(g, i, 1) ? o->end_bits : o->weight_bits;
}

struct weight_codes lower_weight_codes(const struct lower_options *o, const struct graph *g, int i)
{
    int bits = weight_bits(o, g, i);
    return (struct weight_codes){.bits = bits,
                                 .per_tensor = o->per_tensor,
                                 .observer = observer_of(o, bits),
                                 .scale = o->weight_scales ? o->weight_scales[i] : NULL};
}

int lower_is_low(const struct lower_options *o)
{
    return o->weight_bits < 8 || o->activation_bits < 8 || bit_plan_is_low(o->plan);
}

const char *lower_ends_name(const struct lower_options *o)
{
    static const char *const names[] = {"same", "", "2", "3", "4", "5", "6", "7", "8"};
    return o->weight_bits < 8 || o->activation_bits < 8 ? names[o->end_bits] : NULL;
}

const char *lower_observer_name(const struct lower_options *o)
{
    int is_low = o->weight_bits < 8 || bit_plan_has_low_weights(o->plan);
    enum weight_observer observer = observer_of(o, is_low ? 2 : 8);
    return is_low || observer != WEIGHT_MAX ? weight_observer_name(observer) : NULL;
}
