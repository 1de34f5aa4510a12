/* What each op of a graph is in a file. */
#include "graph/op.h"
#include "onnx/exporter.h"

int write_relu(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *y = export_result(e, i, "relu", m);
    if (!y)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, "Relu", y, INPUTS(x), m));
    return export_finish(e, i, y, m);
}

int write_clip(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *y = export_result(e, i, "clip", m);
    NAME(low, "%s.clip_low", export_node(e, i)->name);
    NAME(high, "%s.clip_high", export_node(e, i)->name);
    if (!y)
        return STATUS_NOMEM;
    TRY(export_number(e, low, export_node(e, i)->clip.low, m));
    TRY(export_number(e, high, export_node(e, i)->clip.high, m));
    TRY(builder_node(&e->b, "Clip", y, INPUTS(x, low, high), m));
    return export_finish(e, i, y, m);
}

/* The relu and the clip behind a layer's sum, of which it has one at least. */
static int write_steps(struct exporter *e, int i, const char *sum, struct message *m)
{
    const struct node *n = export_node(e, i);
    if (!n->clip.on)
        return write_relu(e, i, sum, m);
    if (n->has_relu) {
        NAME(positive, "%s.positive", n->name);
        TRY(builder_node(&e->b, "Relu", positive, INPUTS(sum), m));
        sum = positive;
    }
    return write_clip(e, i, sum, m);
}

int write_conv2d(struct exporter *e, int i, const char *x, struct message *m)
{
    const struct node *n = export_node(e, i);
    const int64_t kernel[] = {n->kernel, n->kernel}, stride[] = {n->stride, n->stride},
                  pads[] = {n->pad, n->pad, n->pad, n->pad};
    const char *weight, *bias;
    int is_integer = node_is_integer(&e->model->graph, i);
    if (is_integer && n->input_count > 1 && e->options->target == ONNX_FOR_RUNTIME)
        return message_set(m, STATUS_UNSUPPORTED,
                           "%s: its residual is added before it is rounded; ONNX Runtime's integer operators round "
                           "first, which is another network: fuse --for onnxruntime makes it",
                           n->name);
    int is_cut = (n->has_relu || n->clip.on) && !export_clamps_codes(e, i), steps = (n->input_count > 1) + is_cut;
    const char *sum = steps ? builder_text(&e->b, m, "%s.conv", n->name) : export_result(e, i, "conv", m);
    if (!sum)
        return STATUS_NOMEM;
    TRY(export_weights(e, i, &weight, &bias, m));
    TRY(builder_node(&e->b, "Conv", sum, INPUTS(x, weight, bias), m));
    TRY(builder_integers(&e->b, "kernel_shape", 2, kernel, m));
    TRY(builder_integers(&e->b, "strides", 2, stride, m));
    TRY(builder_integers(&e->b, "pads", 4, pads, m));
    TRY(builder_integer(&e->b, "group", n->groups, m));
    if (n->input_count > 1) {
        const char *added = is_cut ? builder_text(&e->b, m, "%s.add", n->name) : export_result(e, i, "add", m);
        if (!added)
            return STATUS_NOMEM;
        TRY(builder_node(&e->b, "Add", added, INPUTS(sum, e->values[n->inputs[1]]), m));
        sum = added;
    }
    return is_cut ? write_steps(e, i, sum, m) : export_finish(e, i, sum, m);
}

int write_linear(struct exporter *e, int i, const char *x, struct message *m)
{
    const struct node *n = export_node(e, i);
    const char *weight, *bias, *y = LOGITS_NAME;
    int is_cut = (n->has_relu || n->clip.on) && !export_clamps_codes(e, i);
    if (is_cut)
        y = builder_text(&e->b, m, "%s.gemm", n->name);
    else if (i < e->model->graph.count - 1)
        y = export_result(e, i, "gemm", m);
    if (!y)
        return STATUS_NOMEM;
    TRY(export_weights(e, i, &weight, &bias, m));
    TRY(builder_node(&e->b, "Gemm", y, INPUTS(x, weight, bias), m));
    TRY(builder_integer(&e->b, "transB", 1, m));
    return is_cut ? write_steps(e, i, y, m) : export_finish(e, i, y, m);
}

int write_batchnorm(struct exporter *e, int i, const char *x, struct message *m)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    const char *names[6] = {x};
    for (int k = 0; k < 4; k++) {
        const struct tensor *t = model_tensor(e->model, i, parts[k]);
        names[k + 1] = t->name;
        TRY(export_tensor(e, t->name, ONNX_FLOAT, t, m));
    }
    TRY(builder_node(&e->b, "BatchNormalization", export_node(e, i)->name, names, m));
    TRY(builder_number(&e->b, "epsilon", export_node(e, i)->eps, m));
    return export_finish(e, i, export_node(e, i)->name, m);
}

int write_add(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *y = export_result(e, i, "add", m);
    if (export_clamps_codes(e, i) && !export_node(e, i)->is_separate)
        return message_set(
            m, STATUS_UNSUPPORTED,
            "%s: its sum is not ONNX Runtime's, which rounds in another order: fuse --for onnxruntime "
            "makes it so",
            export_node(e, i)->name);
    if (!y)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, "Add", y, INPUTS(x, e->values[export_node(e, i)->inputs[1]]), m));
    return export_finish(e, i, y, m);
}

/* "MaxPool" or "AveragePool"; padding counts as zeros in the mean. */
static int write_windows(struct exporter *e, int i, const char *op, const char *x, struct message *m)
{
    const struct node *n = export_node(e, i);
    const int64_t kernel[] = {n->kernel, n->kernel}, stride[] = {n->stride, n->stride},
                  pads[] = {n->pad, n->pad, n->pad, n->pad};
    const char *y = export_result(e, i, "pool", m);
    if (!y)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, op, y, INPUTS(x), m));
    TRY(builder_integers(&e->b, "kernel_shape", 2, kernel, m));
    TRY(builder_integers(&e->b, "strides", 2, stride, m));
    TRY(builder_integers(&e->b, "pads", 4, pads, m));
    if (n->op == OP_AVGPOOL)
        TRY(builder_integer(&e->b, "count_include_pad", 1, m));
    return export_finish(e, i, y, m);
}

int write_maxpool(struct exporter *e, int i, const char *x, struct message *m)
{
    return write_windows(e, i, "MaxPool", x, m);
}

int write_concat(struct exporter *e, int i, const char *x, struct message *m)
{
    const struct node *n = export_node(e, i);
    const char *names[NODE_MAX_INPUTS + 1] = {x}, *y = export_result(e, i, "concat", m);
    if (!y)
        return STATUS_NOMEM;
    for (int k = 1; k < n->input_count; k++)
        names[k] = e->values[n->inputs[k]];
    TRY(builder_node(&e->b, "Concat", y, names, m));
    TRY(builder_integer(&e->b, "axis", 1, m));
    return export_finish(e, i, y, m);
}

/* Maps are [N,C,H,W] here, so that the order is ours. */
int write_flatten(struct exporter *e, int i, const char *x, struct message *m)
{
    const char *y = export_result(e, i, "flat", m);
    if (!y)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, "Flatten", y, INPUTS(x), m));
    return export_finish(e, i, y, m);
}

int write_avgpool(struct exporter *e, int i, const char *x, struct message *m)
{
    if (export_node(e, i)->kernel > 0)
        return write_windows(e, i, "AveragePool", x, m);
    const char *mean = export_result(e, i, "mean", m);
    if (!mean)
        return STATUS_NOMEM;
    TRY(builder_node(&e->b, "GlobalAveragePool", mean, INPUTS(x), m));
    if (node_has_map(&e->model->graph, i))
        return export_pair(e, i, mean, 1, m);
    NAME(flat, "%s.flat", export_node(e, i)->name);
    e->values[i] = flat;
    return builder_node(&e->b, "Flatten", flat, INPUTS(mean), m);
}

int write_same(struct exporter *e, int i, const char *x, struct message *m)
{
    return export_finish(e, i, x, m);
}
