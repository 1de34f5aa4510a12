/* Weights in the form that kernels take, made anew from the parameters before each pass. One item a step: layers in
 * parallel. */
#include "base/memory.h"
#include "exec/train/image/image_engine.h"

/* ---- memory ---- */

static size_t forward_bytes(const struct gradient *g, const struct conv_shape *s)
{
    return gradient_quantized(g) ? kernel_conv_u8(g->kernels, s)->packed_bytes(s)
                                 : kernel_conv_f32(g->kernels, s)->packed_bytes(s);
}

size_t image_packed_bytes(const struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    if (s->kind != STEP_CONV)
        return 0;
    return (own->forward ? forward_bytes(g, &s->shape) : 0) +
           (own->backward ? kernel_conv_f32_backward_data(g->kernels, &s->shape)->packed_bytes(&s->shape) : 0);
}

static int prepare_codes(struct image_step *own, const struct conv_shape *s, struct message *m)
{
    size_t out = (size_t)s->out;
    own->codes = memory_new(shape_weights(s), 1, m);
    own->code_scale = memory_new(out, sizeof(float), m);
    own->multiplier = memory_new(out, sizeof(float), m);
    own->code_bias = memory_new(out, sizeof(int32_t), m);
    return own->codes && own->code_scale && own->multiplier && own->code_bias ? 0 : STATUS_NOMEM;
}

static int prepare_conv(struct gradient *g, int i, struct message *m)
{
    const struct conv_shape *s = &g->steps.at[i].shape;
    struct image_step *own = &image_of(g)->steps[i];
    if (own->forward) {
        own->packed = memory_new(forward_bytes(g, s), 1, m);
        if (!own->packed)
            return STATUS_NOMEM;
    }
    if (own->backward) {
        own->packed_backward = memory_new(kernel_conv_f32_backward_data(g->kernels, s)->packed_bytes(s), 1, m);
        if (!own->packed_backward)
            return STATUS_NOMEM;
    }
    return gradient_quantized(g) ? prepare_codes(own, s, m) : 0;
}

int image_pack_prepare(struct gradient *g, struct message *m)
{
    struct image_engine *e = image_of(g);
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        if (s->kind == STEP_CONV)
            TRY(prepare_conv(g, i, m));
        if (s->kind == STEP_NORM && e->steps[i].forward) {
            size_t row = round_up_64((size_t)gradient_node(g, s->node)->c * sizeof(float));
            e->steps[i].saved = memory_new(SAVED_ROWS, row, m);
            if (!e->steps[i].saved)
                return STATUS_NOMEM;
        }
    }
    if (!gradient_quantized(g))
        return 0;
    e->real_weights = memory_new(g->parameter_count, sizeof *e->real_weights, m);
    return e->real_weights ? 0 : STATUS_NOMEM;
}

void image_pack_release(struct image_step *s)
{
    memory_free(s->packed);
    memory_free(s->packed_backward);
    memory_free(s->saved);
    memory_free(s->codes);
    memory_free(s->code_scale);
    memory_free(s->multiplier);
    memory_free(s->code_bias);
}

/* ---- forward ---- */

static void quantize_weights(struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct train_step *t = &g->train[i];
    struct image_step *own = &image_of(g)->steps[i];
    const struct affine *x = &g->values[s->x].map;
    const struct conv_maps maps = {.x = x,
                                   .y = gradient_is_last(g, s->output) ? NULL : &g->values[s->output].map,
                                   .residual = s->other >= 0 ? &g->values[s->other].map : NULL,
                                   .relu = s->relu,
                                   .clip = s->clip};
    struct weight_codes how = gradient_weight_codes(g, i);
    if (t->weight_scale != NO_OFFSET) { /* given, and where they come to stand */
        weight_scales_read(g, g->parameters, i, own->code_scale);
        how.scale = own->code_scale;
    }
    layer_quantize(g->parameters + t->weight, t->bias == NO_OFFSET ? NULL : g->parameters + t->bias, s->shape.out,
                   (int)shape_reduced(&s->shape), &how, x->scale, own->codes, own->code_scale, own->code_bias);
    kernel_conv_u8(g->kernels, &s->shape)
        ->pack(&s->shape, own->codes, x->zero_point, (uint8_t)x->qmax, own->packed);
    own->requantize = requantize_make(&maps, own->code_scale, s->shape.out, own->code_bias, own->multiplier);
}

static void pack_forward_item(void *context, int i, int worker)
{
    struct gradient *g = context;
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    (void)worker;
    if (s->kind != STEP_CONV || !own->forward)
        return;
    if (gradient_quantized(g))
        quantize_weights(g, i);
    else
        kernel_conv_f32(g->kernels, &s->shape)->pack(&s->shape, g->parameters + g->train[i].weight, own->packed);
}

void image_pack_forward(struct gradient *g, int count)
{
    (void)count;
    threads_run(image_of(g)->pool, pack_forward_item, g, g->steps.count);
}

/* ---- backward ---- */

/* The weights that forward computed with: scale times code. */
static const float *real_weights(struct gradient *g, int i)
{
    const struct image_step *own = &image_of(g)->steps[i];
    const struct conv_shape *s = &g->steps.at[i].shape;
    float *to = image_of(g)->real_weights + g->train[i].weight;
    size_t row = shape_reduced(s);
    for (int k = 0; k < s->out; k++)
        for (size_t c = 0; c < row; c++)
            to[(size_t)k * row + c] = own->code_scale[k] * (float)own->codes[(size_t)k * row + c];
    return to;
}

static void pack_backward_item(void *context, int i, int worker)
{
    struct gradient *g = context;
    const struct step *s = &g->steps.at[i];
    const struct image_step *own = &image_of(g)->steps[i];
    (void)worker;
    if (s->kind != STEP_CONV || !gradient_wants(g, s->x))
        return;
    const float *weight = gradient_quantized(g) ? real_weights(g, i) : g->parameters + g->train[i].weight;
    if (own->backward)
        kernel_conv_f32_backward_data(g->kernels, &s->shape)->pack(&s->shape, weight, own->packed_backward);
}

void image_pack_backward(struct gradient *g)
{
    threads_run(image_of(g)->pool, pack_backward_item, g, g->steps.count);
}
