/* Steps made here, part by part: everything is up to date after each. */
#include "base/memory.h"
#include "base/progress.h"
#include "train/step.h"
#include <string.h>

static int open_parts(struct stepper *s, struct message *m)
{
    size_t batch = (size_t)s->options.batch, row = (size_t)s->options.classes * sizeof(float);
    s->logits = memory_new_raw(batch, row, m);
    s->dlogits = memory_new_raw(batch, row, m);
    return s->logits && s->dlogits ? STATUS_OK : STATUS_NOMEM;
}

static int begin(struct stepper *s, struct message *m)
{
    (void)s;
    (void)m;
    return STATUS_OK;
}

static int make(struct stepper *s, const uint8_t *images, const struct targets *targets, int count, int64_t number,
                double rate, struct step_done *done, struct message *m)
{
    struct gradient *g = s->gradient;
    double at[STEP_PARTS + 1], before = done->sums->loss;
    at[STEP_FORWARD] = clock_seconds();
    TRY(gradient_forward(g, images, count, s->logits, m));
    at[STEP_LOSS] = clock_seconds();
    TRY(loss_of_batch(gradient_reduce(g), s->logits, targets, s->options.classes, s->options.label_smoothing,
                      s->dlogits, done->sums, m));
    if (s->options.teacher)
        TRY(teacher_teach(s->options.teacher, images, count, s->options.classes, s->logits, before, s->dlogits,
                          done->sums, m));
    at[STEP_BACKWARD] = clock_seconds();
    TRY(gradient_backward(g, s->dlogits, m));
    at[STEP_UPDATE] = clock_seconds();
    optimizer_step(&s->optimizer, gradient_parameters(g), gradient_gradients(g), rate);
    oscillation_update(&s->oscillation, number);
    average_update(&s->average, gradient_parameters(g), gradient_state(g), number);
    at[STEP_PARTS] = clock_seconds();
    for (int i = 0; i < STEP_PARTS; i++)
        s->seconds[i] = at[i + 1] - at[i];
    return STATUS_OK;
}

static int nothing_is_left(struct stepper *s, struct step_done *done, struct message *m)
{
    (void)s;
    (void)done;
    (void)m;
    return STATUS_OK;
}

static int describe(const struct stepper *s, size_t parameters, const char *asked, struct text *lines,
                    struct message *m)
{
    const struct gradient *g = s->gradient;
    const char *precision = gradient_precision(g);
    TRY(text_add(lines, m, "device %s, isa %s, threads %d, precision %s %s, %zu parameters\n", gradient_device(g),
                 gradient_isa(g), gradient_threads(g), precision,
                 strcmp(gradient_engine(g), "block") == 0 ? "over blocks" : "image by image", parameters));
    if (!asked || strcmp(asked, precision) == 0)
        return STATUS_OK;
    return text_add(lines, m,
                    "precision %s: no kernels of that kind for this network on this machine: trains in %s\n", asked,
                    precision);
}

const struct step_maker step_on_host = {.open = open_parts,
                                        .begin = begin,
                                        .make = make,
                                        .wait = nothing_is_left,
                                        .settle = nothing_is_left,
                                        .describe = describe};
