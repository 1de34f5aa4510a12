#include "train/quantized_start.h"
#include "base/memory.h"
#include "graph/codes.h"
#include "quant/learned.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The node of init that holds what node i of start gives, as codes; -1: none does. */
static int codes_node(const struct model *init, const struct node *n)
{
    char name[NODE_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s.q", n->name);
    int quantized = graph_find(&init->graph, name);
    int at = quantized >= 0 ? quantized : graph_find(&init->graph, n->name);
    return at >= 0 && init->graph.nodes[at].type == NODE_U8 && model_tensor(init, at, "scale") ? at : -1;
}

static void take_maps(const struct model *start, const struct model *init, struct affine *activations)
{
    for (int i = 0; i < start->graph.count; i++) {
        int at = codes_node(init, &start->graph.nodes[i]);
        activations[i] = (struct affine){0};
        if (at < 0)
            continue;
        const uint8_t *range = model_tensor(init, at, "range")->data;
        activations[i] =
            (struct affine){*(const float *)model_tensor(init, at, "scale")->data,
                            *(const uint8_t *)model_tensor(init, at, "zero_point")->data, range[0], range[1]};
    }
}

static int check_activation(const struct lower_options *o, const struct graph *g, int i, const struct affine *a,
                            struct message *m)
{
    int bits = lower_activation_bits(o, g, i);
    if (a->scale != 0 && (a->qmin != 0 || a->qmax != (1 << bits) - 1))
        return message_set(m, STATUS_MISMATCH,
                           "%s: codes %d..%d, want those of %d bits (--activation-bits, --ends)", g->nodes[i].name,
                           a->qmin, a->qmax, bits);
    return STATUS_OK;
}

/* ---- one layer ---- */

struct layer {
    const struct node *node;
    int at, outputs; /* at: in init */
    size_t row;
    const int8_t *codes;
    const float *scale;
    struct weight_codes how;
};

static int check_layer(const struct model *init, const struct layer *y, struct message *m)
{
    int packed = model_weight_bits(init, y->at), qmax = weight_qmax(y->how.bits), most = 0;
    for (size_t i = 0; i < (size_t)y->outputs * y->row; i++)
        most = y->codes[i] > most ? y->codes[i] : -y->codes[i] > most ? -y->codes[i] : most;
    if (packed != (codes_field(y->how.bits) == 8 ? 8 : y->how.bits) || most > qmax)
        return message_set(m, STATUS_MISMATCH, "%s: weights of %s%d bits, want %d (--weight-bits, --ends)",
                           y->node->name, packed == 8 ? "up to " : "", packed, y->how.bits);
    for (int c = 1; y->how.per_tensor && c < y->outputs; c++)
        if (y->scale[c] != y->scale[0])
            return message_set(m, STATUS_MISMATCH, "%s: a scale a channel, want one a layer (--per-tensor)",
                               y->node->name);
    return STATUS_OK;
}

static int set_bias(struct model *start, const struct model *init, int i, const struct layer *y, float scale_x,
                    struct message *m)
{
    const int32_t *codes = model_tensor(init, y->at, "bias")->data;
    struct tensor *bias = model_tensor(start, i, "bias");
    for (int c = 0; c < y->outputs; c++) {
        if (bias)
            ((float *)bias->data)[c] = (float)((double)codes[c] * (double)(scale_x * y->scale[c]));
        else if (codes[c] != 0)
            return message_set(m, STATUS_UNSUPPORTED,
                               "%s: has no bias in the float network, which it is to start from", y->node->name);
    }
    return STATUS_OK;
}

static int set_weights(struct model *start, int i, const struct layer *y, float **scale, struct message *m)
{
    float *w = model_tensor(start, i, "weight")->data;
    size_t row = y->how.per_tensor ? y->row * (size_t)y->outputs : y->row;
    *scale = memory_new((size_t)y->outputs, sizeof **scale, m);
    if (!*scale)
        return STATUS_NOMEM;
    memcpy(*scale, y->scale, (size_t)y->outputs * sizeof **scale);
    for (int c = 0; c < (y->how.per_tensor ? 1 : y->outputs); c++) {
        size_t at = (size_t)c * row;
        learned_weights_of_codes(w + at, y->codes + at, row, y->scale[c], weight_qmax(y->how.bits), w + at);
    }
    return STATUS_OK;
}

static int take_layer(struct model *start, const struct model *init, const struct lower_options *o, int i,
                      float **scale, float scale_x, struct message *m)
{
    struct layer y = {.node = &start->graph.nodes[i], .how = lower_weight_codes(o, &start->graph, i)};
    const struct tensor *w = model_tensor(start, i, "weight");
    int8_t *owned = NULL;
    size_t count;
    y.at = graph_find(&init->graph, y.node->name);
    y.outputs = (int)w->shape[0];
    y.row = w->count / (size_t)w->shape[0];
    y.scale = model_tensor(init, y.at, "weight_scale")->data;
    y.codes = model_weight_codes(init, y.at, &count, &owned, m);
    int status = y.codes ? check_layer(init, &y, m) : STATUS_NOMEM;
    if (status >= 0)
        status = set_bias(start, init, i, &y, scale_x, m);
    if (status >= 0)
        status = set_weights(start, i, &y, scale, m);
    memory_free(owned);
    return status;
}

/* ---- the model ---- */

/* The network that these options make of start is init's. */
static int check_network(const struct model *start, const struct model *init, const struct lower_options *o,
                         const struct affine *activations, struct message *m)
{
    char own[MODEL_DIGEST_SIZE], theirs[MODEL_DIGEST_SIZE];
    struct model lowered;
    if (graph_stage(&init->graph) != STAGE_INT8)
        return graph_require_stage(&init->graph, STAGE_INT8, m);
    TRY(model_copy(&lowered, start, m));
    int status = pass_lower_int8_with(&lowered, activations, o, NULL, m);
    if (status >= 0)
        status = model_graph_digest(&lowered, own, m);
    if (status >= 0)
        status = model_graph_digest(init, theirs, m);
    model_free(&lowered);
    TRY(status);
    return strcmp(own, theirs) == 0
               ? STATUS_OK
               : message_set(m, STATUS_MISMATCH,
                             "graph: is another network than quantize makes of the float model");
}

int quantized_start(struct model *start, const struct model *init, const struct lower_options *options,
                    float **scales, struct affine *activations, struct message *m)
{
    const struct graph *g = &start->graph;
    TRY(check_network(start, init, options, activations, m));
    take_maps(start, init, activations);
    for (int i = 0; i < g->count; i++)
        TRY(check_activation(options, g, i, &activations[i], m));
    for (int i = 0; i < g->count; i++)
        if (model_tensor(start, i, "weight"))
            TRY(take_layer(start, init, options, i, &scales[i], activations[g->nodes[i].inputs[0]].scale, m));
    return STATUS_OK;
}
