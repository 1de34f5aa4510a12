/* A run's README.md. */
#include "report/summary.h"
#include <string.h>

/* The value of a metric over all classes. */
static int pair_number(const struct table *t, const char *metric, double *value, struct message *m)
{
    int name = table_column(t, "metric"), class_column = table_column(t, "class");
    for (int row = 0; row < t->rows && name >= 0 && class_column >= 0; row++)
        if (strcmp(table_cell(t, row, name), metric) == 0 && strcmp(table_cell(t, row, class_column), "-") == 0)
            return table_number(t, row, "value", 0, 1e15, value, m);
    return message_set(m, STATUS_FORMAT, "no metric '%s'", metric);
}

static int pair_print(const struct table *t, int first, int second, struct text *out, struct message *m)
{
    static const char *const names[] = {"agreement", "only_first_right", "only_second_right", "mcnemar_p"};
    double x[4];
    for (int i = 0; i < 4; i++) {
        int status = pair_number(t, names[i], &x[i], m);
        if (status < 0)
            return message_prefix(m, status, "%s, %s", summary_models[first], summary_models[second]);
    }
    return text_add(out, m, "| %s, %s | %.2f | %.0f | %.0f | %.3g |\n", summary_models[first],
                    summary_models[second], x[0], x[1], x[2], x[3]);
}

static int cell_of(const struct table *t, const char *column, const char **cell, struct message *m)
{
    int at = table_column(t, column);
    *cell = at >= 0 && t->rows > 0 ? table_cell(t, 0, at) : "";
    if (at < 0)
        return message_set(m, STATUS_FORMAT, "no column '%s'", column);
    return t->rows > 0 ? 0 : message_set(m, STATUS_FORMAT, "no rows");
}

static int head_print(const struct summary_page *p, struct text *out, struct message *m)
{
    const struct table *t = &p->summary;
    const char *dataset, *images, *isa, *batch, *threads;
    TRY(cell_of(t, "dataset", &dataset, m));
    TRY(cell_of(t, "images", &images, m));
    TRY(cell_of(t, "isa", &isa, m));
    TRY(cell_of(t, "batch", &batch, m));
    TRY(cell_of(t, "threads", &threads, m));
    const int is_one = strcmp(threads, "1") == 0;
    TRY(text_add(out, m, "# %s: %s on %s, float and int8\n\n", p->name, p->network, dataset));
    TRY(text_add(out, m,
                 "Measured on %s images of the test split, on which nothing was trained, calibrated or chosen. "
                 "Times are for ",
                 images));
    TRY(is_one && strcmp(batch, "1") == 0
            ? text_add(out, m, "one image\nat a time on one thread")
            : text_add(out, m, "an image\nof a batch of %s, on %s thread%s", batch, threads, is_one ? "" : "s"));
    return text_add(out, m, " (%s); the float network is timed as it is deployed, with batch norm folded.\n\n",
                    isa);
}

static int pairs_print(const struct summary_page *p, struct text *out, struct message *m)
{
    TRY(text_add(out, m,
                 "\n![accuracy](charts/compare-accuracy.png) ![size](charts/compare-size.png) "
                 "![time](charts/compare-time.png)\n\n"
                 "## The same images, two models\n\n"
                 "| models | same prediction, %% | only the first right | only the second right | McNemar's p |\n"
                 "|---|---|---|---|---|\n"));
    TRY(pair_print(&p->pairs[0], 0, 1, out, m));
    TRY(pair_print(&p->pairs[1], 0, 2, out, m));
    return pair_print(&p->pairs[2], 1, 2, out, m);
}

int summary_page_print(const struct summary_page *p, struct text *out, struct message *m)
{
    TRY(head_print(p, out, m));
    TRY(summary_print(&p->summary, out, m));
    TRY(pairs_print(p, out, m));
    TRY(text_add(out, m, "\n## Training\n\n%s\n",
                 p->has_curves ? "![loss](charts/loss.png) ![accuracy](charts/accuracy.png)" : "None: no epochs."));
    TRY(text_add(out, m,
                 "\nWhat the augmentations do: the image as loaded, then as the first epochs see it.\n\n"
                 "![augmented images](charts/augmented.png)\n\n## Where they err\n"));
    for (int i = 0; i < SUMMARY_MODELS; i++) {
        const char *name = summary_models[i];
        TRY(text_add(out, m,
                     "\n### %s\n\n![confusion matrix of %s](charts/confusion-%s.png)\n\n"
                     "![predictions of %s](charts/samples-%s.png)\n",
                     name, name, name, name, name));
    }
    return 0;
}
