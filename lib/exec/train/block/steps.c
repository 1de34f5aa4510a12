/* The ops of training over blocks: one line an op. */
#include "exec/train/block/block_engine.h"

static const struct block_op *const ops[STEP_KINDS] = {
    [STEP_NORMALIZE] = &block_input_op, [STEP_CONV] = &block_conv_op, [STEP_NORM] = &block_norm_op,
    [STEP_RELU] = &block_norm_op,       [STEP_ADD] = &block_norm_op,  [STEP_POOL] = &block_pool_op,
};

void block_step_forward(struct gradient *g, int i)
{
    ops[g->steps.at[i].kind]->forward(g, i);
}

void block_step_backward(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct block_op *op = ops[s->kind];
    if (op->backward && g->values[s->output].wants_gradient)
        (gradient_quantized(g) ? op->backward_codes : op->backward)(g, i);
}
