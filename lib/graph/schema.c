#include "graph/schema.h"
#include "graph/op.h"
#include <math.h>
#include <stdio.h>

static struct tensor_spec *put(struct tensor_spec *s, struct tensor_spec spec)
{
    *s = spec;
    return s + 1;
}

/* Products of an output's inputs (fan-in), or of an input's outputs (fan-out). */
static double fan(const struct tensor_spec *weight, int without)
{
    double count = 1;
    for (int k = 0; k < weight->rank; k++)
        count *= k == without ? 1 : (double)weight->shape[k];
    return count;
}

/* Weights and bias as floats. */
static struct tensor_spec weight_spec(const struct graph *g, const struct node *n)
{
    struct tensor_spec w = {.suffix = "weight", .dtype = DTYPE_F32, .start = op_of(n)->start, .is_parameter = 1};
    w.rank = op_of(n)->weights(g, n, w.shape);
    w.spread = w.start == START_NORMAL ? sqrt(2 / fan(&w, 1)) : 1 / sqrt(fan(&w, 0));
    return w;
}

static struct tensor_spec bias_spec(const struct tensor_spec *weight)
{
    return (struct tensor_spec){.suffix = "bias",
                                .dtype = DTYPE_F32,
                                .rank = 1,
                                .shape = {weight->shape[0]},
                                .start = START_UNIFORM,
                                .spread = 1 / sqrt(fan(weight, 0)),
                                .is_parameter = 1};
}

static struct tensor_spec *put_layer(struct tensor_spec *s, const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    struct tensor_spec weight = weight_spec(g, n), bias = bias_spec(&weight);
    if (!node_is_integer(g, i)) {
        s = put(s, weight);
        return n->has_bias ? put(s, bias) : s;
    }
    weight.dtype = DTYPE_I8;
    weight.rule = RULE_CODE;
    bias.dtype = DTYPE_I32;
    bias.rule = RULE_BIAS;
    s = put(s, weight);
    s = put(s, (struct tensor_spec){.suffix = "weight_scale",
                                    .dtype = DTYPE_F32,
                                    .rank = 1,
                                    .shape = {weight.shape[0]},
                                    .rule = RULE_SCALE});
    if (n->has_bias)
        s = put(s, bias);
    s = put(s, (struct tensor_spec){
                   .suffix = "accumulator_bound", .dtype = DTYPE_I64, .rule = RULE_NOT_NEGATIVE, .is_optional = 1});
    return put(
        s, (struct tensor_spec){.suffix = "weight_bits", .dtype = DTYPE_U8, .rule = RULE_PACKED, .is_optional = 1});
}

int node_has_map(const struct graph *g, int i)
{
    return g->nodes[i].type == NODE_U8 && g->nodes[i].op != OP_INPUT;
}

int node_map_source(const struct graph *g, int i)
{
    while (node_has_map(g, i) && op_of(&g->nodes[i])->integer == INTEGER_INPUT_MAP)
        i = g->nodes[i].inputs[0];
    return i;
}

int node_tensors(const struct graph *g, int i, struct tensor_spec specs[SCHEMA_MAX_TENSORS])
{
    const struct node *n = &g->nodes[i];
    struct tensor_spec *s = specs;
    if (op_of(n)->tensors)
        s += op_of(n)->tensors(n, s);
    if (op_of(n)->weights)
        s = put_layer(s, g, i);
    if (node_has_map(g, i)) {
        s = put(s, (struct tensor_spec){.suffix = "scale", .dtype = DTYPE_F32, .rule = RULE_SCALE});
        s = put(s, (struct tensor_spec){.suffix = "zero_point", .dtype = DTYPE_U8});
        s = put(s, (struct tensor_spec){.suffix = "range", .dtype = DTYPE_U8, .rank = 1, .shape = {2}});
    }
    return (int)(s - specs);
}

void tensor_name(char out[TENSOR_NAME_SIZE], const struct node *n, const char *suffix)
{
    snprintf(out, TENSOR_NAME_SIZE, "%s.%s", n->name, suffix);
}
