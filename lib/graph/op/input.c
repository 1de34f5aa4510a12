/* input: the image's pixels, u8[H,W,C]. The text gives the shape. */
#include "graph/op.h"

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g;
    n->type = NODE_U8;
    n->is_vector = 0;
    return integer_check("channels", n->c, 1, 4, m);
}

const struct op op_input = {.name = "input", .rule = rule};
