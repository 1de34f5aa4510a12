/* The walk over a file's nodes: which are needed, in which order, and what surrounds them. */
#include "onnx/importer.h"
#include "base/memory.h"
#include "record/file.h"
#include "record/output.h"
#include <stdio.h>
#include <string.h>

enum { MOST_NODES = 1 << 14, LEAST_OPSET = 9 };

/* Once the model stands: of what is refused there is one line, the reason. */
static void tell_all(const struct importer *im)
{
    char line[MESSAGE_SIZE];
    for (const char *p = im->lines.data; p && *p && im->options->tell; p += strcspn(p, "\n") + 1) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(p, "\n"), p);
        im->options->tell(im->options->context, line);
    }
}

/* ---- values by name ---- */

static uint32_t hash(const char *s)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 16777619u;
    return h;
}

static struct value *value_find(const struct importer *im, const char *name)
{
    for (size_t at = hash(name) % im->slot_count; im->slots[at]; at = (at + 1) % im->slot_count)
        if (strcmp(im->values[im->slots[at] - 1].name, name) == 0)
            return &im->values[im->slots[at] - 1];
    return NULL;
}

static int value_declare(struct importer *im, const char *name, struct value **out, struct message *m)
{
    size_t at = hash(name) % im->slot_count;
    for (; im->slots[at]; at = (at + 1) % im->slot_count)
        if (strcmp(im->values[im->slots[at] - 1].name, name) == 0)
            return message_set(m, STATUS_FORMAT, "'%s' is defined twice", name);
    im->values[im->value_count] = (struct value){.name = name};
    *out = &im->values[im->value_count++];
    im->slots[at] = (uint32_t)im->value_count;
    return 0;
}

static int is_named(const char *name)
{
    return name && name[0];
}

/* Room for every name: initializers, inputs, outputs of nodes. */
static int values_open(struct importer *im, struct message *m)
{
    const Onnx__GraphProto *g = im->file->model->graph;
    size_t count = g->n_initializer + g->n_input;
    if (g->n_node > MOST_NODES)
        return message_set(m, STATUS_RANGE, "%zu nodes, at most %d are taken", g->n_node, MOST_NODES);
    for (size_t i = 0; i < g->n_node; i++)
        count += g->node[i]->n_output;
    im->slot_count = 2 * count + 1;
    im->values = memory_new(count, sizeof *im->values, m);
    im->slots = memory_new(im->slot_count, sizeof *im->slots, m);
    return im->values && im->slots ? 0 : STATUS_NOMEM;
}

/* ---- the file's frame ---- */

static int check_opset(struct importer *im, struct message *m)
{
    const Onnx__ModelProto *model = im->file->model;
    im->opset = 0;
    for (size_t i = 0; i < model->n_opset_import; i++)
        if (!is_named(model->opset_import[i]->domain) || strcmp(model->opset_import[i]->domain, "ai.onnx") == 0)
            im->opset = model->opset_import[i]->version;
    if (im->opset < LEAST_OPSET)
        return message_set(m, STATUS_UNSUPPORTED, "opset %lld, want %d or later", (long long)im->opset,
                           LEAST_OPSET);
    return 0;
}

static int take_initializers(struct importer *im, struct message *m)
{
    const Onnx__GraphProto *g = im->file->model->graph;
    for (size_t i = 0; i < g->n_initializer; i++) {
        struct value *v;
        const char *name = g->initializer[i]->name ? g->initializer[i]->name : "";
        TRY(value_declare(im, name, &v, m));
        int status = constant_from_tensor(&v->constant, im->file, g->initializer[i], m);
        if (status < 0)
            return message_prefix(m, status, "initializer '%s'", name);
        v->kind = VALUE_CONSTANT;
    }
    return 0;
}

/* A side of the image that the file leaves open is the study's. */
static int take_dims(struct value *v, const Onnx__TensorShapeProto *shape, struct message *m)
{
    enum { SIDE = 32 };
    if (!shape || shape->n_dim != 4)
        return message_set(m, STATUS_MISMATCH, "input '%s': %zu dimensions, want [N,C,H,W] or [N,H,W,C]", v->name,
                           shape ? shape->n_dim : 0);
    v->rank = 4;
    for (int k = 0; k < 4; k++) {
        const Onnx__TensorDimension *d = shape->dim[k];
        v->dims[k] = d->has_dim_value && d->dim_value > 0 ? d->dim_value : k ? 0 : 1;
        if (v->dims[k] > GRAPH_MAX_ELEMENTS)
            return message_set(m, STATUS_RANGE, "input '%s': dimension %lld", v->name, (long long)v->dims[k]);
    }
    v->channels_last = v->dims[1] > MOST_CHANNELS || v->dims[1] == 0 || (v->dims[3] > 0 && v->dims[3] < v->dims[1]);
    int c = v->channels_last ? 3 : 1;
    if (v->dims[c] < 1 || v->dims[c] > MOST_CHANNELS)
        return message_set(m, STATUS_MISMATCH, "input '%s': no dimension is the number of channels, 1 to %d",
                           v->name, MOST_CHANNELS);
    for (int k = 1; k < 4; k++)
        v->dims[k] = v->dims[k] ? v->dims[k] : SIDE;
    return 0;
}

static int take_input(struct importer *im, struct message *m)
{
    const Onnx__GraphProto *g = im->file->model->graph;
    struct value *v = NULL;
    for (size_t i = 0; i < g->n_input; i++) {
        const Onnx__ValueInfoProto *info = g->input[i];
        const char *name = info->name ? info->name : "";
        struct value *known = value_find(im, name);
        if (known && known->kind == VALUE_CONSTANT)
            continue; /* an initializer that a caller might replace */
        if (v)
            return message_set(m, STATUS_MISMATCH, "inputs '%s' and '%s', want one, the image", v->name, name);
        TRY(value_declare(im, name, &v, m));
        const Onnx__TypeTensor *type = info->type ? info->type->tensor_type : NULL;
        im->input_type = type ? type->elem_type : 0;
        TRY(take_dims(v, type ? type->shape : NULL, m));
    }
    if (!v)
        return message_set(m, STATUS_MISMATCH, "no input: want one, the image");
    if (im->input_type != ONNX_FLOAT && im->input_type != ONNX_UINT8 && im->input_type != ONNX_FLOAT16)
        return message_set(m, STATUS_UNSUPPORTED, "input '%s': element type %d, want float or uint8", v->name,
                           im->input_type);
    v->kind = VALUE_PIXELS;
    for (int c = 0; c < MOST_CHANNELS; c++)
        v->divisor[c] = 1;
    return 0;
}

static const char *output_of(const Onnx__NodeProto *n, size_t k)
{
    return k < n->n_output && is_named(n->output[k]) ? n->output[k] : NULL;
}

/* Outputs beside the first (Dropout's mask, BatchNormalization's statistics) stay unknown. */
static int declare_outputs(struct importer *im, struct message *m)
{
    const Onnx__GraphProto *g = im->file->model->graph;
    struct value *v;
    for (size_t i = 0; i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_output; k++)
            if (output_of(g->node[i], k))
                TRY(value_declare(im, output_of(g->node[i], k), &v, m));
    return 0;
}

/* From the output backwards: what it is made of. Inputs of what is not needed are never looked at. */
static int mark_needed(struct importer *im, struct value **out, struct message *m)
{
    const Onnx__GraphProto *g = im->file->model->graph;
    if (g->n_output != 1)
        return message_set(m, STATUS_MISMATCH, "%zu outputs, want one, the logits", g->n_output);
    struct value *v = value_find(im, g->output[0]->name ? g->output[0]->name : "");
    if (!v)
        return message_set(m, STATUS_FORMAT, "output '%s' is made by no node",
                           g->output[0]->name ? g->output[0]->name : "");
    v->is_needed = v->uses = 1;
    *out = v;
    for (size_t i = g->n_node; i-- > 0;) {
        const Onnx__NodeProto *n = g->node[i];
        int needed = 0;
        for (size_t k = 0; k < n->n_output && !needed; k++)
            needed = output_of(n, k) && value_find(im, output_of(n, k))->is_needed;
        for (size_t k = 0; needed && k < n->n_input; k++) {
            struct value *x = is_named(n->input[k]) ? value_find(im, n->input[k]) : NULL;
            if (x) {
                x->is_needed = 1;
                x->uses++;
            }
        }
    }
    return 0;
}

/* ---- one node ---- */

static int find_inputs(struct importer *im, struct call *c, int *all_constant, struct message *m)
{
    const Onnx__NodeProto *n = c->node;
    *all_constant = 1;
    for (size_t k = 0; k < n->n_input; k++) {
        if (!is_named(n->input[k]))
            continue;
        struct value *v = value_find(im, n->input[k]);
        if (!v)
            return message_set(m, STATUS_FORMAT, "input '%s' is neither an initializer nor made by any node",
                               n->input[k]);
        if (v->kind == VALUE_UNKNOWN)
            return message_set(m, STATUS_FORMAT,
                               "input '%s' is not made before it is read: a cycle, nodes out of order, or a second "
                               "output, which is not known here",
                               n->input[k]);
        c->in[k] = v;
        *all_constant &= v->kind == VALUE_CONSTANT;
    }
    return 0;
}

static int refuse_operator(const Onnx__NodeProto *n, struct message *m)
{
    struct text t = {0};
    int status = operators_list(&t, m);
    if (status >= 0)
        status = message_set(m, STATUS_UNSUPPORTED, "operator %s%s%s is not known here, but %s",
                             n->domain ? n->domain : "", is_named(n->domain) ? "." : "",
                             n->op_type ? n->op_type : "", t.data);
    text_free(&t);
    return status;
}

static int take_call(struct importer *im, struct call *c, struct message *m)
{
    const Onnx__NodeProto *n = c->node;
    int is_standard = !is_named(n->domain) || strcmp(n->domain, "ai.onnx") == 0, all_constant;
    const struct operator_row *row = is_standard ? operator_find(n->op_type ? n->op_type : "") : NULL;
    if (!row)
        return refuse_operator(n, m);
    if (n->n_input < (size_t)row->least || n->n_input > (size_t)row->most)
        return message_set(m, STATUS_FORMAT, "%zu inputs, want %d to %d", n->n_input, row->least, row->most);
    if (!output_of(n, 0))
        return message_set(m, STATUS_FORMAT, "its first output has no name");
    c->count = (int)n->n_input;
    c->out = value_find(im, n->output[0]);
    TRY(find_inputs(im, c, &all_constant, m));
    for (int k = 0; k < row->least; k++)
        if (!c->in[k])
            return message_set(m, STATUS_FORMAT, "input %d is left out", k);
    import_function *f = all_constant ? row->fold : row->layer;
    if (!f)
        return message_set(m, STATUS_UNSUPPORTED, "its inputs are %s constants: not known here",
                           all_constant ? "all" : "no");
    return f(im, c, m);
}

static int take_node(struct importer *im, const Onnx__NodeProto *n, struct message *m)
{
    struct call c = {.node = n};
    int needed = 0;
    for (size_t k = 0; k < n->n_output && !needed; k++)
        needed = output_of(n, k) && value_find(im, output_of(n, k))->is_needed;
    if (!needed)
        return 0;
    int status = take_call(im, &c, m);
    if (status >= 0)
        return 0;
    return message_prefix(m, status, "node '%s' (%s)",
                          is_named(n->name) ? n->name
                          : output_of(n, 0) ? n->output[0]
                                            : "",
                          n->op_type ? n->op_type : "");
}

/* ---- metadata ---- */

/* What our own files carry; of others the keys may mean anything. */
static int take_notes(struct importer *im, struct message *m)
{
    static const char *const keys[] = {"classes",    "dataset", "dataset-digest",
                                       "trained-on", "made-by", "quantization"};
    const Onnx__ModelProto *model = im->file->model;
    if (!model->producer_name || strcmp(model->producer_name, "resq") != 0)
        return 0;
    for (size_t i = 0; i < model->n_metadata_props; i++)
        for (size_t k = 0; k < sizeof keys / sizeof keys[0]; k++)
            if (model->metadata_props[i]->key && model->metadata_props[i]->value &&
                strcmp(model->metadata_props[i]->key, keys[k]) == 0)
                TRY(record_set(im->model->record, keys[k], model->metadata_props[i]->value, m));
    return 0;
}

static int finish(struct importer *im, struct value *out, struct message *m)
{
    struct graph *g = &im->model->graph;
    if (out->has_cut || out->kind == VALUE_SUM ||
        value_is_codes(im, out)) /* logits that were quantized themselves */
        TRY(out->node = value_f32(im, out, m));
    if (out->kind == VALUE_CODES)
        return message_set(m, STATUS_MISMATCH, "output '%s' is of codes, want real numbers", out->name);
    if (out->kind != VALUE_NODE)
        return message_set(m, STATUS_MISMATCH, "output '%s' is no layer's result", out->name);
    if (out->node != g->count - 1)
        return message_set(m, STATUS_MISMATCH, "output '%s' is not what is computed last", out->name);
    TRY(graph_verify(g, m));
    TRY(take_notes(im, m));
    TRY(model_store(im->model, m));
    return model_verify(im->model, m);
}

static int import_all(struct importer *im, struct message *m)
{
    const Onnx__GraphProto *g = im->file->model->graph;
    struct value *out = NULL;
    TRY(check_opset(im, m));
    TRY(values_open(im, m));
    TRY(take_initializers(im, m));
    TRY(take_input(im, m));
    TRY(declare_outputs(im, m));
    TRY(mark_needed(im, &out, m));
    for (size_t i = 0; i < g->n_node; i++)
        TRY(take_node(im, g->node[i], m));
    return finish(im, out, m);
}

static int import_file(struct model *model, struct onnx_file *file, const struct onnx_import_options *options,
                       struct message *m)
{
    struct importer im = {.options = options, .file = file, .model = model, .norm = -1};
    *model = (struct model){.record = record_new(m)};
    int status = model->record ? import_all(&im, m) : STATUS_NOMEM;
    for (size_t i = 0; i < im.value_count; i++) {
        constant_free(&im.values[i].constant);
        memory_free(im.values[i].pending);
    }
    if (status < 0)
        model_free(model);
    else
        tell_all(&im);
    memory_free(im.values);
    memory_free(im.slots);
    text_free(&im.lines);
    return status;
}

int onnx_import_bytes(struct model *model, const void *bytes, size_t count,
                      const struct onnx_import_options *options, struct message *m)
{
    struct onnx_file file;
    *model = (struct model){0};
    TRY(onnx_file_parse(&file, bytes, count, NULL, m));
    int status = import_file(model, &file, options, m);
    onnx_file_free(&file);
    return status;
}

static int import_path(struct model *model, const char *path, const char *folder,
                       const struct onnx_import_options *options, struct message *m)
{
    struct onnx_file file;
    struct text bytes = {0};
    int status = file_read(path, INT32_MAX, &bytes, m);
    if (status < 0)
        return text_free(&bytes), status;
    status = bytes.length ? onnx_file_parse(&file, bytes.data, bytes.length, folder, m)
                          : message_set(m, STATUS_TRUNCATED, "empty input");
    text_free(&bytes); /* before its tensors are copied once more */
    if (status >= 0) {
        status = import_file(model, &file, options, m);
        onnx_file_free(&file);
    }
    return status < 0 ? message_prefix(m, status, "%s", path_is_standard(path) ? "stdin" : path) : status;
}

int onnx_import(struct model *model, const char *path, const struct onnx_import_options *options, struct message *m)
{
    *model = (struct model){0};
    if (path_is_standard(path))
        return import_path(model, path, NULL, options, m);
    const char *slash = strrchr(path, '/');
    char *folder =
        slash ? memory_printf(m, "%.*s", (int)(slash - path) + (slash == path), path) : memory_strdup(".", m);
    if (!folder)
        return STATUS_NOMEM;
    int status = import_path(model, path, folder, options, m);
    memory_free(folder);
    return status;
}
