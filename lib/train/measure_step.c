#include "train/measure_step.h"
#include "base/memory.h"
#include "base/progress.h"
#include <math.h>
#include <string.h>

/* What a case needs while it is measured. Samples: a row of [MEASURE_MOST] for the step and each part; for layers a
 * row of [MEASURE_LAYER_CALLS] for each pass, then the products and the rest. */
struct measured {
    struct stepper stepper;
    double *samples, *layer_samples;
    double loss, seconds[1 + STEP_PARTS]; /* of the last step: all of it, then its parts */
    int64_t steps;
};

static void measured_close(struct measured *s)
{
    stepper_close(&s->stepper);
    memory_free(s->samples);
    memory_free(s->layer_samples);
}

static int measured_open(struct measured *s, struct step_case *c, int layers, struct message *m)
{
    const struct step_options options = {.optimizer = {0.9, 5e-4, 1, 1, 1, 0, 0, 0},
                                         .label_smoothing = 0.1,
                                         .ema = 0.999,
                                         .batch = c->batch,
                                         .classes = c->classes};
    int rows = gradient_layer_count(c->gradient) * LAYER_PASSES;
    TRY(stepper_open(&s->stepper, c->gradient, &options, m));
    s->samples = memory_new(MEASURE_MOST, (1 + STEP_PARTS) * sizeof(double), m);
    if (!s->samples)
        return STATUS_NOMEM;
    TRY(step_begin(&s->stepper, m));
    if (!layers)
        return 0;
    s->layer_samples = memory_new((size_t)(rows + 2) * MEASURE_LAYER_CALLS, sizeof(double), m);
    c->layers = memory_new((size_t)gradient_layer_count(c->gradient), sizeof *c->layers, m);
    return s->layer_samples && c->layers ? 0 : STATUS_NOMEM;
}

/* ---- one step ---- */

/* Begun and waited for: on a device the copy of the images in and of the outcome out is in it. */
static int step_time(struct measured *s, const struct step_case *c, struct message *m)
{
    struct loss_sums sums = {0};
    struct step_done done = {.sums = &sums, .behind = -1};
    const struct targets targets = {.labels = c->labels};
    double start = clock_seconds();
    TRY(step_make(&s->stepper, c->images, &targets, c->batch, s->steps + 1, c->rate, &done, m));
    s->steps++;
    TRY(step_wait(&s->stepper, &done, m));
    s->seconds[0] = clock_seconds() - start;
    memcpy(s->seconds + 1, s->stepper.seconds, sizeof s->stepper.seconds);
    s->loss = loss_mean(&sums);
    return 0;
}

static int first_of_group(const struct step_case *cases, int i)
{
    int first = 0;
    while (cases[first].group != cases[i].group)
        first++;
    return first;
}

/* A step of every case. */
static int round_run(struct measured *s, const struct step_case *cases, int count, struct message *m)
{
    for (int i = 0; i < count; i++) {
        const struct measured *first = &s[first_of_group(cases, i)];
        int status = step_time(&s[i], &cases[i], m);
        if (status < 0)
            return message_prefix(m, status, "%s: step %lld", cases[i].name, (long long)s[i].steps + 1);
        if (memcmp(&first->loss, &s[i].loss, sizeof s->loss) != 0)
            return message_set(m, STATUS_MISMATCH, "%s: loss after step %lld is %.9g with %d threads, %.9g with %d",
                               cases[i].name, (long long)s[i].steps, first->loss,
                               gradient_threads(cases[first_of_group(cases, i)].gradient), s[i].loss,
                               gradient_threads(cases[i].gradient));
    }
    return 0;
}

static int check_parameters(struct measured *s, const struct step_case *cases, int count, struct message *m)
{
    struct loss_sums sums = {0};
    struct step_done unused = {.sums = &sums, .behind = -1};
    for (int i = 0; i < count; i++)
        TRY(step_settle(&s[i].stepper, &unused, m));
    for (int i = 0; i < count; i++) {
        const struct step_case *first = &cases[first_of_group(cases, i)];
        if (memcmp(gradient_parameters(first->gradient), gradient_parameters(cases[i].gradient),
                   gradient_parameter_count(first->gradient) * sizeof(float)) != 0)
            return message_set(m, STATUS_MISMATCH, "%s: parameters differ between %d and %d threads", cases[i].name,
                               gradient_threads(first->gradient), gradient_threads(cases[i].gradient));
    }
    return 0;
}

/* ---- all of them ---- */

static int time_steps(struct measured *s, struct step_case *cases, int count, double seconds, struct message *m)
{
    int rounds = 0;
    for (int i = 0; i < 2; i++)
        TRY(round_run(s, cases, count, m));
    double end = clock_seconds() + seconds * count;
    for (; rounds < MEASURE_MOST && (rounds < MEASURE_LEAST || clock_seconds() < end); rounds++) {
        TRY(round_run(s, cases, count, m));
        for (int i = 0; i < count; i++)
            for (int k = 0; k < 1 + STEP_PARTS; k++)
                s[i].samples[k * MEASURE_MOST + rounds] = s[i].seconds[k];
    }
    for (int i = 0; i < count; i++) {
        cases[i].samples = rounds;
        cases[i].step = timing_of(s[i].samples, rounds);
        for (int k = 0; k < STEP_PARTS; k++)
            cases[i].parts[k] = timing_of(s[i].samples + (1 + k) * MEASURE_MOST, rounds);
    }
    return 0;
}

static void take_layers(struct measured *s, const struct step_case *c, int call)
{
    double sums[2] = {0, 0}; /* layers with products, others */
    int layers = gradient_layer_count(c->gradient);
    for (int i = 0; i < layers; i++) {
        struct gradient_layer layer = gradient_layer_at(c->gradient, i);
        const double seconds[LAYER_PASSES] = {layer.forward, layer.data, layer.weight};
        for (int k = 0; k < LAYER_PASSES; k++) {
            s->layer_samples[(i * LAYER_PASSES + k) * MEASURE_LAYER_CALLS + call] = seconds[k];
            sums[layer.macs <= 0] += seconds[k];
        }
    }
    for (int k = 0; k < 2; k++)
        s->layer_samples[(layers * LAYER_PASSES + k) * MEASURE_LAYER_CALLS + call] = sums[k];
}

static int time_layers(struct measured *s, struct step_case *cases, int count, double seconds, struct message *m)
{
    int calls = 0;
    double end = clock_seconds() + seconds * count;
    for (; calls < MEASURE_LAYER_CALLS && (calls < MEASURE_LEAST || clock_seconds() < end); calls++) {
        for (int i = 0; i < count; i++)
            gradient_profile(cases[i].gradient, 1);
        TRY(round_run(s, cases, count, m));
        for (int i = 0; i < count; i++)
            take_layers(&s[i], &cases[i], calls);
    }
    for (int i = 0; i < count; i++) {
        int rows = gradient_layer_count(cases[i].gradient) * LAYER_PASSES;
        gradient_profile(cases[i].gradient, 0);
        for (int k = 0; k < rows; k++)
            cases[i].layers[k / LAYER_PASSES][k % LAYER_PASSES] =
                timing_of(s[i].layer_samples + k * MEASURE_LAYER_CALLS, calls);
        cases[i].products = timing_of(s[i].layer_samples + rows * MEASURE_LAYER_CALLS, calls);
        cases[i].elementwise = timing_of(s[i].layer_samples + (rows + 1) * MEASURE_LAYER_CALLS, calls);
        cases[i].layer_samples = calls;
    }
    return 0;
}

static void take_peaks(struct step_case *cases, int count)
{
    for (int i = 0; i < count; i++)
        cases[i].peak = fmax(cases[i].peak, gradient_peak(cases[i].gradient));
}

int step_measure(struct step_case *cases, int count, const struct measure_options *options, struct message *m)
{
    struct measured *s = memory_new((size_t)count, sizeof *s, m);
    int status = s ? 0 : STATUS_NOMEM;
    for (int i = 0; i < count && status >= 0; i++)
        status = measured_open(&s[i], &cases[i], options->layers, m);
    if (status >= 0) {
        take_peaks(cases, count);
        status = time_steps(s, cases, count, options->seconds, m);
        take_peaks(cases, count);
    }
    if (status >= 0 && options->layers)
        status = time_layers(s, cases, count, options->seconds, m);
    if (status >= 0)
        status = check_parameters(s, cases, count, m);
    for (int i = 0; i < count && s; i++) {
        cases[i].loss = s[i].loss;
        measured_close(&s[i]);
    }
    memory_free(s);
    return status;
}

void step_measure_free(struct step_case *cases, int count)
{
    for (int i = 0; i < count; i++) {
        memory_free(cases[i].layers);
        cases[i].layers = NULL;
    }
}
