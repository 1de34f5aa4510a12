/* section_timing.c: what bench measured, as distributions, and how near the machine's peak. */
#include "page/section.h"
#include <math.h>
#include <string.h>

enum { MOST_ROWS = 120, STRIP = 160 };

/* The milliseconds across a strip, from its left to its right end. */
struct span {
    double least, most;
};

/* Least, median and 95th percentile on the table's own scale. */
static void strip(struct html *h, const struct table *t, int i, const struct span *all)
{
    double least = run_number(t, i, "ms_min"), median = run_number(t, i, "ms_median"),
           high = run_number(t, i, "ms_p95");
    if (!isfinite(least + median + high) || !(least > 0))
        return;
    double from = log(all->least), scale = (STRIP - 8) / fmax(log(all->most) - from, 1e-9);
    double a = 4 + (log(least) - from) * scale, b = 4 + (log(median) - from) * scale,
           c = 4 + (log(high) - from) * scale;
    html_put(h,
             "<svg class=\"times\" viewBox=\"0 0 %d 14\" role=\"img\" aria-label=\"%.3f to %.3f ms, median "
             "%.3f\"><path class=\"span\" "
             "d=\"M%.1f 7H%.1f\"/><path class=\"ends\" d=\"M%.1f 3v8M%.1f 3v8\"/><circle class=\"median\" "
             "cx=\"%.1f\" cy=\"7\" r=\"3\"/></svg>",
             STRIP, least, high, median, a, c, a, c, b);
}

static void row_put(struct html *h, const struct table *t, int i, const struct span *all)
{
    html_put(h, "<tr><th scope=\"row\">%.80s</th><td>%.20s</td><td>%.20s</td><td>%.20s</td><td>%.20s</td><td>",
             cell_of(t, i, "model"), cell_of(t, i, "precision"), cell_of(t, i, "isa"), cell_of(t, i, "threads"),
             cell_of(t, i, "batch"));
    strip(h, t, i, all);
    html_raw(h, "</td>");
    put_cell(h, run_number(t, i, "ms_min"), 3);
    put_cell(h, run_number(t, i, "ms_median"), 3);
    put_cell(h, run_number(t, i, "ms_p95"), 3);
    put_cell(h, run_number(t, i, "samples_per_s"), 1);
    put_cell(h, run_number(t, i, "gmac_per_s"), 1);
    put_cell(h, run_number(t, i, "peak_gmac_per_s"), 1);
    put_cell(h, 100 * run_number(t, i, "of_peak"), 1);
    html_raw(h, "</tr>\n");
}

static void notes(struct html *h, const struct table *t)
{
    html_raw(h, "<p>");
    for (int i = 0; i < t->notes; i++)
        html_put(h, "%s%s: %s", i ? "; " : "", t->note_keys[i], t->note_values[i]);
    html_raw(h, "</p>\n");
}

void section_timing(struct html *h, const struct run *r)
{
    const struct table *t = r->bench;
    section_open(
        h, "timing", "Time",
        "Milliseconds an image: least, median and 95th percentile of the calls (logarithmic). The peak is "
        "what this machine's own kernels reach when they do nothing but multiply; beyond 100 % a "
        "faster algorithm needs fewer products than are counted (Winograd) or cheaper ones (pairs of few bits).");
    if (!t || t->rows == 0)
        section_missing(h, "No timings here (bench).");
    else {
        struct span all = {INFINITY, 0};
        int left_out = 0, shown = 0;
        for (int i = 0; i < t->rows; i++)
            if (strcmp(cell_of(t, i, "what"), "infer") == 0 && run_number(t, i, "ms_min") > 0) {
                all.least = fmin(all.least, run_number(t, i, "ms_min"));
                all.most = fmax(all.most, run_number(t, i, "ms_p95"));
            }
        notes(h, t);
        frame_open(h, "Timings", "sort");
        html_raw(h, "<thead><tr><th scope=\"col\">model</th><th scope=\"col\">precision</th><th "
                    "scope=\"col\">ISA</th><th scope=\"col\">"
                    "threads</th><th scope=\"col\">batch</th><th scope=\"col\">distribution</th><th "
                    "scope=\"col\">least, ms</th>"
                    "<th scope=\"col\">median</th><th scope=\"col\">p95</th><th scope=\"col\">images/s</th><th "
                    "scope=\"col\">GMAC/s</th>"
                    "<th scope=\"col\">peak</th><th scope=\"col\">of peak, %</th></tr></thead><tbody>\n");
        for (int i = 0; i < t->rows; i++)
            if (strcmp(cell_of(t, i, "what"), "infer") == 0) {
                left_out += shown >= MOST_ROWS;
                if (shown++ < MOST_ROWS)
                    row_put(h, t, i, &all);
            }
        html_raw(h, "</tbody>");
        frame_close(h);
        if (left_out)
            html_put(h, "<p>%d more rows are left out; the table below has them.</p>\n", left_out);
    }
    put_peers(h, r);
    section_close(h);
}
