/* What the files of a training run share. */
#include "train/trainer.h"
#include "record/stream.h"
#include <math.h>
#include <stdarg.h>

void trainer_say(const struct trainer *t, int verbose, const char *format, ...)
{
    if (!t->options->say)
        return;
    char line[MESSAGE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    t->options->say(t->options->say_context, verbose, line);
}

double trainer_rate(const struct trainer *t, int64_t step)
{
    return schedule_rate(&t->options->schedule, step, feed_steps(t->feed), t->options->epochs);
}

int trainer_prefix(const struct trainer *t, int64_t step, int status, struct message *m)
{
    int64_t steps = feed_steps(t->feed);
    return message_prefix(m, status, "epoch %lld, step %lld, learning rate %.6g", (long long)(step / steps) + 1,
                          (long long)step + 1, trainer_rate(t, step));
}

int trainer_lineage(const struct trainer *t, struct record *to, struct message *m)
{
    const struct record *sides[TRAINING_MAX_SIDES + 2];
    int count = 0;
    for (; count < t->kind->side_count && count < TRAINING_MAX_SIDES; count++)
        sides[count] = t->kind->sides[count];
    if (t->teacher.side)
        sides[count++] = t->teacher.side;
    if (held_out_is_open(&t->held_out))
        sides[count++] = t->held_out.set.first;
    return lineage_apply(to, t->stream, t->options->tool, t->lineage, sides, count, m);
}

static int slices_check(const struct slice *slices, int count, const float *values, struct message *m)
{
    for (int i = 0; i < count; i++) {
        const float *v = values + slices[i].offset;
        for (size_t k = 0; k < slices[i].count; k++) {
            if (!isfinite(v[k]))
                return message_set(m, STATUS_RANGE, "%s: value %zu is %s", slices[i].name, k,
                                   isnan(v[k]) ? "nan" : "inf");
        }
    }
    return STATUS_OK;
}

int trainer_check_finite(struct trainer *t, struct message *m)
{
    const struct slice *slices, *states;
    int count = gradient_slices(t->gradient, &slices), state_count = gradient_state_slices(t->gradient, &states);
    int status = slices_check(slices, count, gradient_parameters(t->gradient), m);
    if (status >= 0)
        status = slices_check(states, state_count, gradient_state(t->gradient), m);
    return status < 0 ? trainer_prefix(t, t->state.step > 0 ? t->state.step - 1 : 0, status, m) : STATUS_OK;
}

int trainer_deliver(struct trainer *t, const float *values, struct model *out, struct message *m)
{
    if (!values)
        values = t->stepper.average.values;
    return t->kind->deliver(t->context, &t->start, t->gradient, values, values ? values + t->parameters : NULL, out,
                            m);
}

int trainer_settle(struct trainer *t, struct message *m)
{
    struct step_done done = {.sums = &t->state.sums, .behind = -1};
    int status = step_settle(&t->stepper, &done, m);
    t->skipped += done.skipped;
    return status < 0 ? trainer_prefix(t, t->state.step - 1 - done.behind, status, m) : STATUS_OK;
}
