#include "tools/common/predict.h"
#include "base/available.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/augment.h"
#include "data/spread.h"
#include "exec/infer/exec.h"
#include "ranks/agree.h"
#include "record/lineage.h"
#include "record/stream.h"
#include "tools/common/crew.h"
#include <stdio.h>
#include <string.h>

enum { ROUND_IMAGES = 64 /* a rank, at least */ };

/* Of the images that it takes. */
static struct image_shape shape_of(const struct model *model)
{
    const struct node *in = &model->graph.nodes[0];
    return (struct image_shape){in->h, in->w, in->c};
}

static int batch_check(const struct batch *b, const struct batch_reader *reader, const struct model *model,
                       const struct exec *e, int *other_data, struct message *m)
{
    struct message unused;
    TRY(data_matches_model(b->record, model->record, 1, m));
    *other_data = data_matches_model(b->record, model->record, 0, &unused) < 0;
    if (reader->class_count != exec_classes(e))
        return message_set(m, STATUS_MISMATCH, "classes: the images have %d, the model %d", reader->class_count,
                           exec_classes(e));
    const struct node *input = &model->graph.nodes[0];
    return images_match_input(b->shape, input->h, input->w, input->c, m);
}

/* ---- the stream ---- */

struct predicting {
    struct predictions *out; /* of images that were read: indices and labels */
    int64_t done;            /* whose logits are there */
    const struct model *model;
    struct exec *exec;
    int flips;
    struct spread spread;
    struct progress progress;
    int *other_data;
    float *logits; /* other ranks': of their images of a round */
};

/* A batch that was read: what is known of its images besides. */
static int64_t see(void *context, const struct batch *b, struct message *m)
{
    struct predicting *p = context;
    struct predictions *out = p->out;
    if (out->count == 0)
        TRY(batch_check(b, &p->spread.reader, p->model, p->exec, p->other_data, m));
    TRY(predictions_reserve(out, b->count, exec_classes(p->exec), m));
    for (int64_t i = 0; i < b->count; i++) {
        out->indices[out->count + i] = b->indices[i];
        out->labels[out->count + i] = (uint16_t)batch_label(b, i);
    }
    out->count += b->count;
    p->progress.total = b->total;
    return b->count;
}

/* Of the round's own images, mirrored in place: their logits, into the mean with those that are there. */
static int mirrors_predict(const struct predicting *p, const struct round *r, float *logits, struct message *m)
{
    const size_t count = (size_t)r->own * (size_t)exec_classes(p->exec);
    const struct image_shape shape = shape_of(p->model);
    float *of_mirrors = memory_new_raw(count, sizeof *of_mirrors, m);
    if (!of_mirrors)
        return STATUS_NOMEM;
    for (int64_t i = 0; i < r->own; i++)
        image_flip(shape, r->images + (size_t)i * image_shape_bytes(shape));
    int status = exec_run(p->exec, r->images, r->own, of_mirrors, m);
    for (size_t k = 0; k < count && status >= 0; k++)
        logits[k] = (logits[k] + of_mirrors[k]) / 2;
    memory_free(of_mirrors);
    return status;
}

static int round_predict(struct predicting *p, const struct round *r, struct message *m)
{
    const int is_first = crew_is_first(p->spread.ranks), classes = exec_classes(p->exec);
    float *all = is_first ? p->out->logits + p->done * classes : NULL, *own = is_first ? all : p->logits;
    if (r->own > 0)
        TRY(exec_run(p->exec, r->images, r->own, own, m));
    if (r->own > 0 && p->flips)
        TRY(mirrors_predict(p, r, own, m));
    TRY(spread_collect(&p->spread, r, own, (size_t)classes * sizeof *own, all, m));
    p->done += r->count;
    progress_show(&p->progress, p->done, NULL);
    return 0;
}

static int stream_run(struct predicting *p, const struct predict_options *options, struct message *m)
{
    const size_t image = image_shape_bytes(shape_of(p->model));
    const int each = options->batch > ROUND_IMAGES ? options->batch : ROUND_IMAGES;
    struct round r;
    int got;
    TRY(spread_open(&p->spread, options->ranks, NULL, image, each, see, p, m));
    if (!crew_is_first(p->spread.ranks)) {
        p->logits = memory_new_raw((size_t)each * (size_t)exec_classes(p->exec), sizeof *p->logits, m);
        if (!p->logits)
            return STATUS_NOMEM;
    }
    while ((got = spread_next(&p->spread, &r, m)) > 0)
        TRY(round_predict(p, &r, m));
    return got;
}

/* ---- before it ---- */

struct planned {
    const struct model *model;
    struct exec_options how;
};

static int planned_bytes(void *context, int batch, size_t *bytes, struct message *m)
{
    struct planned *p = context;
    p->how.batch = batch;
    return exec_plan_bytes(p->model, &p->how, bytes, m);
}

/* Before anything large is allocated. */
static int check_room(const struct model *model, const struct exec_options *how,
                      const struct predict_options *options, struct message *m)
{
    struct planned p = {model, *how};
    struct message said = {{0}};
    TRY(batch_fits(planned_bytes, &p, how->batch, "a batch", memory_available(), &said, m));
    if (options->verbose && said.text[0])
        fprintf(stderr, "%s: %s\n", options->tool, said.text);
    return 0;
}

/* All ranks must be about to compute the same. */
static int check_ranks(const struct predict_options *options, const struct predict_with *with, struct message *m)
{
    char view[VIEW_BYTES];
    snprintf(view, sizeof view, "%s %s%s, model %.16s", with->isa, with->precision, with->tta ? " (--tta)" : "",
             options->model_digest + strlen("sha256:"));
    return ranks_agree(options->ranks, view, m);
}

int predict_stream(struct predictions *out, const struct model *model, const struct predict_options *options,
                   struct batch_reader *reader, struct predict_with *with, int *other_data, struct message *m)
{
    const struct exec_options how = {.threads = options->threads,
                                     .batch = options->batch,
                                     .device = options->where.device,
                                     .precision = options->precision,
                                     .tf32 = options->where.tf32,
                                     .fast = options->where.fast};
    struct predicting p = {.out = out, .model = model, .flips = options->flips, .other_data = other_data};
    TRY(check_room(model, &how, options, m));
    TRY(exec_open(&p.exec, model, &how, m));
    progress_open(&p.progress, stderr, options->quiet, options->tool, 0);
    *with = (struct predict_with){exec_isa(p.exec), exec_precision(p.exec), options->flips ? "flip" : NULL};
    int status = check_ranks(options, with, m);
    if (status >= 0)
        status = stream_run(&p, options, m);
    progress_close(&p.progress);
    *reader = p.spread.reader; /* the caller's, also after a failure */
    p.spread.reader = (struct batch_reader){0};
    spread_close(&p.spread);
    memory_free(p.logits);
    exec_close(p.exec);
    return status;
}

/* What a model's stage says by itself need not stand in a lineage. */
static int is_usual(const char *precision)
{
    return strcmp(precision, "f32") == 0 || strcmp(precision, "int8") == 0 || strcmp(precision, "mixed") == 0;
}

static int record_make(struct record *record, const struct predictions *p, const struct batch_reader *reader,
                       const struct model *model, const char *model_digest, const struct predict_with *with,
                       const struct model_given *given, struct message *m)
{
    static const char *const keys[] = {"dataset", "dataset-digest", "classes", "split", "part"};
    struct lineage lineage = {0};
    TRY(predictions_to_record(p, record, m));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = record_get(reader->first, keys[i]);
        if (value)
            TRY(record_set(record, keys[i], value, m));
    }
    TRY(record_set(record, "stage", graph_stage_name(graph_stage(&model->graph)), m));
    TRY(record_set(record, "model-digest", model_digest, m));
    TRY(record_set(record, "precision", with->precision, m));
    if (with->tta)
        TRY(record_set(record, "tta", with->tta, m));
    lineage_add(&lineage, "model", "%s", model_digest);
    model_given_lineage(given, &lineage);
    if (!is_usual(with->precision))
        lineage_add(&lineage, "precision", "%s", with->precision);
    if (with->tta)
        lineage_add(&lineage, "tta", "%s", with->tta);
    const struct record *const sides[] = {model->record};
    int status = lineage_apply(record, reader->first, "evaluate", &lineage, sides, 1, m);
    lineage_free(&lineage);
    return status;
}

int predictions_save(const char *path, const struct predictions *p, const struct batch_reader *reader,
                     const struct model *model, const char *model_digest, const struct predict_with *with,
                     const struct model_given *given, struct message *m)
{
    struct record *record = record_new(m);
    if (!record)
        return STATUS_NOMEM;
    int status = record_make(record, p, reader, model, model_digest, with, given, m);
    if (status >= 0)
        status = record_save(record, path, m);
    record_free(record);
    return status;
}
