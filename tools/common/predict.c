#include "tools/common/predict.h"
#include "base/available.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/augment.h"
#include "exec/infer/exec.h"
#include "record/lineage.h"
#include "record/stream.h"
#include <stdio.h>
#include <string.h>

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

/* Of the batch's images, mirrored in place: their logits, into the mean with those that are there. */
static int mirrors_predict(struct exec *e, struct batch *b, float *logits, struct message *m)
{
    const size_t count = (size_t)b->count * (size_t)exec_classes(e);
    float *of_mirrors = memory_new_raw(count, sizeof *of_mirrors, m);
    if (!of_mirrors)
        return STATUS_NOMEM;
    for (int64_t i = 0; i < b->count; i++)
        image_flip(b->shape, b->images + (size_t)i * image_shape_bytes(b->shape));
    int status = exec_run(e, b->images, b->count, of_mirrors, m);
    for (size_t k = 0; k < count && status >= 0; k++)
        logits[k] = (logits[k] + of_mirrors[k]) / 2;
    memory_free(of_mirrors);
    return status;
}

static int batch_predict(struct predictions *out, struct exec *e, struct batch *b, int flips, struct message *m)
{
    int classes = exec_classes(e);
    TRY(predictions_reserve(out, b->count, classes, m));
    float *logits = out->logits + out->count * classes;
    TRY(exec_run(e, b->images, b->count, logits, m));
    if (flips)
        TRY(mirrors_predict(e, b, logits, m));
    for (int64_t i = 0; i < b->count; i++) {
        out->indices[out->count + i] = b->indices[i];
        out->labels[out->count + i] = (uint16_t)batch_label(b, i);
    }
    out->count += b->count;
    return 0;
}

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

int predict_stream(struct predictions *out, const struct model *model, const struct predict_options *options,
                   struct batch_reader *reader, struct predict_with *with, int *other_data, struct message *m)
{
    const struct exec_options how = {.threads = options->threads,
                                     .batch = options->batch,
                                     .device = options->where.device,
                                     .precision = options->precision,
                                     .tf32 = options->where.tf32,
                                     .fast = options->where.fast};
    struct exec *e = NULL;
    struct batch b;
    struct progress progress;
    TRY(check_room(model, &how, options, m));
    TRY(exec_open(&e, model, &how, m));
    progress_open(&progress, stderr, options->quiet, options->tool, 0);
    *with = (struct predict_with){exec_isa(e), exec_precision(e), options->flips ? "flip" : NULL};
    int status = batch_reader_open(reader, NULL, m);
    while (status >= 0 && (status = batch_reader_next(reader, &b, m)) > 0) {
        if (out->count == 0)
            status = batch_check(&b, reader, model, e, other_data, m);
        if (status >= 0)
            status = batch_predict(out, e, &b, options->flips, m);
        progress.total = b.total;
        batch_free(&b);
        progress_show(&progress, out->count, NULL);
    }
    progress_close(&progress);
    exec_close(e);
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
