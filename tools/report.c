/* report: a run's folder -> one page that a person opens, and a model card. */
#include "base/memory.h"
#include "page/page.h"
#include "record/file.h"
#include "report/save.h"
#include "tools/common/options.h"
#include <stdio.h>
#include <string.h>

enum { MAX_RUNS = 8 };

struct opts {
    const char *output, *card, *images;
};

static const char details[] =
    "Reads what stands in DIR, a run of `make results` or any folder of tables (*.tsv) and records (*.safetensors, "
    "*.st), and\n"
    "writes one HTML page: which model is worth its size, what each layer loses, which pictures changed, how long "
    "it takes,\n"
    "how it was made. The page needs no network, no other file and no script, prints, and is the same bytes for "
    "the same\n"
    "files. Files are told by what is in them, not by their names: metrics, predictions, pairs, logs, timings and "
    "sweeps by\n"
    "their columns or kind; what belongs to which model by the digests. What is not there is left out, and the "
    "page says so.\n"
    "Several folders are compared: models of the same name, on the same images where the runs share them.\n"
    "\n"
    "  report results/quick -o report.html\n"
    "  report results/quick --model-card MODEL_CARD.md -o report.html\n"
    "  report results/seed-1 results/seed-2 -o compare.html\n";

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

int main(int argc, char **argv)
{
    struct opts o = {0};
    struct message m = {{0}};
    const struct option_spec options[] = {
        OPTION_OUTPUT(&o.output),
        {"model-card", 0, OPTION_STRING, &o.card, 0, 0, "FILE", "also write a model card (Markdown) here", 0, 0},
        {"images", 0, OPTION_STRING, &o.images, 0, 0, "FILE",
         "batches of the evaluated images; without: DIR/.work/test.batches", 0, 0},
    };
    const struct tool tool =
        TOOL("report", "DIR.. [-o FILE]", "Write a run's report: one HTML page.", details, options, MAX_RUNS);
    struct operands folders;
    int status = tool_start(&tool, argc, argv, &folders);
    if (status >= 0)
        return status;
    if (folders.count == 0)
        return tool_misuse(&tool, "missing operand: the folder of a run");
    if (folders.count > 1 && (o.card || o.images))
        return tool_misuse(&tool, "%s is of one run, not of %d", o.card ? "--model-card" : "--images",
                           folders.count);
    return tool_end(&tool, run(&o, &folders, &m), &m);
}
