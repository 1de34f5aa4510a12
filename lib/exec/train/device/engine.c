/* Training on a device: opened, described. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"
#include "kernel/contract/arithmetic.h"
#include <stdio.h>

/* ---- open and close ---- */

static int open_engine(struct gradient *g, struct message *m)
{
    struct device_training *t = g->own = memory_new(1, sizeof *t, m);
    if (!t)
        return STATUS_NOMEM;
    TRY(device_context_get(g->options.tf32, g->options.fast, &t->context, m));
    TRY(device_type_choose(t->context, g->options.precision, &t->type, m));
    t->is_scaled = t->type == DEVICE_F16;
    t->scale.scale = LOSS_SCALE_FIRST;
    return device_training_plan(g, m);
}

static void close_engine(struct gradient *g)
{
    if (!device_of(g))
        return;
    device_training_release(g);
    memory_free(g->own);
}

/* ---- what it is ---- */

static int threads(const struct gradient *g)
{
    (void)g;
    return 1;
}

static const char *device(const struct gradient *g)
{
    return device_of(g)->context->backend->name;
}

static const char *isa(const struct gradient *g)
{
    return device_of(g)->context->information.name;
}

static size_t arena_bytes(const struct gradient *g)
{
    return device_of(g)->arena_bytes;
}

static size_t held_bytes(const struct gradient *g)
{
    const struct device_training *t = device_of(g);
    size_t flat = 3 * g->parameter_count + g->state_count + (t->average ? g->parameter_count + g->state_count : 0);
    size_t bytes = t->arena_bytes + t->layer_bytes + t->at.bytes + flat * sizeof(float);
    bytes += device_shared_bytes(g);
    for (int i = 0; i < MOST_PROGRAMS; i++)
        bytes += t->programs[i].workspace_bytes + t->programs[i].reserve_bytes;
    return bytes + (t->copy ? g->parameter_count * device_type_bytes(t->type) : 0);
}

static const char *precision(const struct gradient *g)
{
    const struct device_training *t = device_of(g);
    return t->type == DEVICE_F32 && t->context->options.tf32 ? "tf32" : device_type_precision(t->type);
}

/* 0 where it cannot be measured. */
static double peak(const struct gradient *g)
{
    const struct device_context *c = device_of(g)->context;
    struct message unused;
    double macs = 0;
    return c->backend->peak(c->device, device_of(g)->type, 0.05, &macs, &unused) < 0 ? 0 : macs;
}

/* Makes the events, where there are none yet. */
static int profile_begin_events(struct gradient *g)
{
    struct device_training *t = device_of(g);
    struct message unused;
    for (int i = 0; i < g->steps.count * DEVICE_EVENTS; i++)
        if (!t->events[i])
            TRY(t->context->backend->event_new(t->context->device, &t->events[i], &unused));
    return 0;
}

static int algorithms(const struct gradient *g, int i, char *text, size_t size)
{
    const struct device_training *t = device_of(g);
    if (g->steps.at[i].kind != STEP_CONV || !t->programs[0].steps[i].plan)
        return 0;
    const struct device_program_step *p = &t->programs[0].steps[i];
    const struct device_backend *b = t->context->backend;
    snprintf(text, size, "%s: forward %s, data %s, weight %s", gradient_node(g, g->steps.at[i].node)->name,
             b->plan_algorithm(p->integer ? p->integer : p->plan, DEVICE_FORWARD),
             gradient_wants(g, g->steps.at[i].x) ? b->plan_algorithm(p->plan, DEVICE_DATA) : "-",
             b->plan_algorithm(p->plan, DEVICE_WEIGHT));
    return 1;
}

static int sharing(const struct gradient *g, char *text, size_t size)
{
    const struct device_context *c = device_of(g)->context;
    if (!g->shard)
        return 0;
    if (g->reduce.ranks)
        snprintf(text, size, "shards of %d images, on %d devices, %s", g->reduce.shard, g->reduce.ranks->count,
                 c->peers_words);
    else
        snprintf(text, size, "shards of %d images", g->reduce.shard);
    return g->reduce.ranks && !c->peers ? 2 : 1;
}

const struct gradient_engine device_gradient_engine = {
    .name = "device",
    .whole_steps = &device_whole_steps,
    .open = open_engine,
    .close = close_engine,
    .forward = device_forward,
    .backward = device_backward,
    .profile_begin = profile_begin_events,
    .algorithms = algorithms,
    .sharing = sharing,
    .threads = threads,
    .device = device,
    .isa = isa,
    .precision = precision,
    .arena_bytes = arena_bytes,
    .held_bytes = held_bytes,
    .peak = peak,
};
