/* quantize: float to codes, on its own map. */
#include "graph/op.h"

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g, (void)m;
    n->type = NODE_U8;
    return 0;
}

const struct op op_quantize = {.name = "quantize", .input_count = 1, .type = TYPE_F32, .rule = rule};
