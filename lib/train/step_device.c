/* Steps that a device makes whole: what goes to it, and when its outcome is waited for. */
#include "base/memory.h"
#include "train/step.h"

static int open_flags(struct stepper *s, struct message *m)
{
    s->flags = memory_new(gradient_parameter_count(s->gradient) / GRADIENT_FLAG_FLOATS + 1, 1, m);
    if (!s->flags)
        return STATUS_NOMEM;
    optimizer_flags(&s->optimizer, s->flags);
    return STATUS_OK;
}

static int begin(struct stepper *s, struct message *m)
{
    const struct optimizer_options *o = &s->optimizer.options;
    const struct gradient_rule rule = {.momentum = o->momentum,
                                       .weight_decay = o->weight_decay,
                                       .label_smoothing = s->options.label_smoothing,
                                       .nesterov = o->nesterov,
                                       .flags = s->flags,
                                       .velocity = s->optimizer.velocity,
                                       .average = s->average.values};
    return gradient_step_begin(s->gradient, &rule, m);
}

/* What has arrived, also where the call failed. */
static int take(struct step_done *to, const struct gradient_done *from, int status)
{
    to->sums->loss += from->loss;
    to->sums->images += from->images;
    to->sums->correct += from->correct;
    to->skipped += from->skipped;
    to->behind = from->behind;
    return status;
}

static int make(struct stepper *s, const uint8_t *images, const struct targets *targets, int count, int64_t number,
                double rate, struct step_done *done, struct message *m)
{
    struct gradient_done arrived = {.behind = -1};
    s->is_ahead = 1;
    return take(done, &arrived,
                gradient_step(s->gradient, images, targets, count, rate, rate * s->optimizer.options.bias_rate,
                              average_share(&s->average, number), &arrived, m));
}

static int wait_for_all(struct stepper *s, struct step_done *done, struct message *m)
{
    struct gradient_done arrived = {.behind = -1};
    return take(done, &arrived, gradient_step_wait(s->gradient, &arrived, m));
}

static int settle(struct stepper *s, struct step_done *done, struct message *m)
{
    struct gradient_done arrived = {.behind = -1};
    if (!s->is_ahead)
        return STATUS_OK;
    s->is_ahead = 0;
    return take(done, &arrived, gradient_settle(s->gradient, &arrived, m));
}

static int describe(const struct stepper *s, size_t parameters, const char *asked, struct text *lines,
                    struct message *m)
{
    const struct gradient *g = s->gradient;
    char line[512];
    (void)asked;
    TRY(text_add(lines, m, "device %s, %s, precision %s, %zu parameters, %.0f MB\n", gradient_device(g),
                 gradient_isa(g), gradient_precision(g), parameters, (double)gradient_held_bytes(g) / 1e6));
    if (gradient_sharing(g, line, sizeof line) == 1)
        TRY(text_add(lines, m, "%s\n", line));
    for (int i = 0; i < gradient_layer_count(g); i++)
        if (gradient_layer_algorithms(g, i, line, sizeof line))
            TRY(text_add(lines, m, "%s\n", line));
    return STATUS_OK;
}

enum { EVALUATION_BATCH = 500 /* a device computes whole batches alone */ };

const struct step_maker step_on_device = {.open = open_flags,
                                          .begin = begin,
                                          .make = make,
                                          .wait = wait_for_all,
                                          .settle = settle,
                                          .describe = describe,
                                          .evaluation_batch = EVALUATION_BATCH};
