/* linear: y = W x + b, [C] to f32[out], from codes too: the sums are not made codes again. */
#include "graph/op.h"

static const struct attribute attributes[] = {
    {.name = "out", .offset = ATTRIBUTE_FIELD(out), .is_needed = 1, .low = 1, .high = GRAPH_MAX_CHANNELS},
    {.name = "bias", .kind = ATTRIBUTE_FLAG, .offset = ATTRIBUTE_FIELD(has_bias)},
    {0},
};

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g, (void)m;
    n->c = n->out;
    n->type = NODE_F32;
    return 0;
}

static int weights(const struct graph *g, const struct node *n, int64_t shape[4])
{
    shape[0] = n->out;
    shape[1] = node_input(g, n, 0)->c;
    return 2;
}

const struct op op_linear = {
    .name = "linear",
    .input_count = 1,
    .attributes = attributes,
    .form = FORM_VECTOR,
    .rule = rule,
    .weights = weights,
    .start = START_UNIFORM,
    .integer = INTEGER_LAYER,
};
