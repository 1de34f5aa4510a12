#include "report/summary.h"
#include <stdio.h>
#include <string.h>

const char *const summary_models[SUMMARY_MODELS] = {"float", "ptq", "qat"};

/* ---- one model's metrics ---- */

struct measured {
    const char *dataset, *precision, *tta; /* the last two: NULL where not noted */
    const char *images, *accuracy, *low, *high, *loss;
    const struct table *bench;
    int time; /* its row of bench; -1: none */
};

/* A cell that is to be copied, once it is known to be a number. */
static int number_cell(const struct table *t, int row, const char *column, double most, const char **cell,
                       struct message *m)
{
    double value;
    TRY(table_number(t, row, column, 0, most, &value, m));
    *cell = table_cell(t, row, table_column(t, column));
    return 0;
}

static int metrics_read(struct measured *x, const struct table *t, struct message *m)
{
    int metric = table_column(t, "metric"), class_column = table_column(t, "class");
    if (metric < 0 || class_column < 0)
        return message_set(m, STATUS_FORMAT, "no column '%s'", metric < 0 ? "metric" : "class");
    x->precision = table_get_note(t, "precision");
    x->tta = table_get_note(t, "tta");
    TRY(table_note_of(t, "dataset", &x->dataset, m));
    for (int row = 0; row < t->rows; row++) {
        const char *name = table_cell(t, row, metric);
        if (strcmp(table_cell(t, row, class_column), "-") != 0)
            continue;
        if (strcmp(name, "images") == 0)
            TRY(number_cell(t, row, "value", 1e15, &x->images, m));
        if (strcmp(name, "loss") == 0)
            TRY(number_cell(t, row, "value", 1e300, &x->loss, m));
        if (strcmp(name, "accuracy") != 0)
            continue;
        TRY(number_cell(t, row, "value", 100, &x->accuracy, m));
        TRY(number_cell(t, row, "low", 100, &x->low, m));
        TRY(number_cell(t, row, "high", 100, &x->high, m));
    }
    return x->images && x->accuracy && x->loss ? 0 : message_set(m, STATUS_MISMATCH, "no images, accuracy or loss");
}

/* ---- its time ---- */

/* bench names a model by its file: ptq and qat by what is in the name, float is what is left. */
static int model_of(const char *name)
{
    return strstr(name, "ptq") ? 1 : strstr(name, "qat") ? 2 : 0;
}

static int bench_columns(const struct table *t, struct message *m)
{
    static const char *const names[] = {"what",      "model",  "batch",         "threads",
                                        "ms_median", "ms_p95", "samples_per_s", "isa"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (table_column(t, names[i]) < 0)
            return message_set(m, STATUS_FORMAT, "no column '%s'", names[i]);
    return 0;
}

/* The row of the smallest batch on the fewest threads. */
static int bench_find(struct measured *x, int model, struct message *m)
{
    const struct table *t = x->bench;
    double least = 0;
    int precision = table_column(t, "precision");
    char what[64]; /* plain accuracies have plain times */
    snprintf(what, sizeof what, "infer%s%s", x->tta ? ":" : "", x->tta ? x->tta : "");
    x->time = -1;
    for (int row = 0; row < t->rows; row++) {
        double batch, threads;
        if (strcmp(table_cell(t, row, table_column(t, "what")), what) != 0 ||
            model_of(table_cell(t, row, table_column(t, "model"))) != model)
            continue;
        if (x->precision && precision >= 0 && strcmp(table_cell(t, row, precision), x->precision) != 0)
            continue;
        TRY(table_number(t, row, "batch", 1, 1e9, &batch, m));
        TRY(table_number(t, row, "threads", 1, 9999, &threads, m));
        if (x->time >= 0 && batch * 10000 + threads >= least)
            continue;
        least = batch * 10000 + threads;
        x->time = row;
    }
    return 0;
}

static int row_add(struct table *out, const struct measured *x, int model, int64_t bytes, struct message *m)
{
    static const char *const columns[] = {"ms_median", "ms_p95", "samples_per_s", "threads", "batch"};
    const char *cells[5];
    for (int i = 0; i < 5; i++)
        TRY(number_cell(x->bench, x->time, columns[i], 1e15, &cells[i], m));
    return table_rowf(out, m, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%lld\t%s\t%s\t%s\t%s\t%s\t%s", summary_models[model],
                      x->dataset, x->images, x->accuracy, x->low, x->high, x->loss, (long long)bytes, cells[0],
                      cells[1], cells[2], cells[3], cells[4],
                      table_cell(x->bench, x->time, table_column(x->bench, "isa")));
}

int summary_make(struct table *out, const struct table metrics[SUMMARY_MODELS], const struct table *bench,
                 const int64_t bytes[SUMMARY_MODELS], struct message *m)
{
    const char *digest = table_get_note(&metrics[0], "dataset-digest");
    struct measured all[SUMMARY_MODELS] = {{0}};
    TRY(bench_columns(bench, m));
    for (int i = 0; i < SUMMARY_MODELS; i++) {
        all[i].bench = bench;
        int status = metrics_read(&all[i], &metrics[i], m);
        if (status >= 0)
            status = bench_find(&all[i], i, m);
        if (status >= 0 && all[i].time < 0)
            status = message_set(m, STATUS_MISMATCH, "no time in the same precision%s%s",
                                 all[i].tta ? ", of tta " : "", all[i].tta ? all[i].tta : "");
        if (status >= 0 && strcmp(all[i].tta ? all[i].tta : "", all[0].tta ? all[0].tta : "") != 0)
            status = message_set(m, STATUS_MISMATCH, "tta: is %s, want %s", all[i].tta ? all[i].tta : "none",
                                 all[0].tta ? all[0].tta : "none");
        if (status < 0)
            return message_prefix(m, status, "%s", summary_models[i]);
    }
    TRY(table_columns(out,
                      "model dataset images accuracy accuracy_low accuracy_high loss bytes ms_per_sample ms_p95 "
                      "samples_per_s threads batch isa",
                      m));
    TRY(table_note(out, "dataset", all[0].dataset, m));
    TRY(table_note(out, "dataset-digest", digest ? digest : "", m));
    TRY(table_note(out, "note",
                   "bytes of float are best_float_model's; its time is fused_model's, the same network as deployed",
                   m));
    if (all[0].tta)
        TRY(table_note(out, "tta", all[0].tta, m));
    for (int i = 0; i < SUMMARY_MODELS; i++)
        TRY(row_add(out, &all[i], i, bytes[i], m));
    return 0;
}

/* ---- for a person ---- */

int summary_print(const struct table *t, struct text *out, struct message *m)
{
    enum { ACCURACY, LOW, HIGH, LOSS, BYTES, MS, P95, PER_S, COUNT };
    static const struct {
        const char *name;
        double least, most;
    } columns[COUNT] = {{"accuracy", 0, 100}, {"accuracy_low", 0, 100},  {"accuracy_high", 0, 100},
                        {"loss", 0, 1e300},   {"bytes", 1, 1e15},        {"ms_per_sample", 1e-12, 1e12},
                        {"ms_p95", 0, 1e12},  {"samples_per_s", 0, 1e15}};
    double first[COUNT] = {0}, x[COUNT];
    int model = table_column(t, "model");
    if (model < 0)
        return message_set(m, STATUS_FORMAT, "no column 'model'");
    TRY(text_add(
        out, m,
        "| model | accuracy, %% (95 %% interval) | loss | file, bytes | of float | ms an image | p95 | images/s | "
        "speed-up |\n|---|---|---|---|---|---|---|---|---|\n"));
    for (int row = 0; row < t->rows; row++) {
        for (int i = 0; i < COUNT; i++)
            TRY(table_number(t, row, columns[i].name, columns[i].least, columns[i].most, &x[i], m));
        if (row == 0)
            memcpy(first, x, sizeof first);
        TRY(text_add(out, m, "| %s | %.2f (%.2f to %.2f) | %.4f | %.0f | %.3f | %.3f | %.3f | %.0f | %.2f |\n",
                     table_cell(t, row, model), x[ACCURACY], x[LOW], x[HIGH], x[LOSS], x[BYTES],
                     x[BYTES] / first[BYTES], x[MS], x[P95], x[PER_S], first[MS] / x[MS]));
    }
    return 0;
}
