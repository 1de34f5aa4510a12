/* batchnorm: y = (x - mean[c]) / sqrt(var[c] + eps) * weight[c] + bias[c]; in training with the batch's statistics. */
#include "graph/op.h"

static const struct attribute attributes[] = {
    {.name = "eps",
     .kind = ATTRIBUTE_NUMBER,
     .offset = ATTRIBUTE_FIELD(eps),
     .initial = 1e-5f,
     .low = 0,
     .high = 1},
    {0},
};

/* torch.nn.BatchNorm2d's, by its names. */
static int tensors(const struct node *n, struct tensor_spec *specs)
{
    const struct tensor_spec all[] = {
        {.suffix = "weight", .is_parameter = 1, .start = START_ONE},
        {.suffix = "bias", .is_parameter = 1},
        {.suffix = "running_mean"},
        {.suffix = "running_var", .rule = RULE_NOT_NEGATIVE, .start = START_ONE},
        {.suffix = "num_batches_tracked", .dtype = DTYPE_I64, .rule = RULE_NOT_NEGATIVE},
    };
    enum { COUNT = sizeof all / sizeof *all };
    for (int k = 0; k < COUNT; k++) {
        specs[k] = all[k];
        if (k == COUNT - 1)
            continue; /* a scalar */
        specs[k].dtype = DTYPE_F32;
        specs[k].rank = 1;
        specs[k].shape[0] = n->c;
    }
    return COUNT;
}

const struct op op_batchnorm = {
    .name = "batchnorm",
    .input_count = 1,
    .attributes = attributes,
    .type = TYPE_F32,
    .tensors = tensors,
    .folds_away = 1,
};
