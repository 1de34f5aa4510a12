#include "tools/common/metrics_of.h"
#include "base/memory.h"
#include "base/version.h"
#include "record/file.h"
#include "report/metrics_table.h"

int metrics_of(struct table *t, const struct predictions *p, const struct record *data, char *const *classes,
               const struct predict_with *with, const char *model_digest, const char *stage, struct message *m)
{
    struct metrics metrics;
    char *images = memory_printf(m, "%lld", (long long)p->count);
    if (!images)
        return STATUS_NOMEM;
    int status = table_note(t, "tool", "evaluate " RESQ_VERSION, m);
    if (status >= 0)
        status = table_note_data(t, data, m);
    const char *const notes[][2] = {{"stage", stage},   {"model-digest", model_digest}, {"images", images},
                                    {"isa", with->isa}, {"precision", with->precision}, {"tta", with->tta}};
    for (size_t i = 0; i < sizeof notes / sizeof notes[0] && status >= 0; i++)
        status = !notes[i][1] ? 0 : table_note(t, notes[i][0], notes[i][1], m);
    memory_free(images);
    TRY(status);
    TRY(metrics_compute(&metrics, p->logits, p->labels, p->count, p->classes, m));
    status = metrics_to_table(t, &metrics, classes, m);
    metrics_free(&metrics);
    return status;
}

/* The names of its classes, as the metadata of predictions from a file has them: *count is K; the caller frees them
 * (classes_free). */
static int read_classes(const struct predictions *p, char ***classes, int *count, struct message *m)
{
    const char *names = record_get(p->metadata, "classes");
    if (!names)
        return message_set(m, STATUS_MISMATCH, "missing metadata: classes");
    TRY(classes_from_json(names, classes, count, m));
    if (*count == p->classes)
        return 0;
    classes_free(*classes, *count);
    return message_set(m, STATUS_MISMATCH, "classes: %d names, want %d", *count, p->classes);
}

static int metrics_of_predictions(struct table *t, const struct predictions *p, struct message *m)
{
    const struct record *says = p->metadata;
    const struct predict_with with = {NULL, record_get(says, "precision"), record_get(says, "tta")};
    char **classes = NULL;
    int count = 0;
    TRY(read_classes(p, &classes, &count, m));
    int status =
        metrics_of(t, p, says, classes, &with, record_get(says, "model-digest"), record_get(says, "stage"), m);
    classes_free(classes, count);
    return status;
}

/* ---- parts ---- */

static int merged_save(const char *output, const char *predictions, const struct predictions *p, struct message *m)
{
    struct table table = {0};
    struct record *record = record_new(m);
    int status = record ? metrics_of_predictions(&table, p, m) : STATUS_NOMEM;
    if (status >= 0 && predictions)
        status = predictions_to_record(p, record, m);
    if (status >= 0 && predictions)
        status = record_inherit(record, p->metadata, m);
    if (status >= 0 && predictions)
        status = record_save(record, predictions, m);
    if (status >= 0)
        status = table_save(&table, output, m);
    table_free(&table);
    record_free(record);
    return status;
}

int predictions_merge(const struct operands *files, const char *output, const char *predictions, struct message *m)
{
    struct predictions parts[STRING_LIST_MAX] = {{0}}, all = {0};
    const char *names[STRING_LIST_MAX];
    TRY(output_check(output, m));
    TRY(output_check(predictions, m));
    int status = 0;
    for (int i = 0; i < files->count && status >= 0; i++) {
        names[i] = files->items[i];
        status = output_differs(names[i], output, m);
        if (status >= 0)
            status = output_differs(names[i], predictions, m);
        if (status >= 0)
            status = predictions_load(&parts[i], names[i], m);
    }
    if (status >= 0)
        status = predictions_join(&all, parts, names, files->count, m);
    if (status >= 0)
        status = merged_save(output, predictions, &all, m);
    predictions_free(&all);
    for (int i = 0; i < files->count; i++)
        predictions_free(&parts[i]);
    return status;
}

/* ---- a pair ---- */

static int note_pair(struct table *t, const struct predictions p[2], struct message *m)
{
    static const char *const notes[2][3][2] = {
        {{"first-model", "model-digest"}, {"first-precision", "precision"}, {"first-tta", "tta"}},
        {{"second-model", "model-digest"}, {"second-precision", "precision"}, {"second-tta", "tta"}}};
    TRY(table_note(t, "tool", "evaluate " RESQ_VERSION, m));
    TRY(table_note_data(t, p[0].metadata, m));
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 3; k++) {
            const char *value = record_get(p[i].metadata, notes[i][k][1]);
            if (value)
                TRY(table_note(t, notes[i][k][0], value, m));
        }
    return 0;
}

static int pair_table(struct table *t, const struct predictions p[2], struct message *m)
{
    struct pair_metrics pair = {0};
    char **classes = NULL;
    int count = 0;
    TRY(read_classes(&p[0], &classes, &count, m));
    int status = pair_compute(&pair, &p[0], &p[1], m);
    if (status >= 0)
        status = note_pair(t, p, m);
    if (status >= 0)
        status = pair_to_table(t, &pair, classes, m);
    classes_free(classes, count);
    pair_free(&pair);
    return status;
}

int predictions_compare(char *const paths[2], const char *output, struct message *m)
{
    struct predictions p[2] = {0};
    struct table table = {0};
    TRY(output_check(output, m));
    for (int i = 0; i < 2; i++)
        TRY(output_differs(paths[i], output, m));
    int status = predictions_load(&p[0], paths[0], m);
    if (status >= 0)
        status = predictions_load(&p[1], paths[1], m);
    if (status >= 0) {
        status = predictions_same_images(&p[0], &p[1], m);
        if (status >= 0)
            status = pair_table(&table, p, m);
        if (status < 0)
            message_prefix(m, status, "%s", paths[1]);
    }
    if (status >= 0)
        status = table_save(&table, output, m);
    table_free(&table);
    predictions_free(&p[0]);
    predictions_free(&p[1]);
    return status;
}
