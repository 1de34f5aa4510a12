/* A plan as a profile of the study. */
#include "train/budget.h"
#include <stdio.h>

/* 0 stands for all. */
static long long or_all(int64_t count, int64_t all)
{
    return count < all ? (long long)count : 0;
}

static int print_speeds(const struct budget_given *g, struct text *t, struct message *m)
{
    TRY(text_add(t, m, "# Timed, in images a second with %d thread%s:\n", g->threads, g->threads == 1 ? "" : "s"));
    for (int i = 0; i < BUDGET_WIDTHS && g->speeds[i].fp32 > 0; i++) {
        char width[16];
        snprintf(width, sizeof width, "width %-2d", budget_widths[i].width);
        TRY(text_add(t, m, "#   %s  training %.0f in fp32, %.0f in bf16; inference %.0f\n",
                     g->network ? "this network" : width, g->speeds[i].fp32, g->speeds[i].bf16,
                     g->speeds[i].infer));
        for (int k = 0; k < BUDGET_SIZES; k++) {
            struct image_shape small;
            if (budget_size(g->image, k, &small) && g->speeds[i].small[k] > 0)
                TRY(text_add(t, m, "#     on pictures of %dx%d training %.0f\n", small.height, small.width,
                             g->speeds[i].small[k]));
        }
    }
    return text_add(t, m, "#   augmenting %.0f on one thread\n", g->augment);
}

static const char *augmentation(double epochs)
{
    return epochs < 8    ? "--crop 4 --pad reflect --flip 0.5 --flip-alternate"
           : epochs < 16 ? "--crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0"
           : epochs < 40 ? "--crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0 --cutout 8"
                         : "--crop 4 --pad reflect --flip 0.5 --jitter 0.1,0.1,0.1,0.02 --rotation 3 --cutout 12";
}

/* The text of a make variable: what make itself would read in it is doubled or escaped. */
static int print_value(const char *text, struct text *t, struct message *m)
{
    for (const char *c = text; *c; c++) {
        if (*c == '\n')
            return message_set(m, STATUS_FORMAT, "network: a line break in its name");
        TRY(text_add(t, m, "%s%c", *c == '$' ? "$" : *c == '#' ? "\\" : "", *c));
    }
    return STATUS_OK;
}

static int print_network(const struct budget_given *g, const struct budget *b, struct text *t, struct message *m)
{
    if (!g->network)
        return text_add(t, m, "\n# The widest network whose training sees enough images.\nWIDTH = %d\n", b->width);
    TRY(text_add(t, m, "\n# The network that was asked for.\nPLANNED_NETWORK = "));
    TRY(print_value(g->network, t, m));
    return text_add(t, m, "\nNETWORK = $(PLANNED_NETWORK)\n");
}

static int print_training(const struct budget_given *g, const struct budget *b, struct text *t, struct message *m)
{
    char rate[32], ema[32];
    format_number(rate, b->rate);
    format_number(ema, b->ema);
    const char *precision = b->is_bf16 ? " --precision bf16" : "";
    TRY(print_network(g, b, t, m));
    TRY(text_add(
        t, m,
        "# Whole epochs, of so many images that the time is used (0: all).\nEPOCHS = %lld\nTRAIN_IMAGES = %lld\n"
        "# The more often an image is seen, the more it is varied.\nAUGMENT_FLAGS = %s\n",
        (long long)b->epochs, or_all(b->images, g->train), augmentation(b->effort)));
    if (b->growth.count)
        TRY(text_add(t, m,
                     "# The first of them see small pictures, which is faster: shares of the epochs, in percent.\n"
                     "GROW = "));
    TRY(growth_print(&b->growth, t, m));
    if (b->growth.count)
        TRY(text_add(t, m, "\n"));
    return text_add(
        t, m,
        "# Few images need many steps: small mini-batches. The rate is 0.2 sqrt(mini-batch / 128); weights "
        "are\n"
        "# averaged over a twentieth of the steps. %s\n"
        "TRAIN_FLAGS = --batch %d --learning-rate %s --peak %g --label-smoothing 0.1 --ema %s%s --validate-every "
        "%d%s\n"
        "# Fine-tuning starts from the float weights: a part of the images is enough, and a small rate.\n"
        "QAT_EPOCHS = 1\nQAT_IMAGES = %lld\n"
        "FINETUNE_FLAGS = --batch 128 --learning-rate 0.001 --label-smoothing 0.1%s\n",
        b->is_bf16 ? "bf16 is faster here." : "bf16 is not faster here.", b->batch, rate, b->peak, ema, precision,
        b->validate_every, b->growth.count ? " $(if $(GROW),--grow $(GROW))" : "", or_all(b->qat, g->train),
        precision);
}

static int print_measuring(const struct budget_given *g, const struct budget *b, struct text *t, struct message *m)
{
    char seconds[32], threads[32] = "1";
    format_number(seconds, b->bench_seconds);
    if (b->is_timed_widely && g->threads > 1)
        snprintf(threads, sizeof threads, "1,%d", g->threads);
    return text_add(
        t, m,
        "# What it is measured on; 0: all.\nHELD_OUT_IMAGES = %lld\nTEST_IMAGES = %lld\nCALIBRATION_IMAGES = %lld\n"
        "BENCH_BATCHES = %s\nBENCH_THREADS = %s\nBENCH_FLAGS = --seconds %s\n",
        or_all(b->held_out, g->held_out), or_all(b->test, g->test), (long long)b->calibration,
        b->is_timed_widely ? "1,64" : "1", threads, seconds);
}

int budget_print(const struct budget_given *g, const struct budget *b, const char *run, const char *minutes,
                 struct text *t, struct message *m)
{
    static const char *const names[BUDGET_STAGES] = {"train",        "calibrate",    "finetune", "evaluate-float",
                                                     "evaluate-ptq", "evaluate-qat", "bench"};
    TRY(text_add(t, m,
                 "# Planned for %s minutes, of which it should take %.1f. From now on this file decides: it is a "
                 "profile like\n"
                 "# any other, and gives the same models wherever it runs on the same instruction set. The rule:\n"
                 "# lib/train/budget.h.\n",
                 minutes, b->total / 60));
    TRY(print_speeds(g, t, m));
    TRY(text_add(t, m, "RUN = %s\nPLANNED_MINUTES = %s\n", run, minutes));
    TRY(print_training(g, b, t, m));
    TRY(print_measuring(g, b, t, m));
    TRY(text_add(t, m, "# What stages should take here, in seconds: for the time left.\nSTAGE_SECONDS ="));
    for (int k = 0; k < BUDGET_STAGES; k++)
        TRY(text_add(t, m, " %s:%.0f", names[k], b->seconds[k]));
    return text_add(t, m, " rest:%.0f\n", BUDGET_REST);
}
