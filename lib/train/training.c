#include "train/training.h"
#include "base/memory.h"
#include "graph/convert.h"
#include "record/file.h"
#include "record/output.h"
#include "record/stream.h"
#include "train/log.h"
#include "record/recipe.h"
#include "train/stages.h"
#include "train/trainer.h"
#include <math.h>
#include <string.h>

/* ---- before: what can be refused at once is refused at once ---- */

static int check_outputs(const struct training_options *o, struct message *m)
{
    const char *outputs[] = {o->output, o->last, o->log, o->checkpoint, o->floats};
    const int count = (int)(sizeof outputs / sizeof outputs[0]);
    if (o->ranks && o->ranks->rank > 0)
        return STATUS_OK; /* the first one's */
    for (int i = 0; i < count; i++) {
        if (i > 0 && !outputs[i])
            continue;
        TRY(output_check(outputs[i], m));
        TRY(output_differs(o->input, outputs[i], m));
        TRY(output_differs(o->validate, outputs[i], m));
        TRY(output_differs(o->teacher.model, outputs[i], m));
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
    if (t->kind->half)
        TRY(tensors_halve(model->record, m));
    return record_save(model->record, path, m);
}

/* values NULL: as they are now. is_start: the start model instead, by the call that tested it. */
static int deliver_to(struct trainer *t, const float *values, int is_start, const char *path, struct message *m)
{
    struct model model;
    if (t->gradient && !is_start)
        TRY(trainer_deliver(t, values, &model, m));
    else
        TRY(t->kind->deliver(t->context, &t->start, NULL, NULL, NULL, &model, m));
    int status = save_model(t, &model, path, m);
    model_free(&model);
    return status;
}

/* Of the same values, in floats. */
static int deliver_floats(struct trainer *t, const float *values, int is_start, struct message *m)
{
    const float *averages = t->stepper.average.values, *from = values ? values : averages;
    struct gradient *g = is_start ? NULL : t->gradient;
    struct model model;
    TRY(t->kind->floats(t->context, &t->start, g, from, from ? from + t->parameters : NULL, &model, m));
    int status = save_model(t, &model, t->options->floats, m);
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
    if (!trainer_is_first(t))
        return STATUS_OK;
    TRY(trainer_save_log(t, m));
    if (o->last)
        TRY(deliver_to(t, NULL, 0, o->last, m));
    int has_best = t->best && t->state.best_epoch >= 0, is_start = has_best && t->state.best_epoch == 0;
    if (o->floats && t->kind->floats)
        TRY(deliver_floats(t, has_best ? t->best : NULL, is_start, m));
    TRY(deliver_to(t, has_best ? t->best : NULL, is_start, o->output, m));
    if (t->best)
        warn_of_loss(t);
    if (t->best)
        trainer_say(t, 1, "best: epoch %lld, %.2f %% held out", (long long)t->state.best_epoch,
                    t->state.best_accuracy);
    return STATUS_OK;
}

/* ---- opening ---- */

static struct exec_options teacher_options(const struct training_options *o)
{
    return (struct exec_options){.threads = o->threads, .isa = o->isa};
}

static int open_buffers(struct trainer *t, struct message *m)
{
    const struct training_options *o = t->options;
    const struct graph *g = &t->start.graph;
    const struct step_options step = {.optimizer = o->optimizer,
                                      .label_smoothing = o->label_smoothing,
                                      .ema = o->ema,
                                      .batch = (int)o->batch,
                                      .classes = g->nodes[g->count - 1].c,
                                      .teacher = teacher_is_there(&t->teacher) ? &t->teacher : NULL,
                                      .oscillation = {o->freeze, o->epochs * t->source.steps}};
    t->parameters = gradient_parameter_count(t->gradient);
    t->states = gradient_state_count(t->gradient);
    TRY(stepper_open(&t->stepper, t->gradient, &step, m));
    if (!held_out_is_open(&t->held_out))
        return STATUS_OK;
    t->best = memory_new(t->parameters + t->states, sizeof(float), m);
    return t->best ? STATUS_OK : STATUS_NOMEM;
}

static int check_stream(struct trainer *t, struct message *m)
{
    const char *name = path_is_standard(t->options->input) ? "stdin" : t->options->input;
    if (t->source.total <= 0)
        return message_set(m, STATUS_FORMAT, "%s: total: missing metadata: training needs the images an epoch",
                           name);
    return data_require_training(t->stream, name, m);
}

static int check_held_out(const struct trainer *t, struct image_shape images, struct message *m)
{
    char is[IMAGE_SHAPE_SIZE], want[IMAGE_SHAPE_SIZE];
    if (!held_out_is_open(&t->held_out) || image_shape_is(t->held_out.set.shape, images))
        return STATUS_OK;
    image_shape_print(t->held_out.set.shape, is);
    image_shape_print(images, want);
    return message_set(m, STATUS_MISMATCH, "%s: images: are %s, but the training images are %s",
                       t->options->validate, is, want);
}

/* Whatever else was trained must not have seen what is held out. */
static int check_others(const struct trainer *t, struct message *m)
{
    for (int i = 0; i < t->kind->side_count; i++)
        if (t->kind->sides[i])
            TRY(held_out_check(&t->held_out, t->options->validate, t->kind->sides[i], "a model that was given", m));
    return t->teacher.side ? held_out_check(&t->held_out, t->options->validate, t->teacher.side, "the teacher", m)
                           : STATUS_OK;
}

/* The stream, the start model and the held-out images, fit to each other; then the recipe. */
static int open_inputs(struct trainer *t, struct gradient_options *gradient, struct message *m)
{
    const struct training_options *o = t->options;
    TRY(source_open(&t->source, o->ranks, gradient_shard(gradient), o->input, (int)o->batch, o->epochs, m));
    t->stream = t->source.stream;
    TRY(check_stream(t, m));
    const struct image_shape images = t->source.shape;
    TRY(t->kind->prepare(t->context, t->stream, images, &t->start, gradient, t->lineage, m));
    const struct graph *g = &t->start.graph;
    if (g->nodes[g->count - 1].c != t->source.class_count)
        return message_set(m, STATUS_MISMATCH, "classes: the images have %d, the model %d", t->source.class_count,
                           g->nodes[g->count - 1].c);
    TRY(images_match_input(images, g->nodes[0].h, g->nodes[0].w, g->nodes[0].c, m));
    t->whole = t->shape = images;
    TRY(teacher_load(&t->teacher, &o->teacher, t->stream, &t->start, t->lineage, m));
    TRY(held_out_open(&t->held_out, o->validate, t->stream, t->start.record, m));
    t->held_out.ranks = o->ranks;
    TRY(check_held_out(t, images, m));
    TRY(check_others(t, m));
    if (held_out_is_open(&t->held_out))
        lineage_add(t->lineage, "validate", "sha256:%s", t->held_out.digest);
    return recipe_make(&t->recipe, o->tool, t->lineage, t->stream, m);
}

/* The way through the host is slow, and whoever wants another one must know why. */
static int say_what_runs(const struct trainer *t, struct message *m)
{
    struct text lines = {0};
    char sharing[512];
    if (gradient_sharing(t->gradient, sharing, sizeof sharing) == 2)
        trainer_say(t, 0, "%s", sharing);
    int status =
        step_describe(&t->stepper, (size_t)model_parameter_elements(&t->start), t->options->precision, &lines, m);
    for (char *line = lines.data, *end; status >= 0 && line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        trainer_say(t, 1, "%s", line);
    }
    text_free(&lines);
    return status;
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
                                        .fast = o->fast,
                                        .shard = o->shard,
                                        .ranks = o->ranks};
    TRY(open_inputs(t, &gradient, m));
    TRY(trainer_check_room(t, &gradient, m));
    TRY(gradient_open(&t->gradient, &t->start, &gradient, m));
    t->gradient_options = gradient;
    TRY(trainer_sizes_check(t, m));
    TRY(warn_of_stages(t, m));
    const struct exec_options teacher = teacher_options(o);
    TRY(teacher_open(&t->teacher, &teacher, (int)o->batch, m));
    TRY(open_buffers(t, m));
    TRY(say_what_runs(t, m));
    if (checkpoint)
        TRY(trainer_restore(t, checkpoint, m));
    else
        TRY(log_begin(&t->state.log, o->tool, t->stream, t->source.total, t->held_out.set.count,
                      gradient_precision(t->gradient), o->optimizer.clip_norm, gradient_device_shard(t->gradient),
                      m));
    TRY(trainer_agree(t, m));
    TRY(trainer_sizes_follow(t, m));
    TRY(step_begin(&t->stepper, m));
    return source_start(&t->source, t->state.epoch, t->state.epoch_step, m);
}

static int run_epochs(struct trainer *t, const struct record *checkpoint, struct message *m)
{
    const struct training_options *o = t->options;
    TRY(open_run(t, checkpoint, m));
    if (o->ready) /* before the log is there: who sees it may interrupt */
        o->ready();
    TRY(trainer_save_log(t, m));
    t->session_start = clock_seconds();
    FILE *progress = trainer_is_first(t) ? o->progress : NULL;
    progress_open(&t->progress, progress, progress == NULL, o->called ? o->called : o->tool,
                  trainer_sizes_work(t, o->epochs, 0) - t->images_before);
    int status = loop_run(t, m);
    progress_close(&t->progress);
    return status;
}

/* Nothing is read, nothing trained: what the start model gives is delivered. */
static int run_nothing(struct trainer *t, struct message *m)
{
    struct gradient_options unused = {0};
    TRY(log_begin(&t->state.log, t->options->tool, NULL, 0, 0, NULL, 0, 0, m));
    TRY(t->kind->prepare(t->context, NULL, (struct image_shape){0}, &t->start, &unused, t->lineage, m));
    return warn_of_stages(t, m);
}

static void trainer_close(struct trainer *t)
{
    source_close(&t->source);
    held_out_close(&t->held_out);
    stepper_close(&t->stepper);
    teacher_close(&t->teacher);
    training_state_free(&t->state);
    text_free(&t->recipe);
    memory_free(t->best);
    memory_free(t->shrunk);
    threads_close(t->shrinkers);
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
