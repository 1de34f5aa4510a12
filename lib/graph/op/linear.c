/* linear: y = W x + b, [C] to [out], then a relu, then a clip. From codes it gives floats, its sums not made codes
 * again, unless it requantizes, as in the middle of a network. */
#include "graph/op.h"

static const struct attribute attributes[] = {
    {.name = "out", .offset = ATTRIBUTE_FIELD(out), .is_needed = 1, .low = 1, .high = GRAPH_MAX_CHANNELS},
    {.name = "bias", .kind = ATTRIBUTE_FLAG, .offset = ATTRIBUTE_FIELD(has_bias)},
    {.name = "requantize", .kind = ATTRIBUTE_FLAG, .offset = ATTRIBUTE_FIELD(requantizes)},
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
    int from_codes = node_input(g, n, 0)->type == NODE_U8;
    if (n->requantizes && !from_codes)
        return message_set(m, STATUS_MISMATCH, "requantize is of a layer on codes, not on f32");
    if (from_codes && !n->requantizes && (n->has_relu || n->clip.on))
        return message_set(m, STATUS_MISMATCH, "the sums of codes as f32 have no relu and no clip: requantize");
    n->c = n->out;
    n->type = n->requantizes ? NODE_U8 : NODE_F32;
    return 0;
}

static int weights(const struct graph *g, const struct node *n, int64_t shape[4])
{
    shape[0] = n->out;
    shape[1] = node_input(g, n, 0)->c;
    return 2;
}

const struct op op_linear = {
    .name = "linear",
    .input_count = 1,
    .attributes = attributes,
    .form = FORM_VECTOR,
    .rule = rule,
    .weights = weights,
    .start = START_UNIFORM,
    .integer = INTEGER_LAYER,
    .takes_norm = 1,
};
