/* section_peers.c: other runtimes beside ours, where the folder has their table (`make peers`). */
#include "page/section.h"
#include <math.h>
#include <string.h>

static void put_row(struct html *h, const struct table *t, int row)
{
    const int is_wrong = strcmp(cell_of(t, row, "correct"), "no") == 0;
    html_put(h, "<tr><th scope=\"row\">%s, batch %s, threads %s</th><td class=\"words\">%s %s (%s)%s</td>",
             cell_of(t, row, "precision"), cell_of(t, row, "batch"), cell_of(t, row, "threads"),
             cell_of(t, row, "program"), cell_of(t, row, "version"), cell_of(t, row, "form"),
             is_wrong ? ", wrong" : "");
    put_cell(h, run_number(t, row, "ms_min"), 3);
    put_cell(h, run_number(t, row, "ms_median"), 3);
    put_cell(h, run_number(t, row, "ratio_median"), 2);
    html_put(h, "<td>%s</td><td>%s</td></tr>\n", cell_of(t, row, "agreement"), cell_of(t, row, "accuracy"));
}

void put_peers(struct html *h, const struct run *r)
{
    const struct table *t = r->peers;
    int wrong = 0;
    if (!t)
        return;
    frame_open(h, "Other programs with the same network on the same images", "sort");
    html_raw(h, "<thead><tr><th scope=\"col\">case</th><th scope=\"col\" class=\"words\">program</th><th "
                "scope=\"col\">ms an "
                "image, least</th><th scope=\"col\">median</th><th scope=\"col\">resq's time / its, median</th><th "
                "scope=\"col\">same class as resq, %</th><th scope=\"col\">accuracy, %</th></tr></thead><tbody>\n");
    for (int row = 0; row < t->rows; row++) {
        put_row(h, t, row);
        wrong += strcmp(cell_of(t, row, "correct"), "no") == 0;
    }
    html_raw(h, "</tbody>");
    frame_close(h);
    if (wrong)
        html_raw(h, "<p>Wrong: the integer logits differ from those of the network that the program was given by "
                    "more than other "
                    "roundings explain.</p>\n");
}
