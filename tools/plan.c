/* plan: the study that fits into some minutes here, as a profile. */
#include "base/memory.h"
#include "base/progress.h"
#include "base/threads.h"
#include "record/file.h"
#include "report/save.h"
#include "tools/common/beside.h"
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
    "--network, --graph or --init, as of train-fp32: that network is timed instead, and planned for, however few its\n"
    "epochs.\n\n"
    "--spent: so many seconds of the minutes have passed already (building, exporting images); they are taken off, but\n"
    "never more than a fifth of the minutes. --timings FILE takes the speeds from a table instead of the clock:\n"
    "width train_fp32 train_bf16 infer augment, in images a second (augment: on one thread), for widths 8, 16, 32, 64;\n"
    "train_half and train_three_quarters too, on pictures of half and of three quarters of their sides.\n\n"
    "  plan --minutes 30 -d build/data/embedded -o thirty.mk && make results PROFILE=thirty.mk\n";

struct opts {
    const char *data, *run, *timings, *output;
    struct float_training network;
    char network_file[PATH_MAX];
    struct text called; /* the network, as the study's NETWORK */
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

static int look(struct opts *o, struct budget_given *g, struct message *m)
{
    char path[PATH_MAX];
    int classes;
    TRY(images_find(o->data, path, m));
    TRY(count_images(path, "test", &g->test, NULL, &classes, &o->network.image, m));
    TRY(count_images(path, "train", &g->train, &g->held_out, &classes, &o->network.image, m));
    o->network.classes = classes;
    g->image = o->network.image;
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
    char width[32], small[48];
    while (budget_widths[i].width != b->width)
        i++;
    snprintf(width, sizeof width, "width %d", b->width);
    snprintf(small, sizeof small, ", %lld of them small,",
             (long long)growth_begin(&b->growth, b->growth.count, b->epochs));
    fprintf(stderr, "%s: %s, %lld epoch%s of %lld images%s in %s: about %.1f of %s minutes\n", tool_called(tool),
            g->network ? g->network : width, (long long)b->epochs, b->epochs == 1 ? "" : "s", (long long)b->images,
            b->growth.count ? small : "", b->is_bf16 ? "bf16" : "fp32", b->total / 60, minutes);
    fprintf(stderr,
            "%s: it trains on %.0f images a second, with %d thread%s; tested on %lld images, fine-tuned on %lld\n",
            tool_called(tool), b->is_bf16 ? s[i].bf16 : s[i].fp32, g->threads, g->threads == 1 ? "" : "s",
            (long long)b->test, (long long)b->qat);
}

static int run(const struct tool *tool, struct opts *o, struct message *m)
{
    struct budget_given g = {.network = o->called.data, .threads = (int)o->threads};
    struct budget b;
    struct text t = {0};
    char minutes[32];
    format_number(minutes, o->minutes);
    TRY(output_check(o->output, m));
    TRY(look(o, &g, m));
    g.seconds = o->minutes * 60 - fmin(o->spent, o->minutes * 12);
    const double began = clock_seconds();
    TRY(o->timings ? plan_read(&g, o->timings, m) : plan_measure(&g, &o->network, m));
    if (!o->timings) /* measuring is a part of the study; what is left may be too little, but not nothing */
        g.seconds = fmax(g.seconds - (clock_seconds() - began), 1);
    int status = budget_plan(&g, &b, m);
    if (status < 0)
        return message_prefix(m, status, "%s minutes are too few%s%s", minutes, g.network ? " for " : "",
                              g.network ? g.network : "");
    status = budget_print(&g, &b, o->run, minutes, &t, m);
    if (status >= 0)
        status = bytes_save(t.data, t.length, o->output, m);
    if (status >= 0 && !o->quiet)
        say(tool, &g, &b, minutes);
    text_free(&t);
    return status;
}

/* FILE as a word of the shell. */
static int add_word(struct text *t, const char *option, const char *file, struct message *m)
{
    TRY(text_add(t, m, "%s '", option));
    for (const char *c = file; *c; c++)
        TRY(text_add(t, m, "%s%c%s", *c == '\'' ? "'\\" : "", *c, *c == '\'' ? "'" : ""));
    return text_add(t, m, "'");
}

/* What was named: its file, and how the study names it. 0, or the exit status. */
static int take_network(const struct tool *tool, struct opts *o, struct message *m)
{
    struct float_training *n = &o->network;
    if (!!n->network_name + !!n->graph + !!n->init > 1)
        return tool_misuse(tool, "--network, --graph and --init: one of them");
    if (n->network_name && network_find(n->network_name, o->network_file, sizeof o->network_file, m) < 0)
        return tool_misuse(tool, "--network: %s", m->text);
    n->network = n->network_name ? o->network_file : NULL;
    int status = n->network ? text_add(&o->called, m, "%s", n->network_name)
                 : n->graph ? add_word(&o->called, "--graph", n->graph, m)
                 : n->init  ? add_word(&o->called, "--init", n->init, m)
                            : STATUS_OK;
    return status < 0 ? tool_end(tool, status, m) : 0;
}

int main(int argc, char **argv)
{
    struct opts o = {.minutes = 10, .run = "auto", .threads = threads_online()};
    struct message m = {{0}};
    const struct option_spec options[] = {
        {"minutes", 0, OPTION_NUMBER, &o.minutes, 0.01, 1e6, "MINUTES", "what the whole study may take", 0, 0},
        {"spent", 0, OPTION_NUMBER, &o.spent, 0, 1e9, "SECONDS", "of these so much is over", 0, 0},
        OPTION_DATA(&o.data),
        {"network", 0, OPTION_STRING, &o.network.network_name, 0, 0, "NAME",
         "the network of this name, instead of ResNet-18", 0, 0},
        {"graph", 0, OPTION_STRING, &o.network.graph, 0, 0, "FILE", "for this one", 0, 0},
        {"init", 0, OPTION_STRING, &o.network.init, 0, 0, "MODEL", "for this model's", 0, 0},
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
    int misused = take_network(&tool, &o, &m);
    status = misused ? misused : tool_end(&tool, run(&tool, &o, &m), &m);
    text_free(&o.called);
    return status;
}
