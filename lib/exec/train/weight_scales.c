/* Scales of weights that are trained with them: parameters of their own. quant/learned.h has the arithmetic. */
#include "exec/train/gradient_engine.h"
#include "kernel/contract/shape.h"
#include "quant/learned.h"
#include "quant/weights.h"
#include <math.h>

int weight_scales_count(const struct gradient *g, int step)
{
    return gradient_weight_codes(g, step).per_tensor ? 1 : g->steps.at[step].shape.out;
}

/* Scale c where it began. */
static float first_of(const struct gradient *g, int step, int c)
{
    return gradient_weight_codes(g, step).scale[c];
}

int weight_scales_begin(struct gradient *g, struct message *m)
{
    for (int i = 0; i < g->steps.count; i++) {
        float *scale = g->parameters + g->train[i].weight_scale;
        if (g->train[i].weight_scale == NO_OFFSET)
            continue;
        for (int c = 0; c < weight_scales_count(g, i); c++) {
            if (!isfinite(scale[c]))
                return message_set(m, STATUS_RANGE, "%s.weight_scale: learned scale %d is not finite",
                                   gradient_node(g, g->steps.at[i].node)->name, c);
            scale[c] = learned_scale_value(scale[c], first_of(g, i, c));
        }
    }
    return 0;
}

void weight_scales_read(const struct gradient *g, const float *parameters, int step, float *scale)
{
    const float *from = parameters + g->train[step].weight_scale;
    int count = weight_scales_count(g, step);
    for (int c = 0; c < g->steps.at[step].shape.out; c++) {
        int at = count == 1 ? 0 : c;
        scale[c] = learned_scale_value(from[at], first_of(g, step, at));
    }
}

void weight_scales_backward(struct gradient *g, int step)
{
    const struct train_step *t = &g->train[step];
    if (t->weight_scale == NO_OFFSET)
        return;
    const struct conv_shape *s = &g->steps.at[step].shape;
    const float *scale = g->parameters + t->weight_scale;
    int count = weight_scales_count(g, step), qmax = weight_qmax(gradient_weight_codes(g, step).bits);
    size_t row = shape_reduced(s) * (size_t)(s->out / count);
    for (int c = 0; c < count; c++) {
        size_t at = t->weight + (size_t)c * row;
        double sum =
            learned_weights_backward(g->parameters + at, row, scale[c], qmax, g->options.ewgs, g->gradients + at);
        g->gradients[t->weight_scale + (size_t)c] =
            (float)g->options.scale_rate * learned_scale_gradient(sum, row, qmax);
    }
}

/* ---- what others see ---- */

int gradient_weights_at(struct gradient *g, int i, struct gradient_weights *w)
{
    const struct step *s = &g->steps.at[i];
    const struct train_step *t = &g->train[i];
    if (s->kind != STEP_CONV || !gradient_quantized(g))
        return 0;
    const struct weight_codes how = gradient_weight_codes(g, i);
    int learned = t->weight_scale != NO_OFFSET;
    *w = (struct gradient_weights){.name = gradient_node(g, s->node)->name,
                                   .node = s->node,
                                   .bits = how.bits,
                                   .outputs = s->shape.out,
                                   .per_output = (int)shape_reduced(&s->shape),
                                   .weight = g->parameters + t->weight,
                                   .scale = learned ? g->parameters + t->weight_scale : how.scale,
                                   .one_scale = learned && weight_scales_count(g, i) == 1};
    return 1;
}

int gradient_weight_scales(const struct gradient *g, const float *parameters, int node, float *scale)
{
    for (int i = 0; i < g->steps.count; i++)
        if (g->steps.at[i].node == node && g->train[i].weight_scale != NO_OFFSET) {
            weight_scales_read(g, parameters ? parameters : g->parameters, i, scale);
            return 1;
        }
    return 0;
}
