#include "train/budget.h"
#include <math.h>

const struct budget_width budget_widths[BUDGET_WIDTHS] = {{8, 0}, {16, 45000}, {32, 270000}, {64, 900000}};

/* What stages take of an image, in images of the float network's inference or of a training step. */
#define INT8_SHARE 0.6      /* int8 inference; on most machines less */
#define CALIBRATE_SHARE 2.0 /* inference that counts every value */
#define FINETUNE_SHARE 1.7  /* a step that knows of quantization */

enum { LEAST_HELD_OUT = 500, LEAST_TEST = 1000, LEAST_CALIBRATION = 256, LEAST_QAT = 640 };
enum { MOST_CALIBRATION = 8192, MOST_QAT = 12800, MOST_VALIDATIONS = 8 };
enum { TIMED_BATCH = 64, TIMED_CALLS = 7, TIMED_MODELS = 3 };
#define WIDE_SECONDS 300.0 /* from here on timing is of batches and threads too */

static int is_bf16(const struct budget_speed *s)
{
    return s->bf16 >= 1.05 * s->fp32;
}

static double step_speed(const struct budget_speed *s)
{
    return is_bf16(s) ? s->bf16 : s->fp32;
}

/* So many as fit, in hundreds where not all do; at least `least`, at most `most`. */
static int64_t fit(double count, int64_t least, int64_t most)
{
    if (count >= (double)most)
        return most;
    int64_t whole = (int64_t)(count / 100) * 100;
    if (whole < least)
        whole = least;
    return whole < most ? whole : most;
}

/* Seconds that a pass takes: augmenting shares the processors with the step. */
static double pass_seconds(const struct budget_given *g, int i)
{
    return 1 / step_speed(&g->speeds[i]) + 1 / (g->augment * g->threads);
}

/* ---- pictures that grow ---- */

static const int size_percents[BUDGET_SIZES] = {45, 33};

static int side_at(int side, int k)
{
    return ((k ? 3 : 2) * side + 8) / 16 * 4;
}

int budget_size(struct image_shape whole, int k, struct image_shape *small)
{
    *small = (struct image_shape){side_at(whole.height, k), side_at(whole.width, k), whole.channels};
    int most_height = k ? whole.height : side_at(whole.height, 1),
        most_width = k ? whole.width : side_at(whole.width, 1);
    return small->height >= IMAGE_LEAST_SIDE && small->width >= IMAGE_LEAST_SIDE && small->height < most_height &&
           small->width < most_width;
}

static struct growth growth_of(const struct budget_given *g, int i)
{
    struct growth growth = {0};
    int64_t until = 0;
    for (int k = 0; k < BUDGET_SIZES; k++) {
        struct image_shape small;
        if (!budget_size(g->image, k, &small) || g->speeds[i].small[k] <= step_speed(&g->speeds[i]))
            return (struct growth){0};
        until += size_percents[k];
        growth.stages[growth.count++] = (struct growth_stage){small.height, small.width, until};
    }
    return growth;
}

/* Epochs of whole pictures, of so many. */
static int64_t whole_epochs(const struct growth *growth, int64_t epochs)
{
    return epochs - growth_begin(growth, growth->count, epochs);
}

/* Seconds that an image takes in so many epochs. */
static double run_seconds(const struct budget_given *g, int i, int64_t epochs)
{
    const struct growth growth = growth_of(g, i);
    double augmenting = 1 / (g->augment * g->threads), seconds = 0;
    for (int k = 0; k < growth.count; k++)
        seconds += (double)(growth_begin(&growth, k + 1, epochs) - growth_begin(&growth, k, epochs)) *
                   (1 / g->speeds[i].small[k] + augmenting);
    return seconds + (double)whole_epochs(&growth, epochs) * pass_seconds(g, i);
}

/* ---- the stages around training ---- */

static double bench_cost(const struct budget_given *g, const struct budget_speed *s, struct budget *b, double time)
{
    int lists = b->is_timed_widely ? (g->threads > 1 ? 4 : 2) : 1; /* of batches and threads */
    double one = 1 / (s->infer / g->threads), seconds = time / 40 / (TIMED_MODELS * lists), all = 0;
    b->bench_seconds = fmax(0.5, fmin(3, floor(seconds * 10) / 10));
    for (int k = 0; k < lists; k++) {
        double call = one * (k % 2 ? TIMED_BATCH : 1) / (k / 2 ? g->threads : 1);
        all += fmax(b->bench_seconds, TIMED_CALLS * call) +
               2 * fmax(b->bench_seconds, TIMED_CALLS * INT8_SHARE * call);
    }
    return all;
}

static void set_aside(const struct budget_given *g, int i, double time, struct budget *b)
{
    const struct budget_speed *s = &g->speeds[i];
    double step = FINETUNE_SHARE / step_speed(s) + 1 / (g->augment * g->threads);
    double tested = (1 + 2 * INT8_SHARE) / s->infer;
    b->width = budget_widths[i].width;
    b->is_bf16 = is_bf16(s);
    b->is_timed_widely = time >= WIDE_SECONDS;
    b->held_out = fit(time / 50 * s->infer, LEAST_HELD_OUT, g->held_out);
    b->test = fit(time * 2 / 25 / tested, LEAST_TEST, g->test);
    b->calibration = fit(time * 3 / 100 * s->infer / CALIBRATE_SHARE, LEAST_CALIBRATION,
                         g->train < MOST_CALIBRATION ? g->train : MOST_CALIBRATION);
    b->qat = fit(time / 25 / step, LEAST_QAT, g->train < MOST_QAT ? g->train : MOST_QAT);
    b->seconds[BUDGET_CALIBRATE] = CALIBRATE_SHARE * (double)b->calibration / s->infer;
    b->seconds[BUDGET_FINETUNE] = step * (double)b->qat + 2 * INT8_SHARE * (double)b->held_out / s->infer;
    b->seconds[BUDGET_EVALUATE_FLOAT] = (double)b->test / s->infer;
    b->seconds[BUDGET_EVALUATE_PTQ] = b->seconds[BUDGET_EVALUATE_QAT] = INT8_SHARE * (double)b->test / s->infer;
    b->seconds[BUDGET_BENCH] = bench_cost(g, s, b, time);
}

static double sum_of(const struct budget *b)
{
    double sum = BUDGET_REST;
    for (int k = 0; k < BUDGET_STAGES; k++)
        sum += b->seconds[k];
    return sum;
}

/* ---- training ---- */

/* Seconds that are left for it behind so many validations: may be less than nothing. */
static double left_in(const struct budget_given *g, int i, double time, const struct budget *b, int64_t validations)
{
    return time - sum_of(b) - (double)validations * (double)b->held_out / g->speeds[i].infer;
}

/* So that their images, a few less than all or all and a few, take the time. */
static int64_t epochs_in(const struct budget_given *g, int i, double left)
{
    int64_t epochs = 1;
    while (epochs < BUDGET_MOST_EPOCHS &&
           left > run_seconds(g, i, epochs) * (double)g->train * (1 + 0.05 / (double)epochs))
        epochs++;
    return epochs;
}

/* The stages of width i, then the seconds in which it can be trained. */
static double left_of(const struct budget_given *g, int i, struct budget *b)
{
    double time = g->seconds * (1 - BUDGET_SPARE);
    *b = (struct budget){.growth = growth_of(g, i)};
    set_aside(g, i, time, b);
    int64_t most = (int64_t)(time / 25 * g->speeds[i].infer / (double)b->held_out);
    most = most < 1 ? 1 : most > MOST_VALIDATIONS ? MOST_VALIDATIONS : most;
    int64_t epochs = whole_epochs(&b->growth, epochs_in(g, i, left_in(g, i, time, b, 1)));
    b->validate_every = (int)((epochs + most - 1) / most);
    return left_in(g, i, time, b, (epochs + b->validate_every - 1) / b->validate_every);
}

/* How often it could be trained on a whole image in that time. */
static double passes_of(const struct budget_given *g, int i, double left)
{
    return fmin(left / pass_seconds(g, i), (double)BUDGET_MOST_EPOCHS * (double)g->train);
}

static void take_recipe(const struct budget_given *g, int i, double left, struct budget *b)
{
    double passes = passes_of(g, i, left);
    b->epochs = epochs_in(g, i, left);
    if (growth_begin(&b->growth, b->growth.count, b->epochs) == 0)
        b->growth = (struct growth){0};
    b->images = fit(left / run_seconds(g, i, b->epochs), 1, g->train);
    b->effort = b->growth.count ? growth_cost(&b->growth, b->epochs, b->epochs, g->image) : (double)b->epochs;
    b->batch = passes < 60000 ? 32 : passes < 720000 ? 64 : 128;
    b->rate = round(20 * sqrt(b->batch / 128.0)) / 100;
    b->peak = b->effort < 16 ? 0.25 : 0.2;
    double steps = ceil((double)b->images / b->batch) * (double)b->epochs;
    b->ema = fmax(0.9, fmin(0.9999, round((1 - 20 / steps) * 1e4) / 1e4));
    int64_t validations = (whole_epochs(&b->growth, b->epochs) + b->validate_every - 1) / b->validate_every;
    b->seconds[BUDGET_TRAIN] = (double)b->images * run_seconds(g, i, b->epochs) +
                               (double)validations * (double)b->held_out / g->speeds[i].infer;
    b->total = sum_of(b);
}

/* The same without its stages: for who asks for the number alone. */
static double passes_at(const struct budget_given *g, int i)
{
    struct budget unused;
    return passes_of(g, i, left_of(g, i, &unused));
}

int budget_is_worth_timing(const struct budget_given *g, int i)
{
    return passes_at(g, i - 1) >= 1.5 * (double)budget_widths[i].least;
}

int budget_choose_width(const struct budget_given *g)
{
    int i = BUDGET_WIDTHS - 1;
    while (i > 0 && !(g->speeds[i].fp32 > 0 && passes_at(g, i) >= (double)budget_widths[i].least))
        i--;
    return i;
}

int budget_plan(const struct budget_given *g, struct budget *b, struct message *m)
{
    double least = fmin(BUDGET_LEAST_PASSES, (double)BUDGET_MOST_EPOCHS * (double)g->train);
    int i = budget_choose_width(g);
    if (i > 0 || passes_at(g, 0) >= least) {
        take_recipe(g, i, left_of(g, i, b), b);
        return STATUS_OK;
    }
    /* More time gives the other stages more, too. */
    struct budget_given more = *g;
    while (passes_at(&more, 0) < least)
        more.seconds *= 1.02;
    return message_set(m, STATUS_RANGE, "the smallest study takes about %.1f minutes here",
                       ceil(more.seconds / 6) / 10);
}
