/* Operators that compute: convolutions, linear layers, norms, sums. */
#include "onnx/importer.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

/* ---- convolution ---- */

static int check_bias(const struct constant *b, int64_t outputs, struct message *m)
{
    if (b && b->count != (size_t)outputs)
        return message_set(m, STATUS_MISMATCH, "bias of %zu elements for %lld outputs", b->count,
                           (long long)outputs);
    return 0;
}

/* Of a float layer: input, weights, and bias or NULL. */
static int layer_parts(struct importer *im, const struct call *c, int *x, const struct constant **w,
                       const struct constant **b, struct message *m)
{
    *b = NULL;
    TRY(*x = value_f32(im, c->in[0], m));
    TRY(call_constant(c, 1, "weights", w, m));
    return call_input(c, 2) ? call_constant(c, 2, "bias", b, m) : 0;
}

int import_conv(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *w, *b;
    int x;
    if (codes_layer(im, c))
        return codes_conv(im, c, m);
    TRY(layer_parts(im, c, &x, &w, &b, m));
    int i = node_new(im, c, OP_CONV2D, c->in[1]->name, x, -1, m);
    TRY(i);
    struct node *n = &im->model->graph.nodes[i];
    TRY(convolution_attributes(c, w, n, m));
    TRY(check_bias(b, n->out, m));
    n->has_bias = b != NULL;
    TRY(node_floats(im, i, "weight", w->rank, w->dims, w, m));
    if (b)
        TRY(node_floats(im, i, "bias", 1, w->dims, b, m));
    return node_finish(im, c, i, 0, m);
}

/* ---- linear ---- */

static int check_linear(const struct importer *im, const struct call *c, const struct constant *w,
                        struct message *m)
{
    if (c->in[0]->rank != 2 || !value_is_vector(im, c->in[0]))
        return message_set(m, STATUS_UNSUPPORTED, "input '%s' is no vector of each image: want [N,C]",
                           c->in[0]->name);
    if (w->rank != 2 || w->dims[0] < 1 || w->dims[1] < 1 || w->dims[0] > GRAPH_MAX_CHANNELS ||
        w->dims[1] > GRAPH_MAX_CHANNELS)
        return message_set(m, STATUS_UNSUPPORTED, "weights of %d dimensions, want 2", w->rank);
    return 0;
}

/* y = x w' + b, w [out,in]; or w [in,out], which is turned. */
static int add_linear(struct importer *im, const struct call *c, int x, const struct constant *w, int is_turned,
                      const struct constant *b, struct message *m)
{
    int64_t shape[2] = {w->dims[is_turned], w->dims[!is_turned]};
    TRY(check_linear(im, c, w, m));
    TRY(check_bias(b, shape[0], m));
    float *values = constant_floats(w, m),
          *turned = is_turned ? memory_new_raw(w->count, sizeof *turned, m) : values;
    int status = values && turned ? node_new(im, c, OP_LINEAR, c->in[1]->name, x, -1, m) : STATUS_NOMEM, i = status;
    for (int64_t o = 0; status >= 0 && is_turned && o < shape[0]; o++)
        for (int64_t k = 0; k < shape[1]; k++)
            turned[o * shape[1] + k] = values[k * shape[0] + o];
    if (status >= 0) {
        im->model->graph.nodes[i].out = (int)shape[0];
        im->model->graph.nodes[i].has_bias = b != NULL;
        status = node_tensor(im, i, "weight", DTYPE_F32, 2, shape, turned, m);
    }
    if (is_turned)
        memory_free(turned);
    memory_free(values);
    TRY(status);
    if (b)
        TRY(node_floats(im, i, "bias", 1, shape, b, m));
    return node_finish(im, c, i, 1, m);
}

int import_gemm(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *w, *b;
    int64_t turn_x, turn_w;
    double alpha, beta;
    int x;
    TRY(call_integer(c, "transA", 0, &turn_x, m));
    TRY(call_integer(c, "transB", 0, &turn_w, m));
    TRY(call_number(c, "alpha", 1, &alpha, m));
    TRY(call_number(c, "beta", 1, &beta, m));
    if (turn_x || alpha != 1 || (beta != 1 && call_input(c, 2)))
        return message_set(m, STATUS_UNSUPPORTED, "transA %lld, alpha %g, beta %g: want 0, 1 and 1",
                           (long long)turn_x, alpha, beta);
    if (codes_layer(im, c) && turn_w)
        return codes_gemm(im, c, m);
    TRY(layer_parts(im, c, &x, &w, &b, m));
    return add_linear(im, c, x, w, !turn_w, b, m);
}

int import_matmul(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *w, *b;
    int x;
    TRY(layer_parts(im, c, &x, &w, &b, m));
    return add_linear(im, c, x, w, 1, b, m);
}

/* ---- one constant a channel ---- */

/* k as `channels` numbers along x's channels: one number for all, or one a channel where k's shape puts it there. */
static int spread(const struct importer *im, const struct value *x, const struct constant *k, int channels,
                  double *out, struct message *m)
{
    int axis = x->rank == 4 && !value_is_vector(im, x) && x->channels_last ? 3 : 1;
    if (k->count != 1 && k->count != (size_t)channels)
        return message_set(m, STATUS_UNSUPPORTED, "a constant of %zu elements beside %d channels", k->count,
                           channels);
    for (int d = 0; k->count != 1 && d < k->rank; d++)
        if (k->dims[d] != 1 && d + x->rank - k->rank != axis)
            return message_set(m, STATUS_UNSUPPORTED, "a constant that does not vary along the channels alone");
    for (int c = 0; c < channels; c++)
        out[c] = constant_number(k, k->count == 1 ? 0 : (size_t)c);
    return 0;
}

/* The image (x - offset) / divisor times `factor` plus `term`. */
static int scale_pixels(struct importer *im, const struct call *c, const struct value *x, const double *factor,
                        const double *term, struct message *m)
{
    value_pass_on(x, c->out);
    for (int k = 0; k < x->dims[x->channels_last ? 3 : 1]; k++) {
        if (!isnormal(factor[k]))
            return message_set(m, STATUS_RANGE, "the image is multiplied by %g", factor[k]);
        c->out->divisor[k] = x->divisor[k] / factor[k];
        c->out->offset[k] = x->offset[k] - term[k] * c->out->divisor[k];
    }
    im->is_scaled = 1;
    return 0;
}

/* Adds to the bias of the layer that gives x, and that nothing else reads. */
static int add_to_bias(struct importer *im, const struct call *c, const struct value *x, const struct constant *k,
                       struct message *m)
{
    struct node *n = x->kind == VALUE_NODE ? &im->model->graph.nodes[x->node] : NULL;
    if (!n || x->has_cut || x->uses != 1 || (n->op != OP_CONV2D && n->op != OP_LINEAR) || n->type != NODE_F32)
        return message_set(m, STATUS_UNSUPPORTED, "adds a constant to '%s', which is no layer's own result",
                           x->name);
    struct tensor *bias = model_tensor(im->model, x->node, "bias");
    const int64_t shape = n->out;
    double *terms = memory_new((size_t)n->out, sizeof *terms, m);
    int status = terms ? spread(im, x, k, n->out, terms, m) : STATUS_NOMEM;
    if (status >= 0 && !bias) {
        status = node_tensor(im, x->node, "bias", DTYPE_F32, 1, &shape, NULL, m);
        bias = model_tensor(im->model, x->node, "bias");
        n->has_bias = 1;
    }
    for (int o = 0; status >= 0 && o < n->out; o++)
        ((float *)bias->data)[o] = (float)((double)((float *)bias->data)[o] + terms[o]);
    memory_free(terms);
    value_pass_on(x, c->out);
    return status;
}

/* x OP constant, on the image: by factor and term. */
static int image_and_constant(struct importer *im, const struct call *c, const struct value *x,
                              const struct constant *k, double sign, int is_product, int is_inverse,
                              struct message *m)
{
    double numbers[MOST_CHANNELS], factor[MOST_CHANNELS] = {1, 1, 1, 1}, term[MOST_CHANNELS] = {0};
    int channels = (int)x->dims[x->channels_last ? 3 : 1];
    TRY(spread(im, x, k, channels, numbers, m));
    for (int i = 0; i < channels; i++) {
        factor[i] = !is_product ? 1 : is_inverse ? 1 / numbers[i] : numbers[i];
        term[i] = is_product ? 0 : sign * numbers[i];
    }
    /* x / k is kept as a division, so that a mean and a deviation come back as they were written. */
    TRY(scale_pixels(im, c, x, factor, term, m));
    for (int i = 0; is_inverse && i < channels; i++)
        c->out->divisor[i] = x->divisor[i] * numbers[i];
    return 0;
}

static int refuse_constant(const struct value *x, struct message *m)
{
    return message_set(m, STATUS_UNSUPPORTED, "'%s' by a constant: known here of the image alone", x->name);
}

int import_add(struct importer *im, const struct call *c, struct message *m)
{
    struct value *a = c->in[0], *b = c->in[1];
    if (a->kind == VALUE_CONSTANT || b->kind == VALUE_CONSTANT) {
        struct value *x = a->kind == VALUE_CONSTANT ? b : a;
        const struct constant *k;
        TRY(call_constant(c, x == a, "addend", &k, m));
        return x->kind == VALUE_PIXELS ? image_and_constant(im, c, x, k, 1, 0, 0, m) : add_to_bias(im, c, x, k, m);
    }
    int a_waits = a->kind == VALUE_SUM && a->pending && a->pending->node.op == OP_CONV2D,
        b_waits = b->kind == VALUE_SUM && b->pending && b->pending->node.op == OP_CONV2D;
    if (a_waits || b_waits)
        return a_waits ? codes_add(im, c, a, b, m) : codes_add(im, c, b, a, m);
    if (value_is_codes(im, a) && value_is_codes(im, b) && !a->has_cut && !b->has_cut)
        return codes_sum(im, c, m);
    int x = value_f32(im, a, m), y, i;
    TRY(x);
    TRY(y = value_f32(im, b, m));
    TRY(i = node_new(im, c, OP_ADD, NULL, x, y, m));
    return node_finish(im, c, i, a->rank == 2, m);
}

int import_sub(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *k;
    TRY(call_constant(c, 1, "subtrahend", &k, m));
    return c->in[0]->kind == VALUE_PIXELS ? image_and_constant(im, c, c->in[0], k, -1, 0, 0, m)
                                          : refuse_constant(c->in[0], m);
}

int import_mul(struct importer *im, const struct call *c, struct message *m)
{
    struct value *x = c->in[c->in[0]->kind == VALUE_CONSTANT];
    const struct constant *k;
    TRY(call_constant(c, x == c->in[0], "factor", &k, m));
    return x->kind == VALUE_PIXELS ? image_and_constant(im, c, x, k, 1, 1, 0, m) : refuse_constant(x, m);
}

int import_div(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *k;
    TRY(call_constant(c, 1, "divisor", &k, m));
    return c->in[0]->kind == VALUE_PIXELS ? image_and_constant(im, c, c->in[0], k, 1, 1, 1, m)
                                          : refuse_constant(c->in[0], m);
}

/* ---- norms ---- */

/* A batch norm of the image is a normalisation. */
static int norm_image(struct importer *im, const struct call *c, const struct constant *const *parts, double eps,
                      struct message *m)
{
    double factor[MOST_CHANNELS], term[MOST_CHANNELS];
    int channels = (int)c->in[0]->dims[1];
    for (int k = 0; k < 4; k++)
        if (parts[k]->count != (size_t)channels || c->in[0]->channels_last)
            return message_set(m, STATUS_MISMATCH, "%zu elements for %d channels", parts[k]->count, channels);
    for (int k = 0; k < channels; k++) {
        size_t i = (size_t)k;
        factor[k] = constant_number(parts[0], i) / sqrt(constant_number(parts[3], i) + eps);
        term[k] = constant_number(parts[1], i) - constant_number(parts[2], i) * factor[k];
    }
    return scale_pixels(im, c, c->in[0], factor, term, m);
}

int import_batchnorm(struct importer *im, const struct call *c, struct message *m)
{
    static const char *const suffixes[] = {"weight", "bias", "running_mean", "running_var"};
    const struct constant *parts[4];
    int64_t training;
    double eps;
    TRY(call_integer(c, "training_mode", 0, &training, m));
    TRY(call_number(c, "epsilon", (double)1e-5f, &eps, m));
    if (training)
        return message_set(m, STATUS_UNSUPPORTED, "training_mode: export the network for inference (model.eval())");
    for (int k = 0; k < 4; k++)
        TRY(call_constant(c, k + 1, suffixes[k], &parts[k], m));
    if (c->in[0]->kind == VALUE_PIXELS)
        return norm_image(im, c, parts, eps, m);
    int x = value_f32(im, c->in[0], m), i;
    TRY(x);
    TRY(i = node_new(im, c, OP_BATCHNORM, c->in[1]->name, x, -1, m));
    im->model->graph.nodes[i].eps = (float)eps;
    for (int k = 0; k < 4; k++)
        TRY(node_floats(im, i, suffixes[k], parts[k]->rank, parts[k]->dims, parts[k], m));
    TRY(node_tensor(im, i, "num_batches_tracked", DTYPE_I64, 0, NULL, NULL, m));
    return node_finish(im, c, i, c->in[0]->rank == 2, m);
}

/* ---- the end ---- */

int import_softmax(struct importer *im, const struct call *c, struct message *m)
{
    if (strcmp(c->out->name, im->file->model->graph->output[0]->name) != 0)
        return message_set(m, STATUS_UNSUPPORTED, "is known at the end of a network alone");
    TRY(import_tell(im, m, "%s at its end is left out: what is read are the logits", c->node->op_type));
    value_pass_on(c->in[0], c->out);
    return 0;
}
