#include "train/float_training.h"
#include "data/batch.h"
#include "exec/train/gradient.h"
#include "graph/convert.h"
#include "graph/fit.h"
#include "graph/import.h"
#include "graph/resnet.h"
#include "record/file.h"
#include "record/json.h"
#include "record/stream.h"
#include "train/held_out.h"
#include <stdio.h>
#include <string.h>

enum { GRAPH_MAX_BYTES = 4 << 20, DEFAULT_CLASSES = 10 };

static const char cifar_classes[] =
    "[\"airplane\",\"automobile\",\"bird\",\"cat\",\"deer\",\"dog\",\"frog\",\"horse\",\"ship\",\"truck\"]";

static const char *const count_names[] = {"no", "one", "two", "three"};

/* A JSON list of as many numbers as channels, none below low. 1 where it is there. */
static int metadata_channels(const struct record *stream, const char *key, int channels, double low, float out[3],
                             struct message *m)
{
    const char *text = record_get(stream, key);
    if (!text)
        return 0;
    json_t *list = json_parse(text, strlen(text), 0, NULL);
    if (json_exhausted())
        return message_set(m, STATUS_NOMEM, "memory exhausted: %s", key);
    size_t count = (size_t)channels;
    int good = json_is_array(list) && json_array_size(list) == count;
    for (size_t i = 0; good && i < count; i++) {
        double value = json_number_value(json_array_get(list, i));
        good = json_is_number(json_array_get(list, i)) && value >= low && value <= NORMALIZE_MAX;
        out[i] = (float)value;
    }
    json_decref(list);
    return good ? 1
                : message_set(m, STATUS_FORMAT, "%s: '%.100s' is not a list of %s number%s%s", key, text,
                              count_names[channels], channels == 1 ? "" : "s", low > 0 ? " above 0" : "");
}

/* 1: mean and std are set; 0: CIFAR-10's are meant. What a stage says of its images counts, whatever the data set
 * is called. */
static int choose_normalization(const struct float_training *f, const struct record *stream, int channels,
                                float mean[3], float std[3], struct message *m)
{
    if (f->normalize) {
        int given = normalize_parse(f->normalize, mean, std, m);
        TRY(given);
        if (given > channels)
            return message_set(m, STATUS_MISMATCH, "--normalize: of %d channels, the images have %d", given,
                               channels);
        return 1;
    }
    if (!stream)
        return 0;
    int has_mean = metadata_channels(stream, "mean", channels, -NORMALIZE_MAX, mean, m);
    TRY(has_mean);
    int has_std = metadata_channels(stream, "std", channels, STD_MIN, std, m);
    TRY(has_std);
    if (has_mean != has_std)
        return message_set(m, STATUS_MISMATCH, "%s: given without %s", has_mean ? "mean" : "std",
                           has_mean ? "std" : "mean");
    return has_mean;
}

static int stream_classes(const struct record *stream, int *count, struct message *m)
{
    char **classes;
    const char *json = record_get(stream, "classes");
    TRY(classes_from_json(json ? json : "", &classes, count, m));
    classes_free(classes, *count);
    return STATUS_OK;
}

static int choose_classes(const struct float_training *f, const struct record *stream, int *classes,
                          struct message *m)
{
    *classes = f->classes ? (int)f->classes : DEFAULT_CLASSES;
    return !f->classes && stream ? stream_classes(stream, classes, m) : STATUS_OK;
}

static int build_resnet(const struct float_training *f, const struct record *stream, struct image_shape images,
                        struct graph *g, struct message *m)
{
    float mean[3], std[3];
    if (!stream)
        images = f->image.height ? f->image : IMAGE_CIFAR;
    const int image[3] = {images.height, images.width, images.channels};
    int classes;
    TRY(choose_classes(f, stream, &classes, m));
    int own = choose_normalization(f, stream, images.channels, mean, std, m);
    TRY(own);
    return resnet18_build_for(g, image, (int)f->width, classes, own ? mean : NULL, own ? std : NULL, m);
}

static int check_classes(const struct graph *g, int64_t want, struct message *m)
{
    int classes = g->nodes[g->count - 1].c;
    if (want && want != classes)
        return message_set(m, STATUS_MISMATCH, "has %d classes, want %lld (--classes)", classes, (long long)want);
    return STATUS_OK;
}

static int parse_file(const char *path, struct graph *g, struct message *m)
{
    struct text text = {0};
    int status = file_read(path, GRAPH_MAX_BYTES, &text, m);
    if (status >= 0) {
        status = graph_parse(g, text.data ? text.data : "", m);
        if (status < 0)
            message_prefix(m, status, "%s", path);
    }
    text_free(&text);
    return status;
}

/* Without images: those of --size, or as the text has it. */
static int fit_network(const struct float_training *f, const struct record *stream, struct image_shape images,
                       struct graph *g, struct message *m)
{
    float mean[3], std[3];
    if (!stream)
        images = f->image.height ? f->image : (struct image_shape){0};
    struct graph_fit fit = {.h = images.height, .w = images.width, .c = images.channels};
    TRY(choose_classes(f, stream, &fit.classes, m));
    int own = choose_normalization(f, stream, fit.c ? fit.c : g->nodes[0].c, mean, std, m);
    TRY(own);
    usual_normalization(fit.c ? fit.c : g->nodes[0].c, &fit.mean, &fit.std);
    if (own) {
        fit.mean = mean;
        fit.std = std;
    }
    return graph_fit(g, &fit, m);
}

static int read_network(const struct float_training *f, const struct record *stream, struct image_shape images,
                        struct graph *g, struct message *m)
{
    TRY(parse_file(f->network, g, m));
    int status = fit_network(f, stream, images, g, m);
    return status < 0 ? message_prefix(m, status, "%s", f->network) : STATUS_OK;
}

int float_training_is_bare(const struct float_training *t)
{
    struct graph g = {0};
    struct message unused; /* the run says it */
    int is_bare = t->network && parse_file(t->network, &g, &unused) >= 0;
    for (int i = 0; i < g.count; i++)
        is_bare = is_bare && g.nodes[i].op != OP_BATCHNORM;
    graph_free(&g);
    return is_bare;
}

static int read_graph(const struct float_training *f, struct graph *g, struct message *m)
{
    TRY(parse_file(f->graph, g, m));
    if (graph_stage(g) == STAGE_INT8)
        return message_set(m, STATUS_MISMATCH, "%s: is at stage int8, want float", f->graph);
    int status = check_classes(g, f->classes, m);
    return status < 0 ? message_prefix(m, status, "%s", f->graph) : STATUS_OK;
}

/* What was never trained has names for its classes only because CIFAR-10's stand in for them. */
static int check_images(const struct record *stream, struct model *start, struct message *m)
{
    if (!record_get(start->record, "dataset") && !record_get(start->record, "trained-on"))
        record_unset(start->record, "classes");
    return data_continues_model(stream, start->record, m);
}

/* A network that never had a batch norm may be at stage fused as it is; what `fuse` made has lost its own. */
static int check_stage(const struct model *start, struct message *m)
{
    const char *made = record_get(start->record, "made-by");
    for (const char *line = made ? made : ""; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, "fuse ", 5) == 0)
            return graph_require_stage(&start->graph, STAGE_FLOAT, m);
    return graph_stage(&start->graph) == STAGE_INT8 ? graph_require_stage(&start->graph, STAGE_FLOAT, m)
                                                    : STATUS_OK;
}

static int take_init(struct float_training *f, const struct record *stream, struct model *start,
                     struct lineage *lineage, struct message *m)
{
    char digest[MODEL_DIGEST_SIZE];
    TRY(model_digest(start, digest, m));
    lineage_add(lineage, "init", "%s", digest);
    if (f->given)
        model_given_lineage(f->given, lineage);
    TRY(check_stage(start, m));
    TRY(check_classes(&start->graph, f->classes, m));
    f->sides[0] = record_new(m); /* metadata alone, and as the file has it */
    if (!f->sides[0])
        return STATUS_NOMEM;
    TRY(record_inherit(f->sides[0], start->record, m));
    if (stream)
        TRY(check_images(stream, start, m));
    return model_store(start, m); /* a state_dict has no graph of its own */
}

static int load_init(struct float_training *f, const struct record *stream, struct model *start,
                     struct lineage *lineage, struct message *m)
{
    TRY(model_load_given(start, f->init, f->given, m)); /* names the file itself */
    int status = take_init(f, stream, start, lineage, m);
    return status < 0 ? message_prefix(m, status, "%s", f->init) : STATUS_OK;
}

static int make_start(const struct float_training *f, const struct record *stream, struct image_shape images,
                      struct model *start, struct message *m)
{
    struct graph g = {0};
    int status = f->graph     ? read_graph(f, &g, m)
                 : f->network ? read_network(f, stream, images, &g, m)
                              : build_resnet(f, stream, images, &g, m);
    if (status < 0) {
        graph_free(&g);
        return status;
    }
    TRY(model_initialise(start, &g, f->seed, m));
    if (!stream && start->graph.nodes[start->graph.count - 1].c == DEFAULT_CLASSES)
        TRY(record_set(start->record, "classes", cifar_classes, m));
    return STATUS_OK;
}

static int prepare(void *context, const struct record *stream, struct image_shape images, struct model *start,
                   struct gradient_options *gradient, struct lineage *lineage, struct message *m)
{
    struct float_training *f = context;
    char digest[MODEL_DIGEST_SIZE];
    (void)gradient;
    TRY(f->init ? load_init(f, stream, start, lineage, m) : make_start(f, stream, images, start, m));
    TRY(model_graph_digest(start, digest, m));
    lineage_add(lineage, "graph", "%s", digest);
    if (f->half)
        lineage_add(lineage, "half", "1");
    if (f->network)
        lineage_add(lineage, "network", "%s", f->network_name);
    if (!f->init && !f->graph && !f->network)
        lineage_add(lineage, "width", "%lld", (long long)f->width);
    return STATUS_OK;
}

static int deliver(void *context, const struct model *start, const struct gradient *g, const float *parameters,
                   const float *state, struct model *out, struct message *m)
{
    const struct float_training *f = context;
    TRY(model_copy(out, start, m));
    int status = g ? gradient_store(g, parameters, state, out, m) : STATUS_OK;
    if (status >= 0 && f->half)
        status = tensors_halve(out->record, m);
    if (status >= 0 && f->half)
        status = tensors_widen(out->record, m);
    if (status < 0)
        model_free(out);
    return status;
}

int float_training_start(const struct float_training *t, struct model *start, struct message *m)
{
    return t->init ? model_load_given(start, t->init, t->given, m) : make_start(t, NULL, t->image, start, m);
}

struct training_kind float_training_kind(struct float_training *t)
{
    return (struct training_kind){.prepare = prepare,
                                  .deliver = deliver,
                                  .sides = (const struct record *const *)t->sides,
                                  .side_count = t->init ? 1 : 0,
                                  .warn_of_stages = 1,
                                  .half = t->half};
}

void float_training_close(struct float_training *t)
{
    record_free(t->sides[0]);
    t->sides[0] = NULL;
}
