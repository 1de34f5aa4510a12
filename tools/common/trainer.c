#include "tools/common/trainer.h"
#include "base/threads.h"
#include "exec/device/choose.h"
#include "tools/common/crew.h"
#include "tools/common/stopping.h"
#include <string.h>

/* ---- arguments ---- */

struct trainer_arguments trainer_defaults(void)
{
    return (struct trainer_arguments){.epochs = 1,
                                      .batch = 128,
                                      .validate_every = 1,
                                      .seed = 1,
                                      .threads = threads_online(),
                                      .schedule = "one-cycle",
                                      .precision = "fp32",
                                      .where = {.device = device_default},
                                      .teacher.how = {0.5, 4},
                                      .rate = 0.1,
                                      .momentum = 0.9,
                                      .weight_decay = 5e-4,
                                      .bias_rate = 1,
                                      .peak = 0.25,
                                      .factor = 0.1,
                                      .milestones = {{50, 75}, 2},
                                      .nesterov = 1,
                                      .decay_all = 1};
}

static int schedule_make(const struct trainer_arguments *a, struct schedule *s, struct message *m)
{
    *s = (struct schedule){.rate = a->rate,
                           .peak = a->peak,
                           .warm_up_epochs = a->warm_up,
                           .milestone_count = a->milestones.count,
                           .factor = a->factor};
    for (int i = 0; i < a->milestones.count; i++) {
        s->milestones[i] = (double)a->milestones.items[i] / 100;
        if (i > 0 && s->milestones[i] <= s->milestones[i - 1])
            return message_set(m, STATUS_RANGE, "--milestones: want an ascending list");
    }
    return schedule_parse(a->schedule, &s->kind, m);
}

static void milestones_record(const struct trainer_arguments *a, struct lineage *l)
{
    struct text list = {0};
    int status = 0;
    for (int i = 0; i < a->milestones.count && status >= 0; i++)
        status = text_add(&list, l->message, "%s%lld", i ? "," : "", (long long)a->milestones.items[i]);
    if (status < 0)
        l->status = status;
    else
        lineage_add(l, "milestones", "%s", list.data);
    text_free(&list);
}

/* Only where it is on: what was trained before there was any is the same run still. */
static void rates_record(const struct trainer_arguments *a, struct lineage *l)
{
    char number[32];
    format_number(number, a->clip_norm);
    if (a->clip_norm > 0)
        lineage_add(l, "clip-norm", "%s", number);
    if (!a->layer_rates)
        return;
    format_number(number, a->scale_share);
    lineage_add(l, "rates", "layer");
    lineage_add(l, "scale-share", "%s", number);
}

struct talk {
    const struct tool *tool;
    int verbose, quiet;
};

static void say(void *context, int verbose, const char *line)
{
    const struct talk *t = context;
    if (!verbose && !t->quiet)
        tool_warn(t->tool, "%s", line);
    if (verbose && t->verbose)
        fprintf(stderr, "%s: %s\n", tool_called(t->tool), line);
}

static struct training_options options_make(const struct tool *tool, const struct trainer_arguments *a,
                                            const char *const *inputs)
{
    struct training_options o = {
        .tool = tool->name,
        .called = tool_called(tool),
        .epochs = a->epochs,
        .batch = a->batch,
        .optimizer = {a->momentum, a->weight_decay, a->nesterov, a->decay_all, a->bias_rate, a->clip_norm,
                      a->layer_rates, a->scale_share},
        .label_smoothing = a->smoothing,
        .teacher = a->teacher,
        .freeze = a->freeze,
        .floats = a->floats,
        .ema = a->ema,
        .output = a->output,
        .last = a->last,
        .log = a->log,
        .validate = a->validate,
        .validate_every = a->validate_every,
        .checkpoint = a->checkpoint,
        .checkpoint_every = a->checkpoint_every,
        .resume = a->resume,
        .threads = (int)a->threads,
        .tf32 = a->where.tf32,
        .fast = a->where.fast,
        .shard = (int)a->shard,
        .precision = a->precision,
        .progress = a->quiet ? NULL : stderr,
        .say = say,
    };
    for (int i = 0; i < TRAINING_MAX_INPUTS; i++)
        o.inputs[i] = inputs[i];
    if (a->checkpoint) {
        o.stop = &stop_signal;
        o.ready = stopping_begin;
    }
    return o;
}

static const char *misuse_of(const struct trainer_arguments *a)
{
    if (a->resume && !a->checkpoint)
        return "--resume: needs --checkpoint FILE";
    if (a->checkpoint_every > 0 && !a->checkpoint)
        return "--checkpoint-every: needs --checkpoint FILE";
    if (a->growth && a->teacher.model)
        return "--grow: a teacher (--teacher) wants the pictures whole";
    if (a->nesterov && a->momentum == 0)
        return "--momentum: is 0, which --nesterov cannot look along (--no-nesterov)";
    return NULL;
}

/* A rank has a device of its own, as far as its machine has them. */
static int choose_device(const struct tool *tool, const struct trainer_arguments *a, struct training_options *o,
                         struct message *m)
{
    struct device_arguments where = a->where;
    if (o->ranks)
        device_prefer(o->ranks->local);
    if (a->epochs > 0)
        TRY(device_resolve(tool, &where, a->quiet || (o->ranks && o->ranks->rank > 0), m));
    o->device = where.device;
    return STATUS_OK;
}

int trainer_main(const struct tool *tool, const struct trainer_arguments *a, const struct training_kind *kind,
                 void *context, const char *const *inputs)
{
    struct message m = {{0}};
    struct talk talk = {tool, a->verbose, a->quiet};
    if (misuse_of(a))
        return tool_misuse(tool, "%s", misuse_of(a));
    if (!a->teacher.model && (tool_was_given(tool, "teacher-share") || tool_was_given(tool, "temperature")))
        return tool_misuse(tool, "--%s: needs --teacher MODEL",
                           tool_was_given(tool, "temperature") ? "temperature" : "teacher-share");
    struct training_options o = options_make(tool, a, inputs);
    o.say_context = &talk;
    if (schedule_make(a, &o.schedule, &m) < 0)
        return tool_misuse(tool, "%s", m.text);
    if (a->growth && growth_parse(a->growth, &o.growth, &m) < 0)
        return tool_misuse(tool, "--grow: %s", m.text);
    int opened = ranks_open(&o.ranks, &m);
    if (opened < 0)
        return tool_end(tool, opened, &m);
    struct lineage lineage = {.message = &m};
    tool_lineage(tool, &lineage);
    milestones_record(a, &lineage);
    rates_record(a, &lineage);
    int status = choose_device(tool, a, &o, &m);
    if (status >= 0)
        status = training_run(&o, kind, context, &lineage, &m);
    lineage_free(&lineage);
    if (status == STATUS_INTERRUPTED && stop_signal)
        stopping_die();
    return tool_end_of_ranks(tool, o.ranks, status, &m);
}
