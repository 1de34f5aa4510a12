#include "report/chart.h"
#include "base/memory.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ZEROS_SHOWN: with more classes empty cells say so by being white. */
enum { MAX_CLASSES = 2048, CLASS_EM = 16, ZEROS_SHOWN = 20 };

struct confusion {
    const char *classes[MAX_CLASSES]; /* in order of appearance; borrowed from the table */
    int count;
    double *counts; /* [MAX_CLASSES, MAX_CLASSES]: row true, column predicted */
};

/* The class's place, made where it is new; -1 where there are too many. */
static int class_place(struct confusion *x, const char *name)
{
    for (int i = 0; i < x->count; i++)
        if (strcmp(x->classes[i], name) == 0)
            return i;
    if (x->count == MAX_CLASSES)
        return -1;
    x->classes[x->count] = name;
    return x->count++;
}

/* Classes in their order: of many, those without any confusion have no other row. */
static void classes_collect(struct confusion *x, const struct table *t, int metric, int class)
{
    for (int row = 0; row < t->rows && x->count < MAX_CLASSES; row++)
        if (strcmp(table_cell(t, row, metric), "recall") == 0)
            x->classes[x->count++] = table_cell(t, row, class);
}

static int confusion_collect(struct confusion *x, const struct table *t, struct message *m)
{
    int metric = table_column(t, "metric"), class = table_column(t, "class");
    int predicted = table_column(t, "predicted"), value = table_column(t, "value");
    if (metric < 0 || class < 0 || predicted < 0 || value < 0)
        return message_set(m, STATUS_FORMAT, "no columns metric, class, predicted and value: not from evaluate");
    classes_collect(x, t, metric, class);
    for (int row = 0; row < t->rows; row++) {
        if (strcmp(table_cell(t, row, metric), "confusion") != 0)
            continue;
        int from = class_place(x, table_cell(t, row, class));
        int to = class_place(x, table_cell(t, row, predicted));
        if (from < 0 || to < 0)
            return message_set(m, STATUS_RANGE, "more than %d classes", MAX_CLASSES);
        TRY(parse_number(table_cell(t, row, value), 0, 1e15, "confusion", &x->counts[from * MAX_CLASSES + to], m));
    }
    return x->count ? 0 : message_set(m, STATUS_FORMAT, "no rows of metric 'confusion'");
}

/* Columns: predicted, true, count, percent of the true class. */
static int confusion_print(struct chart *c, const struct confusion *x, struct message *m)
{
    int has_any = 0;
    TRY(text_add(&c->text, m, "$cells << END_OF_DATA\n"));
    for (int from = 0; from < x->count; from++) {
        const double *row = x->counts + from * MAX_CLASSES;
        double total = 0;
        for (int to = 0; to < x->count; to++)
            total += row[to];
        has_any |= total > 0 || x->count <= ZEROS_SHOWN;
        for (int to = 0; to < x->count; to++)
            if (row[to] > 0 || x->count <= ZEROS_SHOWN)
                TRY(text_add(&c->text, m, "%d\t%d\t%.0f\t%.6f\n", to, from, row[to],
                             total > 0 ? 100 * row[to] / total : 0.0));
    }
    if (!has_any) /* gnuplot wants data */
        TRY(text_add(&c->text, m, "0\t0\t0\t0\n"));
    return text_add(&c->text, m, "END_OF_DATA\n");
}

/* The cell of the row with this metric, or NULL. */
static const char *metric_value(const struct table *t, const char *name, const char *column)
{
    int metric = table_column(t, "metric"), place = table_column(t, column);
    for (int row = 0; metric >= 0 && place >= 0 && row < t->rows; row++)
        if (strcmp(table_cell(t, row, metric), name) == 0)
            return table_cell(t, row, place);
    return NULL;
}

/* "accuracy 91.23 % (90.66 to 91.77)" */
static int accuracy_text(const struct table *t, char *out, size_t size, struct message *m)
{
    double value[3];
    static const char *const columns[3] = {"value", "low", "high"};
    out[0] = '\0';
    for (int i = 0; i < 3; i++) {
        const char *cell = metric_value(t, "accuracy", columns[i]);
        if (!cell)
            return 0;
        TRY(parse_number(cell, 0, 100, "accuracy", &value[i], m));
    }
    snprintf(out, size, "accuracy %.2f %% (%.2f to %.2f)", value[0], value[1], value[2]);
    return 0;
}

static int confusion_chart(struct chart *c, struct confusion *x, const struct table *t, struct message *m)
{
    char accuracy[96];
    double most = 0;
    TRY(confusion_collect(x, t, m));
    TRY(confusion_print(c, x, m));
    for (int i = 0; i < MAX_CLASSES * MAX_CLASSES; i++)
        most = fmax(most, x->counts[i]);
    TRY(chart_texts(c, "classes", x->classes, x->count, (struct chart_setting){FONT_PLAIN, CLASS_EM, CHART_TIC},
                    m));
    TRY(chart_number(c, "class_count", x->count, m));
    TRY(chart_number(c, "count_digits", most < 10 ? 1 : 1 + floor(log10(most)), m));
    TRY(accuracy_text(t, accuracy, sizeof accuracy, m));
    return chart_subtitle(c, t, NULL, accuracy, m);
}

int chart_confusion(struct chart *c, const struct table *metrics, struct message *m)
{
    struct confusion *x = memory_new(1, sizeof *x, m);
    if (!x)
        return STATUS_NOMEM;
    x->counts = memory_new((size_t)MAX_CLASSES * MAX_CLASSES, sizeof *x->counts, m);
    int status = x->counts ? confusion_chart(c, x, metrics, m) : STATUS_NOMEM;
    memory_free(x->counts);
    memory_free(x);
    return status;
}
