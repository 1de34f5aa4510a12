/* cifar-load: images from files -> batches. */
#include "tools/common/image_stats.h"
#include "tools/common/images.h"
#include "tools/common/options.h"
#include "tools/common/wish.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/batch.h"
#include "data/dataset.h"
#include "record/file.h"
#include "record/stream.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options {
    const char *data, *split, *part, *output, *export;
    int64_t epochs, from, seed, count, offset, batch;
    int shuffle, stats, cache, verbose, quiet;
    struct wish_arguments pictures;
    struct dataset_wish wish;
};

static const char details[] = WISH_HELP
    "The held-out tenth of the train split is every tenth image of each class. -n and --offset take images of\n"
    "the part in index order; --shuffle then orders them anew in each epoch. --epochs counts from the start of\n"
    "training, so that --from E leaves the batches of the epochs from E on as they were, byte for byte.\n\n"
    "Of an archive a decoded copy is kept in $XDG_CACHE_HOME/resq/images (~/.cache/resq/images): 184 MB for\n"
    "CIFAR-10, at most 1 GiB each and 2 GiB in all. It is named by the archive's SHA-256, checked when read,\n"
    "changes nothing but time, and may be removed. --no-cache, or RESQ_CACHE=off in the environment, does\n"
    "without.\n\n"
    "  cifar-load --split train --part train --shuffle --epochs 5 | augment --crop 4 --flip 0.5 | train-fp32 -o M\n"
    "  cifar-load --split test -o test.batches\n"
    "  cifar-load --export DIR\n";

/* ---- batches ---- */

struct stream {
    const struct options *o;
    const struct dataset *data;
    struct lineage lineage;
    struct record_writer *writer;
    struct progress progress;
    char *classes;
    int64_t *indices, *order, total, written;
};

static int batch_write(struct stream *s, int64_t epoch, int64_t position, struct record **last, struct message *m)
{
    struct batch b;
    int64_t left = s->total - position, count = left < s->o->batch ? left : s->o->batch;
    TRY(batch_from_dataset(&b, s->data, s->o->part, s->classes, s->order + position, count, epoch, position,
                           s->total, m));
    int status = lineage_apply(b.record, NULL, "cifar-load", &s->lineage, NULL, 0, m);
    if (status >= 0)
        status = writer_put(s->writer, b.record, m);
    s->written += count;
    progress_show(&s->progress, s->written, NULL);
    record_free(*last);
    *last = b.record;
    return status;
}

static int batches_write(struct stream *s, struct message *m)
{
    struct record *last = NULL; /* the end record takes its metadata */
    int status = 0;
    for (int64_t epoch = s->o->from; epoch < s->o->epochs && status >= 0; epoch++) {
        memcpy(s->order, s->indices, (size_t)s->total * sizeof *s->order);
        if (s->o->shuffle)
            indices_shuffle(s->order, s->total, (uint64_t)s->o->seed, (uint32_t)epoch);
        for (int64_t at = 0; at < s->total && status >= 0; at += s->o->batch)
            status = batch_write(s, epoch, at, &last, m);
    }
    if (status >= 0)
        status = batch_write_end(s->writer, s->written, last, m);
    record_free(last);
    return status;
}

/* s->writer is open since before the images were read, so that a bad output is known at once. */
static int stream_run(struct stream *s, const struct tool *t, struct message *m)
{
    s->classes = classes_to_json(s->data->classes, s->data->class_count, m);
    s->order = s->classes ? memory_new_raw((size_t)s->total, sizeof *s->order, m) : NULL;
    if (!s->order)
        return STATUS_NOMEM;
    s->lineage.message = m;
    tool_lineage(t, &s->lineage);
    lineage_add(&s->lineage, "data", "%s", s->data->digest);
    /* in a pipe the line belongs to the last tool */
    progress_open(&s->progress, stderr, s->o->quiet || !s->o->output, tool_called(t),
                  s->total * (s->o->epochs - s->o->from));
    int status = batches_write(s, m);
    progress_close(&s->progress);
    return status;
}

/* ---- the .bin files ---- */

static void export_interrupted(int signal_number)
{
    dataset_export_abandon();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static int export_run(const struct options *o, const char *path, struct message *warning, struct message *m)
{
    atexit(dataset_export_abandon);
    signal(SIGINT, export_interrupted);
    signal(SIGTERM, export_interrupted);
    signal(SIGHUP, export_interrupted);
    return dataset_export(path, &o->wish, o->export, warning, m);
}

/* ---- main ---- */

static int load_run(const struct options *o, const struct tool *t, const char *path, struct message *m)
{
    struct dataset d = {0};
    struct stream s = {.o = o, .data = &d};
    const struct images_request request = {path,     o->split, o->part,    o->wish, o->offset,
                                           o->count, o->cache, o->verbose, o->quiet};
    int status;
    TRY_GOTO(output_differs(path, o->output, m), end);
    TRY_GOTO(o->stats ? output_check(o->output, m) : writer_open(&s.writer, o->output, m), end);
    TRY_GOTO(images_read(t, &request, &d, &s.indices, &s.total, m), end);
    TRY_GOTO(o->stats ? image_stats_print(&d, o->part, s.indices, s.total, o->output, m) : stream_run(&s, t, m),
             end);
    if (s.writer) {
        struct record_writer *w = s.writer;
        s.writer = NULL; /* commit releases it, whatever comes out */
        status = writer_commit(w, m);
    }
end:
    writer_abandon(s.writer);
    lineage_free(&s.lineage);
    memory_free(s.classes);
    memory_free(s.order);
    memory_free(s.indices);
    dataset_free(&d);
    return status;
}

static int run(const struct options *o, const struct tool *t, struct message *m)
{
    char path[PATH_MAX];
    struct message warning = {{0}};
    TRY(images_find(o->data, path, m));
    if (!o->export)
        return load_run(o, t, path, m);
    TRY(export_run(o, path, &warning, m));
    if (warning.text[0] && !o->quiet)
        tool_warn(t, "%s", warning.text);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o = {.split = "train", .part = "all", .epochs = 1, .seed = 1, .batch = 128, .cache = 1};
    const struct option_spec options[] = {
        OPTION_DATA(&o.data),
        {"split", 0, OPTION_CHOICE, &o.split, 0, 0, 0, "which images", "train|test", 1},
        {"part", 0, OPTION_CHOICE, &o.part, 0, 0, 0, "which of the train split", "train|held-out|all", 1},
        {"epochs", 0, OPTION_INTEGER, &o.epochs, 1, 1e9, "N", "how often each image comes", 0, 1},
        {"from", 0, OPTION_INTEGER, &o.from, 0, 1e9, "EPOCH", "leave out the epochs before this one, 0-based", 0,
         0},
        {"shuffle", 0, OPTION_FLAG, &o.shuffle, 0, 0, 0, "another order in each epoch", 0, 1},
        OPTION_SEED(&o.seed),
        OPTION_COUNT(&o.count),
        {"offset", 0, OPTION_INTEGER, &o.offset, 0, 1e15, "N", "leave out the part's first N images", 0, 1},
        OPTION_BATCH(&o.batch, 1),
        OPTION_OUTPUT(&o.output),
        {"export", 0, OPTION_STRING, &o.export, 0, 0, "DIR", "write both splits as .bin files into a new folder", 0,
         0},
        WISH_OPTIONS(o.pictures),
        {"cache", 0, OPTION_FLAG, &o.cache, 0, 0, 0, "use a decoded copy of an archive, and make it", 0, 0},
        {"stats", 0, OPTION_FLAG, &o.stats, 0, 0, 0, "print mean and deviation of each channel (TSV)", 0, 0},
        OPTION_VERBOSE(&o.verbose),
        OPTION_QUIET(&o.quiet),
    };
    const struct tool tool = TOOL("cifar-load", "[-d PATH] [--split SPLIT] [--part PART] [OPTION]... [-o FILE]",
                                  "read pictures and write them as batches", details, options, 0);
    struct message m = {{0}};
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    if (strcmp(o.split, "test") == 0 && strcmp(o.part, "all") != 0)
        return tool_misuse(&tool, "--part: the test split has only 'all'");
    if (o.from >= o.epochs)
        return tool_misuse(&tool, "--from: %lld is not below --epochs %lld", (long long)o.from,
                           (long long)o.epochs);
    if (wish_take(&o.pictures, &o.wish, &m) < 0)
        return tool_misuse(&tool, "%s", m.text);
    if (o.export && (o.stats || o.output))
        return tool_misuse(&tool, "--export goes with neither --stats nor --output");
    return tool_end(&tool, run(&o, &tool, &m), &m);
}
