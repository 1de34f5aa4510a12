/* flatten: [H,W,C] to [C*H*W], in PyTorch's order: all pixels of the first channel, then of the next. */
#include "graph/op.h"

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g;
    double values = (double)n->h * n->w * n->c;
    if (values > GRAPH_MAX_CHANNELS)
        return message_set(m, STATUS_RANGE, "%.0f values, more than %d", values, GRAPH_MAX_CHANNELS);
    n->c = (int)values;
    n->h = n->w = n->is_vector = 1;
    return 0;
}

const struct op op_flatten = {
    .name = "flatten", .input_count = 1, .form = FORM_MAP, .rule = rule, .integer = INTEGER_INPUT_MAP};
