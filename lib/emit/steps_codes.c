/* Steps on codes, and between codes and floats. */
#include "emit/layers.h"
#include "exec/plan/shapes.h"
#include <stdio.h>

static void put_lookup(struct emit *e, int i, int channels)
{
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE];
    put(e, &e->tables, "static const uint8_t %s[%d] = {\n", n.layer, 256 * channels);
    put_bytes(e, &e->tables, e->constants[i].table, 256 * (size_t)channels);
    put(e, &e->tables, "};\n\n");
    snprintf(arguments, sizeof arguments, "%s, %zu, %d, %s, %s", n.x, value_elements(e, e->steps.at[i].output),
             channels, n.layer, n.y);
    need(e, PIECE_lookup);
    put_call(e, i, "lookup", arguments);
}

void write_pixels_to_codes(struct emit *e, int i)
{
    put_lookup(e, i, emit_node(e, 0)->c);
}

void write_clamp_codes(struct emit *e, int i)
{
    put_lookup(e, i, 1);
}

/* pixels: in one mean. */
static void put_pool(struct emit *e, int i, int pixels, char name[IDENTIFIER_SIZE])
{
    const struct affine *from = &e->constants[i].map_x, *to = &e->constants[i].map_y;
    float scale = pool_multiplier(from, to, pixels);
    constant_name(e, i, "", name);
    check_scale(e, i, scale, 0);
    put(e, &e->tables,
        "static const struct pool %s = {\n"
        "    .pixels = %d, .channels = %d, .zero = %d, .out_zero = %d, .low = %d, .high = %d, .scale = ",
        name, pixels, emit_node(e, e->steps.at[i].x)->c, from->zero_point, to->zero_point, to->qmin, to->qmax);
    put_real(e, &e->tables, scale);
    put(e, &e->tables, "};\n\n");
}

void write_pool_codes(struct emit *e, int i)
{
    const struct node *x = emit_node(e, e->steps.at[i].x);
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE];
    put_pool(e, i, x->h * x->w, n.layer);
    snprintf(arguments, sizeof arguments, "&%s, %s, %s", n.layer, n.x, n.y);
    need(e, PIECE_pool_codes);
    put_call(e, i, "pool_codes", arguments);
}

void write_mean_codes(struct emit *e, int i)
{
    const struct pool_shape *w = &e->steps.at[i].pool;
    struct names n = step_names(e, i);
    char windows[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    put_pool(e, i, w->kernel * w->kernel, n.layer);
    put_windows(e, i, windows);
    snprintf(arguments, sizeof arguments, "&%s, &%s, %s, %s", windows, n.layer, n.x, n.y);
    need(e, PIECE_mean_codes);
    put_call(e, i, "mean_codes", arguments);
}

void write_concat_codes(struct emit *e, int i)
{
    const struct node *n = emit_node(e, e->steps.at[i].node);
    struct names names = step_names(e, i);
    char x[IDENTIFIER_SIZE], arguments[ARGUMENTS_SIZE];
    put(e, &e->tables, "static const uint8_t %s[%d] = {\n", names.layer, 256 * n->input_count);
    put_bytes(e, &e->tables, e->constants[i].table, 256 * (size_t)n->input_count);
    put(e, &e->tables, "};\n\n");
    need(e, PIECE_place_codes);
    for (int k = 0, first = 0; k < n->input_count; first += emit_node(e, n->inputs[k])->c, k++) {
        value_name(e, n->inputs[k], x);
        snprintf(arguments, sizeof arguments, "%s, %d, %d, %s + %d, %s + %d, %d", x, n->h * n->w,
                 emit_node(e, n->inputs[k])->c, names.layer, 256 * k, names.y, first, n->c);
        put_call(e, i, "place_codes", arguments);
    }
}

void write_add_codes(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const struct step_constants *c = &e->constants[i];
    const struct add_u8_call add = add_call_make(&c->map_x, &c->map_other, &c->map_y);
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE];
    check_scale(e, i, add.multiplier_a, 0);
    check_scale(e, i, add.multiplier_b, 0);
    put(e, &e->tables, "static const struct sum %s = {\n    .zero = %d, .other_zero = %d, .out_zero = %d,", n.layer,
        add.zero_point_a, add.zero_point_b, add.zero_point_y);
    put(e, &e->tables, " .low = %d, .high = %d,\n    .scale = ", add.low, add.high);
    put_real(e, &e->tables, add.multiplier_a);
    put(e, &e->tables, ", .other_scale = ");
    put_real(e, &e->tables, add.multiplier_b);
    if (s->is_separate) {
        put(e, &e->tables, ", .offset = ");
        put_real(e, &e->tables, add.offset);
    }
    put(e, &e->tables, "};\n\n");
    snprintf(arguments, sizeof arguments, "&%s, %s, %s, %zu, %s", n.layer, n.x, n.other,
             value_elements(e, s->output), n.y);
    need(e, s->is_separate ? PIECE_add_separate : PIECE_add_codes);
    put_call(e, i, s->is_separate ? "add_separate" : "add_codes", arguments);
}

static void put_conversion(struct emit *e, int i, const struct affine *map, enum piece piece, const char *function)
{
    struct names n = step_names(e, i);
    char arguments[ARGUMENTS_SIZE], scale[FLOAT_WORD];
    float_word(scale, map->scale);
    put(e, &e->tables, "static const struct map %s = {.scale = %s, .zero = %d, .low = %d, .high = %d};\n\n",
        n.layer, scale, map->zero_point, map->qmin, map->qmax);
    snprintf(arguments, sizeof arguments, "&%s, %s, %zu, %s", n.layer, n.x,
             value_elements(e, e->steps.at[i].output), n.y);
    need(e, piece);
    put_call(e, i, function, arguments);
}

void write_quantize(struct emit *e, int i)
{
    put_conversion(e, i, &e->constants[i].map_y, PIECE_quantize, "quantize");
}

void write_dequantize(struct emit *e, int i)
{
    put_conversion(e, i, &e->constants[i].map_x, PIECE_dequantize, "dequantize");
}
