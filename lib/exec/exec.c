#include "exec/exec.h"
#include "base/memory.h"
#include "base/progress.h"
#include "exec/plan.h"
#include <string.h>

enum { DEFAULT_BATCH = 64, MAX_BATCH = 65536 };

/* ---- open and close ---- */

static int prepare(struct exec *e, struct message *m)
{
    TRY(plan_steps(e, m));
    TRY(plan_buffers(e, m));
    for (int i = 0; i < e->step_count; i++) {
        TRY(step_prepare(e, &e->steps[i], m));
        e->scratch_stride = max_size(e->scratch_stride, round_up_64(step_scratch(e, &e->steps[i])));
    }
    e->arena = memory_new(e->arena_bytes, 1, m);
    if (!e->arena)
        return STATUS_NOMEM;
    e->scratch = memory_new((size_t)threads_count(e->pool), e->scratch_stride, m);
    return e->scratch ? 0 : STATUS_NOMEM;
}

int exec_open(struct exec **out, const struct model *model, const struct exec_options *options, struct message *m)
{
    static const struct exec_options defaults;
    const struct exec_options *o = options ? options : &defaults;
    const char *device;
    int status;
    *out = NULL;
    if (o->batch < 0 || o->batch > MAX_BATCH)
        return message_set(m, STATUS_RANGE, "batch: %d is not in 1..%d", o->batch, MAX_BATCH);
    TRY(device_choose(o->device, &device, m));
    TRY(model_verify(model, m));
    struct exec *e = memory_new(1, sizeof *e, m);
    if (!e)
        return STATUS_NOMEM;
    e->model = model;
    e->device = device;
    e->batch = o->batch ? o->batch : DEFAULT_BATCH;
    e->keep = o->keep_activations;
    TRY_GOTO(kernel_table_get(&e->kernels, o->isa, m), fail);
    TRY_GOTO(threads_open(&e->pool, o->threads ? o->threads : 1, m), fail);
    TRY_GOTO(prepare(e, m), fail);
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
    threads_close(e->pool);
    for (int i = 0; i < e->step_count; i++)
        step_release(&e->steps[i]);
    memory_free(e->steps);
    memory_free(e->values);
    memory_free(e->arena);
    memory_free(e->scratch);
    memory_free(e);
}

/* ---- run ---- */

struct job {
    const struct exec *e;
    const struct step *s;
};

static void job_item(void *context, int item, int worker)
{
    const struct job *j = context;
    struct place at = {.image = item / j->s->blocks,
                       .block = item % j->s->blocks,
                       .scratch = j->e->scratch + (size_t)worker * j->e->scratch_stride};
    step_item(j->e, j->s, &at);
}

/* At most e->batch images. */
static void run_chunk(struct exec *e, const uint8_t *images, int count)
{
    size_t image_bytes = exec_image_bytes(e);
    /* Copied, so that every image begins where kernels want it: on a multiple of 64 bytes. */
    for (int i = 0; i < count; i++)
        memcpy(exec_value(e, 0, i), images + (size_t)i * image_bytes, image_bytes);
    for (int i = 0; i < e->step_count; i++) {
        struct step *s = &e->steps[i];
        struct job job = {e, s};
        double start = e->profiling ? clock_seconds() : 0;
        threads_run(e->pool, job_item, &job, count * s->blocks);
        if (e->profiling)
            s->seconds += clock_seconds() - start;
    }
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
    for (int64_t at = 0; at < count; at += e->batch) {
        int n = chunk_of(e, count - at);
        run_chunk(e, images + (size_t)at * exec_image_bytes(e), n);
        for (int i = 0; i < n; i++)
            memcpy(logits + (size_t)(at + i) * classes, exec_value(e, output, i), classes * sizeof(float));
    }
    return 0;
}

static int visit_node(struct exec *e, int node, int count, exec_visitor *visit, void *context, struct message *m)
{
    size_t elements = node_elements(&e->model->graph.nodes[node]);
    if (elements * sizeof(float) == e->values[node].stride)
        return visit(context, node, exec_value(e, node, 0), elements * (size_t)count, m);
    for (int i = 0; i < count; i++)
        TRY(visit(context, node, exec_value(e, node, i), elements, m));
    return 0;
}

int exec_observe(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                 struct message *m)
{
    const struct graph *g = &e->model->graph;
    if (!e->keep)
        return message_set(m, STATUS_MISMATCH, "the plan does not keep its activations: nothing can be observed");
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
    return e->kernels->isa;
}

const char *exec_device(const struct exec *e)
{
    return e->device;
}

const char *exec_precision(const struct exec *e)
{
    return !e->integer_layers ? "f32" : e->float_layers ? "mixed" : "int8";
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
    return e->arena_bytes;
}

void exec_profile(struct exec *e, int on)
{
    e->profiling = on;
    for (int i = 0; on && i < e->step_count; i++)
        e->steps[i].seconds = 0;
}

int exec_layer_count(const struct exec *e)
{
    return e->step_count;
}

struct exec_layer exec_layer_at(const struct exec *e, int i)
{
    const struct step *s = &e->steps[i];
    const struct node *n = &e->model->graph.nodes[s->node];
    return (struct exec_layer){n->name, graph_op_name(n->op), s->algorithm, s->macs, s->seconds, s->packed_bytes};
}

double exec_peak(const struct exec *e)
{
    const char *type = e->integer_layers ? "u8" : "f32";
    return kernel_peak(e->kernels, type, 0.05) * threads_count(e->pool);
}
