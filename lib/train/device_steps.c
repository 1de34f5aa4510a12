/* Steps that a device makes whole: what goes to it, and when its outcome is waited for. */
#include "base/memory.h"
#include "record/stream.h"
#include "train/trainer.h"
#include <string.h>

static void take(struct trainer *t, const struct gradient_done *done)
{
    t->state.sums.loss += done->loss;
    t->state.sums.images += done->images;
    t->state.sums.correct += done->correct;
    t->skipped += done->skipped;
}

/* Names the step that failed, which may be an earlier one than is being made. */
static int failed(const struct trainer *t, const struct gradient_done *done, int status, struct message *m)
{
    return trainer_prefix(t, t->state.step - 1 - done->behind, status, m);
}

static int begin(struct trainer *t, struct message *m)
{
    const struct training_options *o = t->options;
    if (t->has_begun)
        return STATUS_OK;
    t->flags = memory_new(t->parameters / GRADIENT_FLAG_FLOATS + 1, 1, m);
    if (!t->flags)
        return STATUS_NOMEM;
    optimizer_flags(&t->optimizer, t->flags);
    struct gradient_rule rule = {.momentum = o->optimizer.momentum,
                                 .weight_decay = o->optimizer.weight_decay,
                                 .label_smoothing = o->label_smoothing,
                                 .nesterov = o->optimizer.nesterov,
                                 .flags = t->flags,
                                 .velocity = t->optimizer.velocity,
                                 .average = t->average.values};
    TRY(gradient_step_begin(t->gradient, &rule, m));
    t->has_begun = 1;
    return STATUS_OK;
}

int trainer_step_on_device(struct trainer *t, const struct minibatch *b, double rate, struct message *m)
{
    struct gradient_done done = {.behind = -1};
    TRY(begin(t, m));
    int status =
        gradient_step(t->gradient, b->images, b->labels, b->count, rate, rate * t->optimizer.options.bias_rate,
                      average_share(&t->average, t->state.step + 1), &done, m);
    take(t, &done);
    t->is_ahead = 1;
    return status < 0 ? failed(t, &done, status, m) : STATUS_OK;
}

int trainer_settle(struct trainer *t, struct message *m)
{
    struct gradient_done done = {.behind = -1};
    if (!t->is_ahead)
        return STATUS_OK;
    int status = gradient_settle(t->gradient, &done, m);
    take(t, &done);
    t->is_ahead = 0;
    return status < 0 ? failed(t, &done, status, m) : STATUS_OK;
}

/* ---- loss scaling: its state is a checkpoint's, its skipped steps are the log's ---- */

int trainer_log_skipped(struct trainer *t, struct message *m)
{
    const struct gradient_scale *scale = gradient_loss_scale(t->gradient);
    if (!scale || !t->skipped)
        return STATUS_OK;
    trainer_say(t, 1, "epoch %lld: %lld steps skipped, loss scale %g", (long long)t->state.epoch + 1,
                (long long)t->skipped, (double)scale->scale);
    int status = text_add(&t->state.log, m, "# skipped: epoch %lld: %lld steps, loss scale %g\n",
                          (long long)t->state.epoch + 1, (long long)t->skipped, (double)scale->scale);
    t->skipped = 0;
    return status;
}

int trainer_save_scale(struct trainer *t, struct record *r, struct message *m)
{
    const struct gradient_scale *s = gradient_loss_scale(t->gradient);
    if (!s)
        return STATUS_OK;
    TRY(record_setf(r, "loss-scale", m, "%.9g", (double)s->scale));
    TRY(record_setf(r, "loss-scale-good", m, "%d", s->good));
    TRY(record_setf(r, "loss-scale-in-a-row", m, "%d", s->in_a_row));
    TRY(record_setf(r, "loss-scale-skipped", m, "%lld", (long long)s->skipped));
    return record_setf(r, "epoch-skipped", m, "%lld", (long long)t->skipped);
}

static int integer_of(const struct record *r, const char *key, int *value, struct message *m)
{
    const char *text = record_get(r, key);
    int64_t number = 0;
    if (text)
        TRY(parse_integer(text, 0, 1 << 30, key, &number, m));
    *value = (int)number;
    return STATUS_OK;
}

/* A checkpoint of a run that scaled nothing leaves the scale at its beginning. */
int trainer_restore_scale(struct trainer *t, const struct record *r, struct message *m)
{
    struct gradient_scale *s = gradient_loss_scale(t->gradient);
    const char *text = record_get(r, "loss-scale");
    double scale;
    int skipped;
    if (!s || !text)
        return STATUS_OK;
    TRY(parse_number(text, 0x1p-24, 0x1p24, "loss-scale", &scale, m));
    TRY(integer_of(r, "loss-scale-good", &s->good, m));
    TRY(integer_of(r, "loss-scale-in-a-row", &s->in_a_row, m));
    TRY(integer_of(r, "loss-scale-skipped", &s->skipped, m));
    TRY(integer_of(r, "epoch-skipped", &skipped, m));
    s->scale = (float)scale;
    t->skipped = skipped;
    return STATUS_OK;
}

/* ---- where a run was, and where it goes on ---- */

int trainer_save_device(const struct trainer *t, struct record *r, struct message *m)
{
    TRY(record_set(r, "device", gradient_device(t->gradient), m));
    return record_set(r, "precision", gradient_precision(t->gradient), m);
}

int trainer_log_device(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    const char *device = gradient_device(t->gradient), *precision = gradient_precision(t->gradient);
    const char *was = record_get(checkpoint, "device"), *was_precision = record_get(checkpoint, "precision");
    if (!was || !was_precision || (strcmp(was, device) == 0 && strcmp(was_precision, precision) == 0))
        return STATUS_OK;
    trainer_say(t, 0, "resumes on %s in %s; up to step %lld it ran on %s in %s", device, precision,
                (long long)t->state.step, was, was_precision);
    return text_add(&t->state.log, m, "# resumed: after step %lld on %s in %s; before that on %s in %s\n",
                    (long long)t->state.step, device, precision, was, was_precision);
}
