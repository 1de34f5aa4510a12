/* avgpool: the mean over all pixels, [H,W,C] to [C]. */
#include "graph/op.h"

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g, (void)m;
    n->h = n->w = n->is_vector = 1;
    return 0;
}

const struct op op_avgpool = {
    .name = "avgpool",
    .input_count = 1,
    .form = FORM_MAP,
    .rule = rule,
    .integer = INTEGER_OWN_MAP,
};
