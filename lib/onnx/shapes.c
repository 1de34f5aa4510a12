/* Operators that move nothing: what they do to the shape that the file has for a value. A vector of the graph may go by
 * any shape whose other sides are 1; a map stays a map. */
#include "onnx/importer.h"
#include <stdio.h>
#include <string.h>

static int refuse_shape(const struct value *v, struct message *m)
{
    char shape[128];
    size_t used = 0;
    for (int k = 0; k < v->rank && used < sizeof shape; k++)
        used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%lld", k ? "," : "", (long long)v->dims[k]);
    return message_set(m, STATUS_UNSUPPORTED,
                       "makes another shape of '%s' [%s]: known here where a vector stays one, "
                       "after a mean over the whole map",
                       v->name, shape);
}

static int is_same_shape(const struct value *v, int rank, const int64_t *dims)
{
    return v->rank == rank && memcmp(v->dims, dims, (size_t)rank * sizeof *dims) == 0;
}

/* Images first, then the channels and ones. */
static int is_vector_shape(const struct value *v, int rank, const int64_t *dims)
{
    int64_t count = 1, own = 1;
    int sides = 0;
    for (int k = 1; k < rank; k++) {
        sides += dims[k] != 1;
        count *= dims[k];
    }
    for (int k = 1; k < v->rank; k++)
        own *= v->dims[k];
    return rank >= 2 && dims[0] == v->dims[0] && sides <= 1 && count == own;
}

/* A map of one pixel is made a vector by its mean, which is itself. */
static int flatten_pixel(struct importer *im, const struct call *c, int rank, const int64_t *dims,
                         struct message *m)
{
    int x = value_f32(im, c->in[0], m), i;
    TRY(x);
    TRY(i = node_new(im, c, OP_AVGPOOL, NULL, x, -1, m));
    TRY(node_finish(im, c, i, 1, m));
    c->out->rank = rank;
    memcpy(c->out->dims, dims, (size_t)rank * sizeof *dims);
    return 0;
}

/* A map becomes a vector, all pixels of the first channel first: as [N,C,H,W] lies. */
static int flatten_map(struct importer *im, const struct call *c, struct message *m)
{
    int is_codes = c->in[0]->kind == VALUE_CODES, x = value_node(im, c->in[0], m), i;
    TRY(x);
    TRY(i = node_new(im, c, OP_FLATTEN, NULL, x, -1, m));
    TRY(node_finish(im, c, i, 1, m));
    if (im->model->graph.nodes[i].type == NODE_U8)
        TRY(node_repeat_map(im, i, m));
    if (is_codes)
        c->out->kind = VALUE_CODES;
    return 0;
}

/* Whether v, a map with its channels first, is to be a vector of all that it holds. */
static int is_flattened(const struct value *v, int rank, const int64_t *dims)
{
    int is_map = v->kind == VALUE_NODE || v->kind == VALUE_CODES || v->kind == VALUE_PIXELS;
    return is_map && v->rank == 4 && !v->channels_last && rank == 2 && dims[0] == v->dims[0] &&
           dims[1] == v->dims[1] * v->dims[2] * v->dims[3];
}

/* Whether x is a mean of codes that waits and is to be a vector. */
static int is_waiting_mean(const struct value *x, int rank, const int64_t *dims)
{
    const struct pending *p = x->kind == VALUE_SUM ? x->pending : NULL;
    return p && p->node.op == OP_AVGPOOL && p->node.kernel == 0 && x->uses == 1 && is_vector_shape(x, rank, dims);
}

static int reshape(struct importer *im, const struct call *c, int rank, const int64_t *dims, struct message *m)
{
    struct value *x = c->in[0];
    if (is_waiting_mean(x, rank, dims)) {
        struct pending *p = x->pending;
        value_pass_on(x, c->out);
        x->pending = NULL; /* moves */
        c->out->pending = p;
        c->out->rank = rank;
        memcpy(c->out->dims, dims, (size_t)rank * sizeof *dims);
        return 0;
    }
    if (x->kind == VALUE_SUM)
        TRY(value_f32(im, x, m));
    if (!is_same_shape(x, rank, dims) && !value_is_vector(im, x)) {
        if (x->kind == VALUE_NODE && x->rank == 4 && x->dims[2] == 1 && x->dims[3] == 1 && !value_is_codes(im, x) &&
            is_vector_shape(x, rank, dims))
            return flatten_pixel(im, c, rank, dims, m);
        return is_flattened(x, rank, dims) ? flatten_map(im, c, m) : refuse_shape(x, m);
    }
    if (!is_same_shape(x, rank, dims) && !is_vector_shape(x, rank, dims))
        return refuse_shape(x, m);
    value_pass_on(x, c->out);
    c->out->rank = rank;
    memcpy(c->out->dims, dims, (size_t)rank * sizeof *dims);
    return 0;
}

int import_same(struct importer *im, const struct call *c, struct message *m)
{
    int64_t to = ONNX_FLOAT, training = 0;
    TRY(call_integer(c, "to", ONNX_FLOAT, &to, m));
    if (strcmp(c->node->op_type, "Cast") == 0 && to != ONNX_FLOAT && to != ONNX_DOUBLE && to != ONNX_FLOAT16)
        return message_set(m, STATUS_UNSUPPORTED, "to element type %lld: values stay real numbers here",
                           (long long)to);
    TRY(call_integer(c, "training_mode", 0, &training, m));
    const struct value *mode = strcmp(c->node->op_type, "Dropout") == 0 ? call_input(c, 2) : NULL;
    if (training || (mode && (mode->kind != VALUE_CONSTANT || mode->constant.count != 1 ||
                              constant_integer(&mode->constant, 0))))
        return message_set(m, STATUS_UNSUPPORTED,
                           "in training mode: export the network for inference (model.eval())");
    (void)im;
    if (c->in[0]->kind == VALUE_SUM && c->out->uses > 1)
        return message_set(m, STATUS_UNSUPPORTED,
                           "an integer layer's result is read more than once before it is quantized");
    struct pending *pending = c->in[0]->pending;
    value_pass_on(c->in[0], c->out);
    c->out->pending = pending; /* moves */
    c->in[0]->pending = NULL;
    return 0;
}

int import_shape(struct importer *im, const struct call *c, struct message *m)
{
    (void)im;
    int64_t start, end;
    void *data;
    const struct value *x = c->in[0];
    TRY(call_integer(c, "start", 0, &start, m));
    TRY(call_integer(c, "end", x->rank, &end, m));
    start += start < 0 ? x->rank : 0;
    end += end < 0 ? x->rank : 0;
    if (start < 0 || end > x->rank || start > end)
        return message_set(m, STATUS_RANGE, "sides %lld to %lld of %d", (long long)start, (long long)end, x->rank);
    const int64_t count = end - start;
    TRY(constant_new(&c->out->constant, ONNX_INT64, 1, &count, &data, m));
    memcpy(data, x->dims + start, (size_t)count * sizeof(int64_t));
    c->out->kind = VALUE_CONSTANT;
    return 0;
}

int import_reshape(struct importer *im, const struct call *c, struct message *m)
{
    const struct value *x = c->in[0];
    int64_t dims[ONNX_MAX_RANK], all = 1, known = 1, as_they_are;
    int is_there, rank = call_list(c, 1, "shape", ONNX_MAX_RANK, dims, &is_there, m), open = -1;
    TRY(rank);
    TRY(call_integer(c, "allowzero", 0, &as_they_are, m));
    for (int k = 0; k < x->rank; k++)
        all *= x->dims[k];
    for (int k = 0; k < rank; k++) {
        if (dims[k] == 0 && !as_they_are && k < x->rank)
            dims[k] = x->dims[k];
        if (dims[k] == -1 && open < 0)
            open = k;
        else if (dims[k] < 1 || dims[k] > all / known)
            return message_set(m, STATUS_RANGE, "side %d is %lld", k, (long long)dims[k]);
        else
            known *= dims[k];
    }
    if (open >= 0)
        dims[open] = all / known;
    return reshape(im, c, rank, dims, m);
}

int import_flatten(struct importer *im, const struct call *c, struct message *m)
{
    const struct value *x = c->in[0];
    int64_t axis, dims[2] = {x->dims[0], 1};
    TRY(call_integer(c, "axis", 1, &axis, m));
    if (axis != 1 && axis != 1 - x->rank)
        return message_set(m, STATUS_UNSUPPORTED, "axis %lld, want 1", (long long)axis);
    for (int k = 1; k < x->rank; k++)
        dims[1] *= x->dims[k];
    return reshape(im, c, 2, dims, m);
}

static int has_axis(int count, const int64_t *axes, int rank, int k)
{
    for (int i = 0; i < count; i++)
        if (axes[i] == k || axes[i] + rank == k)
            return 1;
    return 0;
}

int import_squeeze(struct importer *im, const struct call *c, struct message *m)
{
    const struct value *x = c->in[0];
    int64_t axes[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    int is_there, count = call_list(c, 1, "axes", ONNX_MAX_RANK, axes, &is_there, m), rank = 0;
    TRY(count);
    for (int k = 0; k < x->rank; k++)
        if (is_there ? !has_axis(count, axes, x->rank, k) : x->dims[k] != 1 || k == 0)
            dims[rank++] = x->dims[k];
    return reshape(im, c, rank, dims, m);
}

int import_unsqueeze(struct importer *im, const struct call *c, struct message *m)
{
    const struct value *x = c->in[0];
    int64_t axes[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    int is_there, count = call_list(c, 1, "axes", ONNX_MAX_RANK, axes, &is_there, m), from = 0;
    TRY(count);
    if (x->rank + count > ONNX_MAX_RANK)
        return message_set(m, STATUS_RANGE, "more than %d dimensions", ONNX_MAX_RANK);
    for (int k = 0; k < x->rank + count; k++)
        dims[k] = has_axis(count, axes, x->rank + count, k) || from >= x->rank ? 1 : x->dims[from++];
    return reshape(im, c, x->rank + count, dims, m);
}

int import_transpose(struct importer *im, const struct call *c, struct message *m)
{
    static const int64_t to_last[] = {0, 2, 3, 1}, to_first[] = {0, 3, 1, 2};
    const struct value *x = c->in[0];
    int64_t perm[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    int count = call_integers(c, "perm", ONNX_MAX_RANK, perm, m);
    TRY(count);
    if (count != x->rank)
        return message_set(m, STATUS_UNSUPPORTED, "perm of %d numbers for %d dimensions", count, x->rank);
    for (int k = 0; k < count; k++) {
        if (perm[k] < 0 || perm[k] >= count)
            return message_set(m, STATUS_RANGE, "perm %lld", (long long)perm[k]);
        dims[k] = x->dims[perm[k]];
    }
    if (value_is_vector(im, x))
        return reshape(im, c, count, dims, m);
    int is_map = count == 4 && (x->kind == VALUE_PIXELS || x->kind == VALUE_NODE || x->kind == VALUE_CODES);
    if (!is_map || memcmp(perm, x->channels_last ? to_first : to_last, sizeof to_last) != 0)
        return message_set(m, STATUS_UNSUPPORTED, "turns other axes than the channels' to the end or back");
    value_pass_on(x, c->out);
    c->out->channels_last = !x->channels_last;
    memcpy(c->out->dims, dims, sizeof to_last);
    return 0;
}

int import_concat(struct importer *im, const struct call *c, struct message *m)
{
    int inputs[NODE_MAX_INPUTS] = {0}, are_codes = 1, i;
    int64_t axis;
    TRY(call_integer(c, "axis", 0, &axis, m));
    for (int k = 0; k < c->count; k++) {
        const struct value *x = call_input(c, k);
        if (!x || axis + (axis < 0 ? x->rank : 0) != 1 || x->channels_last)
            return message_set(m, STATUS_UNSUPPORTED, "along axis %lld: want 1, the channels", (long long)axis);
        are_codes &= value_is_codes(im, x) && !x->has_cut;
    }
    if (are_codes)
        return codes_concat(im, c, m);
    for (int k = 0; k < c->count; k++)
        TRY(inputs[k] = value_f32(im, c->in[k], m));
    TRY(i = node_new(im, c, OP_CONCAT, NULL, -1, -1, m));
    struct node *n = &im->model->graph.nodes[i];
    n->input_count = c->count;
    memcpy(n->inputs, inputs, sizeof inputs);
    return node_finish(im, c, i, c->in[0]->rank == 2, m);
}
