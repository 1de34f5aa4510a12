/* A run's checkpoint: what it holds, and going on from it. */
#include "train/trainer.h"
#include <math.h>
#include <string.h>

/* Every flat buffer of the run, under its prefix: the one list for both directions. */
struct buffer {
    const char *prefix;
    float *values;
    int is_state; /* which slices lie in it */
};

enum { MAX_BUFFERS = 7 };

static int buffers_list(struct trainer *t, struct buffer buffers[MAX_BUFFERS])
{
    int count = 0;
    float *averages = t->stepper.average.values;
    buffers[count++] = (struct buffer){"", gradient_parameters(t->gradient), 0};
    buffers[count++] = (struct buffer){"", gradient_state(t->gradient), 1};
    buffers[count++] = (struct buffer){"momentum.", t->stepper.optimizer.velocity, 0};
    if (averages) {
        buffers[count++] = (struct buffer){"ema.", averages, 0};
        buffers[count++] = (struct buffer){"ema.", averages + t->parameters, 1};
    }
    if (t->best && t->state.best_epoch > 0) { /* that of epoch 0 is the start model */
        buffers[count++] = (struct buffer){"best.", t->best, 0};
        buffers[count++] = (struct buffer){"best.", t->best + t->parameters, 1};
    }
    return count;
}

static int buffer_slices(const struct trainer *t, const struct buffer *b, const struct slice **slices)
{
    return b->is_state ? gradient_state_slices(t->gradient, slices) : gradient_slices(t->gradient, slices);
}

static const char *made_by(const struct record *r)
{
    const char *value = record_get(r, "made-by");
    return value ? value : "";
}

enum { WHERE_BYTES = 64 };

/* What the order of sums depends on, besides the precision. */
static void where_it_runs(const struct trainer *t, char where[WHERE_BYTES])
{
    int shard = gradient_device_shard(t->gradient);
    if (shard > 0)
        snprintf(where, WHERE_BYTES, "%s (shards of %d)", gradient_device(t->gradient), shard);
    else
        snprintf(where, WHERE_BYTES, "%s", gradient_device(t->gradient));
}

static int add_metadata(struct trainer *t, struct record *r, struct message *m)
{
    char where[WHERE_BYTES];
    where_it_runs(t, where);
    TRY(checkpoint_add_state(r, &t->state, m));
    TRY(record_set(r, "device", where, m));
    TRY(record_set(r, "precision", gradient_precision(t->gradient), m));
    TRY(checkpoint_add_scale(r, gradient_loss_scale(t->gradient), t->skipped, m));
    TRY(record_set(r, "stream-made-by", made_by(t->stream), m));
    TRY(data_describe(r, t->stream, m));
    TRY(trainer_lineage(t, r, m));
    return record_inherit(r, t->start.record, m); /* its graph and stage */
}

static int fill(void *context, struct record *r, struct message *m)
{
    struct trainer *t = context;
    struct buffer buffers[MAX_BUFFERS];
    int count = buffers_list(t, buffers);
    for (int i = 0; i < count; i++) {
        const struct slice *slices;
        int slice_count = buffer_slices(t, &buffers[i], &slices);
        TRY(checkpoint_add(r, buffers[i].prefix, slices, slice_count, buffers[i].values, m));
    }
    TRY(oscillation_add(r, &t->stepper.oscillation, m));
    return add_metadata(t, r, m);
}

int trainer_save(struct trainer *t, struct message *m)
{
    if (!t->options->checkpoint)
        return STATUS_OK;
    TRY(trainer_settle(t, m)); /* all ranks: what is left of steps is theirs together */
    if (!trainer_is_first(t))
        return STATUS_OK;
    TRY(trainer_check_finite(t, m));
    t->state.seconds = t->seconds_before + clock_seconds() - t->session_start;
    return checkpoint_save(t->options->checkpoint, t->recipe.data, fill, t, m);
}

/* The lineage of what is delivered is that of the stream as it was first brought: one that begins later or is cut
 * into other batches brings the same images. */
static int restore_stream(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    const char *value = record_get(checkpoint, "stream-made-by");
    if (value && *value)
        return record_set(t->stream, "made-by", value, m);
    record_unset(t->stream, "made-by");
    return STATUS_OK;
}

/* A line in log and talk where the checkpoint's device or precision is another. */
static int log_moved(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    char device[WHERE_BYTES];
    const char *precision = gradient_precision(t->gradient);
    const char *was = record_get(checkpoint, "device"), *was_precision = record_get(checkpoint, "precision");
    where_it_runs(t, device);
    if (!was || !was_precision || (strcmp(was, device) == 0 && strcmp(was_precision, precision) == 0))
        return STATUS_OK;
    trainer_say(t, 0, "resumes on %s in %s; up to step %lld it ran on %s in %s", device, precision,
                (long long)t->state.step, was, was_precision);
    return text_add(&t->state.log, m, "# resumed: after step %lld on %s in %s; before that on %s in %s\n",
                    (long long)t->state.step, device, precision, was, was_precision);
}

static int restore_fields(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    TRY(checkpoint_is_of(checkpoint, t->recipe.data, m));
    TRY(checkpoint_take_state(checkpoint, &t->state, m));
    TRY(checkpoint_take_scale(checkpoint, gradient_loss_scale(t->gradient), &t->skipped, m));
    struct buffer buffers[MAX_BUFFERS];
    int count = buffers_list(t, buffers);
    for (int i = 0; i < count; i++) {
        const struct slice *slices;
        int slice_count = buffer_slices(t, &buffers[i], &slices);
        TRY(checkpoint_take(checkpoint, buffers[i].prefix, slices, slice_count, buffers[i].values, m));
    }
    TRY(oscillation_take(checkpoint, &t->stepper.oscillation, m));
    if (t->state.epoch > t->options->epochs || t->state.epoch_step > t->source.steps)
        return message_set(m, STATUS_RANGE, "epoch %lld, step %lld: beyond the run's end",
                           (long long)t->state.epoch, (long long)t->state.epoch_step);
    TRY(log_moved(t, checkpoint, m));
    return restore_stream(t, checkpoint, m);
}

int trainer_restore(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    int status = restore_fields(t, checkpoint, m);
    if (status < 0)
        return message_prefix(m, status, "%s", t->options->checkpoint);
    t->resumed = 1;
    t->seconds_before = t->state.seconds;
    t->images_before = trainer_sizes_work(t, t->state.epoch, t->state.sums.images);
    trainer_say(t, 1, "going on from %s: epoch %lld, step %lld", t->options->checkpoint,
                (long long)t->state.epoch + 1, (long long)t->state.step);
    return STATUS_OK;
}
