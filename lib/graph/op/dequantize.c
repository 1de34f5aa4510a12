/* dequantize: codes to float, by their node's map. */
#include "graph/op.h"

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g, (void)m;
    n->type = NODE_F32;
    return 0;
}

const struct op op_dequantize = {.name = "dequantize", .input_count = 1, .type = TYPE_U8, .rule = rule};
