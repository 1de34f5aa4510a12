/* Fused float -> int8. The graph is written anew, node by node; each value exists as u8, as f32 or as both, and
 * quantize and dequantize nodes appear where somebody first needs the other form. */
#include "pass/lower.h"
#include "graph/codes.h"
#include "graph/op.h"
#include "quant/observer.h"
#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int is_kept(const struct lowering *l, const struct node *n)
{
    return l->options->keep_float && fnmatch(l->options->keep_float, n->name, 0) == 0;
}

/* Whether old node i itself became integer and gives u8, not a quantize node behind it. */
static int is_computed_u8(const struct lowering *l, int i)
{
    return l->u8[i] >= 0 && l->to.graph.nodes[l->u8[i]].op != OP_QUANTIZE;
}

/* The normalised pixels: whoever reads them as codes reads the same ones. */
static int is_pixels(const struct lowering *l, int i)
{
    return op_of(&l->from->graph.nodes[i])->reads_pixels;
}

/* Whether node i of the fused graph computes on integers. */
static int becomes_integer(const struct lowering *l, int i)
{
    const struct node *n = &l->from->graph.nodes[i];
    int is_last = i == l->from->graph.count - 1;
    if (is_kept(l, n))
        return 0;
    switch (op_of(n)->integer) {
    case INTEGER_NONE:
        return 0;
    case INTEGER_LAYER: /* as last node its sums are the logits: with a step behind them it stays float */
        return !is_last || !node_has_epilogue(n);
    case INTEGER_OWN_MAP:
        return !is_last;
    case INTEGER_INPUT_MAP: /* where that is u8 anyway */
        return !is_last && (is_computed_u8(l, n->inputs[0]) || is_pixels(l, n->inputs[0]));
    }
    return 0;
}

/* The map of a u8 value: its own, or that of its input. */
static const struct affine *map_of(const struct lowering *l, int i)
{
    const struct graph *g = &l->from->graph;
    while (op_of(&g->nodes[i])->integer == INTEGER_INPUT_MAP && is_computed_u8(l, i))
        i = g->nodes[i].inputs[0];
    return &l->activations[i];
}

static int append_conversion(struct lowering *l, enum graph_op op, int from, const char *mark, struct message *m)
{
    char name[NODE_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s.%s", l->to.graph.nodes[from].name, mark);
    int i = graph_append(&l->to.graph, op, name, from, -1, m);
    TRY(i);
    TRY(graph_verify_last(&l->to.graph, m));
    return i;
}

/* The node of `to` that holds old node i as u8; made if it is not there. */
static int need_u8(struct lowering *l, int i, struct message *m)
{
    if (l->u8[i] < 0) {
        int now = append_conversion(l, OP_QUANTIZE, l->f32[i], "q", m);
        TRY(now);
        TRY(lower_activation(l, i, now, &l->activations[i], m));
        l->u8[i] = now;
    }
    return l->u8[i];
}

static int need_f32(struct lowering *l, int i, struct message *m)
{
    if (l->f32[i] < 0) {
        int now = append_conversion(l, OP_DEQUANTIZE, l->u8[i], "f", m);
        TRY(now);
        l->f32[i] = now;
    }
    return l->f32[i];
}

/* Copies node i with its inputs in the form it wants; returns its index in `to`. */
static int append_node(struct lowering *l, int i, int integer, struct message *m)
{
    const struct node *n = &l->from->graph.nodes[i];
    int inputs[NODE_MAX_INPUTS] = {0};
    for (int k = 0; k < n->input_count; k++)
        TRY(inputs[k] = integer ? need_u8(l, n->inputs[k], m) : need_f32(l, n->inputs[k], m));
    int now = graph_append(&l->to.graph, n->op, n->name, -1, -1, m);
    TRY(now);
    struct node *copy = &l->to.graph.nodes[now];
    *copy = *n;
    memcpy(copy->inputs, inputs, sizeof inputs);
    if (integer && op_of(n)->integer == INTEGER_LAYER)
        copy->has_bias = 1;
    if (integer && n->op == OP_LINEAR)
        copy->requantizes = i < l->from->graph.count - 1;
    TRY(graph_verify_last(&l->to.graph, m));
    return now;
}

static int copy_tensors(struct lowering *l, int i, int now, struct message *m)
{
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int count = node_tensors(&l->to.graph, now, specs);
    for (int k = 0; k < count; k++) {
        const struct tensor *t = model_tensor(l->from, i, specs[k].suffix);
        TRY(record_add_copy(l->to.record, t->name, t->dtype, t->rank, t->shape, t->data, m));
    }
    return 0;
}

static int lower_integer(struct lowering *l, int i, int now, struct message *m)
{
    const struct node *n = &l->from->graph.nodes[i];
    const struct affine *input = map_of(l, n->inputs[0]), *output = NULL;
    if (l->to.graph.nodes[now].type == NODE_U8) {
        l->u8[i] = now;
        output = map_of(l, i);
        TRY(lower_activation(l, i, now, output, m));
    } else {
        l->f32[i] = now;
    }
    if (op_of(n)->integer == INTEGER_LAYER)
        return lower_weights(l, i, now, input, output, n->input_count > 1 ? map_of(l, n->inputs[1]) : NULL, m);
    for (int k = 0; k < n->input_count; k++)
        if (!isfinite(map_of(l, n->inputs[k])->scale / output->scale))
            return message_set(m, STATUS_RANGE, "%s: scale is not finite", n->name);
    return 0;
}

/* Whether codes on this map, which saturate at its ends, are all within what node i would clamp them to. */
static int is_clamped(const struct node *n, const struct affine *map)
{
    if (n->op == OP_RELU)
        return map->zero_point <= map->qmin;
    return affine_quantize(map, n->clip.low) <= map->qmin && affine_quantize(map, n->clip.high) >= map->qmax;
}

static int lower_node(struct lowering *l, int i, struct message *m)
{
    const struct node *n = &l->from->graph.nodes[i];
    int integer = becomes_integer(l, i);
    if (integer && lower_is_clamp_of_sum(&l->from->graph, i) && is_clamped(n, map_of(l, n->inputs[0]))) {
        l->u8[i] = l->u8[n->inputs[0]];
        return 0;
    }
    int now = append_node(l, i, integer, m);
    TRY(now);
    if (integer)
        return lower_integer(l, i, now, m);
    l->f32[i] = now;
    return copy_tensors(l, i, now, m);
}

static int check_sum(const struct node *n, struct message *m)
{
    int is_sum = n->op == OP_CONV2D ? n->input_count > 1 : n->op == OP_ADD && !n->is_separate;
    return is_sum ? message_set(m, STATUS_MISMATCH,
                                "%s: its sum is not separate, as ONNX Runtime's are: fuse the float model --for "
                                "onnxruntime, and calibrate that",
                                n->name)
                  : 0;
}

static int check_options(const struct lowering *l, struct message *m)
{
    const struct lower_options *o = l->options;
    int kept = 0, left = 0;
    if (o->end_bits != 0 && (o->end_bits < 2 || o->end_bits > 8))
        return message_set(m, STATUS_RANGE, "%d bits at the ends, want 2..8", o->end_bits);
    if (o->weight_bits < 2 || o->weight_bits > 8 || o->activation_bits < 2 || o->activation_bits > 8)
        return message_set(m, STATUS_RANGE, "%d weight and %d activation bits, want 2..8", o->weight_bits,
                           o->activation_bits);
    TRY(graph_require_stage(&l->from->graph, STAGE_FUSED, m));
    if (o->plan && o->plan->nodes != l->from->graph.count)
        return message_set(m, STATUS_MISMATCH, "the plan of bits is of another network");
    for (int i = 0; i < l->from->graph.count; i++) {
        const struct node *n = &l->from->graph.nodes[i];
        if (is_kept(l, n) && o->plan && o->plan->rows[i].weights)
            return message_set(m, STATUS_MISMATCH, "%s is to stay in float, but is in the plan of bits", n->name);
        kept += is_kept(l, n);
        if (o->separate_sums)
            TRY(check_sum(n, m));
        enum integer_form form = op_of(n)->integer;
        left += (form == INTEGER_LAYER || form == INTEGER_OWN_MAP) && !is_kept(l, n);
    }
    if (o->keep_float && kept == 0)
        return message_set(m, STATUS_MISMATCH, "no node matches '%s', which is to stay in float", o->keep_float);
    if (left == 0)
        return message_set(m, STATUS_MISMATCH, "no layer is left to quantize");
    return 0;
}

/* Bits a weight of a layer takes in the file, on average over the layers that became integer. */
static double planned_bits(const struct lowering *l)
{
    double weights = 0, bits = 0;
    for (int i = 0; i < l->from->graph.count; i++) {
        if (!becomes_integer(l, i) || op_of(&l->from->graph.nodes[i])->integer != INTEGER_LAYER)
            continue;
        double count = node_weight_count(&l->from->graph, &l->from->graph.nodes[i]);
        weights += count;
        bits += count * codes_field(lower_weight_codes(l->options, &l->from->graph, i).bits);
    }
    return weights > 0 ? bits / weights : 0;
}

static int describe(struct lowering *l, struct message *m)
{
    const struct lower_options *o = l->options;
    const struct observer *observer = o->observer ? observer_find(o->observer) : NULL;
    char parameter[64] = "", low[128] = "";
    if (observer && observer->default_parameter > 0) {
        char number[32];
        format_number(number, isnan(o->observer_parameter) ? observer->default_parameter : o->observer_parameter);
        snprintf(parameter, sizeof parameter, " parameter=%s", number);
    }
    if (lower_ends_name(o))
        snprintf(low, sizeof low, " ends=%s", lower_ends_name(o));
    if (lower_observer_name(o))
        snprintf(low + strlen(low), sizeof low - strlen(low), " weight-observer=%s", lower_observer_name(o));
    if (o->plan)
        snprintf(low + strlen(low), sizeof low - strlen(low), " plan=%.3f", planned_bits(l));
    return record_setf(l->to.record, "quantization", m,
                       "%s%s%s weight-bits=%d activation-bits=%d weights=%s%s%s%s%s%s",
                       o->observer ? "observer=" : "trained", o->observer ? o->observer : "", parameter,
                       o->weight_bits, o->activation_bits, o->per_tensor ? "per-tensor" : "per-channel", low,
                       o->keep_float ? " keep-float=" : "", o->keep_float ? o->keep_float : "",
                       o->symmetric ? " activations=symmetric" : "", o->saturation_free ? " saturation-free" : "");
}

static int lower_all(struct lowering *l, struct message *m)
{
    TRY(check_options(l, m));
    for (int i = 0; i < l->from->graph.count; i++)
        TRY(lower_node(l, i, m));
    TRY(graph_verify(&l->to.graph, m));
    TRY(record_inherit(l->to.record, l->from->record, m));
    TRY(describe(l, m));
    TRY(model_store(&l->to, m));
    return model_verify(&l->to, m);
}

static int lower(struct lowering *l, struct model *model, struct message *m)
{
    size_t count = (size_t)model->graph.count;
    l->from = model;
    l->to.record = record_new(m);
    l->u8 = memory_new(count, sizeof *l->u8, m);
    l->f32 = memory_new(count, sizeof *l->f32, m);
    int status = STATUS_NOMEM;
    if (l->to.record && l->u8 && l->f32) {
        for (size_t i = 0; i < count; i++)
            l->u8[i] = l->f32[i] = -1;
        status = lower_all(l, m);
    }
    memory_free(l->u8);
    memory_free(l->f32);
    if (status < 0) {
        model_free(&l->to);
        return status;
    }
    model_free(model);
    *model = l->to;
    return status;
}

int pass_lower_int8_with(struct model *model, const struct affine *activations, const struct lower_options *options,
                         struct lower_report *report, struct message *m)
{
    struct lowering l = {.activations = activations, .options = options, .report = report};
    return lower(&l, model, m);
}

static int lower_observed(struct lowering *l, struct model *model, struct affine *activations, struct message *m)
{
    TRY(graph_require_stage(&model->graph, STAGE_FUSED, m));
    TRY(lower_choose_activations(model, l->ranges, l->options, activations, m));
    for (int i = 0; i < l->ranges->count; i++) {
        const struct histogram *h = &l->ranges->histograms[i];
        if (h->min == h->max)
            TRY(lower_warn(l, m, "%s: activation is always %g", l->ranges->names[i], (double)h->min));
    }
    l->activations = activations;
    return lower(l, model, m);
}

int pass_lower_int8(struct model *model, const struct ranges *ranges, const struct lower_options *options,
                    struct lower_report *report, struct message *m)
{
    struct lowering l = {.ranges = ranges, .options = options, .report = report};
    struct affine *activations = memory_new((size_t)model->graph.count, sizeof *activations, m);
    if (!activations)
        return STATUS_NOMEM;
    int status = lower_observed(&l, model, activations, m);
    memory_free(activations);
    return status;
}
