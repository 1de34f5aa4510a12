/* The ops of training image by image: one line an op. */
#include "exec/train/image/image_engine.h"

static const struct image_op *const ops[STEP_KINDS] = {
    [STEP_NORMALIZE] = &image_normalize, [STEP_CONV] = &image_conv, [STEP_NORM] = &image_norm,
    [STEP_RELU] = &image_relu,           [STEP_ADD] = &image_add,   [STEP_POOL] = &image_pool,
};

void image_step_forward(struct gradient *g, int i)
{
    const struct image_op *op = ops[g->steps.at[i].kind];
    (gradient_quantized(g) ? op->forward_codes : op->forward)(g, i);
    codes_update_range(g, i);
}

void image_step_backward(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct image_op *op = ops[s->kind];
    double start = profile_begin(g);
    if (op->backward && g->values[s->output].wants_gradient)
        op->backward(g, i);
    if (s->kind != STEP_CONV) /* which tells its passes apart itself */
        profile_end(g, i, PASS_DATA, start);
}
