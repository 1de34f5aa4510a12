/* add: the sum of two values of one shape. One that is separate never becomes a convolution's last step: in integers
 * each operand is then rounded before they are added, as other programs' operators do. */
#include "graph/op.h"

static const struct attribute attributes[] = {
    {.name = "separate", .kind = ATTRIBUTE_FLAG, .offset = ATTRIBUTE_FIELD(is_separate)},
    {0},
};

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    return node_check_same(node_input(g, n, 0), node_input(g, n, 1), "cannot add: operands", m);
}

const struct op op_add = {
    .name = "add", .input_count = 2, .attributes = attributes, .rule = rule, .integer = INTEGER_OWN_MAP};
