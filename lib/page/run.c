#include "page/run.h"
#include "base/memory.h"
#include "record/file.h"
#include "record/stream.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { TABLE_FILE_MAX = 64 << 20 };

static int ends_with(const char *name, const char *end)
{
    size_t a = strlen(name), b = strlen(end);
    return a > b && strcmp(name + a - b, end) == 0;
}

/* What was measured with more than the image itself (evaluate --tta) stands nowhere beside plain accuracies. */
static enum table_kind with_views(enum table_kind kind, const struct table *t)
{
    if (!table_get_note(t, "tta"))
        return kind;
    return kind == TABLE_SUMMARY ? TABLE_FLIPS : kind == TABLE_METRICS ? TABLE_OTHER : kind;
}

/* Tables are told by their columns, since anyone may name them. */
static enum table_kind kind_of(const struct table *t)
{
    static const struct {
        enum table_kind kind;
        const char *columns[4];
    } kinds[] = {
        {TABLE_METRICS, {"metric", "class", "predicted", "value"}}, {TABLE_PAIR, {"metric", "class", "value"}},
        {TABLE_LOG, {"epoch", "step", "loss", "learning_rate"}},    {TABLE_BENCH, {"what", "model", "ms_median"}},
        {TABLE_PEERS, {"what", "program", "version", "ms_median"}}, {TABLE_SUMMARY, {"model", "accuracy", "bytes"}},
        {TABLE_SWEEP, {"stage", "observer", "accuracy"}},
    };
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        int found = 1;
        for (int i = 0; i < 4 && kinds[k].columns[i]; i++)
            found &= table_column(t, kinds[k].columns[i]) >= 0;
        if (found)
            return with_views(kinds[k].kind, t);
    }
    return TABLE_OTHER;
}

static int read_table(struct run *r, const char *path, const char *name, struct message *m)
{
    struct run_table *t = &r->tables[r->table_count++];
    snprintf(t->name, sizeof t->name, "%s", name);
    TRY(table_load(&t->table, path, m));
    TRY(file_read(path, TABLE_FILE_MAX, &t->bytes, m));
    t->kind = kind_of(&t->table);
    return 0;
}

static int take_model(struct run *r, struct record *record, const char *path, const char *name, struct message *m)
{
    struct run_model *x = &r->models[r->model_count];
    struct stat info;
    snprintf(x->name, sizeof x->name, "%s", name);
    int status = model_from_record(&x->model, record, m);
    if (status < 0)
        return message_prefix(m, status, "%s", path);
    r->model_count++;
    x->stage = graph_stage(&x->model.graph);
    if (stat(path, &info) != 0)
        return message_errno(m, "%s", path);
    x->bytes = (int64_t)info.st_size;
    return model_digest(&x->model, x->digest, m);
}

static int take_predictions(struct run *r, const struct record *record, const char *name, struct message *m)
{
    if (r->answer_count == RUN_MAX_ANSWERS)
        return message_set(m, STATUS_RANGE, "more than %d files of predictions", RUN_MAX_ANSWERS);
    struct run_answer *a = &r->answers[r->answer_count++];
    snprintf(a->name, sizeof a->name, "%.*s", (int)strcspn(name, "."), name);
    return predictions_from_record(&a->predictions, record, m);
}

static int take_ranges(struct run *r, struct record *record, struct message *m)
{
    if (r->ranges_record) { /* of several, the first by name */
        record_free(record);
        return 0;
    }
    r->ranges_record = record;
    return ranges_from_record(&r->ranges, record, m);
}

static int read_record(struct run *r, const char *path, const char *name, struct message *m)
{
    struct record *record = NULL;
    TRY(record_load(&record, path, m));
    const char *kind = record_kind(record);
    int status = 0;
    if (!*kind || strcmp(kind, "model") == 0)
        return take_model(r, record, path, name, m);
    if (strcmp(kind, "ranges") == 0)
        return (status = take_ranges(r, record, m)) < 0 ? message_prefix(m, status, "%s", path) : status;
    if (strcmp(kind, "predictions") == 0 && !record_get(record, "tta"))
        status = take_predictions(r, record, name, m);
    record_free(record);
    return status < 0 ? message_prefix(m, status, "%s", path) : status;
}

static int read_file(struct run *r, const char *name, struct message *m)
{
    int is_table = ends_with(name, ".tsv");
    if (name[0] == '.' || (!is_table && !ends_with(name, ".safetensors") && !ends_with(name, ".st")))
        return 0;
    if (strlen(name) >= RUN_NAME_SIZE)
        return message_set(m, STATUS_RANGE, "%s/%s: the name is too long", r->path, name);
    char *path = memory_printf(m, "%s/%s", r->path, name);
    if (!path)
        return STATUS_NOMEM;
    struct stat info;
    int status = 0;
    if (stat(path, &info) != 0)
        status = errno == ENOENT ? 0 : message_errno(m, "%s", path); /* a link to nothing */
    else if (S_ISREG(info.st_mode))
        status = is_table ? read_table(r, path, name, m) : read_record(r, path, name, m);
    memory_free(path);
    return status;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* The folder's own name, also of "." and "results/a/". */
static int name_find(struct run *r, struct message *m)
{
    char *full = realpath(r->path, NULL);
    if (!full)
        return message_errno(m, "%s", r->path);
    const char *slash = strrchr(full, '/');
    snprintf(r->name, sizeof r->name, "%s", slash && slash[1] ? slash + 1 : full);
    free(full);
    return 0;
}

static int files_read(struct run *r, struct message *m)
{
    struct dirent **entries = NULL;
    int count = scandir(r->path, &entries, NULL, by_bytes), status = 0;
    if (count < 0)
        return message_errno(m, "%s", r->path);
    if (count > RUN_MAX_FILES)
        status = message_set(m, STATUS_RANGE, "%s: more than %d files", r->path, RUN_MAX_FILES);
    size_t room = (size_t)count;
    if (status >= 0 && (!(r->tables = memory_new(room, sizeof *r->tables, m)) ||
                        !(r->models = memory_new(room, sizeof *r->models, m))))
        status = STATUS_NOMEM;
    for (int i = 0; i < count; i++) {
        if (status >= 0)
            status = read_file(r, entries[i]->d_name, m);
        free(entries[i]);
    }
    free(entries);
    return status;
}

int run_load(struct run *r, const char *path, struct message *m)
{
    memset(r, 0, sizeof *r);
    if (!(r->path = memory_strdup(path, m)))
        return STATUS_NOMEM;
    TRY(name_find(r, m));
    TRY(files_read(r, m));
    if (r->table_count + r->model_count + r->answer_count == 0 && !r->ranges_record)
        return message_set(m, STATUS_MISMATCH, "%s: no table (*.tsv) and no record (*.safetensors, *.st) of a run",
                           path);
    int status = run_join(r, m);
    return status < 0 ? message_prefix(m, status, "%s", path) : status;
}

void runs_tell_apart(struct run *runs, int count)
{
    for (int i = 0; i < count; i++) {
        int same = 0;
        for (int k = 0; k < count; k++)
            same += strcmp(runs[k].name, runs[i].name) == 0;
        for (int k = count - 1, number = same; same > 1 && k >= i; k--)
            if (k != i && strcmp(runs[k].name, runs[i].name) == 0) {
                size_t length = strlen(runs[k].name), most = sizeof runs[k].name - 16;
                snprintf(runs[k].name + (length < most ? length : most), 16, " (%d)", number--);
            }
    }
}

void run_free(struct run *r)
{
    for (int i = 0; i < r->table_count; i++) {
        table_free(&r->tables[i].table);
        text_free(&r->tables[i].bytes);
    }
    for (int i = 0; i < r->model_count; i++)
        model_free(&r->models[i].model);
    for (int i = 0; i < r->answer_count; i++) {
        predictions_free(&r->answers[i].predictions);
        metrics_free(&r->answers[i].metrics);
    }
    for (int i = 0; r->classes && i < r->class_count; i++)
        memory_free(r->classes[i]);
    memory_free(r->classes);
    record_free(r->ranges_record);
    ranges_free(&r->ranges);
    memory_free(r->tables);
    memory_free(r->models);
    memory_free(r->path);
    memset(r, 0, sizeof *r);
}
