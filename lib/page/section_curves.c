/* section_curves.c: what training logged, epoch by epoch. */
#include "base/memory.h"
#include "page/section.h"
#include "page/svg.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_EPOCHS = 1000, MOST_LOGS = 12 };

struct log {
    char label[2 * RUN_NAME_SIZE + 4];
    const struct table *table;
    int stride; /* every so many epochs are drawn */
};

static int logs_find(struct log *logs, const struct run *runs, int count)
{
    int found = 0;
    for (int k = 0; k < count; k++)
        for (int i = 0; i < runs[k].table_count && found < MOST_LOGS; i++) {
            const struct run_table *t = &runs[k].tables[i];
            int stem = (int)strcspn(t->name, ".");
            if (t->kind != TABLE_LOG || t->table.rows == 0)
                continue;
            logs[found] = (struct log){.table = &t->table, .stride = 1 + t->table.rows / MOST_EPOCHS};
            snprintf(logs[found++].label, sizeof logs->label, "%s%s%.*s", count > 1 ? runs[k].name : "",
                     count > 1 ? ", " : "", stem, t->name);
        }
    return found;
}

static int read_column(const struct log *log, const char *column, double *x, double *y)
{
    int count = 0;
    for (int i = 0; i < log->table->rows && count < MOST_EPOCHS; i += log->stride, count++) {
        x[count] = run_number(log->table, i, "epoch");
        y[count] = run_number(log->table, i, column);
    }
    return count;
}

static void draw(struct html *h, const struct log *logs, int count, const char *title, const char *unit,
                 const char *const columns[2])
{
    struct svg s = {.x = {INFINITY, -INFINITY, SVG_LINEAR, "epoch"}, .y = {INFINITY, -INFINITY, SVG_LINEAR, unit}};
    double *x = memory_new(2 * MOST_EPOCHS, sizeof *x, h->m), *y = x + MOST_EPOCHS;
    if (!x) {
        html_check(h, STATUS_NOMEM);
        return;
    }
    for (int pass = 0; pass < 2; pass++) {
        int is_drawn = pass == 1;
        if (is_drawn && !(svg_settle(&s.x) && svg_settle(&s.y)))
            break;
        if (is_drawn) {
            html_put(h, "<figure><figcaption>%s</figcaption>", title);
            svg_open(&s, h, title);
        }
        for (int i = 0; i < count; i++)
            for (int c = 0; c < 2 && columns[c]; c++) {
                int points = read_column(&logs[i], columns[c], x, y);
                for (int p = 0; p < points && !is_drawn; p++) {
                    svg_include(&s.x, isfinite(y[p]) ? x[p] : NAN);
                    svg_include(&s.y, y[p]);
                }
                if (is_drawn)
                    svg_line(&s, x, y, points, i, c);
                for (int p = 0; p < points && is_drawn && points <= 5; p++)
                    if (isfinite(y[p])) {
                        svg_marker_open(&s, x[p], y[p], 0, 0, i, c);
                        svg_marker_close(&s);
                    }
            }
        if (is_drawn) {
            svg_close(&s);
            html_raw(h, "</figure>\n");
        }
    }
    memory_free(x);
}

void section_curves(struct html *h, const struct run *runs, int count)
{
    static const char *const loss[] = {"loss", NULL}, *const rate[] = {"learning_rate", NULL},
                             *const accuracy[] = {"accuracy_held_out", "accuracy_train"};
    struct log logs[MOST_LOGS];
    int found = logs_find(logs, runs, count);
    section_open(h, "curves", "Training", NULL);
    if (!found)
        section_missing(h, "No training log here.");
    else {
        html_raw(h, "<p class=\"legend\">");
        for (int i = 0; i < found; i++) {
            svg_sign(h, i, 0);
            html_put(h, " %s, %d epochs &nbsp; ", logs[i].label, logs[i].table->rows);
        }
        html_raw(h, "</p>\n<div class=\"pair\">");
        draw(h, logs, found, "Accuracy: held-out images (line), training images as augmented (dashed)",
             "accuracy, %", accuracy);
        draw(h, logs, found, "Loss on training images", "loss", loss);
        draw(h, logs, found, "Learning rate", "learning rate", rate);
        html_raw(h, "</div>\n");
    }
    section_close(h);
}
