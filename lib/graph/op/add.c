/* add: the sum of two values of one shape. */
#include "graph/op.h"

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    return node_check_same(node_input(g, n, 0), node_input(g, n, 1), "cannot add: operands", m);
}

const struct op op_add = {.name = "add", .input_count = 2, .rule = rule, .integer = INTEGER_OWN_MAP};
