/* section_calibration.c: is a model right as often as it says? */
#include "page/section.h"
#include "page/svg.h"
#include <math.h>
#include <string.h>

enum { BINS = 15 }; /* of calibration_error, see metrics.h */

struct reliability {
    double images[BINS], right[BINS], confidence[BINS]; /* sums */
};

static void reliability_of(struct reliability *c, const struct predictions *p)
{
    memset(c, 0, sizeof *c);
    for (int64_t i = 0; i < p->count; i++) {
        const float *row = p->logits + i * p->classes;
        int said = argmax(row, p->classes);
        double probability = softmax_probability(row, p->classes, said);
        int bin = (int)ceil(probability * BINS) - 1; /* (k/15, (k+1)/15] */
        bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
        c->images[bin]++;
        c->right[bin] += said == p->labels[i];
        c->confidence[bin] += probability;
    }
}

static void draw(struct html *h, const struct run *r)
{
    struct svg s = {.x = {0, 100, SVG_LINEAR, "probability that the model gives, %"},
                    .y = {0, 100, SVG_LINEAR, "right, %"}};
    const double ends[] = {0, 100};
    html_raw(
        h,
        "<figure><figcaption>Calibration: on the dotted line, a model is as often right as it says</figcaption>");
    svg_open(
        &s, h,
        "Share of right answers over the probability given, for each model, in 15 bins; the table has the errors");
    svg_line(&s, ends, ends, 2, 5, 1);
    for (int i = 0; i < r->answer_count; i++) {
        struct reliability c;
        double x[BINS], y[BINS];
        if (!r->answers[i].predictions.count)
            continue;
        reliability_of(&c, &r->answers[i].predictions);
        for (int b = 0; b < BINS; b++) {
            x[b] = c.images[b] > 0 ? 100 * c.confidence[b] / c.images[b] : NAN;
            y[b] = c.images[b] > 0 ? 100 * c.right[b] / c.images[b] : NAN;
        }
        svg_line(&s, x, y, BINS, i, 0);
        for (int b = 0; b < BINS; b++) {
            if (!(c.images[b] > 0))
                continue;
            struct interval w = wilson_interval((int64_t)c.right[b], (int64_t)c.images[b]);
            svg_marker_open(&s, x[b], y[b], 100 * w.low, 100 * w.high, i, 0);
            html_put(h, "<title>%s: says %.1f %%, is right %.1f %% of %.0f images</title>", r->answers[i].name,
                     x[b], y[b], c.images[b]);
            svg_marker_close(&s);
        }
    }
    svg_close(&s);
    html_raw(h, "</figure>\n");
}

void section_calibration(struct html *h, const struct run *r)
{
    int has_predictions = 0;
    section_open(h, "calibration", "Confidence",
                 "Expected calibration error: by how much, on average, the probability given and "
                 "the share of right answers differ (15 bins, percent).");
    for (int i = 0; i < r->answer_count; i++)
        has_predictions |= r->answers[i].predictions.count > 0;
    if (has_predictions)
        draw(h, r);
    else
        section_missing(h, "No predictions here: no curve.");
    if (r->answer_count > 0) {
        frame_open(h, "Calibration error and second guesses", "");
        html_raw(h, "<thead><tr><th scope=\"col\">model</th><th scope=\"col\">calibration error, %</th><th "
                    "scope=\"col\">among the "
                    "first two, %</th></tr></thead><tbody>\n");
        for (int i = 0; i < r->answer_count; i++) {
            const struct metrics *x = &r->answers[i].metrics;
            html_raw(h, "<tr><th scope=\"row\">");
            if (r->answers[i].predictions.count)
                svg_sign(h, i, 0);
            html_put(h, " %s</th>", r->answers[i].name);
            put_cell(h, 100 * x->calibration_error, 2);
            put_cell(h, x->top2 ? 100 * (double)x->top2 / (double)x->images : NAN, 2);
            html_raw(h, "</tr>\n");
        }
        html_raw(h, "</tbody>");
        frame_close(h);
    }
    put_margins(h, r);
    section_close(h);
}
