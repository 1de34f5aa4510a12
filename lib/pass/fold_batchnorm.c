#include "pass/pass.h"
#include "base/memory.h"
#include "base/scalar.h"
#include "pass/rewrite.h"
#include "graph/op.h"
#include <math.h>

/* What a batch norm holds, and the convolution before it. */
struct fold {
    const struct node *conv, *norm;
    float *weight, *bias; /* bias of the convolution; there already, zeros where it had none */
    const float *gamma, *beta, *mean, *variance;
    size_t per_output;
};

/* Returns how many channels became zeros, or a failure. */
static int fold_channels(const struct fold *f, struct message *m)
{
    int zeros = 0;
    for (int c = 0; c < f->norm->c; c++) {
        double spread = (double)f->variance[c] + (double)f->norm->eps;
        if (!(spread > 0))
            return message_set(m, STATUS_RANGE, "%s.running_var: %g + eps at index %d is not positive",
                               f->norm->name, (double)f->variance[c], c);
        double factor = (double)f->gamma[c] / sqrt(spread);
        float *w = f->weight + (size_t)c * f->per_output;
        zeros += !fold_weights(w, f->per_output, factor, w);
        f->bias[c] = folded_bias(f->bias[c], f->beta[c], f->mean[c], factor);
    }
    return zeros;
}

/* Whether the layer before a batch norm can take it in: nothing else reads that, and it has no last step. */
static int is_behind_layer(const struct graph *g, int norm)
{
    int conv = g->nodes[norm].inputs[0];
    return op_of(&g->nodes[conv])->takes_norm && !node_has_epilogue(&g->nodes[conv]) && graph_uses(g, conv) == 1;
}

static int fold_open(struct fold *f, struct model *model, int norm, struct message *m)
{
    struct graph *g = &model->graph;
    int conv = g->nodes[norm].inputs[0];
    *f = (struct fold){.conv = &g->nodes[conv], .norm = &g->nodes[norm]};
    if (!f->conv->has_bias) {
        char name[TENSOR_NAME_SIZE];
        int64_t channels = f->conv->out;
        tensor_name(name, f->conv, "bias");
        TRY(record_add(model->record, name, DTYPE_F32, 1, &channels, NULL, m));
        g->nodes[conv].has_bias = 1;
    }
    const struct tensor *weight = model_tensor(model, conv, "weight");
    f->per_output = weight->count / (size_t)weight->shape[0];
    f->weight = weight->data;
    f->bias = model_tensor(model, conv, "bias")->data;
    f->gamma = model_tensor(model, norm, "weight")->data;
    f->beta = model_tensor(model, norm, "bias")->data;
    f->mean = model_tensor(model, norm, "running_mean")->data;
    f->variance = model_tensor(model, norm, "running_var")->data;
    return 0;
}

static void remove_tensors(struct model *model, int i)
{
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int count = node_tensors(&model->graph, i, specs);
    for (int k = 0; k < count; k++) {
        char name[TENSOR_NAME_SIZE];
        tensor_name(name, &model->graph.nodes[i], specs[k].suffix);
        record_remove(model->record, name);
    }
}

static int fold_behind(struct model *model, int norm, struct text *report, struct message *m)
{
    struct fold f;
    TRY(fold_open(&f, model, norm, m));
    int zeros = fold_channels(&f, m);
    TRY(zeros);
    if (report && zeros > 0)
        TRY(text_add(report, m, "warning: %s: %d of %d channels are zero\n", f.conv->name, zeros, f.norm->c));
    if (report)
        TRY(text_add(report, m, "%s: folded into %s\n", f.norm->name, f.conv->name));
    remove_tensors(model, norm);
    graph_remove(&model->graph, norm, model->graph.nodes[norm].inputs[0]);
    return 0;
}

/* ---- a batch norm that no layer before it takes in becomes a 1x1 convolution of its own, a group a channel ---- */

/* Of batch norm `norm`: x * factor + offset, [C] each. Returns how many factors are zero, or a failure. */
static int constants_of(const struct model *model, int norm, float *factor, float *offset, struct message *m)
{
    const struct node *n = &model->graph.nodes[norm];
    const struct fold f = {.conv = n,
                           .norm = n,
                           .weight = factor,
                           .bias = offset,
                           .gamma = model_tensor(model, norm, "weight")->data,
                           .beta = model_tensor(model, norm, "bias")->data,
                           .mean = model_tensor(model, norm, "running_mean")->data,
                           .variance = model_tensor(model, norm, "running_var")->data,
                           .per_output = 1};
    for (int c = 0; c < n->c; c++) {
        factor[c] = 1;
        offset[c] = 0;
    }
    return fold_channels(&f, m);
}

static int replace(struct model *model, int norm, const float *factor, const float *offset, struct message *m)
{
    struct node *n = &model->graph.nodes[norm];
    const int64_t shape[4] = {n->c, 1, 1, 1};
    char name[TENSOR_NAME_SIZE];
    remove_tensors(model, norm);
    n->op = OP_CONV2D;
    n->out = n->groups = n->c;
    n->kernel = n->stride = n->has_bias = 1;
    n->eps = 0;
    tensor_name(name, n, "weight");
    TRY(record_add_copy(model->record, name, DTYPE_F32, 4, shape, factor, m));
    tensor_name(name, n, "bias");
    return record_add_copy(model->record, name, DTYPE_F32, 1, shape, offset, m);
}

static int make_layer(struct model *model, int norm, struct text *report, struct message *m)
{
    const struct node *n = &model->graph.nodes[norm];
    if (n->is_vector)
        return message_set(m, STATUS_MISMATCH,
                           "node '%s': batch norm of a vector cannot be folded, '%s' is no linear layer used here "
                           "alone",
                           n->name, node_input(&model->graph, n, 0)->name);
    float *factor = memory_new((size_t)n->c, 2 * sizeof *factor, m);
    if (!factor)
        return STATUS_NOMEM;
    int status = constants_of(model, norm, factor, factor + n->c, m), zeros = status;
    if (status >= 0)
        status = replace(model, norm, factor, factor + n->c, m);
    memory_free(factor);
    TRY(status);
    if (report && zeros > 0)
        TRY(text_add(report, m, "warning: %s: %d of %d channels are zero\n", n->name, zeros, n->c));
    return report ? text_add(report, m, "%s: now a convolution of one channel a group\n", n->name) : 0;
}

int pass_fold_batchnorm(struct model *model, struct text *report, struct message *m)
{
    for (int i = 0; i < model->graph.count; i++)
        if (op_of(&model->graph.nodes[i])->folds_away && is_behind_layer(&model->graph, i))
            TRY(fold_behind(model, i--, report, m));
        else if (op_of(&model->graph.nodes[i])->folds_away)
            TRY(make_layer(model, i, report, m));
    TRY(graph_verify(&model->graph, m));
    return model_verify(model, m);
}
