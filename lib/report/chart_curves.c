#include "report/chart.h"
#include <math.h>
#include <string.h>

enum { LABEL_EM = 20 };
enum { EPOCH, LOSS, TRAIN, HELD_OUT, RATE, FIELDS };
static const char *const fields[FIELDS] = {"epoch", "loss", "accuracy_train", "accuracy_held_out", "learning_rate"};

/* No number beyond these is one of a training; gnuplot can set tics within them. */
static const double least[FIELDS] = {0, -1e30, 0, 0, 0}, most[FIELDS] = {1e6, 1e30, 100, 100, 1e30};

/* What the scripts need to know of all runs before they draw. */
struct extent {
    double first, last;               /* epochs */
    double lowest_rate, highest_rate; /* above zero */
    double lowest, highest;           /* accuracy, or loss */
    int seen[FIELDS];                 /* numbers in each field */
};

static int is_absent(const char *cell)
{
    return cell[0] == '\0' || strcmp(cell, "-") == 0 || strcmp(cell, "nan") == 0;
}

static int row_add(struct chart *c, const struct table *log, int row, const int columns[FIELDS], int is_accuracy,
                   struct extent *extent, struct message *m)
{
    for (int f = 0; f < FIELDS; f++) {
        const char *cell = table_cell(log, row, columns[f]);
        char number[32] = "NaN"; /* gnuplot leaves such a point out */
        if (f == EPOCH || !is_absent(cell)) {
            double value;
            int status = parse_number(cell, least[f], most[f], fields[f], &value, m);
            if (status < 0)
                return message_prefix(m, status, "row %d", row + 1);
            format_number(number, value);
            extent->seen[f]++;
            if (f == EPOCH) {
                extent->first = fmin(extent->first, value);
                extent->last = fmax(extent->last, value);
            }
            if (f == RATE && value > 0) {
                extent->lowest_rate = fmin(extent->lowest_rate, value);
                extent->highest_rate = fmax(extent->highest_rate, value);
            }
            if (is_accuracy ? f == TRAIN || f == HELD_OUT : f == LOSS) {
                extent->lowest = fmin(extent->lowest, value);
                extent->highest = fmax(extent->highest, value);
            }
        }
        TRY(text_add(&c->text, m, "%s%c", number, f + 1 < FIELDS ? '\t' : '\n'));
    }
    return 0;
}

static int log_add(struct chart *c, const struct table *log, int is_accuracy, struct extent *extent,
                   struct message *m)
{
    int columns[FIELDS];
    for (int f = 0; f < FIELDS; f++) {
        columns[f] = table_column(log, fields[f]);
        if (columns[f] < 0)
            return message_set(m, STATUS_FORMAT, "no column '%s'", fields[f]);
    }
    if (log->rows < 1)
        return message_set(m, STATUS_FORMAT, "empty input: no epochs");
    for (int row = 0; row < log->rows; row++)
        TRY(row_add(c, log, row, columns, is_accuracy, extent, m));
    return text_add(&c->text, m, "\n\n"); /* ends a block that `index` finds */
}

/* Curves in one chart must be about the same data. */
static int logs_match(const struct table *a, const struct table *b, const char *label, struct message *m)
{
    const char *x = table_get_note(a, "dataset-digest"), *y = table_get_note(b, "dataset-digest");
    if (!x || !y || strcmp(x, y) == 0)
        return 0;
    return message_set(m, STATUS_MISMATCH, "%s: dataset-digest: %s, want %s", label, y, x);
}

int chart_curves(struct chart *c, const struct table *logs, const char *const *labels, int count, int is_accuracy,
                 struct message *m)
{
    struct extent extent = {
        .first = INFINITY, .last = -INFINITY, .lowest_rate = INFINITY, .lowest = INFINITY, .highest = -INFINITY};
    TRY(text_add(&c->text, m, "$runs << END_OF_DATA\n"));
    for (int i = 0; i < count; i++) {
        int status = log_add(c, &logs[i], is_accuracy, &extent, m);
        if (status < 0)
            return message_prefix(m, status, "%s", labels[i]);
        TRY(logs_match(&logs[0], &logs[i], labels[i], m));
    }
    TRY(text_add(&c->text, m, "END_OF_DATA\n"));
    if (!extent.seen[is_accuracy ? TRAIN : LOSS] && !(is_accuracy && extent.seen[HELD_OUT]))
        return message_set(m, STATUS_FORMAT, "no column '%s' holds a number", fields[is_accuracy ? TRAIN : LOSS]);
    TRY(chart_number(c, "runs", count, m));
    TRY(chart_texts(c, "labels", labels, count, (struct chart_setting){FONT_PLAIN, LABEL_EM, CHART_LABEL}, m));
    TRY(chart_number(c, "first_epoch", extent.first, m));
    TRY(chart_number(c, "last_epoch", extent.last, m));
    TRY(chart_number(c, "has_train", extent.seen[TRAIN] > 0, m));
    TRY(chart_number(c, "has_held_out", extent.seen[HELD_OUT] > 0, m));
    TRY(chart_number(c, "lowest", extent.lowest, m));
    TRY(chart_number(c, "highest", extent.highest, m));
    int has_rate = extent.highest_rate > 0;
    TRY(chart_number(c, "has_rate", has_rate, m));
    TRY(chart_number(c, "lowest_rate", has_rate ? extent.lowest_rate : 0, m));
    TRY(chart_number(c, "highest_rate", extent.highest_rate, m));
    return chart_subtitle(c, &logs[0], NULL, NULL, m);
}
