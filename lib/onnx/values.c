/* Values of the file as nodes of the graph: the image with its normalisation, and whatever is computed. */
#include "onnx/importer.h"
#include <stdio.h>
#include <string.h>

static const char *note_find(const struct importer *im, const char *key)
{
    const Onnx__ModelProto *model = im->file->model;
    for (size_t i = 0; i < model->n_metadata_props; i++)
        if (model->metadata_props[i]->key && strcmp(model->metadata_props[i]->key, key) == 0)
            return model->metadata_props[i]->value;
    return NULL;
}

/* What the file's own metadata say of its input, mean and std as "[a,b,c]": our files have it. */
static int noted_channels(const struct importer *im, float mean[3], float std[3])
{
    struct message unused;
    char text[256];
    const char *a = note_find(im, "mean"), *b = note_find(im, "std");
    size_t first = a ? strlen(a) : 0, second = b ? strlen(b) : 0;
    if (first < 2 || second < 2 || first + second > sizeof text - 8 || a[0] != '[' || b[0] != '[')
        return 0;
    snprintf(text, sizeof text, "%.*s:%.*s", (int)first - 2, a + 1, (int)second - 2, b + 1);
    return normalize_parse(text, mean, std, &unused) >= 0;
}

/* The input as (pixel/255 - mean) / std; says what was assumed. */
static int input_map(struct importer *im, const struct value *v, double mean[MOST_CHANNELS],
                     double std[MOST_CHANNELS], struct message *m)
{
    static const float cifar_mean[3] = {0.4914f, 0.4822f, 0.4465f}, cifar_std[3] = {0.2470f, 0.2435f, 0.2616f};
    const struct onnx_import_options *o = im->options;
    static const float grey_mean[3] = {0.4809f, 0.4809f, 0.4809f}, grey_std[3] = {0.2392f, 0.2392f, 0.2392f};
    int is_grey = v->dims[1] == 1;
    float noted_mean[3], noted_std[3];
    const float *means = o->mean, *stds = o->std;
    int is_pixels = im->input_type == ONNX_UINT8 || v->divisor[0] >= 64;
    if (!o->has_normalize && (is_pixels || im->is_scaled)) {
        for (int c = 0; c < MOST_CHANNELS; c++) {
            mean[c] = 0;
            std[c] = is_pixels ? 1.0 / 255 : 1;
        }
        return im->input_type == ONNX_UINT8
                   ? 0
                   : import_tell(im, m, "its own normalisation in front is taken to read %s",
                                 is_pixels ? "pixels of 0 to 255" : "pixels divided by 255");
    }
    if (!o->has_normalize && noted_channels(im, noted_mean, noted_std)) {
        means = noted_mean;
        stds = noted_std;
    } else if (!o->has_normalize) {
        means = is_grey ? grey_mean : cifar_mean;
        stds = is_grey ? grey_std : cifar_std;
        TRY(import_tell(
            im, m,
            "does not say how its images are normalized: taken as mean %s and deviation %s (CIFAR-10's%s); if it "
            "was trained otherwise, its numbers are wrong: --normalize",
            is_grey ? "0.4809" : "0.4914,0.4822,0.4465", is_grey ? "0.2392" : "0.247,0.2435,0.2616",
            is_grey ? ", grey" : ""));
    }
    for (int c = 0; c < MOST_CHANNELS; c++) {
        mean[c] = (double)means[c < 3 ? c : 2];
        std[c] = (double)stds[c < 3 ? c : 2];
    }
    return 0;
}

static int make_normalize(struct importer *im, const struct value *v, struct message *m)
{
    struct graph *g = &im->model->graph;
    double mean[MOST_CHANNELS], std[MOST_CHANNELS];
    int image = graph_append(g, OP_INPUT, "x", -1, -1, m);
    TRY(image);
    g->nodes[image].c = (int)v->dims[1];
    g->nodes[image].h = (int)v->dims[2];
    g->nodes[image].w = (int)v->dims[3];
    TRY(graph_verify_last(g, m));
    im->norm = graph_append(g, OP_NORMALIZE, "norm", image, -1, m);
    TRY(im->norm);
    TRY(input_map(im, v, mean, std, m));
    for (int c = 0; c < v->dims[1]; c++) { /* ((p/255 - mean) / std - offset) / divisor */
        g->nodes[im->norm].mean[c] = (float)(mean[c] + v->offset[c] * std[c]);
        g->nodes[im->norm].std[c] = (float)(std[c] * v->divisor[c]);
    }
    im->norm_of = *v;
    return graph_verify_last(g, m);
}

static int pixels_f32(struct importer *im, const struct value *v, struct message *m)
{
    if (v->channels_last)
        return message_set(m, STATUS_UNSUPPORTED, "reads the image with its channels last; want [N,C,H,W]");
    if (im->norm < 0)
        TRY(make_normalize(im, v, m));
    else if (memcmp(im->norm_of.offset, v->offset, sizeof v->offset) != 0 ||
             memcmp(im->norm_of.divisor, v->divisor, sizeof v->divisor) != 0)
        return message_set(m, STATUS_UNSUPPORTED, "the image is read under two normalisations");
    return im->norm;
}

/* v's clip as a node. */
static int clip_of(struct importer *im, struct value *v, struct message *m)
{
    struct graph *g = &im->model->graph;
    char name[NODE_NAME_SIZE + 8];
    v->has_cut = 0;
    int x = value_f32(im, v, m), i;
    TRY(x);
    snprintf(name, sizeof name, "%s", v->cut_name);
    for (int k = 2; graph_find(g, name) >= 0; k++)
        snprintf(name, sizeof name, "%.*s_%d", NODE_NAME_SIZE - 8, v->cut_name, k);
    TRY(i = graph_append(g, OP_CLIP, name, x, -1, m));
    g->nodes[i].clip = (struct clip){1, v->low, v->high};
    int status = graph_verify_last(g, m);
    if (status < 0)
        return message_prefix(m, status, "input '%s' is clipped to %g..%g", v->name, (double)v->low,
                              (double)v->high);
    v->kind = VALUE_NODE;
    v->node = i;
    return i;
}

int value_f32(struct importer *im, struct value *v, struct message *m)
{
    if (v->has_cut)
        return clip_of(im, v, m);
    switch (v->kind) {
    case VALUE_PIXELS:
        return pixels_f32(im, v, m);
    case VALUE_NODE:
        if (v->channels_last)
            return message_set(m, STATUS_UNSUPPORTED, "input '%s' has its channels last; want [N,C,H,W]", v->name);
        return value_is_codes(im, v) ? value_dequantized(im, v->node, m) : v->node;
    case VALUE_SUM:
        return pending_settle(im, v, m);
    case VALUE_CODES:
        return message_set(m, STATUS_MISMATCH, "input '%s' is codes, want real numbers", v->name);
    case VALUE_UNKNOWN:
    case VALUE_CONSTANT:
        break;
    }
    return message_set(m, STATUS_MISMATCH, "input '%s' is a constant", v->name);
}

int value_node(struct importer *im, struct value *v, struct message *m)
{
    int is_codes = (v->kind == VALUE_CODES || value_is_codes(im, v)) && !v->has_cut && !v->channels_last;
    return is_codes ? v->node : value_f32(im, v, m);
}
