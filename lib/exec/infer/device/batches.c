/* Inference on a device: batches in, logits out. */
#include "base/memory.h"
#include "exec/infer/device/device_exec.h"
#include <string.h>

/* ---- one batch ---- */

static int queue_batch(struct exec *e, int slot, struct message *m)
{
    struct device_exec *d = device_of(e);
    const struct device_backend *b = d->context->backend;
    TRY(device_pipe_send(&d->pipe, slot, device_value(d, 0), d->pipe.in_bytes, m));
    TRY(b->event_record(d->context->device, d->begin[slot], QUEUE_COMPUTE, m));
    if (e->profiling)
        TRY(device_steps_queue(e, d->events, m));
    else if (d->graph)
        TRY(b->graph_launch(d->context->device, d->graph, m));
    else
        TRY(device_steps_queue(e, NULL, m));
    TRY(b->event_record(d->context->device, d->end[slot], QUEUE_COMPUTE, m));
    return device_pipe_receive(&d->pipe, slot, device_at(d->arena, d->logits), d->pipe.out_bytes, m);
}

static int add_times(struct exec *e, struct message *m)
{
    struct device_exec *d = device_of(e);
    for (int i = 0; i < e->steps.count; i++) {
        double seconds;
        TRY(d->context->backend->event_seconds(d->context->device, d->events[i], d->events[i + 1], &seconds, m));
        d->seconds[i] += seconds;
    }
    return 0;
}

/* ---- a call ---- */

/* Where the batch that a slot carries belongs. */
struct carried {
    int64_t at;
    int count; /* 0: nothing */
};

static int collect(struct exec *e, int slot, struct carried *c, float *logits, struct message *m)
{
    struct device_exec *d = device_of(e);
    size_t classes = node_elements(exec_node(e, e->model->graph.count - 1));
    double seconds = 0;
    TRY(device_pipe_wait(&d->pipe, slot, m)); /* also where an earlier call failed in between */
    if (!c->count)
        return 0;
    TRY(d->context->backend->event_seconds(d->context->device, d->begin[slot], d->end[slot], &seconds, m));
    d->run_seconds += seconds;
    if (e->profiling)
        TRY(add_times(e, m));
    memcpy(logits + (size_t)c->at * classes, d->pipe.slots[slot].out, (size_t)c->count * classes * sizeof(float));
    c->count = 0;
    return 0;
}

/* While the steps are timed, one batch at a time: they share their events. */
int device_exec_batches(struct exec *e, const uint8_t *images, int64_t count, float *logits, struct message *m)
{
    struct device_exec *d = device_of(e);
    struct carried carried[PIPE_SLOTS] = {{0, 0}};
    size_t image = node_elements(exec_node(e, 0));
    d->run_seconds = 0;
    for (int64_t at = 0; at < count; at += e->batch) {
        int slot = d->pipe.next;
        TRY(collect(e, slot, &carried[slot], logits, m));
        carried[slot] = (struct carried){at, count - at < e->batch ? (int)(count - at) : e->batch};
        memcpy(d->pipe.slots[slot].in, images + (size_t)at * image, (size_t)carried[slot].count * image);
        TRY(queue_batch(e, slot, m));
        if (e->profiling)
            TRY(collect(e, slot, &carried[slot], logits, m));
    }
    for (int i = 0; i < PIPE_SLOTS; i++) { /* the older one first */
        int slot = (d->pipe.next + i) % PIPE_SLOTS;
        TRY(collect(e, slot, &carried[slot], logits, m));
    }
    return 0;
}

/* ---- observing ---- */

static int observe_batch(struct exec *e, int count, float *values, exec_visitor *visit, void *context,
                         struct message *m)
{
    struct device_exec *d = device_of(e);
    const struct graph *g = &e->model->graph;
    for (int i = 0; i < g->count; i++) {
        size_t elements = node_elements(&g->nodes[i]) * (size_t)count;
        if (!node_is_observed(g, i))
            continue;
        TRY(d->context->backend->copy_out(d->context->device, QUEUE_COMPUTE, values, device_value(d, i),
                                          elements * sizeof *values, m));
        TRY(d->context->backend->synchronize(d->context->device, m));
        TRY(visit(context, i, values, elements, m));
    }
    return 0;
}

static int observe_all(struct exec *e, const uint8_t *images, int64_t count, float *values, float *logits,
                       exec_visitor *visit, void *context, struct message *m)
{
    for (int64_t at = 0; at < count; at += e->batch) {
        int n = count - at < e->batch ? (int)(count - at) : e->batch;
        TRY(device_exec_batches(e, images + (size_t)at * node_elements(exec_node(e, 0)), n, logits, m));
        TRY(observe_batch(e, n, values, visit, context, m));
    }
    return 0;
}

int device_exec_observe(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                        struct message *m)
{
    const struct graph *g = &e->model->graph;
    size_t largest = 1, batch = (size_t)e->batch;
    if (device_of(e)->type != DEVICE_F32)
        return message_set(m, STATUS_MISMATCH, "only values in fp32 can be observed");
    for (int i = 0; i < g->count; i++)
        largest = max_size(largest, node_elements(&g->nodes[i]));
    float *values = memory_new_raw(largest * batch, sizeof *values, m);
    float *logits =
        memory_new_raw(node_elements(exec_node(e, e->model->graph.count - 1)) * batch, sizeof *logits, m);
    int status = values && logits ? observe_all(e, images, count, values, logits, visit, context, m) : STATUS_NOMEM;
    memory_free(values);
    memory_free(logits);
    return status;
}
