/* section_margins.c: by how much is a model's answer ahead of its second one? What quantization changes
 * are answers with small margins. */
#include "base/memory.h"
#include "page/section.h"
#include "page/svg.h"
#include <math.h>
#include <stdlib.h>

enum { BINS = 24 };

/* The largest logit less the second largest; 0 with one class. */
static double margin_of(const float *row, int classes)
{
    double first = -INFINITY, second = -INFINITY;
    for (int k = 0; k < classes; k++) {
        second = (double)row[k] > first ? first : (double)row[k] > second ? (double)row[k] : second;
        first = (double)row[k] > first ? (double)row[k] : first;
    }
    return isfinite(first - second) ? first - second : 0;
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorted, memory_free; NULL and h->status where there is no memory. */
static double *margins_of(struct html *h, const struct predictions *p)
{
    double *margins = memory_new((size_t)p->count, sizeof *margins, h->m);
    if (!margins) {
        html_check(h, STATUS_NOMEM);
        return NULL;
    }
    for (int64_t i = 0; i < p->count; i++)
        margins[i] = margin_of(p->logits + i * p->classes, p->classes);
    qsort(margins, (size_t)p->count, sizeof *margins, by_value);
    return margins;
}

static void draw_one(struct svg *s, const struct run_answer *a, const double *margins, int series)
{
    double x[BINS], share[BINS] = {0};
    for (int b = 0; b < BINS; b++)
        x[b] = s->x.high * (b + 0.5) / BINS;
    for (int64_t i = 0; i < a->predictions.count; i++) {
        int bin = (int)(margins[i] / s->x.high * BINS);
        share[bin < BINS ? bin : BINS - 1] += 100.0 / (double)a->predictions.count;
    }
    svg_line(s, x, share, BINS, series, 0);
    for (int b = 0; b < BINS; b++) {
        svg_marker_open(s, x[b], share[b], 0, 0, series, 0);
        html_put(s->h, "<title>%s: margin %.2f to %.2f: %.2f %% of the images</title>", a->name,
                 s->x.high * b / BINS, s->x.high * (b + 1) / BINS, share[b]);
        svg_marker_close(s);
    }
}

static double highest_share(const struct run_answer *a, const double *margins, double high)
{
    int64_t count[BINS] = {0}, most = 0;
    for (int64_t i = 0; i < a->predictions.count; i++) {
        int bin = (int)(margins[i] / high * BINS);
        int64_t *c = &count[bin < BINS ? bin : BINS - 1];
        most = ++*c > most ? *c : most;
    }
    return 100.0 * (double)most / (double)a->predictions.count;
}

static void draw(struct html *h, const struct run *r, double *const *margins)
{
    struct svg s = {.x = {0, 0, SVG_LINEAR, "margin: largest logit less the second"},
                    .y = {0, 0, SVG_LINEAR, "images, %"}};
    for (int i = 0; i < r->answer_count; i++)
        if (margins[i])
            s.x.high = fmax(s.x.high, margins[i][r->answers[i].predictions.count - 1]);
    s.x.high = s.x.high > 0 ? s.x.high : 1;
    for (int i = 0; i < r->answer_count; i++)
        if (margins[i])
            s.y.high = fmax(s.y.high, 1.05 * highest_share(&r->answers[i], margins[i], s.x.high));
    html_raw(h, "<figure><figcaption>Margins: how far the answer is ahead of the second guess</figcaption>");
    svg_open(&s, h,
             "Share of the images over the difference of the two largest logits, for each model; the table has "
             "quantiles");
    for (int i = 0; i < r->answer_count; i++)
        if (margins[i])
            draw_one(&s, &r->answers[i], margins[i], i);
    svg_close(&s);
    html_raw(h, "</figure>\n");
}

static void table(struct html *h, const struct run *r, double *const *margins)
{
    static const double shares[] = {0.01, 0.05, 0.25, 0.5};
    frame_open(h, "Margins that so many of the images do not reach", "");
    html_raw(h, "<thead><tr><th scope=\"col\">model</th><th scope=\"col\">1 %</th><th scope=\"col\">5 %</th><th "
                "scope=\"col\">25 %</th><th scope=\"col\">half</th></tr></thead><tbody>\n");
    for (int i = 0; i < r->answer_count; i++) {
        if (!margins[i])
            continue;
        html_raw(h, "<tr><th scope=\"row\">");
        svg_sign(h, i, 0);
        html_put(h, " %s</th>", r->answers[i].name);
        for (int k = 0; k < 4; k++)
            put_cell(h, margins[i][(int64_t)(shares[k] * (double)r->answers[i].predictions.count)], 3);
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody>");
    frame_close(h);
}

void put_margins(struct html *h, const struct run *r)
{
    double *margins[RUN_MAX_ANSWERS] = {NULL};
    int any = 0;
    for (int i = 0; i < r->answer_count; i++)
        if (r->answers[i].predictions.count > 0) {
            margins[i] = margins_of(h, &r->answers[i].predictions);
            any |= margins[i] != NULL;
        }
    if (any) {
        draw(h, r, margins);
        table(h, r, margins);
    }
    for (int i = 0; i < r->answer_count; i++)
        memory_free(margins[i]);
}
