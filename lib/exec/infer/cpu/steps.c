/* The ops of inference on a CPU: one line an op. */
#include "exec/infer/cpu/cpu_exec.h"

static const struct cpu_op *const ops[STEP_KINDS] = {
    [STEP_NORMALIZE] = &cpu_normalize,
    [STEP_LOOKUP] = &cpu_lookup,
    [STEP_CONV] = &cpu_conv,
    [STEP_NORM] = &cpu_norm,
    [STEP_RELU] = &cpu_relu,
    [STEP_CLIP] = &cpu_clip,
    [STEP_ADD] = &cpu_add,
    [STEP_CONCAT] = &cpu_concat,
    [STEP_POOL] = &cpu_pool,
    [STEP_WINDOW] = &cpu_window,
    [STEP_MAX] = &cpu_max,
    [STEP_FLATTEN] = &cpu_flatten,
    [STEP_QUANTIZE] = &cpu_quantize,
    [STEP_DEQUANTIZE] = &cpu_dequantize,
};

void cpu_step_run(const struct exec *e, int i, const struct span *at)
{
    const struct step *s = &e->steps.at[i];
    const struct cpu_op *op = ops[s->kind];
    (s->is_integer ? op->u8 : cpu_of(e)->is_bf16 ? op->bf16 : op->f32)(e, i, at);
}

size_t cpu_step_scratch(const struct exec *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const struct node *x = exec_node(e, s->x), *y = exec_node(e, s->output);
    size_t row = (size_t)y->w * (size_t)y->c;
    if (s->kind == STEP_CONV)
        return max_size(conv_scratch(e, i), cpu_of(e)->is_bf16 && s->clip.on ? row * sizeof(float) : 0);
    int is_whole = s->kind == STEP_POOL || s->kind == STEP_WINDOW || s->kind == STEP_MAX;
    size_t floats = is_whole ? node_elements(x) + row : 2 * row;
    return cpu_of(e)->is_bf16 ? floats * sizeof(float) : 0;
}
