/* plan: the study that fits into some minutes here, as a profile. */
#include "base/memory.h"
#include "base/progress.h"
#include "base/threads.h"
#include "record/file.h"
#include "tools/common/images.h"
#include "tools/common/plan_measure.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char details[] =
    "Times a training step and the inference of ResNet-18 at several widths, a second or two each, and chooses the\n"
    "width, the epochs and how many images every stage of the study gets so that all of it takes --minutes with -j\n"
    "threads; then the recipe follows from these. The profile says every choice and why. What it chose is said in two\n"
    "lines on standard error; where not even the smallest study fits, one line says what that would take.\n\n"
    "--spent: so many seconds of the minutes have passed already (building, exporting images); they are taken off, but\n"
    "never more than a fifth of the minutes. --timings FILE takes the speeds from a table instead of the clock:\n"
    "width train_fp32 train_bf16 infer augment, in images a second (augment: on one thread), for widths 8, 16, 32, 64.\n\n"
    "  plan --minutes 30 -d build/data/embedded -o thirty.mk && make results PROFILE=thirty.mk\n";

struct opts {
    const char *data, *run, *timings, *output;
    double minutes, spent;
    int64_t threads;
    int quiet;
};

/* How many images there are, of a split: all of it, or its held-out part. */
static int count_images(const char *path, const char *split, int64_t *count, int64_t *held_out, int *classes,
                        struct image_shape *shape, struct message *m)
{
    struct dataset d;
    TRY(dataset_open(&d, path, split, NULL, NULL, NULL, NULL, m));
    *shape = d.shape;
    int64_t *indices = memory_new((size_t)d.count, sizeof *indices, m);
    *count = d.count;
    *classes = d.class_count;
    if (indices && held_out)
        *held_out = dataset_part(&d, "held-out", indices);
    memory_free(indices);
    dataset_free(&d);
    return indices ? STATUS_OK : STATUS_NOMEM;
}

static int look(const struct opts *o, struct budget_given *g, int *classes, struct image_shape *shape,
                struct message *m)
{
    char path[PATH_MAX];
    TRY(images_find(o->data, path, m));
    TRY(count_images(path, "test", &g->test, NULL, classes, shape, m));
    TRY(count_images(path, "train", &g->train, &g->held_out, classes, shape, m));
    g->train -= g->held_out;
    if (g->train < 1 || g->held_out < 1 || g->test < 1)
        return message_set(m, STATUS_RANGE, "%s: too few images: %lld to train on, %lld held out, %lld to test",
                           path, (long long)g->train, (long long)g->held_out, (long long)g->test);
    return STATUS_OK;
}

static void say(const struct tool *tool, const struct budget_given *g, const struct budget *b, const char *minutes)
{
    const struct budget_speed *s = g->speeds;
    int i = 0;
    while (budget_widths[i].width != b->width)
        i++;
    fprintf(stderr, "%s: width %d, %lld epoch%s of %lld images in %s: about %.1f of %s minutes\n",
            tool_called(tool), b->width, (long long)b->epochs, b->epochs == 1 ? "" : "s", (long long)b->images,
            b->is_bf16 ? "bf16" : "fp32", b->total / 60, minutes);
    fprintf(stderr,
            "%s: it trains on %.0f images a second, with %d thread%s; tested on %lld images, fine-tuned on %lld\n",
            tool_called(tool), b->is_bf16 ? s[i].bf16 : s[i].fp32, g->threads, g->threads == 1 ? "" : "s",
            (long long)b->test, (long long)b->qat);
}

static int save(const struct opts *o, const struct text *t, struct message *m)
{
    struct atomic_file f;
    TRY(atomic_open(&f, o->output, m));
    fwrite(t->data, 1, t->length, f.stream); /* a failure is found by the commit */
    return atomic_commit(&f, m);
}

static int run(const struct tool *tool, const struct opts *o, struct message *m)
{
    struct budget_given g = {.threads = (int)o->threads};
    struct budget b;
    struct text t = {0};
    struct image_shape shape;
    int classes;
    char minutes[32];
    format_number(minutes, o->minutes);
    TRY(output_check(o->output, m));
    TRY(look(o, &g, &classes, &shape, m));
    g.seconds = o->minutes * 60 - fmin(o->spent, o->minutes * 12);
    const double began = clock_seconds();
    TRY(o->timings ? plan_read(&g, o->timings, m) : plan_measure(&g, shape, classes, m));
    if (!o->timings) /* measuring is a part of the study; what is left may be too little, but not nothing */
        g.seconds = fmax(g.seconds - (clock_seconds() - began), 1);
    int status = budget_plan(&g, &b, m);
    if (status < 0)
        return message_prefix(m, status, "%s minutes are too few", minutes);
    status = budget_print(&g, &b, o->run, minutes, &t, m);
    if (status >= 0)
        status = save(o, &t, m);
    if (status >= 0 && !o->quiet)
        say(tool, &g, &b, minutes);
    text_free(&t);
    return status;
}

int main(int argc, char **argv)
{
    struct opts o = {.minutes = 10, .run = "auto", .threads = threads_online()};
    struct message m = {{0}};
    const struct option_spec options[] = {
        {"minutes", 0, OPTION_NUMBER, &o.minutes, 0.01, 1e6, "MINUTES", "what the whole study may take", 0, 0},
        {"spent", 0, OPTION_NUMBER, &o.spent, 0, 1e9, "SECONDS", "of these so much is over", 0, 0},
        OPTION_DATA(&o.data),
        OPTION_THREADS(&o.threads),
        {"run", 0, OPTION_STRING, &o.run, 0, 0, "NAME", "the run's folder, as the profile is to name it", 0, 0},
        {"timings", 0, OPTION_STRING, &o.timings, 0, 0, "FILE", "speeds from this table", 0, 0},
        OPTION_OUTPUT(&o.output),
        OPTION_QUIET(&o.quiet),
    };
    const struct tool tool =
        TOOL("plan", "[--minutes M] [-d IMAGES] [-o PROFILE]",
             "Choose the study that fits into some minutes on this machine.", details, options, 0);
    int status = tool_start(&tool, argc, argv, NULL);
    if (status >= 0)
        return status;
    return tool_end(&tool, run(&tool, &o, &m), &m);
}
