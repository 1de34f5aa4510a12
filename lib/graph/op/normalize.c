/* normalize: y = (x/255 - mean[c]) / std[c], pixels to float. */
#include "graph/op.h"
#include <math.h>

static const struct attribute attributes[] = {
    {.name = "mean", .kind = ATTRIBUTE_CHANNELS, .offset = ATTRIBUTE_FIELD(mean), .is_needed = 1},
    {.name = "std", .kind = ATTRIBUTE_CHANNELS, .offset = ATTRIBUTE_FIELD(std), .is_needed = 1},
    {0},
};

static int rule(const struct graph *g, struct node *n, struct message *m)
{
    (void)g;
    n->type = NODE_F32;
    for (int c = 0; c < n->c; c++)
        if (!isfinite(n->mean[c]) || !isnormal(n->std[c]) || n->std[c] <= 0)
            return message_set(m, STATUS_RANGE, "mean and std must be finite, std > 0");
    return 0;
}

const struct op op_normalize = {
    .name = "normalize",
    .input_count = 1,
    .attributes = attributes,
    .reads_pixels = 1,
    .rule = rule,
};
