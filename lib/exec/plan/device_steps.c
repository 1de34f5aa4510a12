#include "exec/plan/device_steps.h"
#include "kernel/contract/shape.h"

static int has_kind(const struct step *s, int is_quantized)
{
    static const unsigned char known[STEP_KINDS] = {
        [STEP_NORMALIZE] = 1, [STEP_LOOKUP] = 1, [STEP_CONV] = 1,     [STEP_NORM] = 1,       [STEP_RELU] = 1,
        [STEP_ADD] = 1,       [STEP_POOL] = 1,   [STEP_QUANTIZE] = 1, [STEP_DEQUANTIZE] = 1,
    };
    if (is_quantized && (s->kind == STEP_RELU || s->kind == STEP_ADD))
        return 0;
    return known[s->kind] && !(s->kind == STEP_ADD && s->is_integer);
}

static int computes(const struct steps *s, int i, const struct graph *g, enum device_use use)
{
    const struct step *step = &s->at[i];
    int is_last = i == s->count - 1, is_linear = g->nodes[step->node].op == OP_LINEAR;
    int is_quantized = use == DEVICE_QUANTIZED_TRAINING;
    if (!has_kind(step, is_quantized) || shape_groups(&step->shape) > 1)
        return 0;
    if (step->clip.on && !(use == DEVICE_INFERENCE && step->is_integer && step->kind == STEP_CONV))
        return 0;
    if (is_linear && (step->relu || g->nodes[step->node].requantizes))
        return 0;
    return !is_quantized || is_linear == is_last;
}

int device_steps_check(const struct steps *s, const struct graph *g, enum device_use use, struct message *m)
{
    static const char *const what[] = {"run", "trained", "trained in integers"};
    for (int i = 0; i < s->count; i++)
        if (!computes(s, i, g, use)) {
            const struct node *n = &g->nodes[s->at[i].node];
            return message_set(m, STATUS_UNSUPPORTED,
                               "%s: this %s cannot be %s on a device: take the CPU (--device cpu)", n->name,
                               graph_op_name(n->op), what[use]);
        }
    return 0;
}
