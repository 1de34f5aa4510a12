/* Weights in the form that kernels take, made anew from the parameters before each pass. One item a step: layers in
 * parallel. */
#include "base/memory.h"
#include "exec/train/block/block_engine.h"

static size_t weight_count(const struct conv_shape *s)
{
    return (size_t)s->out * (size_t)s->c * (size_t)s->kernel * (size_t)s->kernel;
}

static int prepare_conv(struct gradient *g, struct train_step *s, struct message *m)
{
    const struct kernel_table *k = g->kernels;
    size_t out = (size_t)s->shape.out;
    int quantized = gradient_quantized(g);
    s->packed =
        memory_new(quantized ? k->conv_u8.packed_bytes(&s->shape) : k->conv_f32.packed_bytes(&s->shape), 1, m);
    if (!block_back(g, (int)(s - g->steps))) {
        s->packed_backward = memory_new(k->conv_f32_backward_data.packed_bytes(&s->shape), 1, m);
        if (!s->packed_backward)
            return STATUS_NOMEM;
    }
    if (!s->packed)
        return STATUS_NOMEM;
    if (!quantized)
        return 0;
    s->codes = memory_new(weight_count(&s->shape), 1, m);
    s->code_scale = memory_new(out, sizeof(float), m);
    s->multiplier = memory_new(out, sizeof(float), m);
    s->code_bias = memory_new(out, sizeof(int32_t), m);
    return s->codes && s->code_scale && s->multiplier && s->code_bias ? 0 : STATUS_NOMEM;
}

int gradient_prepare_steps(struct gradient *g, struct message *m)
{
    for (int i = 0; i < g->step_count; i++) {
        struct train_step *s = &g->steps[i];
        if (block_on(g, i))
            continue;
        if (s->kind == TRAIN_CONV)
            TRY(prepare_conv(g, s, m));
        if (s->kind == TRAIN_NORM) {
            size_t row = round_up_64((size_t)g->graph.nodes[s->node].c * sizeof(float));
            s->saved = memory_new(SAVED_ROWS, row, m);
            if (!s->saved)
                return STATUS_NOMEM;
        }
    }
    return 0;
}

void gradient_release_step(struct train_step *s)
{
    memory_free(s->packed);
    memory_free(s->packed_backward);
    memory_free(s->saved);
    memory_free(s->codes);
    memory_free(s->code_scale);
    memory_free(s->multiplier);
    memory_free(s->code_bias);
}

static void pack_forward_item(void *context, int item, int worker)
{
    struct gradient *g = context;
    struct train_step *s = &g->steps[item];
    (void)worker;
    if (s->kind != TRAIN_CONV || block_on(g, item))
        return;
    const float *weight = g->parameters + s->weight;
    if (!gradient_quantized(g)) {
        g->kernels->conv_f32.pack(&s->shape, weight, s->packed);
        return;
    }
    const struct affine *x = &g->values[s->x].map;
    layer_quantize(weight, s->bias == NO_OFFSET ? NULL : g->parameters + s->bias, s->shape.out,
                   s->shape.c * s->shape.kernel * s->shape.kernel, g->options.weight_bits, g->options.per_tensor,
                   x->scale, s->codes, s->code_scale, s->code_bias);
    g->kernels->conv_u8.pack(&s->shape, s->codes, x->zero_point, s->packed);
    qat_constants(g, s);
}

void gradient_pack_forward(struct gradient *g)
{
    threads_run(g->pool, pack_forward_item, g, g->step_count);
}

/* The weights that forward computed with: scale times code. They stand where this layer's gradient is about to be
 * written. */
static const float *backward_weights(struct gradient *g, const struct train_step *s)
{
    if (!gradient_quantized(g))
        return g->parameters + s->weight;
    float *to = g->gradients + s->weight;
    size_t row = weight_count(&s->shape) / (size_t)s->shape.out;
    for (int k = 0; k < s->shape.out; k++)
        for (size_t i = 0; i < row; i++)
            to[(size_t)k * row + i] = s->code_scale[k] * (float)s->codes[(size_t)k * row + i];
    return to;
}

static void pack_backward_item(void *context, int item, int worker)
{
    struct gradient *g = context;
    struct train_step *s = &g->steps[item];
    (void)worker;
    if (s->kind != TRAIN_CONV || !g->values[s->x].wants_gradient)
        return;
    if (!block_back(g, item))
        g->kernels->conv_f32_backward_data.pack(&s->shape, backward_weights(g, s), s->packed_backward);
    else if (gradient_quantized(g))
        (void)backward_weights(g, s); /* for block_pack_weights */
}

void gradient_pack_backward(struct gradient *g)
{
    threads_run(g->pool, pack_backward_item, g, g->step_count);
    if (g->block && gradient_quantized(g))
        block_pack_weights(g);
}
