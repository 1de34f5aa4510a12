#include "graph/schema.h"
#include <stdio.h>

static struct tensor_spec vector(const char *suffix, enum dtype dtype, int64_t count)
{
    return (struct tensor_spec){.suffix = suffix, .dtype = dtype, .rank = 1, .shape = {count}};
}

static struct tensor_spec scalar(const char *suffix, enum dtype dtype)
{
    return (struct tensor_spec){.suffix = suffix, .dtype = dtype};
}

static struct tensor_spec *put(struct tensor_spec *s, struct tensor_spec spec, enum tensor_rule rule,
                               int is_parameter)
{
    spec.rule = rule;
    spec.is_parameter = is_parameter;
    *s = spec;
    return s + 1;
}

static struct tensor_spec weight(const struct graph *g, const struct node *n, enum dtype dtype)
{
    const struct node *x = &g->nodes[n->inputs[0]];
    if (n->op == OP_LINEAR)
        return (struct tensor_spec){.suffix = "weight", .dtype = dtype, .rank = 2, .shape = {n->out, x->c}};
    return (struct tensor_spec){
        .suffix = "weight", .dtype = dtype, .rank = 4, .shape = {n->out, x->c / n->groups, n->kernel, n->kernel}};
}

static struct tensor_spec *put_batchnorm(struct tensor_spec *s, int channels)
{
    s = put(s, vector("weight", DTYPE_F32, channels), RULE_ANY, 1);
    s = put(s, vector("bias", DTYPE_F32, channels), RULE_ANY, 1);
    s = put(s, vector("running_mean", DTYPE_F32, channels), RULE_ANY, 0);
    s = put(s, vector("running_var", DTYPE_F32, channels), RULE_NOT_NEGATIVE, 0);
    return put(s, scalar("num_batches_tracked", DTYPE_I64), RULE_NOT_NEGATIVE, 0);
}

static struct tensor_spec *put_layer(struct tensor_spec *s, const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    if (!node_is_integer(g, i)) {
        s = put(s, weight(g, n, DTYPE_F32), RULE_ANY, 1);
        return n->has_bias ? put(s, vector("bias", DTYPE_F32, n->out), RULE_ANY, 1) : s;
    }
    s = put(s, weight(g, n, DTYPE_I8), RULE_CODE, 1);
    s = put(s, vector("weight_scale", DTYPE_F32, n->out), RULE_SCALE, 0);
    if (n->has_bias)
        s = put(s, vector("bias", DTYPE_I32, n->out), RULE_BIAS, 1);
    s = put(s, scalar("accumulator_bound", DTYPE_I64), RULE_NOT_NEGATIVE, 0);
    s[-1].is_optional = 1;
    return s;
}

int node_tensors(const struct graph *g, int i, struct tensor_spec specs[SCHEMA_MAX_TENSORS])
{
    const struct node *n = &g->nodes[i];
    struct tensor_spec *s = specs;
    if (n->op == OP_BATCHNORM)
        s = put_batchnorm(s, n->c);
    if (n->op == OP_CONV2D || n->op == OP_LINEAR)
        s = put_layer(s, g, i);
    if (n->type == NODE_U8 && n->op != OP_INPUT) {
        s = put(s, scalar("scale", DTYPE_F32), RULE_SCALE, 0);
        s = put(s, scalar("zero_point", DTYPE_U8), RULE_ANY, 0);
        s = put(s, vector("range", DTYPE_U8, 2), RULE_ANY, 0);
    }
    return (int)(s - specs);
}

void tensor_name(char out[TENSOR_NAME_SIZE], const struct node *n, const char *suffix)
{
    snprintf(out, TENSOR_NAME_SIZE, "%s.%s", n->name, suffix);
}
