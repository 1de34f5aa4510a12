#include "report/chart.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_BARS = 64, MODEL_EM = 16 };

/* The summary's numbers a kind of chart reads. */
static const char *const columns_of[][4] = {
    [BARS_ACCURACY] = {"accuracy", "accuracy_low", "accuracy_high", NULL},
    [BARS_SIZE] = {"bytes", NULL},
    [BARS_TIME] = {"ms_per_sample", "ms_p95", NULL},
};
static const double most_of[] = {[BARS_ACCURACY] = 100, [BARS_SIZE] = 1e18, [BARS_TIME] = 1e12};

static int row_print(struct chart *c, const struct table *t, int row, enum chart_bars kind, double *values,
                     struct message *m)
{
    const char *const *names = columns_of[kind];
    TRY(text_add(&c->text, m, "%d", row));
    for (int i = 0; names[i]; i++) {
        char number[32];
        TRY(table_number(t, row, names[i], 0, most_of[kind], &values[i], m));
        format_number(number, values[i]);
        TRY(text_add(&c->text, m, "\t%s", number));
    }
    return text_add(&c->text, m, "\n");
}

/* Where the accuracy axis begins: 0, or, where every bar is tall and alike, a round number below the lowest
 * interval. */
static double axis_start(double lowest, double highest)
{
    double room = fmax(highest - lowest, 0.5);
    double start = lowest - 2 * room;
    if (start < 20)
        return 0;
    double step = start > 90 ? 1 : 5;
    return floor(start / step) * step;
}

/* Decimals that give the smallest value above zero three digits, and every other value as many: numbers side by
 * side are read side by side. -1 where those would be too long: then powers of ten. */
static int decimals_of(const double *values, int count, double unit)
{
    enum { DIGITS = 3, MOST = 9 };
    double least = INFINITY, most = 0;
    for (int i = 0; i < count; i++) {
        least = values[i] > 0 ? fmin(least, values[i] / unit) : least;
        most = fmax(most, values[i] / unit);
    }
    if (most == 0)
        return 0;
    int decimals = (int)fmax(0, DIGITS - 1 - floor(log10(least)));
    return decimals + fmax(0, floor(log10(most))) < MOST ? decimals : -1;
}

struct unit {
    const char *name;
    double size;
};

static struct unit size_unit(double highest)
{
    static const struct unit units[] = {{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (highest >= units[i].size)
            return units[i];
    return (struct unit){"bytes", 1};
}

/* The value of a column that says the same in every row, or NULL. */
static const char *common_cell(const struct table *t, const char *name)
{
    int column = table_column(t, name);
    for (int row = 1; column >= 0 && row < t->rows; row++)
        if (strcmp(table_cell(t, row, column), table_cell(t, 0, column)) != 0)
            return NULL;
    return column >= 0 ? table_cell(t, 0, column) : NULL;
}

static int summary_subtitle(struct chart *c, const struct table *t, enum chart_bars kind, struct message *m)
{
    char more[512] = "";
    size_t used = 0;
    /* dataset and images may stand in the rows, in the notes, or both: once is enough. */
    const char *dataset = table_get_note(t, "dataset") ? NULL : common_cell(t, "dataset");
    const char *images = table_get_note(t, "images") ? NULL : common_cell(t, "images");
    const char *threads = common_cell(t, "threads"), *batch = common_cell(t, "batch"), *isa = common_cell(t, "isa");
    const struct {
        const char *before, *value, *after;
        int is_shown;
    } items[] = {
        {"", images, images && strcmp(images, "1") == 0 ? " test image" : " test images", kind == BARS_ACCURACY},
        {"batch ", batch, "", kind == BARS_TIME},
        {"", threads, threads && strcmp(threads, "1") == 0 ? " thread" : " threads", kind == BARS_TIME},
        {"", isa, "", kind == BARS_TIME}};
    for (size_t i = 0; i < sizeof items / sizeof items[0] && used < sizeof more; i++)
        if (items[i].is_shown && items[i].value && strcmp(items[i].value, "-") != 0)
            used += (size_t)snprintf(more + used, sizeof more - used, "%s%s%s%s", used ? ", " : "", items[i].before,
                                     items[i].value, items[i].after);
    return chart_subtitle(c, t, dataset && strcmp(dataset, "-") != 0 ? dataset : NULL, more, m);
}

int chart_compare(struct chart *c, const struct table *summary, enum chart_bars kind, struct message *m)
{
    const char *models[MAX_BARS];
    double values[MAX_BARS][3] = {0}, firsts[MAX_BARS], lowest = INFINITY, highest = 0;
    int model = table_column(summary, "model"), count = summary->rows;
    if (model < 0)
        return message_set(m, STATUS_FORMAT, "no column 'model'");
    if (count < 1 || count > MAX_BARS)
        return message_set(m, STATUS_FORMAT, "%d rows, want 1 to %d", count, MAX_BARS);
    TRY(text_add(&c->text, m, "$bars << END_OF_DATA\n"));
    for (int row = 0; row < count; row++) {
        TRY(row_print(c, summary, row, kind, values[row], m));
        models[row] = table_cell(summary, row, model);
        firsts[row] = values[row][0];
        lowest = fmin(lowest, values[row][kind == BARS_ACCURACY ? 1 : 0]);
        for (int i = 0; i < 3; i++)
            highest = fmax(highest, values[row][i]);
    }
    struct unit unit = kind == BARS_SIZE ? size_unit(highest) : (struct unit){"ms", 1};
    TRY(text_add(&c->text, m, "END_OF_DATA\n"));
    TRY(chart_texts(c, "models", models, count, (struct chart_setting){FONT_BOLD, MODEL_EM, CHART_TIC}, m));
    TRY(chart_text(c, "first_model", models[0], (struct chart_setting){FONT_PLAIN, MODEL_EM, CHART_POINT}, m));
    TRY(chart_number(c, "model_count", count, m));
    TRY(chart_number(c, "first_value", firsts[0], m));
    TRY(chart_number(c, "highest", highest, m));
    TRY(chart_string(c, "unit_name", unit.name, m));
    TRY(chart_number(c, "unit", unit.size, m));
    TRY(chart_number(c, "decimals", kind == BARS_SIZE && unit.size == 1 ? 0 : decimals_of(firsts, count, unit.size),
                     m));
    TRY(chart_number(c, "axis_start", kind == BARS_ACCURACY ? axis_start(lowest, highest) : 0, m));
    return summary_subtitle(c, summary, kind, m);
}
