/* clip: y = min(max(x, low), high), ReLU6 with 0 and 6; on codes between the codes of low and high. */
#include "graph/op.h"

static const struct attribute attributes[] = {
    {.name = "low",
     .kind = ATTRIBUTE_NUMBER,
     .offset = ATTRIBUTE_FIELD(clip.low),
     .is_needed = 1,
     .low = -CLIP_MOST,
     .high = CLIP_MOST},
    {.name = "high",
     .kind = ATTRIBUTE_NUMBER,
     .offset = ATTRIBUTE_FIELD(clip.high),
     .is_needed = 1,
     .low = -CLIP_MOST,
     .high = CLIP_MOST},
    {0},
};

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g;
    n->clip.on = 1;
    return n->clip.low < n->clip.high ? 0 : message_set(m, STATUS_RANGE, "low is not below high");
}

const struct op op_clip = {
    .name = "clip", .input_count = 1, .attributes = attributes, .rule = rule, .integer = INTEGER_INPUT_MAP};
