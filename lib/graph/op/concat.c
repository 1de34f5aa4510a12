/* concat: the channels of its inputs, one behind the other. */
#include "graph/op.h"

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    for (int k = 1; k < n->input_count; k++) {
        struct node like = *node_input(g, n, k); /* but for its channels */
        like.c = node_input(g, n, 0)->c;
        TRY(node_check_same(node_input(g, n, 0), &like, "cannot concat: operands", m));
        if (node_input(g, n, k)->c > GRAPH_MAX_CHANNELS - n->c)
            return message_set(m, STATUS_RANGE, "more than %d channels", GRAPH_MAX_CHANNELS);
        n->c += node_input(g, n, k)->c;
    }
    return 0;
}

const struct op op_concat = {
    .name = "concat", .input_count = 1, .more_inputs = 1, .rule = rule, .integer = INTEGER_OWN_MAP};
