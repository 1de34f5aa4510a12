/* Inference on a device: opened, described. */
#include "base/memory.h"
#include "exec/infer/device/device_exec.h"
#include <string.h>

/* ---- open and close ---- */

static int choose(const struct model *model, const struct exec_options *o, enum step_fusion *fusion,
                  struct message *m)
{
    (void)model;
    (void)m;
    *fusion = o->keep_activations ? FUSE_NOTHING : FUSE_INTO_CONV;
    return 0;
}

/* Once without, so that what libraries do at first is not captured. Without a captured graph the steps are queued
 * each time: slower, and the same. */
static int capture(struct exec *e, struct message *m)
{
    struct device_exec *d = device_of(e);
    const struct device_backend *b = d->context->backend;
    struct message unsupported;
    TRY(device_steps_queue(e, NULL, m));
    TRY(b->synchronize(d->context->device, m));
    int status = b->capture_begin(d->context->device, &unsupported);
    if (status == STATUS_UNSUPPORTED)
        return 0;
    if (status < 0)
        return message_set(m, status, "%s", unsupported.text);
    status = device_steps_queue(e, NULL, m);
    if (status < 0) {
        b->capture_abandon(d->context->device);
        return status;
    }
    return b->capture_end(d->context->device, &d->graph, m);
}

static int choose_type(struct exec *e, const char *precision, struct message *m)
{
    struct device_exec *d = device_of(e);
    TRY(device_type_choose(d->context, precision, &d->type, m));
    if (e->integer_layers && d->type != DEVICE_F32)
        return message_set(m, STATUS_UNSUPPORTED,
                           "precision %s: the model has integer layers, which have their own", precision);
    return 0;
}

static int open_engine(struct exec *e, const struct exec_options *o, struct message *m)
{
    struct device_exec *d = e->own = memory_new(1, sizeof *d, m);
    if (!d)
        return STATUS_NOMEM;
    TRY(device_context_get(o->tf32, o->fast, &d->context, m));
    TRY(choose_type(e, o->precision, m));
    TRY(device_exec_plan(e, m));
    TRY(device_steps_pack(e, m));
    return capture(e, m);
}

static void close_engine(struct exec *e)
{
    if (!device_of(e))
        return;
    device_exec_release(e);
    memory_free(device_of(e));
}

/* ---- what it is ---- */

static const char *isa(const struct exec *e)
{
    return device_of(e)->context->information.name;
}

static const char *precision(const struct exec *e)
{
    const struct device_exec *d = device_of(e);
    if (d->type == DEVICE_F32)
        return d->context->options.tf32 ? "tf32" : "f32";
    return d->type == DEVICE_F16 ? "f16" : "bf16";
}

static int threads(const struct exec *e)
{
    (void)e;
    return 1;
}

static size_t bytes(const struct exec *e)
{
    const struct device_exec *d = device_of(e);
    return d->arena_bytes + d->constant_bytes + d->packed_bytes + d->workspace_bytes;
}

/* 0 where it cannot be measured. */
static double peak(const struct exec *e)
{
    const struct device_exec *d = device_of(e);
    struct message unused;
    double macs = 0;
    int status = d->context->backend->peak(d->context->device, e->integer_layers ? DEVICE_S8 : d->type, 0.05, &macs,
                                           &unused);
    return status < 0 ? 0 : macs;
}

static double seconds(const struct exec *e)
{
    return device_of(e)->run_seconds;
}

static void profile_clear(struct exec *e)
{
    memset(device_of(e)->seconds, 0, (size_t)e->steps.count * sizeof(double));
}

static void layer(const struct exec *e, int i, struct exec_layer *l)
{
    const struct device_exec *d = device_of(e);
    const struct device_plan *p = d->steps[i].plan;
    l->algorithm = p ? d->context->backend->plan_algorithm(p, DEVICE_FORWARD) : "elementwise";
    l->seconds = d->seconds[i];
}

const struct exec_engine device_exec_engine = {
    .choose = choose,
    .open = open_engine,
    .close = close_engine,
    .run = device_exec_batches,
    .observe = device_exec_observe,
    .profile_clear = profile_clear,
    .layer = layer,
    .isa = isa,
    .precision = precision,
    .threads = threads,
    .bytes = bytes,
    .peak = peak,
    .seconds = seconds,
};
