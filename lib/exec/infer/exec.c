#include "exec/infer/exec.h"
#include "base/memory.h"
#include "base/progress.h"
#include "exec/device/choose.h"
#include "exec/infer/device/device_exec.h"
#include <string.h>

enum { DEFAULT_BATCH = 64, MAX_BATCH = 65536 };

/* ---- open and close ---- */

static int prepare_on_device(struct exec *e, const struct exec_options *o, struct message *m)
{
    e->on_device = memory_new(1, sizeof *e->on_device, m);
    if (!e->on_device)
        return STATUS_NOMEM;
    TRY(plan_steps(e, m));
    for (int i = 0; i < e->step_count; i++)
        TRY(step_prepare(e, &e->steps[i], m));
    return device_exec_open(e, o, m);
}

static int prepare(struct exec *e, struct message *m)
{
    size_t workers = (size_t)threads_count(e->pool);
    TRY(conv_choice_get(&e->choice, m));
    TRY(plan_steps(e, m));
    TRY(plan_buffers(e, m));
    for (int i = 0; i < e->step_count; i++) {
        struct step *s = &e->steps[i];
        TRY(step_prepare(e, s, m));
        size_t bytes = step_is_conv(s) ? conv_scratch(e, s) : step_scratch(e, s);
        e->scratch_stride = max_size(e->scratch_stride, round_up_64(bytes));
    }
    TRY(weights_open(e, m));
    e->seconds = memory_new(workers * (size_t)e->step_count, sizeof *e->seconds, m);
    e->taken = memory_new((size_t)e->segment_count, sizeof *e->taken, m);
    if (!e->seconds || !e->taken)
        return STATUS_NOMEM;
    plan_borders(e);
    return 0;
}

/* Of a CPU: *is_bf16, or why not. */
static int choose_precision(const struct exec_options *o, const struct model *model, int *is_bf16,
                            struct message *m)
{
    const char *precision = o->precision && o->precision[0] ? o->precision : "fp32";
    *is_bf16 = strcmp(precision, "bf16") == 0;
    if (!*is_bf16 && strcmp(precision, "fp32") != 0)
        return message_set(m, STATUS_UNSUPPORTED, "precision %s: a CPU computes float layers in fp32 or bf16",
                           precision);
    for (int i = 1; *is_bf16 && i < model->graph.count; i++)
        if (model->graph.nodes[i].type == NODE_U8)
            return message_set(m, STATUS_UNSUPPORTED,
                               "precision %s: the model has integer layers, which have their own", precision);
    if (*is_bf16 && o->keep_activations)
        return message_set(m, STATUS_UNSUPPORTED, "precision %s: activations are observed in fp32 alone",
                           precision);
    return 0;
}

int exec_open(struct exec **out, const struct model *model, const struct exec_options *options, struct message *m)
{
    static const struct exec_options defaults;
    const struct exec_options *o = options ? options : &defaults;
    const char *device;
    int status, is_bf16 = 0;
    *out = NULL;
    if (o->batch < 0 || o->batch > MAX_BATCH)
        return message_set(m, STATUS_RANGE, "batch: %d is not in 1..%d", o->batch, MAX_BATCH);
    TRY(device_choose(o->device, &device, NULL, m));
    TRY(model_verify(model, m));
    if (strcmp(device, "cpu") == 0)
        TRY(choose_precision(o, model, &is_bf16, m));
    struct exec *e = memory_new(1, sizeof *e, m);
    if (!e)
        return STATUS_NOMEM;
    e->model = model;
    e->device = device;
    e->batch = o->batch ? o->batch : DEFAULT_BATCH;
    e->keep = o->keep_activations;
    e->is_bf16 = is_bf16;
    TRY_GOTO(kernel_table_get(&e->kernels, o->isa, m), fail);
    if (strcmp(device, "cpu") == 0) {
        TRY_GOTO(threads_open(&e->pool, o->threads ? o->threads : 1, m), fail);
        TRY_GOTO(prepare(e, m), fail);
    } else {
        TRY_GOTO(prepare_on_device(e, o, m), fail);
    }
    *out = e;
    return 0;
fail:
    exec_close(e);
    return status;
}

void exec_close(struct exec *e)
{
    if (!e)
        return;
    weights_close(e);
    threads_close(e->pool);
    device_exec_close(e);
    for (int i = 0; i < e->step_count; i++)
        step_release(&e->steps[i]);
    memory_free(e->steps);
    memory_free(e->values);
    memory_free(e->arena);
    memory_free(e->segments);
    memory_free(e->seconds);
    memory_free(e->taken);
    memory_free(e);
}

/* ---- run ---- */

struct job {
    struct exec *e;
    const uint8_t *images;
    int count, few;
    int by_step; /* all workers on each step together, else each on images of its own */
};

static void run_steps(struct exec *e, const struct segment *g, const struct span *at, int worker, int together)
{
    for (int i = g->begin; i < g->end; i++) {
        double start = e->profiling ? clock_seconds() : 0;
        if (at->ahead)
            weights_ahead(e, worker, i, at->ahead);
        step_run(e, &e->steps[i], at);
        if (together)
            threads_barrier(e->pool);
        if (e->profiling)
            e->seconds[worker * e->step_count + i] += clock_seconds() - start;
    }
}

/* Chunks of one segment until none is left. Their sizes differ by one image at most, and their number is a multiple
 * of the workers' where it can be. */
static void run_chunks(const struct job *j, int segment, struct span at, int worker, int workers)
{
    struct exec *e = j->e;
    const struct segment *g = &e->segments[segment];
    int chunks = (j->count + g->chunk - 1) / g->chunk;
    chunks = (chunks + workers - 1) / workers * workers;
    chunks = chunks < j->count ? chunks : j->count;
    for (int i; (i = atomic_fetch_add(&e->taken[segment], 1)) < chunks;) {
        at.image = at.first = (int)((int64_t)j->count * i / chunks);
        at.count = (int)((int64_t)j->count * (i + 1) / chunks) - at.image;
        run_steps(e, g, &at, worker, 0);
    }
}

static void run_member(void *context, int worker, int workers)
{
    const struct job *j = context;
    struct exec *e = j->e;
    struct ahead ahead = {0};
    struct span at = {.images = j->images, .scratch = e->scratch + (size_t)worker * e->scratch_stride};
    if (j->few)
        at.ahead = &ahead;
    for (int i = 0; i < e->segment_count; i++) {
        const struct segment *g = &e->segments[i];
        if (!j->by_step) {
            at.parts = 1;
            at.owner = worker;
            run_chunks(j, i, at, worker, workers);
            threads_barrier(e->pool);
            continue;
        }
        at.part = worker;
        at.parts = workers;
        for (at.image = at.first = 0; at.image < j->count; at.image = at.first += at.count) {
            at.count = j->count - at.image < g->chunk ? j->count - at.image : g->chunk;
            run_steps(e, g, &at, worker, 1);
        }
    }
}

/* At most e->batch images. */
static void run_chunk(struct exec *e, const uint8_t *images, int count)
{
    enum { ENOUGH = 4 }; /* images a worker */
    int workers = threads_count(e->pool);
    int few = count < ENOUGH * workers;
    struct job job = {e, images, count, few, workers > 1 && few};
    for (int i = 0; i < e->segment_count; i++)
        atomic_store(&e->taken[i], 0);
    threads_team(e->pool, run_member, &job);
}

/* What is read of a value after a call; local values are gone by then. */
static const void *value_after(const struct exec *e, int node, int image)
{
    const struct span at = {.parts = 1};
    return exec_value(e, node, &at, image);
}

static int chunk_of(const struct exec *e, int64_t left)
{
    return left < e->batch ? (int)left : e->batch;
}

int exec_run(struct exec *e, const uint8_t *images, int64_t count, float *logits, struct message *m)
{
    int output = e->model->graph.count - 1;
    size_t classes = (size_t)exec_classes(e);
    if (count < 1)
        return message_set(m, STATUS_RANGE, "no images to run");
    if (e->on_device)
        return device_exec_run(e, images, count, logits, m);
    for (int64_t at = 0; at < count; at += e->batch) {
        int n = chunk_of(e, count - at);
        run_chunk(e, images + (size_t)at * exec_image_bytes(e), n);
        for (int i = 0; i < n; i++)
            memcpy(logits + (size_t)(at + i) * classes, value_after(e, output, i), classes * sizeof(float));
    }
    return 0;
}

static int visit_node(struct exec *e, int node, int count, exec_visitor *visit, void *context, struct message *m)
{
    size_t elements = node_elements(&e->model->graph.nodes[node]);
    if (elements * sizeof(float) == e->values[node].bytes)
        return visit(context, node, value_after(e, node, 0), elements * (size_t)count, m);
    for (int i = 0; i < count; i++)
        TRY(visit(context, node, value_after(e, node, i), elements, m));
    return 0;
}

int exec_observe(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                 struct message *m)
{
    const struct graph *g = &e->model->graph;
    if (!e->keep)
        return message_set(m, STATUS_MISMATCH, "the plan does not keep its activations: nothing can be observed");
    if (e->on_device)
        return device_exec_observe(e, images, count, visit, context, m);
    for (int64_t at = 0; at < count; at += e->batch) {
        int n = chunk_of(e, count - at);
        run_chunk(e, images + (size_t)at * exec_image_bytes(e), n);
        for (int i = 0; i < g->count; i++)
            if (node_is_observed(g, i))
                TRY(visit_node(e, i, n, visit, context, m));
    }
    return 0;
}

/* ---- what it is ---- */

int exec_classes(const struct exec *e)
{
    return e->model->graph.nodes[e->model->graph.count - 1].c;
}

size_t exec_image_bytes(const struct exec *e)
{
    return node_elements(&e->model->graph.nodes[0]);
}

const char *exec_isa(const struct exec *e)
{
    return e->on_device ? e->on_device->context->information.name : e->kernels->isa;
}

const char *exec_device(const struct exec *e)
{
    return e->device;
}

const char *exec_precision(const struct exec *e)
{
    if (e->integer_layers)
        return e->float_layers ? "mixed" : "int8";
    return e->on_device ? device_exec_precision(e->on_device) : e->is_bf16 ? "bf16" : "f32";
}

int exec_threads(const struct exec *e)
{
    return threads_count(e->pool);
}

double exec_macs(const struct exec *e)
{
    return e->macs;
}

size_t exec_arena_bytes(const struct exec *e)
{
    return e->on_device ? device_exec_bytes(e->on_device) : e->arena_bytes;
}

void exec_profile(struct exec *e, int on)
{
    e->profiling = on;
    for (int i = 0; on && e->on_device && i < e->step_count; i++)
        e->on_device->seconds[i] = 0;
    for (int i = 0; on && !e->on_device && i < threads_count(e->pool) * e->step_count; i++)
        e->seconds[i] = 0;
}

int exec_layer_count(const struct exec *e)
{
    return e->step_count;
}

struct exec_layer exec_layer_at(const struct exec *e, int i)
{
    const struct step *s = &e->steps[i];
    const struct node *n = &e->model->graph.nodes[s->node];
    int workers = threads_count(e->pool);
    double seconds = 0;
    if (e->on_device)
        return device_exec_layer(e, i);
    for (int k = 0; k < workers; k++)
        seconds += e->seconds[k * e->step_count + i];
    return (struct exec_layer){n->name, graph_op_name(n->op), s->algorithm,
                               s->macs, seconds / workers,    conv_parts_bytes(&s->parts)};
}

double exec_device_seconds(const struct exec *e)
{
    return e->on_device ? e->on_device->run_seconds : 0;
}

double exec_peak(const struct exec *e)
{
    if (e->on_device)
        return device_exec_peak(e);
    int widened = strcmp(e->kernels->conv_bf16.algorithm, "widened") == 0;
    const char *type = e->integer_layers ? "u8" : e->is_bf16 && !widened ? "bf16" : "f32";
    return kernel_peak(e->kernels, type, 0.05) * threads_count(e->pool);
}
