/* avgpool: the mean over all pixels, [H,W,C] to [C]; or with kernel= over each window of kernel x kernel, in which
 * padding counts as zeros. */
#include "graph/op.h"

static const struct attribute attributes[] = {
    {.name = "kernel", .offset = ATTRIBUTE_FIELD(kernel), .low = 0, .high = WINDOW_MOST_SIDE},
    {.name = "stride", .offset = ATTRIBUTE_FIELD(stride), .low = 0, .high = WINDOW_MOST_SIDE},
    {.name = "pad", .offset = ATTRIBUTE_FIELD(pad), .high = WINDOW_MOST_SIDE},
    {0},
};

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    if (n->kernel > 0)
        return node_window_rule(g, n, m);
    if (n->stride > 0 || n->pad > 0)
        return message_set(m, STATUS_RANGE, "avgpool without kernel= is over all pixels: no stride, no pad");
    n->h = n->w = n->is_vector = 1;
    return 0;
}

const struct op op_avgpool = {
    .name = "avgpool",
    .input_count = 1,
    .attributes = attributes,
    .form = FORM_MAP,
    .rule = rule,
    .integer = INTEGER_OWN_MAP,
};
