/* Charts of few bits: what each layer's cost (analyse's table), and what plans of them gain (allot's). */
#include "report/chart.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_LAYERS = 256, MAX_SERIES = 14, LABEL_SIZE = 128, LAYER_EM = 24, LABEL_EM = 20 };

/* What analyse's table holds: layers along the chart, a series of points for each kind and width. */
struct points {
    const struct table *t;
    const char *layers[MAX_LAYERS];
    char labels[MAX_SERIES][LABEL_SIZE];
    int bits[MAX_SERIES], is_weights[MAX_SERIES];
    int layer_count, series_count;
    double least, most;
};

static int layer_of(struct points *p, const char *name, struct message *m)
{
    for (int i = 0; i < p->layer_count; i++)
        if (strcmp(p->layers[i], name) == 0)
            return i;
    if (p->layer_count == MAX_LAYERS)
        return message_set(m, STATUS_FORMAT, "more than %d layers", MAX_LAYERS);
    p->layers[p->layer_count] = name;
    return p->layer_count++;
}

static int series_of(struct points *p, int is_weights, int bits, struct message *m)
{
    for (int i = 0; i < p->series_count; i++)
        if (p->is_weights[i] == is_weights && p->bits[i] == bits)
            return i;
    if (p->series_count == MAX_SERIES)
        return message_set(m, STATUS_FORMAT, "more than %d widths", MAX_SERIES);
    p->is_weights[p->series_count] = is_weights;
    p->bits[p->series_count] = bits;
    snprintf(p->labels[p->series_count], LABEL_SIZE, "%s, %d bits", is_weights ? "weights" : "activations", bits);
    return p->series_count++;
}

static int row_place(struct points *p, int row, int *series, int *layer, double *kl, struct message *m)
{
    double bits;
    const char *what = table_cell(p->t, row, table_column(p->t, "what"));
    TRY(table_number(p->t, row, "bits", 2, 8, &bits, m));
    TRY(table_number(p->t, row, "kl", -1, 1e9, kl, m));
    *kl = fmax(*kl, 1e-9); /* rounding may leave less than nothing of nothing */
    TRY(*series = series_of(p, strcmp(what, "weights") == 0, (int)bits, m));
    TRY(*layer = layer_of(p, table_cell(p->t, row, table_column(p->t, "layer")), m));
    p->least = fmin(p->least, *kl);
    p->most = fmax(p->most, *kl);
    return 0;
}

static int columns_check(const struct table *t, const char *const *names, struct message *m)
{
    for (int i = 0; names[i]; i++)
        if (table_column(t, names[i]) < 0)
            return message_set(m, STATUS_FORMAT, "missing column '%s'", names[i]);
    return t->rows > 0 ? 0 : message_set(m, STATUS_FORMAT, "no rows");
}

static int series_add(struct chart *c, const struct points *p, struct message *m)
{
    const char *labels[MAX_SERIES];
    for (int i = 0; i < p->series_count; i++)
        labels[i] = p->labels[i];
    TRY(chart_number(c, "series_count", p->series_count, m));
    TRY(chart_texts(c, "labels", labels, p->series_count, (struct chart_setting){FONT_PLAIN, LABEL_EM, CHART_LABEL},
                    m));
    TRY(text_add(&c->text, m, "array series_bits[%d]\narray series_weights[%d]\n", p->series_count,
                 p->series_count));
    for (int i = 0; i < p->series_count; i++)
        TRY(text_add(&c->text, m, "series_bits[%d] = %d\nseries_weights[%d] = %d\n", i + 1, p->bits[i], i + 1,
                     p->is_weights[i]));
    return 0;
}

int chart_sensitivity(struct chart *c, const struct table *t, struct message *m)
{
    static const char *const columns[] = {"layer", "what", "bits", "kl", NULL};
    struct points p = {.t = t, .least = INFINITY};
    TRY(columns_check(t, columns, m));
    TRY(text_add(&c->text, m, "$points << END_OF_DATA\n"));
    for (int row = 0; row < t->rows; row++) {
        int series, layer;
        double kl;
        TRY(row_place(&p, row, &series, &layer, &kl, m));
        TRY(text_add(&c->text, m, "%.8g\t%d\t%d\n", kl, layer + 1, series + 1));
    }
    TRY(text_add(&c->text, m, "END_OF_DATA\n"));
    TRY(chart_number(c, "layers", p.layer_count, m));
    TRY(chart_texts(c, "names", p.layers, p.layer_count, (struct chart_setting){FONT_PLAIN, LAYER_EM, CHART_TIC},
                    m));
    TRY(series_add(c, &p, m));
    TRY(chart_number(c, "least", p.least, m));
    TRY(chart_number(c, "most", p.most, m));
    return chart_subtitle(c, t, NULL, "one thing changed, all else at 8 bits", m);
}

/* ---- plans ---- */

static int plan_point(struct chart *c, const struct table *t, int row, struct message *m)
{
    double bytes, drop, low, high;
    TRY(table_number(t, row, "bytes", 0, 1e15, &bytes, m));
    TRY(table_number(t, row, "drop", -100, 100, &drop, m));
    TRY(table_number(t, row, "drop_low", -100, 100, &low, m));
    TRY(table_number(t, row, "drop_high", -100, 100, &high, m));
    const char *kind = table_cell(t, row, table_column(t, "kind"));
    int place = strcmp(kind, "uniform") == 0 ? 2 : strcmp(kind, "chosen") == 0 ? 3 : 1;
    return text_add(&c->text, m, "%.6g\t%.4f\t%.4f\t%.4f\t%d\t%d\n", bytes / 1e3, drop, low, high, place, row + 1);
}

int chart_frontier(struct chart *c, const struct table *t, struct message *m)
{
    static const char *const columns[] = {"kind", "name", "bytes", "drop", "drop_low", "drop_high", NULL};
    const char *names[MAX_LAYERS];
    TRY(columns_check(t, columns, m));
    if (t->rows > MAX_LAYERS)
        return message_set(m, STATUS_FORMAT, "more than %d rows", MAX_LAYERS);
    TRY(text_add(&c->text, m, "$points << END_OF_DATA\n"));
    for (int row = 0; row < t->rows; row++) {
        names[row] = table_cell(t, row, table_column(t, "name"));
        TRY(plan_point(c, t, row, m));
    }
    TRY(text_add(&c->text, m, "END_OF_DATA\n"));
    TRY(chart_texts(c, "names", names, t->rows, (struct chart_setting){FONT_PLAIN, LABEL_EM, CHART_POINT}, m));
    return chart_subtitle(c, t, NULL, "bars: 95 % interval of the paired difference", m);
}
