/* run_join.c: what belongs together among the files of a run. */
#include "base/memory.h"
#include "data/batch.h"
#include "page/run.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_CLASSES = 65535 };

double run_number(const struct table *t, int row, const char *column)
{
    int c = table_column(t, column);
    double value;
    if (c < 0 || row < 0 || row >= t->rows ||
        parse_number(table_cell(t, row, c), -1e300, 1e300, column, &value, NULL) < 0)
        return NAN;
    return value;
}

int run_row(const struct table *t, const char *metric)
{
    int name = table_column(t, "metric"), class = table_column(t, "class");
    for (int i = 0; i < t->rows; i++)
        if (strcmp(table_cell(t, i, name), metric) == 0 && strcmp(table_cell(t, i, class), "-") == 0)
            return i;
    return -1;
}

static const char *note_of(const struct table *t, const char *key)
{
    const char *value = t ? table_get_note(t, key) : NULL;
    return value ? value : "";
}

const char *run_note(const struct run *r, const char *key)
{
    for (int i = 0; i < r->answer_count; i++) {
        const struct run_answer *a = &r->answers[i];
        const char *value = a->predictions.metadata ? record_get(a->predictions.metadata, key) : NULL;
        if (!value || !*value)
            value = note_of(a->table, key);
        if (*value)
            return value;
    }
    return note_of(r->summary, key);
}

const char *run_class(const struct run *r, int c)
{
    return r->classes && c >= 0 && c < r->class_count ? r->classes[c] : "?";
}

const struct run_answer *run_float(const struct run *r)
{
    for (int i = 0; i < r->answer_count; i++)
        if (strcmp(r->answers[i].stage, "int8") != 0)
            return &r->answers[i];
    return NULL;
}

const struct run_model *run_model_at(const struct run *r, enum graph_stage stage)
{
    for (int i = 0; i < r->answer_count; i++) /* rather one that answered */
        if (r->answers[i].model && r->answers[i].model->stage == stage)
            return r->answers[i].model;
    for (int i = 0; i < r->model_count; i++)
        if (r->models[i].stage == stage)
            return &r->models[i];
    return NULL;
}

/* ---- class names ---- */

static int classes_set(struct run *r, char **names, int count, struct message *m)
{
    if (!(r->classes = memory_new((size_t)count, sizeof *r->classes, m)))
        return STATUS_NOMEM;
    r->class_count = count;
    for (int i = 0; i < count; i++)
        if (!(r->classes[i] = memory_strdup(names[i], m)))
            return STATUS_NOMEM;
    return 0;
}

static int classes_from_predictions(struct run *r, const struct predictions *p, struct message *m)
{
    const char *json = p->metadata ? record_get(p->metadata, "classes") : NULL;
    char **names = NULL;
    int count = 0;
    if (!json)
        return 0;
    TRY(classes_from_json(json, &names, &count, m));
    int status = count == p->classes ? classes_set(r, names, count, m)
                                     : message_set(m, STATUS_MISMATCH, "classes: %d names, logits of %d classes",
                                                   count, p->classes);
    classes_free(names, count);
    return status;
}

/* ---- metrics ---- */

/* How many classes a metrics table is about: its rows `recall`. */
static int table_classes(const struct table *t, int *first)
{
    int name = table_column(t, "metric"), count = 0;
    for (int i = 0; i < t->rows; i++)
        if (strcmp(table_cell(t, i, name), "recall") == 0 && count++ == 0)
            *first = i;
    return count;
}

static int64_t whole_number(const struct table *t, int row)
{
    double value = run_number(t, row, "value");
    return value >= 0 && value < 1e15 ? (int64_t)value : -1;
}

static int classes_from_table(struct run *r, const struct table *t, int first, int count, struct message *m)
{
    int column = table_column(t, "class");
    char **names = memory_new((size_t)count, sizeof *names, m);
    if (!names)
        return STATUS_NOMEM;
    for (int i = 0; i < count; i++)
        names[i] = t->cells[(first + i) * t->columns + column];
    int status = classes_set(r, names, count, m);
    memory_free(names);
    return status;
}

/* The class of this name among the `count` rows from `first` on, looked for from `near` on; -1 where there is none. */
static int class_place(const struct table *t, int first, int count, const char *name, int near)
{
    int column = table_column(t, "class");
    for (int i = 0; i < count; i++)
        if (strcmp(table_cell(t, first + (near + i) % count, column), name) == 0)
            return (near + i) % count;
    return -1;
}

/* Rows of a whole matrix stand in its order; of many classes only those that are not 0 are there, by name. */
static int cells_read(const struct table *t, int first, int classes, struct confusion_cell *cells, int64_t rows,
                      int *bad)
{
    int metric = table_column(t, "metric"), class = table_column(t, "class"), said = table_column(t, "predicted");
    int is_whole = rows == (int64_t)classes * classes;
    int64_t k = 0;
    for (int i = 0; i < t->rows; i++) {
        if (strcmp(table_cell(t, i, metric), "confusion") != 0)
            continue;
        struct confusion_cell *c = &cells[k];
        *bad = i + 1;
        c->count = whole_number(t, i);
        c->label = is_whole ? (int)(k / classes)
                            : class_place(t, first, classes, table_cell(t, i, class), k ? cells[k - 1].label : 0);
        c->predicted = is_whole ? (int)(k % classes) : class_place(t, first, classes, table_cell(t, i, said), 0);
        if (c->count < 0 || c->label < 0 || c->predicted < 0)
            return STATUS_FORMAT;
        k++;
    }
    return 0;
}

static int confusion_from_table(struct run_answer *a, const struct table *t, int first, struct message *m)
{
    enum { WHOLE = 256 };
    struct metrics *x = &a->metrics;
    int metric = table_column(t, "metric"), bad = 0;
    int64_t rows = 0, most = (int64_t)x->classes * x->classes;
    for (int i = 0; i < t->rows; i++) {
        int is_one = strcmp(table_cell(t, i, metric), "confusion") == 0;
        rows += is_one;
        bad = is_one && rows == most + 1 ? i + 1 : bad;
    }
    struct confusion_cell *cells = memory_new((size_t)rows, sizeof *cells, m);
    if (!cells)
        return STATUS_NOMEM;
    int status =
        bad || table_column(t, "predicted") < 0 || (x->classes <= WHOLE && rows != most) ? STATUS_FORMAT : 0;
    if (status >= 0)
        status = cells_read(t, first, x->classes, cells, rows, &bad);
    if (status >= 0)
        return metrics_set_confusion(x, cells, rows, m);
    memory_free(cells);
    return message_set(m, status, "%s: metrics row %d: not a count of %d classes", a->name, bad, x->classes);
}

static int metrics_from_table(struct run *r, struct run_answer *a, struct message *m)
{
    const struct table *t = a->table;
    int first = 0, count = table_classes(t, &first), row = 0;
    struct metrics *x = &a->metrics;
    if (count < 1 || count > MAX_CLASSES || first + count > t->rows)
        return message_set(m, STATUS_FORMAT, "%s: the metrics are of %d classes", a->name, count);
    if (!r->classes)
        TRY(classes_from_table(r, t, first, count, m));
    x->classes = count;
    TRY(confusion_from_table(a, t, first, m));
    for (int64_t i = 0; i < x->cells; i++) {
        x->images += x->confusion[i].count;
        x->correct += x->confusion[i].label == x->confusion[i].predicted ? x->confusion[i].count : 0;
    }
    if (x->images == 0)
        return message_set(m, STATUS_FORMAT, "%s: the metrics are of no image", a->name);
    x->loss = run_number(t, run_row(t, "loss"), "value");
    x->calibration_error = run_number(t, run_row(t, "calibration_error"), "value") / 100;
    row = run_row(t, "top2");
    x->top2 = row < 0 ? 0 : (int64_t)llround(run_number(t, row, "value") / 100 * (double)x->images);
    return 0;
}

static void answer_note(char *out, size_t size, const struct run_answer *a, const char *key)
{
    const char *value = a->predictions.metadata ? record_get(a->predictions.metadata, key) : NULL;
    snprintf(out, size, "%s", value ? value : note_of(a->table, key));
}

static int answer_complete(struct run *r, struct run_answer *a, struct message *m)
{
    answer_note(a->digest, sizeof a->digest, a, "model-digest");
    answer_note(a->precision, sizeof a->precision, a, "precision");
    answer_note(a->stage, sizeof a->stage, a, "stage");
    for (int i = 0; i < r->model_count && !a->model; i++)
        if (*a->digest && strcmp(r->models[i].digest, a->digest) == 0)
            a->model = &r->models[i];
    a->bytes = a->model ? a->model->bytes : 0;
    if (a->predictions.classes > MAX_CLASSES || (!a->predictions.count && !a->table))
        return message_set(m, STATUS_RANGE, "%s: predictions of %lld images in %d classes", a->name,
                           (long long)a->predictions.count, a->predictions.classes);
    if (!a->predictions.count)
        return metrics_from_table(r, a, m);
    if (!r->classes)
        TRY(classes_from_predictions(r, &a->predictions, m));
    return metrics_compute(&a->metrics, a->predictions.logits, a->predictions.labels, a->predictions.count,
                           a->predictions.classes, m);
}

/* ---- answers ---- */

/* The answer of a metrics file, new where only that was kept. */
static int answer_of_table(struct run *r, const struct run_table *t, struct message *m)
{
    int stem = (int)strcspn(t->name, ".");
    for (int i = 0; i < r->answer_count; i++) {
        struct run_answer *a = &r->answers[i];
        if ((int)strlen(a->name) == stem && strncmp(a->name, t->name, (size_t)stem) == 0) {
            a->table = &t->table;
            return 0;
        }
    }
    if (r->answer_count == RUN_MAX_ANSWERS)
        return message_set(m, STATUS_RANGE, "more than %d models were evaluated", RUN_MAX_ANSWERS);
    struct run_answer *a = &r->answers[r->answer_count++];
    snprintf(a->name, sizeof a->name, "%.*s", stem, t->name);
    a->table = &t->table;
    return 0;
}

static int rank_of(const struct run_answer *a)
{
    return strcmp(a->stage, "int8") != 0 ? 0
           : strcmp(a->name, "ptq") == 0 ? 1
           : strcmp(a->name, "qat") == 0 ? 2
                                         : 3;
}

static void answers_sort(struct run *r)
{
    for (int i = 1; i < r->answer_count; i++)
        for (int k = i; k > 0; k--) {
            struct run_answer *a = &r->answers[k - 1], *b = &r->answers[k], swap = *a;
            int order = rank_of(a) - rank_of(b);
            if (order < 0 || (order == 0 && strcmp(a->name, b->name) <= 0))
                break;
            *a = *b;
            *b = swap;
        }
}

/* ---- timings ---- */

/* Bench names a model by its file's stem. A float network is timed as it is deployed, fused. */
static int is_timing_of(const struct run_answer *a, const char *model)
{
    size_t length = strlen(model);
    if (strcmp(a->stage, "int8") != 0 && strstr(model, "fused"))
        return 1;
    if (a->model)
        return strncmp(model, a->model->name, length) == 0 && strchr(".", a->model->name[length]) != NULL;
    return strstr(model, a->name) != NULL;
}

static int timing_find(const struct run *r, const struct run_answer *a)
{
    const struct table *t = r->bench;
    int what = table_column(t, "what"), model = table_column(t, "model"), precision = table_column(t, "precision");
    for (int i = 0; i < t->rows; i++)
        if (strcmp(table_cell(t, i, what), "infer") == 0 && run_number(t, i, "batch") == 1 &&
            run_number(t, i, "threads") == 1 && is_timing_of(a, table_cell(t, i, model)) &&
            (precision < 0 || !*a->precision || strcmp(table_cell(t, i, precision), a->precision) == 0))
            return i;
    return -1;
}

static void bytes_from_summary(const struct run *r, struct run_answer *a)
{
    int name = r->summary ? table_column(r->summary, "model") : -1;
    for (int i = 0; name >= 0 && i < r->summary->rows && a->bytes == 0; i++) {
        double bytes = run_number(r->summary, i, "bytes");
        if (strcmp(table_cell(r->summary, i, name), a->name) == 0 && bytes > 0 && bytes < 1e15)
            a->bytes = (int64_t)bytes;
    }
}

int run_join(struct run *r, struct message *m)
{
    for (int i = 0; i < r->table_count; i++) {
        const struct run_table *t = &r->tables[i];
        if (t->kind == TABLE_METRICS)
            TRY(answer_of_table(r, t, m));
        r->bench = t->kind == TABLE_BENCH && !r->bench ? &t->table : r->bench;
        r->sweep = t->kind == TABLE_SWEEP && !r->sweep ? &t->table : r->sweep;
        r->summary = t->kind == TABLE_SUMMARY && !r->summary ? &t->table : r->summary;
        r->flips = t->kind == TABLE_FLIPS && !r->flips ? &t->table : r->flips;
        r->peers = t->kind == TABLE_PEERS && !r->peers ? &t->table : r->peers;
    }
    for (int i = 0; i < r->answer_count; i++) {
        struct run_answer *a = &r->answers[i];
        TRY(answer_complete(r, a, m));
        if (a->metrics.classes != r->answers[0].metrics.classes)
            return message_set(m, STATUS_MISMATCH, "%s has %d classes, %s %d", a->name, a->metrics.classes,
                               r->answers[0].name, r->answers[0].metrics.classes);
        bytes_from_summary(r, a);
        a->timing = r->bench ? timing_find(r, a) : -1;
    }
    answers_sort(r);
    return 0;
}

/* ---- pairs ---- */

static int64_t pair_count(const struct table *t, const char *metric)
{
    int64_t count = whole_number(t, run_row(t, metric));
    return count < 0 ? 0 : count;
}

static int pair_from_table(const struct run *r, const struct run_answer *a, const struct run_answer *b,
                           struct pair_metrics *out)
{
    for (int i = 0; i < r->table_count; i++) {
        const struct table *t = &r->tables[i].table;
        if (r->tables[i].kind != TABLE_PAIR || *note_of(t, "first-tta") || *note_of(t, "second-tta") ||
            !*a->digest || !*b->digest || strcmp(note_of(t, "first-model"), a->digest) != 0 ||
            strcmp(note_of(t, "second-model"), b->digest) != 0)
            continue;
        *out = (struct pair_metrics){.images = pair_count(t, "images"),
                                     .both_right = pair_count(t, "both_right"),
                                     .both_wrong = pair_count(t, "both_wrong"),
                                     .only_first = pair_count(t, "only_first_right"),
                                     .only_second = pair_count(t, "only_second_right")};
        out->agree = (int64_t)llround(run_number(t, run_row(t, "agreement"), "value") / 100 * (double)out->images);
        out->mcnemar_p = mcnemar_exact(out->only_first, out->only_second);
        return out->images > 0;
    }
    return 0;
}

int run_pair(const struct run *r, const struct run_answer *a, const struct run_answer *b, struct pair_metrics *out,
             struct message *m)
{
    memset(out, 0, sizeof *out);
    if (!a->predictions.count || !b->predictions.count)
        return pair_from_table(r, a, b, out);
    if (predictions_same_images(&a->predictions, &b->predictions, NULL) < 0)
        return 0;
    TRY(pair_compute(out, &a->predictions, &b->predictions, m));
    return 1;
}
