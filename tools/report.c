/* report: a run's folder -> one page that a person opens, and a model card. */
#include "base/memory.h"
#include "page/page.h"
#include "record/file.h"
#include "report/save.h"
#include "tools/common/options.h"
#include "tools/common/report_pages.h"
#include <stdio.h>
#include <string.h>

enum { MAX_RUNS = 8 };

struct opts {
    const char *output, *card, *images, *as;
};

static const char details[] =
    "Reads what stands in DIR, a run of `make results` or any folder of tables (*.tsv) and records "
    "(*.safetensors,\n"
    "*.st), and writes one HTML page: which model is worth its size, what each layer loses, which pictures changed,\n"
    "how long it takes, how it was made. The page needs no network, no other file and no script, prints, and is the\n"
    "same bytes for the same files. Files are told by what is in them, not by their names: metrics, predictions,\n"
    "pairs, logs, timings and sweeps by their columns or kind; what belongs to which model by the digests. What is\n"
    "not there is left out, and the page says so. Several folders are compared: models of the same name, on the same\n"
    "images where the runs share them.\n"
    "\n"
    "With --as it prints what a table says instead:\n"
    "  run DIR              a run's README.md (Markdown)\n"
    "  summary METRICS METRICS METRICS BENCH float=BYTES ptq=BYTES qat=BYTES\n"
    "                       the metrics of float, ptq and qat, joined with their times and sizes (TSV)\n"
    "  table SUMMARY        that table in Markdown\n"
    "  sweep TABLE [CHART]..  what `make sweep` chose, and its tables (Markdown), with links to charts/CHART.png\n"
    "  ablation TABLE       what each choice of the recipe is worth, and what chance makes (Markdown)\n"
    "\n"
    "  report results/quick -o report.html\n"
    "  report results/quick --model-card MODEL_CARD.md -o report.html\n"
    "  report results/seed-1 results/seed-2 -o compare.html\n"
    "  report --as ablation results/quick/ablation.tsv\n";

static int card_write(const struct run *r, const char *path, struct message *m)
{
    struct text card = {0};
    int status = card_of_run(&card, r, m);
    if (status >= 0)
        status = bytes_save(card.data, card.length, path, m);
    text_free(&card);
    return status;
}

static int page_write(const struct opts *o, const struct run *runs, int count, struct message *m)
{
    struct html page = {.m = m};
    int status = count == 1 ? page_of_run(&page, runs, o->images, m) : page_of_runs(&page, runs, count, m);
    if (status >= 0 && o->card)
        status = card_write(runs, o->card, m);
    if (status >= 0)
        status = bytes_save(page.text.data, page.text.length, o->output, m);
    html_free(&page);
    return status;
}

static int run(const struct opts *o, const struct operands *folders, struct message *m)
{
    TRY(output_check(o->output, m));
    TRY(output_check(o->card, m));
    if (o->card && o->output && strcmp(o->card, o->output) == 0)
        return message_set(m, STATUS_MISMATCH, "%s: is both the page and the card", o->card);
    TRY(output_differs(o->images, o->output, m));
    TRY(output_differs(o->images, o->card, m));
    struct run *runs = memory_new((size_t)folders->count, sizeof *runs, m);
    if (!runs)
        return STATUS_NOMEM;
    int status = STATUS_OK;
    for (int i = 0; i < folders->count && status >= 0; i++)
        status = run_load(&runs[i], folders->items[i], m);
    runs_tell_apart(runs, status >= 0 ? folders->count : 0);
    if (status >= 0)
        status = page_write(o, runs, folders->count, m);
    for (int i = 0; i < folders->count; i++)
        run_free(&runs[i]);
    memory_free(runs);
    return status;
}

static int kind_run(const struct opts *o, const struct report_kind *kind, const struct operands *from,
                    struct message *m)
{
    struct text out = {0};
    TRY(output_check(o->output, m));
    for (int i = 0; i < from->count; i++)
        TRY(output_differs(from->items[i], o->output, m));
    int status = kind->print(from->items, from->count, &out, m);
    if (status >= 0)
        status = bytes_save(out.data, out.length, o->output, m);
    text_free(&out);
    return status;
}

static int kind_main(const struct tool *tool, const struct opts *o, const struct operands *from)
{
    struct message m = {{0}};
    const struct report_kind *kind = report_kind_find(o->as);
    if (!kind)
        return tool_misuse(tool, "--as %s: no such kind", o->as);
    if (o->card || o->images)
        return tool_misuse(tool, "%s is of the HTML page", o->card ? "--model-card" : "--images");
    if (from->count < kind->least)
        return tool_misuse(tool, "--as %s: missing operand", kind->name);
    if (from->count > kind->most)
        return tool_misuse(tool, "--as %s: unexpected operand '%s'", kind->name, from->items[kind->most]);
    return tool_end(tool, kind_run(o, kind, from, &m), &m);
}

int main(int argc, char **argv)
{
    struct opts o = {.as = "page"};
    struct message m = {{0}};
    const struct option_spec options[] = {
        OPTION_OUTPUT(&o.output),
        {"as", 0, OPTION_CHOICE, &o.as, 0, 0, 0, "what to print, not the page of a run",
         "page|run|summary|table|sweep|ablation", 0},
        {"model-card", 0, OPTION_STRING, &o.card, 0, 0, "FILE", "also write a model card (Markdown) here", 0, 0},
        {"images", 0, OPTION_STRING, &o.images, 0, 0, "FILE",
         "batches of the evaluated images; without: DIR/.work/test.batches", 0, 0},
    };
    const struct tool tool =
        TOOL("report", "DIR.. | --as KIND INPUT.. [-o FILE]",
             "Write a run's report: one HTML page, or what a table says.", details, options, REPORT_MAX_OPERANDS);
    struct operands folders;
    int status = tool_start(&tool, argc, argv, &folders);
    if (status >= 0)
        return status;
    if (strcmp(o.as, "page") != 0)
        return kind_main(&tool, &o, &folders);
    if (folders.count > MAX_RUNS)
        return tool_misuse(&tool, "unexpected operand '%s'", folders.items[MAX_RUNS]);
    if (folders.count == 0)
        return tool_misuse(&tool, "missing operand: the folder of a run");
    if (folders.count > 1 && (o.card || o.images))
        return tool_misuse(&tool, "%s is of one run, not of %d", o.card ? "--model-card" : "--images",
                           folders.count);
    return tool_end(&tool, run(&o, &folders, &m), &m);
}
