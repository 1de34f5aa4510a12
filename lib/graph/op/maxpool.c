/* maxpool: the largest value of each window of kernel x kernel; padding is below every value. On codes too. */
#include "graph/op.h"

static const struct attribute attributes[] = {
    {.name = "kernel", .offset = ATTRIBUTE_FIELD(kernel), .is_needed = 1, .low = 1, .high = WINDOW_MOST_SIDE},
    {.name = "stride", .offset = ATTRIBUTE_FIELD(stride), .low = 0, .high = WINDOW_MOST_SIDE},
    {.name = "pad", .offset = ATTRIBUTE_FIELD(pad), .high = WINDOW_MOST_SIDE, .below = ATTRIBUTE_FIELD(kernel)},
    {0},
};

const struct op op_maxpool = {
    .name = "maxpool",
    .input_count = 1,
    .attributes = attributes,
    .form = FORM_MAP,
    .rule = node_window_rule,
    .integer = INTEGER_INPUT_MAP,
};
