/* What an operator's function asks of its call: attributes, inputs; and values as nodes of the graph. */
#include "onnx/importer.h"
#include "base/memory.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int import_tell(struct importer *im, struct message *m, const char *format, ...)
{
    char line[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return text_add(&im->lines, m, "%s\n", line);
}

/* ---- attributes ---- */

const Onnx__AttributeProto *call_attribute(const struct call *c, const char *name)
{
    for (size_t i = 0; i < c->node->n_attribute; i++)
        if (c->node->attribute[i]->name && strcmp(c->node->attribute[i]->name, name) == 0)
            return c->node->attribute[i];
    return NULL;
}

/* The type is left out by writers of the first versions alone; then the field that is there says it. */
static int check_type(const Onnx__AttributeProto *a, enum onnx_attribute_type want, int is_there, struct message *m)
{
    if (a->has_type ? a->type == (int32_t)want : is_there)
        return 0;
    return message_set(m, STATUS_FORMAT, "attribute %s: type %d, want %d", a->name, a->type, (int)want);
}

int call_integer(const struct call *c, const char *name, int64_t otherwise, int64_t *out, struct message *m)
{
    const Onnx__AttributeProto *a = call_attribute(c, name);
    *out = otherwise;
    if (!a)
        return 0;
    TRY(check_type(a, ONNX_ATTRIBUTE_INT, a->has_i, m));
    *out = a->i;
    return 0;
}

int call_number(const struct call *c, const char *name, double otherwise, double *out, struct message *m)
{
    const Onnx__AttributeProto *a = call_attribute(c, name);
    *out = otherwise;
    if (!a)
        return 0;
    TRY(check_type(a, ONNX_ATTRIBUTE_FLOAT, a->has_f, m));
    *out = (double)a->f;
    return 0;
}

int call_integers(const struct call *c, const char *name, int most, int64_t *out, struct message *m)
{
    const Onnx__AttributeProto *a = call_attribute(c, name);
    if (!a)
        return 0;
    TRY(check_type(a, ONNX_ATTRIBUTE_INTS, a->n_ints > 0, m));
    if (a->n_ints > (size_t)most)
        return message_set(m, STATUS_RANGE, "attribute %s: %zu numbers, want at most %d", name, a->n_ints, most);
    for (size_t i = 0; i < a->n_ints; i++)
        out[i] = a->ints[i];
    return (int)a->n_ints;
}

int call_text(const struct call *c, const char *name, char out[32], struct message *m)
{
    const Onnx__AttributeProto *a = call_attribute(c, name);
    out[0] = '\0';
    if (!a)
        return 0;
    TRY(check_type(a, ONNX_ATTRIBUTE_STRING, a->s.len > 0, m));
    snprintf(out, 32, "%.*s", (int)(a->s.len < 31 ? a->s.len : 31), a->s.data ? (const char *)a->s.data : "");
    return 0;
}

struct value *call_input(const struct call *c, int k)
{
    return k < c->count ? c->in[k] : NULL;
}

int call_list(const struct call *c, int k, const char *name, int most, int64_t *out, int *is_there,
              struct message *m)
{
    const struct value *v = call_input(c, k);
    *is_there = v || call_attribute(c, name);
    if (v && v->kind != VALUE_CONSTANT)
        return message_set(m, STATUS_UNSUPPORTED, "'%s' is not a constant", v->name);
    return v ? constant_list(&v->constant, most, out, m) : call_integers(c, name, most, out, m);
}

int call_constant(const struct call *c, int k, const char *what, const struct constant **out, struct message *m)
{
    const struct value *v = call_input(c, k);
    if (!v || v->kind != VALUE_CONSTANT)
        return message_set(m, STATUS_UNSUPPORTED, "%s '%s' is not a constant", what, v ? v->name : "");
    if (!constant_is_float(&v->constant) && !v->constant.scale)
        return message_set(m, STATUS_MISMATCH, "%s '%s' is no tensor of real numbers", what, v->name);
    *out = &v->constant;
    return 0;
}

/* ---- names ---- */

static void sanitise(char *name)
{
    for (char *p = name; *p; p++)
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '.')
            *p = '_';
}

/* "/layer1/layer1.0/conv1/Conv" of the TorchScript exporter: each part is a module,
 * named with what it is in before it. */
static void scope_name(const char *path, char out[NODE_NAME_SIZE])
{
    char part[NODE_NAME_SIZE] = "", joined[4 * NODE_NAME_SIZE] = "";
    const char *end = strrchr(path, '/');
    for (const char *p = path; *p == '/' && p < end;) {
        size_t length = strcspn(++p, "/"), before = strlen(part), at = strlen(joined);
        if (length == 0 || length >= sizeof part || at + length + 2 > sizeof joined)
            break;
        int repeats = before > 0 && length > before && strncmp(p, part, before) == 0 && p[before] == '.';
        snprintf(part, sizeof part, "%.*s", (int)length, p);
        snprintf(joined + at, sizeof joined - at, "%s%s", at ? "." : "", repeats ? part + before + 1 : part);
        p += length;
    }
    snprintf(out, NODE_NAME_SIZE, "%.*s", NODE_NAME_SIZE - 1, strlen(joined) < NODE_NAME_SIZE ? joined : "");
}

static int is_module_tensor(const char *stem)
{
    size_t length = stem ? strlen(stem) : 0;
    return length > 7 && length < NODE_NAME_SIZE && strcmp(stem + length - 7, ".weight") == 0 &&
           !strchr(stem, ':') && !strchr(stem, '/');
}

void node_choose_name(const struct importer *im, const struct call *c, const char *stem, char out[NODE_NAME_SIZE])
{
    const char *own = c->node->name && c->node->name[0] ? c->node->name : c->out->name;
    enum { ROOM = NODE_NAME_SIZE - 8 }; /* for what is put behind a name */
    char base[NODE_NAME_SIZE] = "";
    if (is_module_tensor(stem))
        snprintf(base, sizeof base, "%.*s", (int)strlen(stem) - 7, stem);
    else if (own[0] == '/')
        scope_name(own, base);
    if (!base[0] && own[0] != '/')
        snprintf(base, sizeof base, "%.*s", NODE_NAME_SIZE - 1, strlen(own) < NODE_NAME_SIZE ? own : "");
    if (!base[0] || strlen(base) > ROOM)
        snprintf(base, sizeof base, "%.40s", c->node->op_type);
    sanitise(base);
    snprintf(out, NODE_NAME_SIZE, "%s", base);
    for (int k = 2; graph_find(&im->model->graph, out) >= 0; k++)
        snprintf(out, NODE_NAME_SIZE, "%s_%d", base, k);
}

/* ---- nodes ---- */

int node_new(struct importer *im, const struct call *c, enum graph_op op, const char *stem, int x, int y,
             struct message *m)
{
    char name[NODE_NAME_SIZE];
    node_choose_name(im, c, stem, name);
    return graph_append(&im->model->graph, op, name, x, y, m);
}

int node_finish(struct importer *im, const struct call *c, int node, int is_flat, struct message *m)
{
    const struct node *n = &im->model->graph.nodes[node];
    struct value *v = c->out;
    TRY(graph_verify_last(&im->model->graph, m));
    v->kind = VALUE_NODE;
    v->node = node;
    v->dims[0] = c->in[0]->dims[0];
    v->dims[1] = n->c;
    v->dims[2] = n->h;
    v->dims[3] = n->w;
    v->rank = n->is_vector && is_flat ? 2 : 4;
    v->channels_last = 0;
    return 0;
}

int node_tensor(struct importer *im, int node, const char *suffix, enum dtype dtype, int rank, const int64_t *shape,
                const void *data, struct message *m)
{
    char name[TENSOR_NAME_SIZE];
    tensor_name(name, &im->model->graph.nodes[node], suffix);
    return data ? record_add_copy(im->model->record, name, dtype, rank, shape, data, m)
                : record_add(im->model->record, name, dtype, rank, shape, NULL, m);
}

int node_floats(struct importer *im, int node, const char *suffix, int rank, const int64_t *shape,
                const struct constant *c, struct message *m)
{
    float *values = constant_floats(c, m);
    if (!values)
        return STATUS_NOMEM;
    int status = node_tensor(im, node, suffix, DTYPE_F32, rank, shape, values, m);
    memory_free(values);
    return status;
}

int value_is_codes(const struct importer *im, const struct value *v)
{
    return v->kind == VALUE_NODE && im->model->graph.nodes[v->node].type == NODE_U8;
}

int value_is_vector(const struct importer *im, const struct value *v)
{
    return (v->kind == VALUE_NODE || v->kind == VALUE_CODES) && im->model->graph.nodes[v->node].is_vector;
}

void value_pass_on(const struct value *from, struct value *to)
{
    struct value v = *from;
    v.name = to->name;
    v.is_needed = to->is_needed;
    v.uses = to->uses > from->uses ? to->uses : from->uses;
    v.constant = constant_view(&from->constant);
    v.pending = NULL;
    *to = v;
}

/* ---- codes ---- */

int node_map(struct importer *im, int node, const struct codes_map *map, const uint8_t range[2], struct message *m)
{
    const int64_t two = 2;
    TRY(node_tensor(im, node, "scale", DTYPE_F32, 0, NULL, &map->scale, m));
    TRY(node_tensor(im, node, "zero_point", DTYPE_U8, 0, NULL, &map->zero_point, m));
    return node_tensor(im, node, "range", DTYPE_U8, 1, &two, range, m);
}

int node_repeat_map(struct importer *im, int i, struct message *m)
{
    int x = im->model->graph.nodes[i].inputs[0];
    const struct codes_map map = {*(const float *)model_tensor(im->model, x, "scale")->data,
                                  *(const uint8_t *)model_tensor(im->model, x, "zero_point")->data};
    const uint8_t range[2] = {node_range(im, x)[0], node_range(im, x)[1]};
    return node_map(im, i, &map, range, m);
}

uint8_t *node_range(const struct importer *im, int i)
{
    return model_tensor(im->model, i, "range")->data;
}

int value_dequantized(struct importer *im, int codes, struct message *m)
{
    struct graph *g = &im->model->graph;
    char name[NODE_NAME_SIZE + 2];
    snprintf(name, sizeof name, "%s.f", g->nodes[codes].name);
    int node = graph_find(g, name);
    if (node >= 0 && g->nodes[node].op == OP_DEQUANTIZE && g->nodes[node].inputs[0] == codes)
        return node;
    node = graph_append(g, OP_DEQUANTIZE, name, codes, -1, m);
    TRY(node);
    TRY(graph_verify_last(g, m));
    return node;
}
