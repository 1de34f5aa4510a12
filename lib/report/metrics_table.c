#include "report/metrics_table.h"
#include <stdio.h>

enum { CELL_SIZE = 256, WHOLE_MATRIX = 256 /* classes: with more, cells of 0 are left out */ };

/* A class name that fits a cell. */
static const char *cell_name(const char *name, char out[CELL_SIZE])
{
    snprintf(out, CELL_SIZE, "%s", name);
    for (char *p = out; *p; p++)
        if (*p == '\t' || *p == '\n' || *p == '\r')
            *p = '?';
    return out;
}

int table_note_data(struct table *t, const struct record *metadata, struct message *m)
{
    static const char *const keys[] = {"dataset", "dataset-digest", "split", "part"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = record_get(metadata, keys[i]);
        if (value)
            TRY(table_note(t, keys[i], value, m));
    }
    return 0;
}

static int share_row(struct table *t, const char *metric, int64_t part, int64_t whole, struct message *m)
{
    struct interval i = wilson_interval(part, whole);
    return table_rowf(t, m, "%s\t-\t-\t%.4f\t%.4f\t%.4f", metric, 100.0 * (double)part / (double)whole, 100 * i.low,
                      100 * i.high);
}

static int class_rows(struct table *t, const struct metrics *x, char *const *classes, struct message *m)
{
    static const char *const names[] = {"precision", "recall", "f1"};
    char name[CELL_SIZE];
    for (int metric = 0; metric < 3; metric++) {
        for (int c = 0; c < x->classes; c++) {
            struct class_metrics k = metrics_of_class(x, c);
            const double values[] = {k.precision, k.recall, k.f1};
            TRY(table_rowf(t, m, "%s\t%s\t-\t%.4f\t-\t-", names[metric], cell_name(classes[c], name),
                           100 * values[metric]));
        }
    }
    return 0;
}

int metrics_to_table(struct table *t, const struct metrics *x, char *const *classes, struct message *m)
{
    char name[CELL_SIZE], other[CELL_SIZE];
    TRY(table_columns(t, "metric class predicted value low high", m));
    TRY(table_rowf(t, m, "images\t-\t-\t%lld\t-\t-", (long long)x->images));
    TRY(share_row(t, "accuracy", x->correct, x->images, m));
    TRY(share_row(t, "top2", x->top2, x->images, m));
    TRY(table_rowf(t, m, "loss\t-\t-\t%.6f\t-\t-", x->loss));
    TRY(table_rowf(t, m, "calibration_error\t-\t-\t%.4f\t-\t-", 100 * x->calibration_error));
    TRY(class_rows(t, x, classes, m));
    for (int64_t i = 0; i < x->cells && x->classes > WHOLE_MATRIX; i++)
        TRY(table_rowf(t, m, "confusion\t%s\t%s\t%lld\t-\t-", cell_name(classes[x->confusion[i].label], name),
                       cell_name(classes[x->confusion[i].predicted], other), (long long)x->confusion[i].count));
    for (int c = 0; c < x->classes && x->classes <= WHOLE_MATRIX; c++)
        for (int p = 0; p < x->classes; p++)
            TRY(table_rowf(t, m, "confusion\t%s\t%s\t%lld\t-\t-", cell_name(classes[c], name),
                           cell_name(classes[p], other), (long long)metrics_confusion(x, c, p)));
    return 0;
}

int pair_to_table(struct table *t, const struct pair_metrics *x, char *const *classes, struct message *m)
{
    const struct {
        const char *name;
        int64_t count;
    } counts[] = {{"both_right", x->both_right},
                  {"both_wrong", x->both_wrong},
                  {"only_first_right", x->only_first},
                  {"only_second_right", x->only_second}};
    char name[CELL_SIZE];
    TRY(table_columns(t, "metric class value", m));
    TRY(table_rowf(t, m, "images\t-\t%lld", (long long)x->images));
    TRY(table_rowf(t, m, "agreement\t-\t%.4f", 100.0 * (double)x->agree / (double)x->images));
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        TRY(table_rowf(t, m, "%s\t-\t%lld", counts[i].name, (long long)counts[i].count));
    TRY(table_rowf(t, m, "mcnemar_p\t-\t%.6g", x->mcnemar_p));
    for (int c = 0; c < x->classes; c++) {
        const char *class_name = cell_name(classes[c], name);
        TRY(table_rowf(t, m, "first_right\t%s\t%lld", class_name, (long long)x->first_right[c]));
        TRY(table_rowf(t, m, "second_right\t%s\t%lld", class_name, (long long)x->second_right[c]));
        TRY(table_rowf(t, m, "difference\t%s\t%lld", class_name,
                       (long long)(x->second_right[c] - x->first_right[c])));
    }
    return 0;
}
