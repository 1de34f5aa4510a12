/* section_confusion.c: who is taken for whom, and what changes in it. */
#include "page/section.h"
#include "base/memory.h"
#include <math.h>
#include <stdlib.h>

enum { WHOLE_MATRIX = 20, MOST_ROWS = 30 };

/* ---- whole matrices, of few classes ---- */

static void head_row(struct html *h, const struct run *r, int classes)
{
    html_raw(h, "<thead><tr><td>true \\ predicted</td>");
    for (int p = 0; p < classes; p++)
        html_put(h, "<th scope=\"col\">%.40s</th>", run_class(r, p));
    html_raw(h, "</tr></thead><tbody>\n");
}

static void matrix(struct html *h, const struct run *r, const struct run_answer *a)
{
    const struct metrics *x = &a->metrics;
    html_put(h, "<h3>%s</h3>\n", a->name);
    frame_open(h, "Images of each true class by predicted class", "matrix");
    head_row(h, r, x->classes);
    for (int c = 0; c < x->classes; c++) {
        int64_t images = metrics_of_class(x, c).images;
        html_put(h, "<tr><th scope=\"row\">%.40s</th>", run_class(r, c));
        for (int p = 0; p < x->classes; p++) {
            int64_t count = metrics_confusion(x, c, p);
            double share = images ? (double)count / (double)images : 0;
            html_put(h, "<td class=\"%s\" style=\"--v:%.3f\">%lld</td>", p == c ? "hit" : "miss", sqrt(share),
                     (long long)count);
        }
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody>");
    frame_close(h);
}

static void difference(struct html *h, const struct run *r, const struct run_answer *a, const struct run_answer *b)
{
    const struct metrics *x = &a->metrics, *y = &b->metrics;
    double most = 1;
    for (int i = 0; i < x->classes * x->classes; i++) {
        int c = i / x->classes, p = i % x->classes;
        most = fmax(most, fabs((double)(metrics_confusion(y, c, p) - metrics_confusion(x, c, p))));
    }
    html_put(h, "<h3>%s less %s</h3>\n", b->name, a->name);
    frame_open(h, "What changes: more images (+) or fewer (-) in each cell", "matrix");
    head_row(h, r, x->classes);
    for (int c = 0; c < x->classes; c++) {
        html_put(h, "<tr><th scope=\"row\">%.40s</th>", run_class(r, c));
        for (int p = 0; p < x->classes; p++) {
            long long d = (long long)(metrics_confusion(y, c, p) - metrics_confusion(x, c, p));
            int is_good = (d > 0) == (p == c);
            if (d)
                html_put(h, "<td class=\"%s\" style=\"--v:%.3f\">%+lld</td>", is_good ? "hit" : "miss",
                         fabs((double)d) / most, d);
            else
                html_raw(h, "<td>0</td>");
        }
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody>");
    frame_close(h);
}

/* ---- of many classes, the confusions that happen most ---- */

static int by_count(const void *a, const void *b)
{
    const struct confusion_cell *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? 1 : -1;
    return x->label != y->label ? x->label - y->label : x->predicted - y->predicted;
}

static void worst(struct html *h, const struct run *r, const struct run_answer *a)
{
    const struct metrics *x = &a->metrics;
    int64_t count = 0;
    struct confusion_cell *all = memory_new((size_t)x->cells, sizeof *all, h->m);
    if (!all) {
        html_check(h, STATUS_NOMEM);
        return;
    }
    for (int64_t i = 0; i < x->cells; i++)
        if (x->confusion[i].label != x->confusion[i].predicted)
            all[count++] = x->confusion[i];
    qsort(all, (size_t)count, sizeof *all, by_count);
    html_put(h, "<h3>%s</h3>\n", a->name);
    frame_open(h, "The most frequent confusions", "sort");
    html_raw(h, "<thead><tr><th scope=\"col\">true</th><th scope=\"col\">predicted</th><th "
                "scope=\"col\">images</th></tr></thead>"
                "<tbody>\n");
    for (int64_t i = 0; i < count && i < MOST_ROWS; i++)
        html_put(h, "<tr><td>%.40s</td><td>%.40s</td><td>%lld</td></tr>\n", run_class(r, all[i].label),
                 run_class(r, all[i].predicted), (long long)all[i].count);
    html_raw(h, "</tbody>");
    frame_close(h);
    memory_free(all);
}

/* ---- each class ---- */

static void class_table(struct html *h, const struct run *r)
{
    frame_open(h, "Share of each class's images that is recognised (recall), %", "sort");
    html_raw(h, "<thead><tr><th scope=\"col\">class</th><th scope=\"col\">images</th>");
    for (int i = 0; i < r->answer_count; i++)
        html_put(h, "<th scope=\"col\">%s</th>", r->answers[i].name);
    html_raw(h, "</tr></thead><tbody>\n");
    for (int c = 0; c < r->answers[0].metrics.classes; c++) {
        html_put(h, "<tr><th scope=\"row\">%.40s</th><td>%lld</td>", run_class(r, c),
                 (long long)metrics_of_class(&r->answers[0].metrics, c).images);
        for (int i = 0; i < r->answer_count; i++)
            put_cell(h, 100 * metrics_of_class(&r->answers[i].metrics, c).recall, 2);
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody>");
    frame_close(h);
}

void section_confusion(struct html *h, const struct run *r)
{
    section_open(h, "confusion", "Classes and confusions", NULL);
    if (r->answer_count == 0)
        section_missing(h, "No metrics and no predictions here.");
    else
        class_table(h, r);
    const struct run_answer *base = run_float(r);
    for (int i = 0; i < r->answer_count; i++) {
        const struct run_answer *a = &r->answers[i];
        int is_small = a->metrics.classes <= WHOLE_MATRIX;
        if (!is_small)
            worst(h, r, a);
        else if (a == base || !base)
            matrix(h, r, a);
        else {
            matrix(h, r, a);
            difference(h, r, base, a);
        }
    }
    section_close(h);
}
