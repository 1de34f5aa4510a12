/* The loop of a training run: steps, what is due at an epoch's end, and stopping between two steps. */
#include "train/log.h"
#include "train/trainer.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static int stop_here(struct trainer *t, struct message *m)
{
    TRY(trainer_settle(t, m));
    TRY(trainer_save(t, m));
    return message_set(m, STATUS_INTERRUPTED, "interrupted after step %lld", (long long)t->state.step);
}

/* ---- one step ---- */

static void show(struct trainer *t)
{
    char note[96];
    snprintf(note, sizeof note, "epoch %lld/%lld loss %.4f", (long long)t->state.epoch + 1,
             (long long)t->options->epochs, loss_mean(&t->state.sums));
    int64_t work = trainer_sizes_work(t, t->state.epoch, t->state.sums.images);
    progress_show(&t->progress, work - t->images_before, note);
}

static int step_of(struct trainer *t, const struct minibatch *b, struct message *m)
{
    struct step_done done = {.sums = &t->state.sums, .behind = -1};
    int64_t step = t->state.step;
    const struct targets targets = {b->labels, b->labels2, b->share, b->mixed};
    const uint8_t *images = b->images;
    TRY(trainer_sizes_apply(t, &images, b->count, m));
    int status = step_make(&t->stepper, images, &targets, b->count, step + 1, trainer_rate(t, step), &done, m);
    t->skipped += done.skipped;
    return status < 0 ? trainer_prefix(t, step - 1 - done.behind, status, m) : STATUS_OK;
}

static int step_next(struct trainer *t, struct message *m)
{
    struct training_state *s = &t->state;
    struct minibatch b;
    int got = source_next(&t->source, &b, t->options->stop, m);
    if (got == STATUS_INTERRUPTED)
        return stop_here(t, m);
    if (got == 0)
        got = message_set(m, STATUS_MISMATCH, "the stream ended in epoch %lld", (long long)s->epoch + 1);
    TRY(got);
    TRY(step_of(t, &b, m));
    s->step++;
    s->epoch_step++;
    s->images_seen += b.count;
    double now = clock_seconds();
    s->epoch_seconds += now - t->mark;
    t->mark = now;
    show(t);
    int64_t every = t->options->checkpoint_every;
    return every > 0 && s->step % every == 0 && !b.last ? trainer_save(t, m) : STATUS_OK;
}

/* ---- an epoch's end ---- */

static struct exec_options evaluation_options(const struct trainer *t)
{
    const struct training_options *o = t->options;
    return (struct exec_options){.batch = step_evaluation_batch(&t->stepper),
                                 .threads = o->threads,
                                 .isa = o->isa,
                                 .device = gradient_device(t->gradient),
                                 .tf32 = o->tf32,
                                 .fast = o->fast};
}

static int evaluate(struct trainer *t, struct loss_sums *sums, struct message *m)
{
    const struct exec_options how = evaluation_options(t);
    struct model model;
    TRY(trainer_deliver(t, NULL, &model, m));
    int status = held_out_evaluate(&t->held_out, &model, &how, sums, m);
    model_free(&model);
    return status;
}

/* Counted back from the last epoch, which is always a candidate; what has seen small pictures alone is none. */
static int is_validated(const struct trainer *t)
{
    if (!image_shape_is(t->shape, t->whole))
        return 0;
    int64_t every = t->options->validate_every > 0 ? t->options->validate_every : 1;
    return held_out_is_open(&t->held_out) && (t->options->epochs - t->state.epoch - 1) % every == 0;
}

static int is_better(const struct training_state *s, double accuracy, double loss)
{
    if (s->best_epoch < 0 || accuracy > s->best_accuracy)
        return 1;
    return accuracy == s->best_accuracy && loss < s->best_loss;
}

static void keep_best(struct trainer *t, double accuracy, double loss)
{
    struct training_state *s = &t->state;
    s->best_epoch = s->epoch + 1;
    s->best_accuracy = accuracy;
    s->best_loss = loss;
    const float *averages = t->stepper.average.values;
    if (averages) {
        memcpy(t->best, averages, (t->parameters + t->states) * sizeof(float));
    } else {
        memcpy(t->best, gradient_parameters(t->gradient), t->parameters * sizeof(float));
        memcpy(t->best + t->parameters, gradient_state(t->gradient), t->states * sizeof(float));
    }
}

static int write_row(struct trainer *t, const struct log_row *row, struct message *m)
{
    char held_out[32] = "";
    if (isfinite(row->accuracy_held_out))
        snprintf(held_out, sizeof held_out, "%.2f %% held out, ", row->accuracy_held_out);
    progress_clear(&t->progress);
    trainer_say(t, 1, "epoch %lld/%lld: loss %.4f, accuracy %.2f %% training, %s%.1f images/s",
                (long long)row->epoch, (long long)t->options->epochs, row->loss, row->accuracy_train, held_out,
                row->images_per_second);
    TRY(log_add(&t->state.log, row, m));
    return trainer_save_log(t, m);
}

/* Loss scaling: its skipped steps are the log's. */
static int log_skipped(struct trainer *t, struct message *m)
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

static int next_size(struct trainer *t, struct message *m)
{
    const struct image_shape before = t->shape;
    TRY(trainer_sizes_follow(t, m));
    return image_shape_is(before, t->shape) ? STATUS_OK : step_begin(&t->stepper, m);
}

static int epoch_end(struct trainer *t, struct message *m)
{
    struct training_state *s = &t->state;
    struct log_row row = {.epoch = s->epoch + 1, .step = s->step, .accuracy_held_out = NAN};
    double before = clock_seconds();
    TRY(trainer_settle(t, m));
    s->epoch_seconds += clock_seconds() - before;
    TRY(trainer_check_finite(t, m));
    if (is_validated(t)) {
        struct loss_sums sums;
        TRY(evaluate(t, &sums, m));
        row.accuracy_held_out = t->last_accuracy = loss_accuracy(&sums);
        if (is_better(s, row.accuracy_held_out, loss_mean(&sums)))
            keep_best(t, row.accuracy_held_out, loss_mean(&sums));
    }
    row.learning_rate = trainer_rate(t, s->step - 1);
    row.loss = loss_mean(&s->sums);
    row.accuracy_train = loss_accuracy(&s->sums);
    row.images_per_second = s->epoch_seconds > 0 ? (double)s->sums.images / s->epoch_seconds : NAN;
    row.seconds = t->seconds_before + clock_seconds() - t->session_start;
    TRY(log_skipped(t, m));
    TRY(write_row(t, &row, m));
    s->epoch++;
    s->epoch_step = 0;
    s->sums = (struct loss_sums){0};
    s->epoch_seconds = 0;
    TRY(trainer_save(t, m));
    TRY(next_size(t, m));
    t->mark = clock_seconds();
    return STATUS_OK;
}

/* The model as it was before the first step, as epoch 0 of the log: the best until one is better. */
static int evaluate_start(struct trainer *t, struct message *m)
{
    const struct exec_options how = evaluation_options(t);
    struct loss_sums sums;
    struct model model;
    TRY(t->kind->deliver(t->context, &t->start, NULL, NULL, NULL, &model, m));
    int status = held_out_evaluate(&t->held_out, &model, &how, &sums, m);
    model_free(&model);
    TRY(status);
    t->state.start_accuracy = t->state.best_accuracy = loss_accuracy(&sums);
    t->state.best_loss = loss_mean(&sums);
    t->state.best_epoch = 0;
    struct log_row row = {.learning_rate = NAN,
                          .loss = NAN,
                          .accuracy_train = NAN,
                          .accuracy_held_out = loss_accuracy(&sums),
                          .images_per_second = NAN,
                          .seconds = clock_seconds() - t->session_start};
    return write_row(t, &row, m);
}

/* Reads on to the end record, so that a complete stream is told from a broken one and upstream ends well. */
static int finish_stream(struct trainer *t, struct message *m)
{
    struct minibatch b;
    int got = source_next(&t->source, &b, t->options->stop, m);
    if (got == STATUS_INTERRUPTED)
        return stop_here(t, m);
    TRY(got);
    if (t->source.surplus > 0)
        trainer_say(t, 0, "the stream goes on after epoch %lld (--epochs): %lld images were not used",
                    (long long)t->options->epochs, (long long)t->source.surplus);
    return STATUS_OK;
}

int loop_run(struct trainer *t, struct message *m)
{
    struct training_state *s = &t->state;
    int64_t steps = t->source.steps;
    t->mark = clock_seconds();
    if (!t->resumed && t->kind->evaluate_start && held_out_is_open(&t->held_out))
        TRY(evaluate_start(t, m));
    while (s->epoch < t->options->epochs) {
        int stopped = source_is_stopped(&t->source, t->options->stop, m);
        TRY(stopped);
        if (stopped)
            return stop_here(t, m);
        TRY(s->epoch_step == steps ? epoch_end(t, m) : step_next(t, m));
    }
    return finish_stream(t, m);
}
