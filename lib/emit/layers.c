/* What each kind of step becomes: its constants, and the line of NAME_run that calls it. */
#include "emit/layers.h"
#include "exec/plan/shapes.h"
#include "kernel/contract/shape.h"
#include "graph/op.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define SCALE_LIMIT 18446744073709551616.0f /* 2^64: beyond, single precision may overflow where integers do not */

void value_name(const struct emit *e, int node, char out[IDENTIFIER_SIZE])
{
    if (node < 0)
        snprintf(out, IDENTIFIER_SIZE, "NULL");
    else if (node == 0)
        snprintf(out, IDENTIFIER_SIZE, "image");
    else if (node == e->model->graph.count - 1)
        snprintf(out, IDENTIFIER_SIZE, "logits");
    else
        identifier(out, emit_node(e, node)->name, "_out", node);
}

struct names step_names(const struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    struct names n;
    constant_name(e, i, "", n.layer);
    value_name(e, s->x, n.x);
    value_name(e, s->other, n.other);
    value_name(e, s->output, n.y);
    return n;
}

size_t value_elements(const struct emit *e, int node)
{
    return node_elements(emit_node(e, node));
}

void put_call(struct emit *e, int i, const char *function, const char *arguments)
{
    const struct step *s = &e->steps.at[i];
    char type[64];
    node_describe(emit_node(e, s->output), type);
    put(e, &e->calls, "    %s(%s); /* %s: %s */\n", function, arguments, emit_node(e, s->output)->name, type);
}

void check_scale(struct emit *e, int i, float scale, int is_logit)
{
    float least = is_logit ? SMALLEST_NORMAL : 0;
    if (e->status >= 0 && !(scale >= least && scale < SCALE_LIMIT))
        emit_fail(e, message_set(e->m, STATUS_UNSUPPORTED, "%s: a multiplier of %g is not in %g..2^64",
                                 emit_node(e, e->steps.at[i].node)->name, (double)scale, (double)least));
}

void put_float_array(struct emit *e, int i, const char *what, const float *v, int count, char name[IDENTIFIER_SIZE])
{
    constant_name(e, i, what, name);
    put(e, &e->tables, "static const float %s[%d] = {\n", name, count);
    put_floats(e, &e->tables, v, (size_t)count);
    put(e, &e->tables, "};\n");
}

/* ---- the table ---- */

/* A step on floats (and between floats and codes), and on codes. */
static const struct {
    step_writer *floats, *codes;
} writers[STEP_KINDS] = {
    [STEP_NORMALIZE] = {write_normalize, NULL},
    [STEP_LOOKUP] = {write_pixels_to_codes, NULL},
    [STEP_CONV] = {write_conv_floats, write_conv_codes},
    [STEP_NORM] = {write_norm_floats, NULL},
    [STEP_RELU] = {write_relu_floats, write_clamp_codes},
    [STEP_CLIP] = {write_clip_floats, write_clamp_codes},
    [STEP_ADD] = {write_add_floats, write_add_codes},
    [STEP_CONCAT] = {write_concat_floats, write_concat_codes},
    [STEP_POOL] = {write_pool_floats, write_pool_codes},
    [STEP_WINDOW] = {write_mean_floats, write_mean_codes},
    [STEP_MAX] = {write_max_floats, write_max_codes},
    [STEP_FLATTEN] = {write_flatten_floats, write_flatten_codes},
    [STEP_QUANTIZE] = {write_quantize, NULL},
    [STEP_DEQUANTIZE] = {write_dequantize, NULL},
};

/* The options of each op that the code heeds, a space around each; NULL: no op that it knows. */
static const char *const known[OP_COUNT] = {
    [OP_INPUT] = "",
    [OP_NORMALIZE] = " mean std ",
    [OP_CONV2D] = " out kernel stride pad groups bias add relu clip ",
    [OP_BATCHNORM] = " eps ",
    [OP_RELU] = "",
    [OP_ADD] = " separate ",
    [OP_AVGPOOL] = " kernel stride pad ",
    [OP_MAXPOOL] = " kernel stride pad ",
    [OP_CLIP] = " low high ",
    [OP_CONCAT] = "",
    [OP_FLATTEN] = "",
    [OP_LINEAR] = " out bias requantize relu clip ",
    [OP_QUANTIZE] = "",
    [OP_DEQUANTIZE] = "",
};

int emit_check_node(const struct node *n, struct message *m)
{
    char word[NODE_NAME_SIZE];
    if (n->op >= OP_COUNT || !known[n->op])
        return message_set(m, STATUS_UNSUPPORTED, "%s: there is no C code for %s", n->name, graph_op_name(n->op));
    for (const struct attribute *a = op_of(n)->attributes; a && a->name; a++) {
        snprintf(word, sizeof word, " %s ", a->name);
        if (attribute_is_given(a, n) && !strstr(known[n->op], word))
            return message_set(m, STATUS_UNSUPPORTED, "%s: there is no C code for %s with %s", n->name,
                               graph_op_name(n->op), a->name);
    }
    return 0;
}

void put_step(struct emit *e, int i)
{
    const struct step *s = &e->steps.at[i];
    step_writer *writer = s->is_integer ? writers[s->kind].codes : writers[s->kind].floats;
    const struct node *n = emit_node(e, s->node);
    if (writer && e->status >= 0)
        writer(e, i);
    else if (e->status >= 0)
        emit_fail(e, message_set(e->m, STATUS_UNSUPPORTED, "%s: there is no C code for %s of %s", n->name,
                                 graph_op_name(n->op), s->is_integer ? "codes" : "floats"));
}
