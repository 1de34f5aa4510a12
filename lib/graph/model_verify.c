/* Graph and tensors checked against each other: nothing missing, nothing left over, every value legal. */
#include "graph/codes.h"
#include "graph/model.h"
#include "graph/op.h"
#include "graph/schema.h"
#include <math.h>
#include <string.h>

static int check_f32(const struct tensor *t, enum tensor_rule rule, struct message *m)
{
    const float *values = t->data;
    for (size_t i = 0; i < t->count; i++) {
        if (!isfinite(values[i]))
            return message_set(m, STATUS_RANGE, "%s: %s at index %zu", t->name, isnan(values[i]) ? "NaN" : "Inf",
                               i);
        if (rule == RULE_NOT_NEGATIVE && values[i] < 0)
            return message_set(m, STATUS_RANGE, "%s: %g at index %zu is negative", t->name, (double)values[i], i);
        if (rule == RULE_SCALE && (!isnormal(values[i]) || values[i] <= 0))
            return message_set(m, STATUS_RANGE, "%s: %g at index %zu is not a positive normal number", t->name,
                               (double)values[i], i);
    }
    return 0;
}

static int check_values(const struct tensor *t, enum tensor_rule rule, struct message *m)
{
    if (t->dtype == DTYPE_F32)
        return check_f32(t, rule, m);
    const int8_t *bad = rule == RULE_CODE && t->count > 0 ? memchr(t->data, 0x80, t->count) : NULL;
    if (bad)
        return message_set(m, STATUS_RANGE, "%s: -128 at index %zu, want -127..127", t->name,
                           (size_t)(bad - (const int8_t *)t->data));
    for (size_t i = 0; rule == RULE_BIAS && i < t->count; i++)
        if (((const int32_t *)t->data)[i] > 1 << 30 || ((const int32_t *)t->data)[i] < -(1 << 30))
            return message_set(m, STATUS_RANGE, "%s: magnitude at index %zu exceeds 2^30", t->name, i);
    if (t->dtype == DTYPE_I64 && *(const int64_t *)t->data < 0)
        return message_set(m, STATUS_RANGE, "%s: negative", t->name);
    return 0;
}

/* Scale and zero point of a u8 activation. Some ops give codes on their input's map: theirs must be the same. */
static int check_activation(const struct model *model, int i, struct message *m)
{
    const struct node *n = &model->graph.nodes[i];
    if (!node_has_map(&model->graph, i))
        return 0;
    const uint8_t *range = model_tensor(model, i, "range")->data;
    const uint8_t *zero_point = model_tensor(model, i, "zero_point")->data;
    if (range[0] >= range[1])
        return message_set(m, STATUS_RANGE, "%s.range: %d..%d is empty", n->name, range[0], range[1]);
    if (*zero_point < range[0] || *zero_point > range[1])
        return message_set(m, STATUS_RANGE, "%s.zero_point: %d is not in %d..%d", n->name, *zero_point, range[0],
                           range[1]);
    static const char *const suffixes[] = {"scale", "zero_point", "range"};
    for (int k = 0; op_of(n)->integer == INTEGER_INPUT_MAP && k < 3; k++) {
        const struct tensor *ours = model_tensor(model, i, suffixes[k]);
        const struct tensor *theirs = model_tensor(model, n->inputs[0], suffixes[k]);
        if (memcmp(ours->data, theirs->data, ours->bytes) != 0)
            return message_set(m, STATUS_MISMATCH, "%s.%s: differs from its input's, %s", n->name, suffixes[k],
                               theirs->name);
    }
    return 0;
}

/* Weights of node i that are packed. */
static int check_packed(const struct model *model, int i, const struct tensor_spec *codes, struct message *m)
{
    char name[TENSOR_NAME_SIZE];
    struct tensor *bits;
    const struct tensor *weight = model_tensor(model, i, codes->suffix);
    tensor_name(name, &model->graph.nodes[i], "weight_bits");
    TRY(record_require(model->record, name, DTYPE_U8, 0, NULL, &bits, m));
    if (!weight)
        return message_set(m, STATUS_MISMATCH, "%s.%s: missing tensor", model->graph.nodes[i].name, codes->suffix);
    return codes_check(weight, bits, codes->rank, codes->shape, m);
}

static int check_node(const struct model *model, int i, struct message *m)
{
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int count = node_tensors(&model->graph, i, specs);
    for (int k = 0; k < count; k++) {
        char name[TENSOR_NAME_SIZE];
        struct tensor *t;
        tensor_name(name, &model->graph.nodes[i], specs[k].suffix);
        if (specs[k].is_optional && !record_find(model->record, name))
            continue;
        if (specs[k].rule == RULE_CODE && model_tensor(model, i, "weight_bits")) {
            TRY(check_packed(model, i, &specs[k], m));
            continue;
        }
        TRY(record_require(model->record, name, specs[k].dtype, specs[k].rank, specs[k].shape, &t, m));
        TRY(check_values(t, specs[k].rule, m));
    }
    return check_activation(model, i, m);
}

static int is_expected(const struct graph *g, const char *tensor)
{
    char node[NODE_NAME_SIZE];
    const char *dot = strrchr(tensor, '.');
    if (!dot || (size_t)(dot - tensor) >= sizeof node)
        return 0;
    memcpy(node, tensor, (size_t)(dot - tensor));
    node[dot - tensor] = '\0';
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int i = graph_find(g, node);
    int count = i < 0 ? 0 : node_tensors(g, i, specs);
    for (int k = 0; k < count; k++)
        if (strcmp(specs[k].suffix, dot + 1) == 0)
            return 1;
    return 0;
}

int model_verify(const struct model *model, struct message *m)
{
    for (int i = 0; i < model->graph.count; i++)
        TRY(check_node(model, i, m));
    for (size_t k = 0; k < model->record->tensor_count; k++)
        if (!is_expected(&model->graph, model->record->tensors[k].name))
            return message_set(m, STATUS_MISMATCH, "%s: surplus tensor, the graph has no use for it",
                               model->record->tensors[k].name);
    return 0;
}
