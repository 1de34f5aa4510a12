#include "train/training.h"
#include "base/memory.h"
#include "record/file.h"
#include "record/output.h"
#include "record/stream.h"
#include "train/log.h"
#include "train/recipe.h"
#include "train/stages.h"
#include "train/trainer.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>

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
    const struct record *sides[TRAINING_MAX_SIDES + 1];
    int count = 0;
    for (; count < t->kind->side_count && count < TRAINING_MAX_SIDES; count++)
        sides[count] = t->kind->sides[count];
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

/* gradient_store takes the state from the gradient itself: lend it another for the while. */
int trainer_deliver(struct trainer *t, const float *values, struct model *out, struct message *m)
{
    if (!values)
        values = t->average.values;
    if (!values)
        return t->kind->deliver(t->context, &t->start, t->gradient, gradient_parameters(t->gradient), out, m);
    float *state = gradient_state(t->gradient);
    size_t bytes = t->states * sizeof *state;
    memcpy(t->spare_state, state, bytes);
    memcpy(state, values + t->parameters, bytes);
    int status = t->kind->deliver(t->context, &t->start, t->gradient, values, out, m);
    memcpy(state, t->spare_state, bytes);
    return status;
}

/* ---- before: what can be refused at once is refused at once ---- */

static int check_outputs(const struct training_options *o, struct message *m)
{
    const char *outputs[] = {o->output, o->last, o->log, o->checkpoint};
    const int count = (int)(sizeof outputs / sizeof outputs[0]);
    for (int i = 0; i < count; i++) {
        if (i > 0 && !outputs[i])
            continue;
        TRY(output_check(outputs[i], m));
        TRY(output_differs(o->input, outputs[i], m));
        TRY(output_differs(o->validate, outputs[i], m));
        for (size_t k = 0; k < sizeof o->inputs / sizeof o->inputs[0]; k++)
            TRY(output_differs(o->inputs[k], outputs[i], m));
        for (int k = 0; k < i; k++) {
            if (outputs[k] && strcmp(outputs[i], outputs[k]) == 0)
                return message_set(m, STATUS_MISMATCH, "%s: would be two outputs at once", outputs[i]);
        }
    }
    if (!path_is_standard(o->output))
        return STATUS_OK;
    struct record_writer *w; /* refused where it is a terminal */
    TRY(writer_open(&w, o->output, m));
    writer_abandon(w);
    return STATUS_OK;
}

/* ---- after ---- */

static int save_model(struct trainer *t, struct model *model, const char *path, struct message *m)
{
    TRY(model_store(model, m));
    if (t->stream)
        TRY(data_describe(model->record, t->stream, m));
    TRY(trainer_lineage(t, model->record, m));
    return record_save(model->record, path, m);
}

/* values NULL: as they are now. is_start: the start model instead, by the call that tested it. */
static int deliver_to(struct trainer *t, const float *values, int is_start, const char *path, struct message *m)
{
    struct model model;
    if (t->gradient && !is_start)
        TRY(trainer_deliver(t, values, &model, m));
    else
        TRY(t->kind->deliver(t->context, &t->start, NULL, NULL, &model, m));
    int status = save_model(t, &model, path, m);
    model_free(&model);
    return status;
}

/* Two standard deviations of the difference between two shares of so many images, in percent. */
static double chance(double a, double b, int64_t images)
{
    return 2 * sqrt((a * (100 - a) + b * (100 - b)) / (double)images);
}

/* Training that only took away: more often than not a learning rate that is too high. */
static void warn_of_loss(const struct trainer *t)
{
    const struct training_state *s = &t->state;
    double start = s->start_accuracy, last = t->last_accuracy;
    if (isnan(start))
        return;
    if (s->best_epoch == 0)
        trainer_say(
            t, 0,
            "no epoch is better on the held-out images than the start, %.2f %%: the start is written, untrained "
            "(a lower --learning-rate?)",
            start);
    else if (last + chance(start, last, t->held_out.set.count) < start)
        trainer_say(
            t, 0,
            "held-out accuracy ended at %.2f %%, far below the start's %.2f %%: epoch %lld is written, with %.2f "
            "%% (a lower --learning-rate?)",
            last, start, (long long)s->best_epoch, s->best_accuracy);
}

/* The output comes last: where it is, everything is. */
static int deliver_all(struct trainer *t, struct message *m)
{
    const struct training_options *o = t->options;
    TRY(log_save(&t->state.log, o->log, m));
    if (o->last)
        TRY(deliver_to(t, NULL, 0, o->last, m));
    int has_best = t->best && t->state.best_epoch >= 0;
    TRY(deliver_to(t, has_best ? t->best : NULL, has_best && t->state.best_epoch == 0, o->output, m));
    if (t->best)
        warn_of_loss(t);
    if (t->best)
        trainer_say(t, 1, "best: epoch %lld, %.2f %% held out", (long long)t->state.best_epoch,
                    t->state.best_accuracy);
    return STATUS_OK;
}

/* ---- opening ---- */

static int open_buffers(struct trainer *t, struct message *m)
{
    const struct training_options *o = t->options;
    const struct graph *g = &t->start.graph;
    const struct slice *slices;
    int slice_count = gradient_slices(t->gradient, &slices);
    t->parameters = gradient_parameter_count(t->gradient);
    t->states = gradient_state_count(t->gradient);
    t->classes = g->nodes[g->count - 1].c;
    TRY(optimizer_open(&t->optimizer, &o->optimizer, slices, slice_count, t->parameters, m));
    TRY(average_open(&t->average, o->ema, t->gradient, m));
    t->logits = memory_new_raw((size_t)o->batch, (size_t)t->classes * sizeof(float), m);
    t->dlogits = memory_new_raw((size_t)o->batch, (size_t)t->classes * sizeof(float), m);
    t->spare_state = memory_new(t->states, sizeof(float), m);
    if (!t->logits || !t->dlogits || !t->spare_state)
        return STATUS_NOMEM;
    if (held_out_is_open(&t->held_out)) {
        t->best = memory_new(t->parameters + t->states, sizeof(float), m);
        if (!t->best)
            return STATUS_NOMEM;
    }
    return STATUS_OK;
}

static int check_stream(struct trainer *t, struct message *m)
{
    const char *name = path_is_standard(t->options->input) ? "stdin" : t->options->input;
    if (feed_total(t->feed) <= 0)
        return message_set(m, STATUS_FORMAT, "%s: total: missing metadata: training needs the images an epoch",
                           name);
    return data_require_training(t->stream, name, m);
}

/* The stream, the start model and the held-out images, fit to each other; then the recipe. */
static int open_inputs(struct trainer *t, struct gradient_options *gradient, struct message *m)
{
    const struct training_options *o = t->options;
    TRY(feed_open(&t->feed, o->input, (int)o->batch, o->epochs, m));
    t->stream = record_copy(feed_stream(t->feed)->first, m);
    if (!t->stream)
        return STATUS_NOMEM;
    TRY(check_stream(t, m));
    TRY(t->kind->prepare(t->context, t->stream, &t->start, gradient, t->lineage, m));
    const struct graph *g = &t->start.graph;
    if (g->nodes[g->count - 1].c != feed_stream(t->feed)->class_count)
        return message_set(m, STATUS_MISMATCH, "classes: the images have %d, the model %d",
                           feed_stream(t->feed)->class_count, g->nodes[g->count - 1].c);
    TRY(held_out_open(&t->held_out, o->validate, t->stream, t->start.record, m));
    if (held_out_is_open(&t->held_out))
        lineage_add(t->lineage, "validate", "sha256:%s", t->held_out.digest);
    return recipe_make(&t->recipe, o->tool, t->lineage, t->stream, m);
}

static void say_what_runs_on_device(const struct trainer *t)
{
    char line[256];
    trainer_say(t, 1, "device %s, %s, precision %s, %zu parameters, %.0f MB", gradient_device(t->gradient),
                gradient_isa(t->gradient), gradient_precision(t->gradient),
                (size_t)model_parameter_elements(&t->start), (double)gradient_held_bytes(t->gradient) / 1e6);
    for (int i = 0; i < gradient_layer_count(t->gradient); i++)
        if (gradient_layer_algorithms(t->gradient, i, line, sizeof line))
            trainer_say(t, 1, "%s", line);
}

static void say_what_runs(const struct trainer *t)
{
    const struct training_options *o = t->options;
    const char *precision = gradient_precision(t->gradient);
    if (gradient_makes_steps(t->gradient)) {
        say_what_runs_on_device(t);
        return;
    }
    trainer_say(t, 1, "device %s, isa %s, threads %d, precision %s %s, %zu parameters",
                gradient_device(t->gradient), gradient_isa(t->gradient), gradient_threads(t->gradient), precision,
                strcmp(gradient_engine(t->gradient), "block") == 0 ? "over blocks" : "image by image",
                (size_t)model_parameter_elements(&t->start));
    if (o->precision && strcmp(o->precision, precision) != 0)
        trainer_say(t, 1, "precision %s: no kernels of that kind for this network on this machine: trains in %s",
                    o->precision, precision);
}

/* Every size that the run's mini-batches will have, before any of it is trained on. */
static int check_counts(const struct trainer *t, struct message *m)
{
    int64_t total = feed_total(t->feed), batch = t->options->batch, rest = total % batch;
    int status = total >= batch ? gradient_check_count(t->gradient, batch, m) : STATUS_OK;
    if (status >= 0 && rest > 0)
        status = gradient_check_count(t->gradient, rest, m);
    if (status >= 0)
        return status;
    return message_prefix(m, status, "%lld images an epoch by %lld (--batch)", (long long)total, (long long)batch);
}

/* A warning for each program of the study that could not take what is about to be trained. */
static int warn_of_stages(const struct trainer *t, struct message *m)
{
    struct text report = {0};
    if (!t->kind->warn_of_stages || !t->options->say)
        return STATUS_OK;
    int status = stages_check(&t->start, &report, m);
    for (const char *line = report.data; status >= 0 && line && *line; line += strcspn(line, "\n") + 1)
        trainer_say(t, 0, "a later stage cannot take this network: %.*s", (int)strcspn(line, "\n"), line);
    text_free(&report);
    return status;
}

static int open_run(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    const struct training_options *o = t->options;
    struct gradient_options gradient = {.threads = o->threads,
                                        .batch = (int)o->batch,
                                        .isa = o->isa,
                                        .device = o->device,
                                        .precision = o->precision,
                                        .tf32 = o->tf32,
                                        .fast = o->fast};
    TRY(open_inputs(t, &gradient, m));
    TRY(gradient_open(&t->gradient, &t->start, &gradient, m));
    TRY(check_counts(t, m));
    TRY(warn_of_stages(t, m));
    TRY(open_buffers(t, m));
    say_what_runs(t);
    if (checkpoint)
        TRY(trainer_restore(t, checkpoint, m));
    else
        TRY(log_begin(&t->state.log, o->tool, t->stream, feed_total(t->feed), t->held_out.set.count,
                      gradient_precision(t->gradient), m));
    return feed_start(t->feed, t->state.epoch, t->state.epoch_step, m);
}

static int run_epochs(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    const struct training_options *o = t->options;
    TRY(open_run(t, checkpoint, m));
    if (o->ready) /* before the log is there: who sees it may interrupt */
        o->ready();
    TRY(log_save(&t->state.log, o->log, m));
    t->session_start = clock_seconds();
    progress_open(&t->progress, o->progress, o->progress == NULL, o->tool,
                  o->epochs * feed_total(t->feed) - t->images_before);
    int status = loop_run(t, m);
    progress_clear(&t->progress);
    return status;
}

/* Nothing is read, nothing trained: what the start model gives is delivered. */
static int run_nothing(struct trainer *t, struct message *m)
{
    struct gradient_options unused = {0};
    TRY(log_begin(&t->state.log, t->options->tool, NULL, 0, 0, NULL, m));
    TRY(t->kind->prepare(t->context, NULL, &t->start, &unused, t->lineage, m));
    return warn_of_stages(t, m);
}

static void trainer_close(struct trainer *t)
{
    feed_close(t->feed);
    record_free(t->stream);
    held_out_close(&t->held_out);
    optimizer_close(&t->optimizer);
    average_close(&t->average);
    training_state_free(&t->state);
    text_free(&t->recipe);
    memory_free(t->best);
    memory_free(t->flags);
    memory_free(t->spare_state);
    memory_free(t->logits);
    memory_free(t->dlogits);
    if (t->gradient)
        gradient_close(t->gradient);
    model_free(&t->start);
}

int training_run(const struct training_options *options, const struct training_kind *kind, void *context,
                 struct lineage *lineage, struct message *m)
{
    struct trainer t = {.options = options, .kind = kind, .context = context, .lineage = lineage};
    struct record *checkpoint = NULL;
    t.state.best_epoch = -1;
    t.state.best_accuracy = t.state.best_loss = t.state.start_accuracy = t.last_accuracy = NAN;
    TRY(check_outputs(options, m));
    int status = 0;
    if (options->epochs > 0 && options->resume && options->checkpoint)
        status = checkpoint_load(options->checkpoint, &checkpoint, m);
    if (status >= 0)
        status = options->epochs > 0 ? run_epochs(&t, checkpoint, m) : run_nothing(&t, m);
    if (status >= 0)
        status = deliver_all(&t, m);
    record_free(checkpoint);
    trainer_close(&t);
    return status;
}
