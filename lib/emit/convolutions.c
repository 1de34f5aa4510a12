/* Convolutions, linear layers and batch norms. */
#include "emit/layers.h"
#include "kernel/contract/shape.h"
#include <stdio.h>

static void put_channels(struct emit *e, int i, const char *name, int is_logits)
{
    const struct requantize *rq = &e->constants[i].requantize;
    int outputs = e->steps.at[i].shape.out;
    struct text *t = &e->tables;
    put(e, t, "static const struct channel %s[%d] = {\n", name, outputs);
    for (int k = 0; k < outputs && e->status >= 0; k++) {
        check_scale(e, i, rq->multiplier[k], is_logits);
        put(e, t, "%s{%ld, ", k % 4 == 0 ? "    " : " ", (long)rq->bias[k]);
        put_real(e, t, rq->multiplier[k]);
        put(e, t, "},%s", k % 4 == 3 || k + 1 == outputs ? "\n" : "");
    }
    put(e, t, "};\n");
}

static void put_shape(struct emit *e, int i)
{
    const struct conv_shape *s = &e->steps.at[i].shape;
    put(e, &e->tables,
        "    .height = %d, .width = %d, .channels = %d, .out_height = %d, .out_width = %d, .outputs = %d,\n"
        "    .kernel = %d, .stride = %d, .pad = %d, .groups = %d,\n",
        s->h, s->w, s->c, s->out_h, s->out_w, s->out, s->kernel, s->stride, s->pad, shape_groups(s));
}

void write_conv_codes(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const struct requantize *rq = &e->constants[i].requantize;
    int is_logits = emit_node(e, s->output)->type != NODE_U8;
    struct names n = step_names(e, i);
    char weights[POINTER_SIZE], channels[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    int bits = put_weights(e, i, weights);
    constant_name(e, i, "_channels", channels);
    put_channels(e, i, channels, is_logits);
    put(e, &e->tables, "static const struct conv %s = {\n", n.layer);
    put_shape(e, i);
    put(e, &e->tables, "    .zero = %d, .out_zero = %d, .low = %d, .high = %d", rq->zero_point_x, rq->zero_point_y,
        rq->low, rq->high);
    check_scale(e, i, rq->residual_multiplier, 0);
    if (s->other >= 0) {
        put(e, &e->tables, ", .other_zero = %d, .other_scale = ", rq->residual_zero_point);
        put_real(e, &e->tables, rq->residual_multiplier);
    }
    put(e, &e->tables, ",\n    .channel = %s, .bits = %d,\n    .weights = %s};\n\n", channels, bits, weights);
    need(e, is_logits ? PIECE_linear_codes : PIECE_conv_codes);
    if (is_logits)
        snprintf(arguments, sizeof arguments, "&%s, %s, %s, %s", n.layer, n.x, n.y, bits < 8 ? "room" : "NULL");
    else
        snprintf(arguments, sizeof arguments, "&%s, %s, %s, %s, %s", n.layer, n.x, n.other, n.y,
                 bits < 8 ? "room" : "NULL");
    put_call(e, i, is_logits ? "linear_codes" : "conv_codes", arguments);
}

/* y = x * scale + shift [+ other] [relu]: a batch norm, behind its convolution or alone. */
static void put_norm(struct emit *e, int i, const char *x, int other, int relu)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    struct names n = step_names(e, i);
    int channels = emit_node(e, s->output)->c;
    char added[IDENTIFIER_SIZE], scale[IDENTIFIER_SIZE], shift[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    value_name(e, other, added);
    put_float_array(e, i, "_scale", c->scale, channels, scale);
    put_float_array(e, i, "_shift", c->shift, channels, shift);
    put(e, &e->tables, "\n");
    snprintf(arguments, sizeof arguments, "%s, %zu, %d, %s, %s, %s, %d, %s", x, value_elements(e, s->output),
             channels, scale, shift, added, relu, n.y);
    need(e, PIECE_scale_shift);
    put_call(e, i, "scale_shift", arguments);
}

void write_conv_floats(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const float *bias = e->constants[i].bias;
    struct names n = step_names(e, i);
    char weights[POINTER_SIZE], biases[IDENTIFIER_SIZE] = "NULL", arguments[ARGUMENTS_SIZE];
    put_weights(e, i, weights);
    if (bias)
        put_float_array(e, i, "_bias", bias, s->shape.out, biases);
    put(e, &e->tables, "static const struct conv_floats %s = {\n", n.layer);
    put_shape(e, i);
    put(e, &e->tables, "    .relu = %d,\n    .bias = %s,\n    .weights = %s};\n", s->norm >= 0 ? 0 : s->relu,
        biases, weights);
    snprintf(arguments, sizeof arguments, "&%s, %s, %s, %s", n.layer, n.x, n.other, n.y);
    need(e, PIECE_conv_floats);
    put_call(e, i, "conv_floats", arguments);
    if (s->norm >= 0)
        put_norm(e, i, n.y, s->norm_other, s->relu);
    else
        put(e, &e->tables, "\n");
    if (s->clip.on)
        put_clip(e, i, n.y);
}

void write_norm_floats(struct emit *e, int i)
{
    struct names n = step_names(e, i);
    put_norm(e, i, n.x, -1, 0);
}
