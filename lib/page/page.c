#include "page/page.h"
#include "page/section.h"
#include "record/digest.h"
#include <stdio.h>
#include <string.h>

static int digit_of(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* The page may load nothing and run nothing but its own script, known by its digest: a second lock behind escaping. */
static void policy(struct html *h)
{
    char hex[DIGEST_HEX];
    unsigned char bytes[(DIGEST_HEX - 1) / 2];
    digest_bytes(page_script, strlen(page_script), hex);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(digit_of(hex[2 * i]) * 16 + digit_of(hex[2 * i + 1]));
    html_raw(h,
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src "
             "'unsafe-inline'; script-src 'sha256-");
    html_base64(h, bytes, sizeof bytes);
    html_raw(h, "'; base-uri 'none'; form-action 'none'\">\n");
}

static void head(struct html *h, const char *title)
{
    html_raw(h, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    policy(h);
    html_put(h,
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"generator\" "
             "content=\"resq "
             "report\">\n<meta name=\"referrer\" content=\"no-referrer\">\n<link rel=\"icon\" "
             "href=\"data:,\">\n<title>%s</title>\n<style>\n",
             title);
    html_raw(h, page_style);
    html_raw(h, "</style>\n</head>\n<body>\n");
}

static void foot(struct html *h)
{
    html_raw(h, "</main>\n<script>");
    html_raw(h, page_script);
    html_raw(h, "</script>\n</body>\n</html>\n");
}

static void contents(struct html *h, const char *const (*links)[2], size_t count)
{
    html_raw(h, "<nav aria-label=\"On this page\"><ul>");
    for (size_t i = 0; i < count; i++)
        html_put(h, "<li><a href=\"#%s\">%s</a></li>", links[i][0], links[i][1]);
    html_raw(h, "</ul></nav>\n");
}

static void put_data(struct html *h, const struct run *r)
{
    const char *dataset = run_note(r, "dataset"), *split = run_note(r, "split");
    html_raw(h, "<p class=\"lead\">");
    if (r->answer_count)
        html_put(h, "%s%s%s%s%lld images, %d classes.", dataset, *dataset ? ", " : "", split, *split ? ": " : "",
                 (long long)r->answers[0].metrics.images, r->answers[0].metrics.classes);
    html_raw(h, "</p>\n");
}

int page_of_run(struct html *h, const struct run *r, const char *images, struct message *m)
{
    static const char *const links[][2] = {{"models", "Models"},
                                           {"pareto", "Accuracy over size and time"},
                                           {"network", "Network"},
                                           {"layers", "Layers"},
                                           {"changed", "Pictures that changed"},
                                           {"confusion", "Classes"},
                                           {"calibration", "Confidence"},
                                           {"curves", "Training"},
                                           {"timing", "Time"},
                                           {"provenance", "How it was made"},
                                           {"files", "Tables"}};
    char title[RUN_NAME_SIZE + 64];
    snprintf(title, sizeof title, "%s: float and int8", r->name);
    h->m = m;
    head(h, title);
    html_put(h, "<header><h1>%s</h1>\n", title);
    put_data(h, r);
    section_verdict(h, r);
    html_raw(h, "</header>\n");
    contents(h, links, sizeof links / sizeof links[0]);
    html_raw(h, "<main>\n");
    section_models(h, r);
    section_pareto(h, r, 1);
    section_network(h, r);
    section_layers(h, r);
    section_changed(h, r, images);
    section_confusion(h, r);
    section_calibration(h, r);
    section_curves(h, r, 1);
    section_timing(h, r);
    section_provenance(h, r);
    section_files(h, r);
    foot(h);
    return h->status;
}

/* ---- several runs ---- */

static void compare_row(struct html *h, const struct run *a, const struct run_answer *x, const struct run *b,
                        const struct run_answer *y)
{
    struct pair_metrics pair;
    html_put(h, "<tr><th scope=\"row\">%s, %s</th><th scope=\"row\">%s, %s</th>", a->name, x->name, b->name,
             y->name);
    put_cell(h,
             100 * ((double)y->metrics.correct / (double)y->metrics.images -
                    (double)x->metrics.correct / (double)x->metrics.images),
             2);
    int paired = 0;
    if (x->predictions.count && y->predictions.count)
        html_check(h, paired = run_pair(a, x, y, &pair, h->m));
    if (h->status >= 0 && paired) {
        html_put(h, "<td>%.2f</td><td>%lld</td><td>%lld</td><td>%.3g</td>",
                 100 * (double)pair.agree / (double)pair.images, (long long)pair.only_first,
                 (long long)pair.only_second, pair.mcnemar_p);
        pair_free(&pair);
    } else
        html_raw(h, "<td colspan=\"4\">not the same images, or no predictions</td>");
    html_raw(h, "</tr>\n");
}

static void section_compare(struct html *h, const struct run *runs, int count)
{
    section_open(h, "compare", "Run beside run",
                 "The same kind of model in two runs, on the same images where the runs share them: "
                 "difference of accuracy in points, and McNemar's exact p.");
    frame_open(h, "Models of the same name, run beside run", "sort");
    html_raw(
        h,
        "<thead><tr><th scope=\"col\">first</th><th scope=\"col\">second</th><th scope=\"col\">difference</th><th "
        "scope=\"col\">"
        "same answer, %</th><th scope=\"col\">only the first right</th><th scope=\"col\">only the second right</th>"
        "<th scope=\"col\">p</th></tr></thead><tbody>\n");
    for (int a = 0; a < count; a++)
        for (int b = a + 1; b < count; b++)
            for (int i = 0; i < runs[a].answer_count; i++)
                for (int k = 0; k < runs[b].answer_count; k++)
                    if (strcmp(runs[a].answers[i].name, runs[b].answers[k].name) == 0)
                        compare_row(h, &runs[a], &runs[a].answers[i], &runs[b], &runs[b].answers[k]);
    html_raw(h, "</tbody>");
    frame_close(h);
    section_close(h);
}

/* What belongs to one run, under its name; ids get the run's number. */
static void part_of(struct html *h, const struct run *r, int k)
{
    html_put(h, "<section id=\"run%d\"><h2>%s</h2>\n", k + 1, r->name);
    put_data(h, r);
    section_verdict(h, r);
    put_models(h, r);
    html_raw(h, "</section>\n");
}

int page_of_runs(struct html *h, const struct run *runs, int count, struct message *m)
{
    static const char *const links[][2] = {
        {"compare", "Run beside run"}, {"pareto", "Accuracy over size and time"}, {"curves", "Training"}};
    h->m = m;
    head(h, "Runs beside each other");
    html_raw(h, "<header><h1>Runs beside each other</h1></header>\n");
    contents(h, links, sizeof links / sizeof links[0]);
    html_raw(h, "<main>\n");
    section_compare(h, runs, count);
    section_pareto(h, runs, count);
    section_curves(h, runs, count);
    for (int k = 0; k < count; k++)
        part_of(h, &runs[k], k);
    foot(h);
    return h->status;
}
