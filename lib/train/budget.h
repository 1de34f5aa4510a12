/* budget.h: the study that fits a machine and a time: from a few measured speeds the network's width, the epochs, and
 * how many images every other stage gets. Arithmetic alone: nothing here looks at a clock.
 *
 * The rule. A pass is one image trained on once. What the stages around training take is set aside first:
 *
 *     held-out images   all, but no more than a pass of which takes 1/50 of the time (at least 500)
 *     test images       all, but no more than three models are through in 2/25 (at least 1000)
 *     calibration       8192 images, but no more than 3/100 (at least 256)
 *     QAT               an epoch of 12800 images, but no more than 1/25 (at least 640)
 *     timing            three models at batch 1 on one thread; from five minutes on also at 64 and on all threads:
 *                       1/40 in all, but half a second each and seven calls
 *     the rest          BUDGET_REST seconds: images, checks, charts, pages
 *
 * What is left is trained. A width is worth its time where its passes reach a least number (budget_widths): the widest
 * that does is taken. A network that was named is the one, at any number of passes from BUDGET_LEAST_PASSES on. Then
 *
 *     sizes             45 percent of the epochs see the pictures at half their sides, 33 at three quarters, where the
 *                       network takes those and they are faster: passes are cheaper then, and more of them fit
 *     epochs            as many as fit, rounded up; every epoch sees as many images as fill the time, all but a few;
 *                       never more than 100
 *     mini-batch        32 below 60,000 passes, 64 below 720,000 (16 epochs of CIFAR-10), 128 above: few images need
 *                       many steps
 *     learning rate     0.2 for mini-batches of 128 images, and as the root of their size for others: 0.1, 0.14, 0.2;
 *                       one cycle, its peak at a quarter of the run, of 16 epochs and more at a fifth (epochs here and
 *                       below count as what they cost, see growth_cost)
 *     averaged weights  over a twentieth of the steps: 1 - 20 / steps
 *     augmentation      crop and flip (below 8 epochs to the other side every other epoch, so that few show both),
 *                       from 8 a little colour, from 16 cutout of 8 pixels, from 40 of 12 and a small rotation: the
 *                       more often an image is seen, the more it is varied
 *     validation        at most eight times, and no more than 1/25 of the time
 *     precision         bf16 where its steps are at least a twentieth faster */
#ifndef RESQ_TRAIN_BUDGET_H
#define RESQ_TRAIN_BUDGET_H

#include "base/text.h"
#include "train/growth.h"

#define BUDGET_REST 9.0   /* seconds */
#define BUDGET_SPARE 0.04 /* of the time, for what was not foreseen */
enum { BUDGET_SIZES = 2 };
enum { BUDGET_WIDTHS = 4, BUDGET_MOST_EPOCHS = 100, BUDGET_LEAST_PASSES = 12000 };

/* Ascending; least: the passes from which a width is worth its time. The first has none. */
struct budget_width {
    int width;
    int64_t least;
};
extern const struct budget_width budget_widths[BUDGET_WIDTHS];

/* Images a second, with all threads; 0: not timed, the width is no candidate. */
struct budget_speed {
    double fp32, bf16;          /* steps of training */
    double infer;               /* the float network */
    double small[BUDGET_SIZES]; /* steps on the small pictures of budget_size; any 0: none are taken */
};

struct budget_given {
    const char *network;      /* NULL: ResNet-18 of the widths below; else the one network, as the study's
                                                * NETWORK has it, whose speeds stand first, and alone */
    double seconds;           /* for the whole study, > 0 */
    int threads;              /* of every program, >= 1 */
    struct image_shape image; /* of the pictures; all-zero: not known, and none are made smaller */
    struct budget_speed speeds[BUDGET_WIDTHS]; /* the first of them timed */
    double augment;                            /* images a second on one thread, > 0 */
    int64_t train, held_out, test;             /* images that there are, >= 1 */
};

enum budget_stage {
    BUDGET_TRAIN,
    BUDGET_CALIBRATE,
    BUDGET_FINETUNE,
    BUDGET_EVALUATE_FLOAT,
    BUDGET_EVALUATE_PTQ,
    BUDGET_EVALUATE_QAT,
    BUDGET_BENCH,
    BUDGET_STAGES
};

struct budget {
    int width, is_bf16, batch, validate_every;
    struct growth growth;   /* all-zero: none */
    int64_t epochs, images; /* images an epoch */
    double effort;          /* what the epochs cost, in such of whole pictures */
    int64_t held_out, test, calibration, qat;
    double rate, peak, ema;
    int is_timed_widely; /* also batch 64 and all threads */
    double bench_seconds;
    double seconds[BUDGET_STAGES], total; /* as expected; total: with the rest */
};

/* The pictures of small size k, 0 .. BUDGET_SIZES - 1: half and three quarters of the sides, to the next multiple of
 * 4. 0 where pictures of this shape have none, because they would be as large, or too small. */
int budget_size(struct image_shape whole, int k, struct image_shape *small);
/* Which of the widths timed is the one, as far as these speeds tell: its index. */
int budget_choose_width(const struct budget_given *g);
/* Whether width i (>= 1) can be the one, as far as those before it tell: none is faster than two thirds of the one
 * before. For who times them one after the other. */
int budget_is_worth_timing(const struct budget_given *g, int i);
/* STATUS_RANGE `the smallest study takes about 0.8 minutes here` where fewer than BUDGET_LEAST_PASSES
 * (or 100 epochs of a smaller set) fit into the first width. */
int budget_plan(const struct budget_given *g, struct budget *b, struct message *m) RESQ_USE_RESULT;
/* The plan as a profile of the study, a makefile: every choice with its reason. run: its RUN; minutes: as asked for. */
int budget_print(const struct budget_given *g, const struct budget *b, const char *run, const char *minutes,
                 struct text *t, struct message *m) RESQ_USE_RESULT;

#endif
