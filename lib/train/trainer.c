/* What the files of a training run share. */
#include "train/trainer.h"
#include "record/digest.h"
#include "train/log.h"
#include "ranks/agree.h"
#include "record/stream.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>

int trainer_is_first(const struct trainer *t)
{
    return !t->options->ranks || t->options->ranks->rank == 0;
}

int trainer_save_log(const struct trainer *t, struct message *m)
{
    return trainer_is_first(t) ? log_save(&t->state.log, t->options->log, m) : STATUS_OK;
}

void trainer_say(const struct trainer *t, int verbose, const char *format, ...)
{
    if (!t->options->say || !trainer_is_first(t))
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
    return schedule_rate(&t->options->schedule, step, t->source.steps, t->options->epochs);
}

int trainer_prefix(const struct trainer *t, int64_t step, int status, struct message *m)
{
    int64_t steps = t->source.steps;
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

/* ---- several ranks ---- */

/* What a rank would compute: with what, and from where. */
static int view_make(const struct trainer *t, char view[VIEW_BYTES], struct message *m)
{
    char hex[DIGEST_HEX];
    struct digest *d = digest_new(m);
    if (!d)
        return STATUS_NOMEM;
    digest_add(d, gradient_parameters(t->gradient), t->parameters * sizeof(float));
    digest_add(d, gradient_state(t->gradient), t->states * sizeof(float));
    digest_add(d, t->recipe.data, t->recipe.length);
    digest_finish(d, hex);
    snprintf(view, VIEW_BYTES, "%s %s over %ss, step %lld, weights and recipe %.16s", gradient_isa(t->gradient),
             gradient_precision(t->gradient), gradient_engine(t->gradient), (long long)t->state.step, hex);
    return STATUS_OK;
}

int trainer_agree(const struct trainer *t, struct message *m)
{
    char view[VIEW_BYTES];
    if (!t->options->ranks)
        return STATUS_OK;
    TRY(view_make(t, view, m));
    return ranks_agree(t->options->ranks, view, m);
}

int trainer_settle(struct trainer *t, struct message *m)
{
    struct step_done done = {.sums = &t->state.sums, .behind = -1};
    int status = step_settle(&t->stepper, &done, m);
    t->skipped += done.skipped;
    return status < 0 ? trainer_prefix(t, t->state.step - 1 - done.behind, status, m) : STATUS_OK;
}
