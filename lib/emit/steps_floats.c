/* Steps on floats, and those that do the same to codes. */
#include "emit/layers.h"
#include "exec/plan/shapes.h"
#include <stdio.h>

void write_normalize(struct emit *e, int i)
{
    const struct node *node = emit_node(e, e->steps.at[i].node);
    struct names n = step_names(e, i);
    char mean[IDENTIFIER_SIZE], deviation[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    put_float_array(e, i, "_mean", node->mean, node->c, mean);
    put_float_array(e, i, "_deviation", node->std, node->c, deviation);
    put(e, &e->tables, "\n");
    snprintf(arguments, sizeof arguments, "%s, %zu, %d, %s, %s, %s", n.x, node_elements(node), node->c, mean,
             deviation, n.y);
    need(e, PIECE_normalize);
    put_call(e, i, "normalize", arguments);
}

void write_pool_floats(struct emit *e, int i)
{
    const struct node *x = emit_node(e, e->steps.at[i].x);
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE];
    snprintf(arguments, sizeof arguments, "%s, %d, %d, %s", n.x, x->h * x->w, x->c, n.y);
    need(e, PIECE_pool_floats);
    put_call(e, i, "pool_floats", arguments);
}

void write_relu_floats(struct emit *e, int i)
{
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE];
    snprintf(arguments, sizeof arguments, "%s, %zu, %s", n.x, value_elements(e, e->steps.at[i].output), n.y);
    need(e, PIECE_relu_floats);
    put_call(e, i, "relu_floats", arguments);
}

void write_add_floats(struct emit *e, int i)
{
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE];
    snprintf(arguments, sizeof arguments, "%s, %s, %zu, %s", n.x, n.other, value_elements(e, e->steps.at[i].output),
             n.y);
    need(e, PIECE_add_floats);
    put_call(e, i, "add_floats", arguments);
}

void put_clip(struct emit *e, int i, const char *x)
{
    const struct step *s = &e->steps.at[i];
    char arguments[ARGUMENTS_SIZE], low[FLOAT_WORD], high[FLOAT_WORD];
    float_word(low, s->clip.low);
    float_word(high, s->clip.high);
    snprintf(arguments, sizeof arguments, "%s, %zu, %s, %s, %s", x, value_elements(e, s->output), low, high,
             step_names(e, i).y);
    need(e, PIECE_clip_floats);
    put_call(e, i, "clip_floats", arguments);
}

void write_clip_floats(struct emit *e, int i)
{
    put_clip(e, i, step_names(e, i).x);
}

void put_windows(struct emit *e, int i, char name[IDENTIFIER_SIZE])
{
    const struct pool_shape *s = &e->steps.at[i].pool;
    constant_name(e, i, "_windows", name);
    put(e, &e->tables,
        "static const struct windows %s = {\n"
        "    .height = %d, .width = %d, .channels = %d, .out_height = %d, .out_width = %d,\n"
        "    .kernel = %d, .stride = %d, .pad = %d};\n\n",
        name, s->h, s->w, s->c, s->out_h, s->out_w, s->kernel, s->stride, s->pad);
}

static void put_window_call(struct emit *e, int i, enum piece piece, const char *function)
{
    struct names n = step_names(e, i);
    char windows[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    put_windows(e, i, windows);
    snprintf(arguments, sizeof arguments, "&%s, %s, %s", windows, n.x, n.y);
    need(e, piece);
    put_call(e, i, function, arguments);
}

void write_max_floats(struct emit *e, int i)
{
    put_window_call(e, i, PIECE_max_floats, "max_floats");
}

void write_max_codes(struct emit *e, int i)
{
    put_window_call(e, i, PIECE_max_codes, "max_codes");
}

void write_mean_floats(struct emit *e, int i)
{
    put_window_call(e, i, PIECE_mean_floats, "mean_floats");
}

void write_concat_floats(struct emit *e, int i)
{
    const struct node *n = emit_node(e, e->steps.at[i].node);
    char x[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    need(e, PIECE_place_floats);
    for (int k = 0, first = 0; k < n->input_count; first += emit_node(e, n->inputs[k])->c, k++) {
        value_name(e, n->inputs[k], x);
        snprintf(arguments, sizeof arguments, "%s, %d, %d, %s + %d, %d", x, n->h * n->w,
                 emit_node(e, n->inputs[k])->c, step_names(e, i).y, first, n->c);
        put_call(e, i, "place_floats", arguments);
    }
}

static void put_flatten(struct emit *e, int i, enum piece piece, const char *function)
{
    const struct node *x = emit_node(e, e->steps.at[i].x);
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE];
    snprintf(arguments, sizeof arguments, "%s, %d, %d, %s", n.x, x->h * x->w, x->c, n.y);
    need(e, piece);
    put_call(e, i, function, arguments);
}

void write_flatten_floats(struct emit *e, int i)
{
    put_flatten(e, i, PIECE_flatten_floats, "flatten_floats");
}

void write_flatten_codes(struct emit *e, int i)
{
    put_flatten(e, i, PIECE_flatten_codes, "flatten_codes");
}
