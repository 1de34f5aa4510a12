/* A model as a file: its ends, what is told of it, and the walk over its nodes. */
#include "onnx/export.h"
#include "base/memory.h"
#include "graph/op.h"
#include "onnx/exporter.h"
#include <string.h>

static const char input_name[] = "image";

/* One number a channel of [N,C,H,W]. */
static int add_channels(struct exporter *e, const char *name, const float *values, int channels, struct message *m)
{
    return builder_constant(&e->b, name, ONNX_FLOAT, 4, (const int64_t[]){1, channels, 1, 1}, values, m);
}

/* ---- the ends ---- */

static int write_input(struct exporter *e, int i, const char *x, struct message *m)
{
    (void)x, (void)m;
    e->values[i] = input_name;
    return 0;
}

/* (x/255 - mean) / std, in this order: the same f32 operations as the network's own. */
static int write_normalize(struct exporter *e, int i, const char *x, struct message *m)
{
    static const int64_t channels_first[] = {0, 3, 1, 2};
    const struct node *n = export_node(e, i);
    e->values[i] = x;
    if (!e->options->pixels)
        return 0;
    NAME(mean, "%s.mean", n->name);
    NAME(std, "%s.std", n->name);
    TRY(builder_node(&e->b, "Transpose", "image.planes", INPUTS(x), m));
    TRY(builder_integers(&e->b, "perm", 4, channels_first, m));
    TRY(builder_node(&e->b, "Cast", "image.numbers", INPUTS("image.planes"), m));
    TRY(builder_integer(&e->b, "to", ONNX_FLOAT, m));
    TRY(export_number(e, "image.white", 255, m));
    TRY(builder_node(&e->b, "Div", "image.shares", INPUTS("image.numbers", "image.white"), m));
    TRY(add_channels(e, mean, n->mean, n->c, m));
    TRY(builder_node(&e->b, "Sub", "image.centred", INPUTS("image.shares", mean), m));
    TRY(add_channels(e, std, n->std, n->c, m));
    e->values[i] = n->name;
    return builder_node(&e->b, "Div", n->name, INPUTS("image.centred", std), m);
}

static write_function *const writers[OP_COUNT] = {
    [OP_INPUT] = write_input,         [OP_NORMALIZE] = write_normalize, [OP_CONV2D] = write_conv2d,
    [OP_BATCHNORM] = write_batchnorm, [OP_RELU] = write_relu,           [OP_ADD] = write_add,
    [OP_AVGPOOL] = write_avgpool,     [OP_LINEAR] = write_linear,       [OP_QUANTIZE] = write_same,
    [OP_DEQUANTIZE] = write_same,     [OP_CLIP] = write_clip,           [OP_MAXPOOL] = write_maxpool,
    [OP_CONCAT] = write_concat,       [OP_FLATTEN] = write_flatten,
};

/* What of an op's attributes its writer heeds: one that it does not know would be lost in silence. */
static int check_attributes(const struct node *n, struct message *m)
{
    static const char *const known[OP_COUNT] = {
        [OP_NORMALIZE] = " mean std ",
        [OP_CONV2D] = " out kernel stride pad groups bias add relu clip ",
        [OP_BATCHNORM] = " eps ",
        [OP_LINEAR] = " out bias requantize relu clip ",
        [OP_ADD] = " separate ",
        [OP_CLIP] = " low high ",
        [OP_MAXPOOL] = " kernel stride pad ",
        [OP_AVGPOOL] = " kernel stride pad ",
    };
    for (const struct attribute *a = op_of(n)->attributes; a && a->name; a++) {
        char word[64];
        snprintf(word, sizeof word, " %s ", a->name);
        if (attribute_is_given(a, n) && (!known[n->op] || !strstr(known[n->op], word)))
            return message_set(m, STATUS_UNSUPPORTED, "%s: %s with %s has no form in ONNX here", n->name,
                               graph_op_name(n->op), a->name);
    }
    return 0;
}

/* "0.5,0.25,0.3" of node 1, which the graph's rules make the normalize. */
static int note_channels(struct exporter *e, const char *key, const float *values, int count, struct message *m)
{
    struct text t = {0};
    int status = 0;
    for (int c = 0; c < count && status >= 0; c++) {
        char number[32];
        format_number_f32(number, values[c]);
        status = text_add(&t, m, "%s%s", c ? "," : "[", number);
    }
    const char *own = status < 0 ? NULL : builder_text(&e->b, m, "%s]", t.data);
    text_free(&t);
    return own ? builder_note(&e->b, key, own, m) : STATUS_NOMEM;
}

static int add_notes(struct exporter *e, struct message *m)
{
    static const char *const left_out[] = {"graph", "stage", "format", "kind", "crc32", "mean", "std"};
    const struct record *r = e->model->record;
    const struct node *norm = export_node(e, 1);
    for (size_t i = 0; i < r->metadata_count; i++) {
        size_t k = 0, count = sizeof left_out / sizeof left_out[0];
        while (k < count && strcmp(r->metadata[i].key, left_out[k]) != 0)
            k++;
        if (k == count)
            TRY(builder_note(&e->b, r->metadata[i].key, r->metadata[i].value, m));
    }
    TRY(note_channels(e, "mean", norm->mean, norm->c, m));
    return note_channels(e, "std", norm->std, norm->c, m);
}

static int export_all(struct exporter *e, FILE *to, struct message *m)
{
    const struct graph *g = &e->model->graph;
    const struct node *image = &g->nodes[0], *last = &g->nodes[g->count - 1];
    struct builder_value input = {input_name, ONNX_FLOAT, 4, {-1, image->c, image->h, image->w}},
                         output = {LOGITS_NAME, ONNX_FLOAT, 2, {-1, last->c}};
    if (e->options->pixels)
        input = (struct builder_value){input_name, ONNX_UINT8, 4, {-1, image->h, image->w, image->c}};
    e->values = memory_new((size_t)g->count, sizeof *e->values, m);
    if (!e->values)
        return STATUS_NOMEM;
    for (int i = 0; i < g->count; i++) {
        const struct node *n = &g->nodes[i];
        if (!writers[n->op])
            return message_set(m, STATUS_UNSUPPORTED, "%s: %s has no form in ONNX here", n->name,
                               graph_op_name(n->op));
        TRY(check_attributes(n, m));
        TRY(writers[n->op](e, i, n->input_count > 0 ? e->values[n->inputs[0]] : NULL, m));
    }
    if (strcmp(e->values[g->count - 1], LOGITS_NAME) != 0)
        TRY(builder_node(&e->b, "Identity", LOGITS_NAME, INPUTS(e->values[g->count - 1]), m));
    TRY(add_notes(e, m));
    return builder_write(&e->b, &input, &output, to, m);
}

int onnx_export(const struct model *model, const struct onnx_export_options *options, FILE *to, struct message *m)
{
    struct exporter e = {.model = model, .options = options};
    int status = export_all(&e, to, m);
    memory_free(e.values);
    builder_free(&e.b);
    return status;
}
