/* layers.h: what the writers of steps share. Private to lib/emit. */
#ifndef RESQ_EMIT_LAYERS_H
#define RESQ_EMIT_LAYERS_H

#include "emit/emit_state.h"

enum { ARGUMENTS_SIZE = 8 * IDENTIFIER_SIZE };

/* What a call reads and writes, and its constants. */
struct names {
    char layer[IDENTIFIER_SIZE], x[IDENTIFIER_SIZE], other[IDENTIFIER_SIZE], y[IDENTIFIER_SIZE];
};

struct names step_names(const struct emit *e, int i);
size_t value_elements(const struct emit *e, int node);
/* "    conv_codes(&l3_conv1, v2_.., NULL, v3_..); " with a comment that says which node it is. */
void put_call(struct emit *e, int i, const char *function, const char *arguments);
/* Fails where a scale is nothing that the code computes with. */
void check_scale(struct emit *e, int i, float scale, int is_logit);
/* name: filled in, for the call. */
void put_float_array(struct emit *e, int i, const char *what, const float *v, int count,
                     char name[IDENTIFIER_SIZE]);

static inline const struct node *emit_node(const struct emit *e, int i)
{
    return &e->model->graph.nodes[i];
}

/* Writes the constants and the call of step i. */
typedef void step_writer(struct emit *e, int i);

/* ---- convolutions.c ---- */
step_writer write_conv_codes, write_conv_floats, write_norm_floats;
/* ---- steps_codes.c: of codes, and between codes and floats ---- */
step_writer write_pixels_to_codes, write_clamp_codes, write_pool_codes, write_mean_codes, write_concat_codes,
    write_add_codes, write_quantize, write_dequantize;
/* ---- steps_floats.c: on floats, and what is the same on codes ---- */
step_writer write_normalize, write_pool_floats, write_relu_floats, write_clip_floats, write_max_floats,
    write_max_codes, write_mean_floats, write_concat_floats, write_flatten_floats, write_flatten_codes,
    write_add_floats;
/* In place, of what step i gives. */
void put_clip(struct emit *e, int i, const char *x);
/* The shape of step i's windows, as a table called `name`. */
void put_windows(struct emit *e, int i, char name[IDENTIFIER_SIZE]);

#endif
