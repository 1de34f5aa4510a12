#include "page/section.h"
#include <math.h>
#include <stdio.h>

void section_open(struct html *h, const char *id, const char *title, const char *lead)
{
    html_put(h, "<section id=\"%s\" aria-labelledby=\"%s-title\"><h2 id=\"%s-title\">%s</h2>\n", id, id, id, title);
    if (lead) {
        html_raw(h, "<p>");
        html_raw(h, lead);
        html_raw(h, "</p>\n");
    }
}

void section_close(struct html *h)
{
    html_raw(h, "</section>\n");
}

void section_missing(struct html *h, const char *what)
{
    html_put(h, "<p class=\"missing\">%s</p>\n", what);
}

void frame_open(struct html *h, const char *caption, const char *class_name)
{
    html_put(h,
             "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\"><table class=\"%s\">"
             "<caption>%s</caption>\n",
             caption, class_name, caption);
}

void frame_close(struct html *h)
{
    html_raw(h, "</table></div>\n");
}

void html_check(struct html *h, int status)
{
    if (h->status >= 0 && status < 0)
        h->status = status;
}

void put_megabytes(struct html *h, int64_t bytes)
{
    if (bytes <= 0)
        html_raw(h, "-");
    else
        html_put(h, bytes < 100000 ? "%.4f MB" : "%.2f MB", (double)bytes / 1e6);
}

void put_cell(struct html *h, double value, int digits)
{
    char out[64];
    snprintf(out, sizeof out, "%.*f", digits, value);
    html_put(h, "<td>%s</td>", isfinite(value) ? out : "-");
}

const char *cell_of(const struct table *t, int row, const char *column)
{
    int c = table_column(t, column);
    return c < 0 ? "-" : table_cell(t, row, c);
}

/* ---- two answers beside each other ---- */

int compare_answers(const struct run *r, const struct run_answer *base, const struct run_answer *other,
                    struct comparison *c, struct message *m)
{
    struct pair_metrics pair;
    double base_share = 100.0 * (double)base->metrics.correct / (double)base->metrics.images;
    double share = 100.0 * (double)other->metrics.correct / (double)other->metrics.images;
    *c = (struct comparison){
        .base = base, .other = other, .difference = share - base_share, .p = NAN, .smaller = NAN, .faster = NAN};
    TRY(c->is_paired = run_pair(r, base, other, &pair, m));
    if (c->is_paired) {
        struct interval w = paired_interval(pair.only_first, pair.only_second, pair.images);
        c->images = pair.images;
        c->only_base = pair.only_first;
        c->only_other = pair.only_second;
        c->p = pair.mcnemar_p;
        c->difference = 100 * (double)(pair.only_second - pair.only_first) / (double)pair.images;
        c->low = 100 * w.low;
        c->high = 100 * w.high;
        pair_free(&pair);
    }
    if (base->bytes > 0 && other->bytes > 0)
        c->smaller = (double)base->bytes / (double)other->bytes;
    if (base->timing >= 0 && other->timing >= 0)
        c->faster =
            run_number(r->bench, base->timing, "ms_median") / run_number(r->bench, other->timing, "ms_median");
    return 0;
}

static void put_loss(struct html *h, const struct comparison *c)
{
    if (!c->is_paired)
        html_put(h, "is %.2f points %s accurate (other images, or no predictions: not tested)", fabs(c->difference),
                 c->difference < 0 ? "less" : "more");
    else if (c->p >= 0.05)
        html_put(h, "loses nothing measurable");
    else
        html_put(h, "%s %.2f points", c->difference < 0 ? "loses" : "gains", fabs(c->difference));
    if (c->is_paired)
        html_put(h, " (McNemar p = %.2g; %+.2f points, 95 %% interval %+.2f to %+.2f, %lld images)", c->p,
                 c->difference, c->low, c->high, (long long)c->images);
}

void put_verdict(struct html *h, const struct comparison *c)
{
    int has_size = isfinite(c->smaller), has_time = isfinite(c->faster);
    html_put(h, "Beside %s, %s ", c->base->name, c->other->name);
    put_loss(h, c);
    if (has_size)
        html_put(h, "%s is %.1f times %s", has_time ? "," : " and", c->smaller >= 1 ? c->smaller : 1 / c->smaller,
                 c->smaller >= 1 ? "smaller" : "larger");
    if (has_time && c->faster > 0.95 && c->faster < 1.05)
        html_put(h, " and %sas fast", has_size ? "" : "is ");
    else if (has_time)
        html_put(h, " and %s%.1f times as %s", has_size ? "" : "is ", c->faster >= 1 ? c->faster : 1 / c->faster,
                 c->faster >= 1 ? "fast" : "slow");
}

/* ---- the first lines ---- */

void section_verdict(struct html *h, const struct run *r)
{
    const struct run_answer *base = run_float(r);
    html_raw(h, "<div class=\"verdict\">\n");
    for (int i = 0; i < r->answer_count && base; i++) {
        struct comparison c;
        if (&r->answers[i] == base)
            continue;
        html_check(h, compare_answers(r, base, &r->answers[i], &c, h->m));
        if (h->status < 0)
            return;
        html_raw(h, "<p>");
        put_verdict(h, &c);
        html_raw(h, ".</p>\n");
    }
    if (!base || r->answer_count < 2)
        section_missing(h, "Fewer than two evaluated models, or no float one among them: nothing to compare.");
    html_raw(h, "</div>\n");
}

static void put_interval(struct html *h, const struct metrics *x)
{
    struct interval w = wilson_interval(x->correct, x->images);
    html_put(h, "<td data-v=\"%.6f\">%.2f <small>(%.2f to %.2f)</small></td>",
             (double)x->correct / (double)x->images, 100 * (double)x->correct / (double)x->images, 100 * w.low,
             100 * w.high);
}

/* A cell of the bench's row of an answer. */
static void put_timing(struct html *h, const struct run *r, const struct run_answer *a, const char *column,
                       int digits)
{
    put_cell(h, a->timing >= 0 ? run_number(r->bench, a->timing, column) : NAN, digits);
}

static void model_row(struct html *h, const struct run *r, const struct run_answer *a)
{
    const struct run_answer *base = run_float(r);
    struct comparison c = {.smaller = NAN, .faster = NAN, .p = NAN, .difference = NAN};
    if (base && base != a)
        html_check(h, compare_answers(r, base, a, &c, h->m));
    html_put(h, "<tr><th scope=\"row\">%s</th>", a->name);
    put_interval(h, &a->metrics);
    if (isfinite(c.difference))
        html_put(h, "<td>%+.2f</td>", c.difference);
    else
        html_raw(h, "<td>-</td>");
    put_cell(h, c.p, 3);
    put_cell(h, a->metrics.loss, 4);
    html_put(h, "<td data-v=\"%lld\">", (long long)a->bytes);
    put_megabytes(h, a->bytes);
    html_raw(h, "</td>");
    put_cell(h, c.smaller, 2);
    put_timing(h, r, a, "ms_median", 3);
    put_timing(h, r, a, "samples_per_s", 1);
    put_cell(h, c.faster, 2);
    html_raw(h, "</tr>\n");
}

void put_models(struct html *h, const struct run *r)
{
    frame_open(h, "Models: accuracy, size and time", "sort");
    html_raw(h,
             "<thead><tr><th scope=\"col\">model</th><th scope=\"col\">accuracy, %</th><th scope=\"col\">difference"
             "</th><th scope=\"col\">p</th><th scope=\"col\">loss</th><th scope=\"col\">file</th><th scope=\"col\">"
             "times smaller</th><th scope=\"col\">ms an image</th><th scope=\"col\">images/s</th>"
             "<th scope=\"col\">speed-up</th></tr></thead><tbody>\n");
    for (int i = 0; i < r->answer_count; i++)
        model_row(h, r, &r->answers[i]);
    html_raw(h, "</tbody>");
    frame_close(h);
}

/* What models say when they see mirror images too, apart from the rest: another use of the same files. */
void put_flips(struct html *h, const struct run *r)
{
    const struct table *t = r->flips;
    const int model = t ? table_column(t, "model") : -1;
    if (model < 0)
        return;
    frame_open(h, "With test-time augmentation: the mean of each image's logits and its mirror image's", "sort");
    html_raw(
        h,
        "<thead><tr><th scope=\"col\">model</th><th scope=\"col\">accuracy, %</th><th scope=\"col\">loss</th><th "
        "scope=\"col\">ms an image</th><th scope=\"col\">images/s</th></tr></thead><tbody>\n");
    for (int i = 0; i < t->rows; i++) {
        html_put(h, "<tr><th scope=\"row\">%s, flip</th><td>%.2f <small>(%.2f to %.2f)</small></td>",
                 table_cell(t, i, model), run_number(t, i, "accuracy"), run_number(t, i, "accuracy_low"),
                 run_number(t, i, "accuracy_high"));
        put_cell(h, run_number(t, i, "loss"), 4);
        put_cell(h, run_number(t, i, "ms_per_sample"), 3);
        put_cell(h, run_number(t, i, "samples_per_s"), 1);
        html_raw(h, "</tr>\n");
    }
    html_raw(h, "</tbody>");
    frame_close(h);
}

void section_models(struct html *h, const struct run *r)
{
    section_open(
        h, "models", "Models",
        "Accuracy on the test images with its 95 % interval (Wilson); the difference to the float network in "
        "points, with McNemar's exact p on the same images; time of one image on one thread.");
    if (r->answer_count == 0)
        section_missing(h, "No metrics and no predictions here.");
    else
        put_models(h, r);
    put_flips(h, r);
    section_close(h);
}
