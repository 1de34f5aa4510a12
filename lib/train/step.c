#include "train/step.h"
#include "base/memory.h"

int stepper_open(struct stepper *s, struct gradient *g, const struct step_options *options, struct message *m)
{
    const struct slice *slices;
    int count = gradient_slices(g, &slices);
    *s = (struct stepper){
        .maker = gradient_makes_steps(g) ? &step_on_device : &step_on_host, .gradient = g, .options = *options};
    TRY(optimizer_open(&s->optimizer, &options->optimizer, slices, count, gradient_parameter_count(g), m));
    TRY(average_open(&s->average, options->ema, g, m));
    s->optimizer.pool = s->average.pool = gradient_workers(g);
    TRY(oscillation_open(&s->oscillation, g, &options->oscillation, m));
    if (options->teacher && gradient_makes_steps(g))
        return message_set(m, STATUS_UNSUPPORTED,
                           "a teacher (--teacher) cannot be heard on device %s: take the CPU", gradient_device(g));
    if (options->optimizer.clip_norm > 0 && gradient_makes_steps(g))
        return message_set(m, STATUS_UNSUPPORTED,
                           "gradients cannot be clipped (--clip-norm) on device %s: take the CPU",
                           gradient_device(g));
    if (options->optimizer.layer_rates && gradient_makes_steps(g))
        return message_set(m, STATUS_UNSUPPORTED,
                           "layers have no rates of their own (--rates layer) on device %s: take the CPU",
                           gradient_device(g));
    if (options->teacher && gradient_reduce(g)->ranks)
        return message_set(m, STATUS_UNSUPPORTED,
                           "a teacher (--teacher) is heard by one process alone, not by %d ranks",
                           gradient_reduce(g)->ranks->count);
    return s->maker->open(s, m);
}

void stepper_move(struct stepper *s, struct gradient *g)
{
    s->gradient = g;
    s->optimizer.slice_count = gradient_slices(g, &s->optimizer.slices);
    s->average.state_slice_count = gradient_state_slices(g, &s->average.state_slices);
    s->oscillation.gradient = g;
    s->optimizer.pool = s->average.pool = gradient_workers(g);
}

void stepper_close(struct stepper *s)
{
    optimizer_close(&s->optimizer);
    average_close(&s->average);
    oscillation_close(&s->oscillation);
    memory_free(s->logits);
    memory_free(s->dlogits);
    memory_free(s->flags);
    *s = (struct stepper){0};
}

int step_begin(struct stepper *s, struct message *m)
{
    return s->maker->begin(s, m);
}

int step_make(struct stepper *s, const uint8_t *images, const struct targets *targets, int count, int64_t number,
              double rate, struct step_done *done, struct message *m)
{
    return s->maker->make(s, images, targets, count, number, rate, done, m);
}

int step_wait(struct stepper *s, struct step_done *done, struct message *m)
{
    return s->maker->wait(s, done, m);
}

int step_settle(struct stepper *s, struct step_done *done, struct message *m)
{
    return s->maker->settle(s, done, m);
}

int step_evaluation_batch(const struct stepper *s)
{
    return s->maker->evaluation_batch;
}

int step_describe(const struct stepper *s, size_t parameters, const char *asked, struct text *lines,
                  struct message *m)
{
    return s->maker->describe(s, parameters, asked, lines, m);
}
