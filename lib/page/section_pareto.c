/* section_pareto.c: accuracy over size and over time, every configuration that the run knows. */
#include "base/memory.h"
#include "page/section.h"
#include "page/svg.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MAX_POINTS = 1500, LABEL_SIZE = 512 };

static double accuracy_of(const struct run_answer *a)
{
    return 100 * (double)a->metrics.correct / (double)a->metrics.images;
}

static int series_of(const struct run_answer *a)
{
    return strcmp(a->stage, "int8") != 0 ? 0
           : strcmp(a->name, "ptq") == 0 ? 1
           : strcmp(a->name, "qat") == 0 ? 2
                                         : 3;
}

/* ---- points ---- */

struct point {
    double x, y, low, high;
    int series, is_hollow;
    char label[LABEL_SIZE];
};

struct points {
    struct point items[MAX_POINTS];
    int count, dropped;
    int run; /* of several runs, a series each: its number; -1: a series for each kind of model */
};

static struct point *point_add(struct points *p, double x, double y, int series)
{
    if (!(x > 0) || !isfinite(y))
        return NULL;
    if (p->count == MAX_POINTS) {
        p->dropped++;
        return NULL;
    }
    struct point *added = &p->items[p->count++];
    *added = (struct point){.x = x, .y = y, .low = NAN, .high = NAN, .series = p->run < 0 ? series : p->run};
    return added;
}

static void answer_point(struct points *p, const struct run *r, const struct run_answer *a, double x,
                         const char *more)
{
    struct interval w = wilson_interval(a->metrics.correct, a->metrics.images);
    struct point *added = point_add(p, x, accuracy_of(a), series_of(a));
    if (!added)
        return;
    added->low = 100 * w.low;
    added->high = 100 * w.high;
    snprintf(added->label, LABEL_SIZE, "%.150s, %.150s%s: %.2f %%", r->name, a->name, more, added->y);
}

/* by_bits: over the bits of weights, or of activations where those alone have fewer; else over the file's size. */
static void sweep_points(struct points *p, const struct table *t, int by_bits)
{
    for (int i = 0; i < t->rows; i++) {
        const char *stage = cell_of(t, i, "stage");
        int series = strcmp(stage, "float") == 0 ? 0
                     : strcmp(stage, "ptq") == 0 ? 1
                     : strcmp(stage, "qat") == 0 ? 2
                                                 : 3;
        double bits = fmin(run_number(t, i, "weight_bits"), run_number(t, i, "activation_bits"));
        double x = by_bits ? bits : run_number(t, i, "bytes") / 1e6;
        struct point *added = point_add(p, x, run_number(t, i, "accuracy"), series);
        if (!added)
            continue;
        added->is_hollow = 1;
        added->low = run_number(t, i, "accuracy_low");
        added->high = run_number(t, i, "accuracy_high");
        snprintf(added->label, LABEL_SIZE,
                 "held out: %.60s %.60s per %.60s, weights %.20s bits, activations %.20s, "
                 "%.20s images, seed %.20s, ranges %.60s: %.2f %%",
                 stage, cell_of(t, i, "observer"), cell_of(t, i, "granularity"), cell_of(t, i, "weight_bits"),
                 cell_of(t, i, "activation_bits"), cell_of(t, i, "calibration_images"), cell_of(t, i, "seed"),
                 cell_of(t, i, "ranges"), added->y);
    }
}

/* Every batch size and number of threads that was timed in the answer's precision. */
static void timing_points(struct points *p, const struct run *r, const struct run_answer *a)
{
    const struct table *t = r->bench;
    if (a->timing < 0)
        return;
    for (int i = 0; i < t->rows; i++) {
        char more[128];
        if (strcmp(cell_of(t, i, "what"), "infer") != 0 ||
            strcmp(cell_of(t, i, "model"), cell_of(t, a->timing, "model")) != 0 ||
            strcmp(cell_of(t, i, "precision"), cell_of(t, a->timing, "precision")) != 0)
            continue;
        snprintf(more, sizeof more, ", batch %.20s, threads %.20s, %.3f ms", cell_of(t, i, "batch"),
                 cell_of(t, i, "threads"), run_number(t, i, "ms_median"));
        int before = p->count;
        answer_point(p, r, a, run_number(t, i, "ms_median"), more);
        if (p->count > before)
            p->items[before].is_hollow = i != a->timing;
    }
}

/* ---- drawing ---- */

static void points_draw(struct html *h, const struct points *p, const char *title, const char *unit,
                        enum svg_scale scale)
{
    struct svg s = {.x = {INFINITY, -INFINITY, scale, unit}, .y = {INFINITY, -INFINITY, SVG_ERROR, "accuracy, %"}};
    char label[256];
    for (int i = 0; i < p->count; i++) {
        svg_include(&s.x, p->items[i].x);
        svg_include(&s.y, p->items[i].y);
        svg_include(&s.y, p->items[i].is_hollow ? NAN : p->items[i].low);
        svg_include(&s.y, p->items[i].is_hollow ? NAN : p->items[i].high);
    }
    html_put(h, "<figure><figcaption>%s</figcaption>", title);
    if (svg_settle(&s.x) && svg_settle(&s.y)) {
        snprintf(label, sizeof label, "%s: %d points; the numbers stand in the tables", title, p->count);
        svg_open(&s, h, label);
        for (int pass = 1; pass >= 0; pass--) /* what was measured on test images lies on top */
            for (int i = 0; i < p->count; i++) {
                const struct point *q = &p->items[i];
                if (q->is_hollow != pass)
                    continue;
                svg_marker_open(&s, q->x, q->y, q->low, q->high, q->series, q->is_hollow);
                html_put(h, "<title>%s</title>", q->label);
                svg_marker_close(&s);
            }
        svg_close(&s);
    } else
        section_missing(h, "Nothing to draw: no size, or no time, of an evaluated model.");
    html_raw(h, "</figure>\n");
}

static void legend(struct html *h, const struct run *runs, int count, int has_sweep)
{
    static const char *const names[] = {"float", "int8 after training", "int8 trained", "other int8"};
    html_raw(h, "<p class=\"legend\">");
    for (int i = 0; i < (count > 1 ? count : 4); i++) {
        svg_sign(h, i, 0);
        html_put(h, " %s &nbsp; ", count > 1 ? runs[i].name : names[i]);
    }
    html_raw(h, " Lines: 95 % intervals. Over time, hollow: other batch sizes and threads.");
    html_raw(h, has_sweep ? " Over size and bits, hollow: the sweep, on held-out images (codes of fewer bits are "
                            "stored in a byte each).</p>\n"
                          : "</p>\n");
}

void section_pareto(struct html *h, const struct run *runs, int count)
{
    int has_sweep = 0;
    struct points *size = memory_new(3, sizeof *size, h->m), *speed = size + 1, *bits = size + 2;
    if (!size) {
        html_check(h, STATUS_NOMEM);
        return;
    }
    section_open(h, "pareto", "Accuracy over size and time",
                 "Higher and further left is better. Point at a mark for its "
                 "configuration.");
    for (int k = 0; k < count; k++) {
        const struct run *r = &runs[k];
        size->run = speed->run = bits->run = count > 1 ? k : -1;
        if (r->sweep) {
            sweep_points(size, r->sweep, 0);
            sweep_points(bits, r->sweep, 1);
        }
        has_sweep |= r->sweep != NULL;
        for (int i = 0; i < r->answer_count; i++) {
            answer_point(size, r, &r->answers[i], (double)r->answers[i].bytes / 1e6, "");
            timing_points(speed, r, &r->answers[i]);
        }
    }
    html_raw(h, "<div class=\"pair\">");
    points_draw(h, size, "Accuracy over the file's size", "MB (logarithmic)", SVG_LOG);
    points_draw(h, speed, "Accuracy over time", "ms an image (logarithmic)", SVG_LOG);
    if (has_sweep)
        points_draw(h, bits, "The sweep, over the fewest bits of weights and activations (held-out images)", "bits",
                    SVG_LINEAR);
    html_raw(h, "</div>");
    legend(h, runs, count, has_sweep);
    if (size->dropped + speed->dropped > 0)
        html_put(h, "<p>%d points beyond %d are left out.</p>\n", size->dropped + speed->dropped, MAX_POINTS);
    memory_free(size);
    section_close(h);
}
