/* conv2d: [H,W,C] to [H',W',out] over windows of kernel x kernel; then a residual may be added, then a
 * relu, then a clip. */
#include "graph/op.h"

enum { MOST_SIDE = 64 };

static const struct attribute attributes[] = {
    {.name = "out", .offset = ATTRIBUTE_FIELD(out), .is_needed = 1, .low = 1, .high = GRAPH_MAX_CHANNELS},
    {.name = "kernel", .offset = ATTRIBUTE_FIELD(kernel), .is_needed = 1, .low = 1, .high = MOST_SIDE},
    {.name = "stride", .offset = ATTRIBUTE_FIELD(stride), .initial = 1, .low = 1, .high = MOST_SIDE},
    {.name = "pad", .offset = ATTRIBUTE_FIELD(pad), .high = MOST_SIDE, .below = ATTRIBUTE_FIELD(kernel)},
    {.name = "groups", .offset = ATTRIBUTE_FIELD(groups), .initial = 1, .low = 1, .high = GRAPH_MAX_CHANNELS},
    {.name = "bias", .kind = ATTRIBUTE_FLAG, .offset = ATTRIBUTE_FIELD(has_bias)},
    {.name = "add", .kind = ATTRIBUTE_INPUT, .input = 1, .absorbs = OP_ADD},
    {.name = "relu", .kind = ATTRIBUTE_FLAG, .offset = ATTRIBUTE_FIELD(has_relu), .absorbs = OP_RELU},
    {.name = "clip",
     .kind = ATTRIBUTE_RANGE,
     .offset = ATTRIBUTE_FIELD(clip),
     .low = -CLIP_MOST,
     .high = CLIP_MOST,
     .absorbs = OP_CLIP},
    {0},
};

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    const struct node *x = node_input(g, n, 0);
    if (x->c % n->groups != 0 || n->out % n->groups != 0)
        return message_set(m, STATUS_RANGE, "groups=%d does not divide %d and %d channels", n->groups, x->c,
                           n->out);
    TRY(node_window_rule(g, n, m));
    n->c = n->out;
    return 0;
}

static int weights(const struct graph *g, const struct node *n, int64_t shape[4])
{
    shape[0] = n->out;
    shape[1] = node_input(g, n, 0)->c / n->groups;
    shape[2] = shape[3] = n->kernel;
    return 4;
}

const struct op op_conv2d = {
    .name = "conv2d",
    .input_count = 1,
    .attributes = attributes,
    .form = FORM_MAP,
    .rule = rule,
    .weights = weights,
    .start = START_NORMAL,
    .integer = INTEGER_LAYER,
    .takes_norm = 1,
};
