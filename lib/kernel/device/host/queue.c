/* Queues, events, capture: nothing runs before something waits for it. */
#include "kernel/device/host/queue.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

struct host_control host_control;
struct host_record host_record;
void (*host_mistake)(const char *what, const char *where, size_t bytes);

void host_wrong(const char *what, const char *where, size_t bytes)
{
    if (host_mistake)
        host_mistake(what, where, bytes);
    __builtin_trap(); /* a bug of whoever drives the device: nothing can go on */
}

/* Once it failed, as it was told to: nothing that is still queued will run, as on a GPU. */
static int is_lost;

void host_forget(void)
{
    struct host_record held = host_record;
    host_record = (struct host_record){.held = held.held,
                                       .open = held.open,
                                       .plans_held = held.plans_held,
                                       .events_held = held.events_held,
                                       .graphs_held = held.graphs_held};
}

int host_enter(const char *name, struct message *m)
{
    if (++host_record.calls == host_control.fail_call) {
        is_lost = 1;
        return message_set(m, STATUS_IO, "%s: the device failed, as it was told to", name);
    }
    return 0;
}

/* ---- lists ---- */

static int list_add(struct call_list *l, const struct host_call *call, struct message *m)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        struct host_call *calls = memory_resize(l->calls, l->count * sizeof *calls, capacity, sizeof *calls, m);
        if (!calls)
            return STATUS_NOMEM;
        l->calls = calls;
        l->capacity = capacity;
    }
    l->calls[l->count++] = *call;
    return 0;
}

static void list_free(struct call_list *l)
{
    memory_free(l->calls);
    *l = (struct call_list){0};
}

/* ---- running ---- */

static void run_record(struct device *d, const struct host_call *c);

static void run_one(struct device *d, enum device_queue q)
{
    struct call_list *l = &d->queues[q];
    struct host_call call = l->calls[l->done++]; /* a copy: running may queue, and move the list */
    if (l->done == l->count)
        l->done = l->count = 0;
    if (!is_lost || call.run == run_record)
        call.run(d, &call);
}

static void run_until(const struct device_event *e, uint64_t reached)
{
    struct call_list *l = &e->device->queues[e->queue];
    while (e->reached < reached && l->done < l->count)
        run_one(e->device, e->queue);
    if (e->reached < reached) {
        host_wrong("a wait for an event that was recorded nowhere", "event", 0);
    }
}

void host_drain(struct device *d)
{
    for (int q = 0; q < DEVICE_QUEUES; q++)
        while (d->queues[q].done < d->queues[q].count)
            run_one(d, (enum device_queue)q);
}

int host_queue(struct device *d, enum device_queue q, const char *name, const struct host_call *call,
               struct message *m)
{
    TRY(host_enter(name, m));
    if (d->capturing)
        return q == QUEUE_COMPUTE ? list_add(&d->capture, call, m)
                                  : message_set(m, STATUS_IO, "%s: not while a step is captured", name);
    if (q == QUEUE_COMPUTE)
        host_record.operations++;
    TRY(list_add(&d->queues[q], call, m));
    while (q == QUEUE_COPY && host_control.copies_at_once && d->queues[q].done < d->queues[q].count)
        run_one(d, q);
    return 0;
}

/* ---- events ---- */

static int event_new(struct device *d, struct device_event **e, struct message *m)
{
    TRY(host_enter("event_new", m));
    *e = memory_new(1, sizeof **e, m);
    if (!*e)
        return STATUS_NOMEM;
    (*e)->device = d;
    host_record.events_held++;
    return 0;
}

static void event_free(struct device *d, struct device_event *e)
{
    if (!e)
        return;
    host_drain(d); /* which may hold calls that point to it */
    host_record.events_held--;
    memory_free(e);
}

static void run_record(struct device *d, const struct host_call *c)
{
    struct device_event *e = (struct device_event *)(uintptr_t)c->p[0];
    (void)d;
    e->reached = (uint64_t)c->i[0];
}

static int event_record(struct device *d, struct device_event *e, enum device_queue q, struct message *m)
{
    struct host_call call = {.run = run_record, .p = {e}, .i = {(int64_t)e->recorded + 1}};
    if (e->recorded > e->reached && e->queue != q)
        run_until(e, e->recorded);
    TRY(host_queue(d, q, "event_record", &call, m));
    e->recorded++;
    e->queue = q;
    return 0;
}

static void run_wait(struct device *d, const struct host_call *c)
{
    (void)d;
    run_until(c->p[0], (uint64_t)c->i[0]);
}

static int event_wait(struct device *d, enum device_queue q, struct device_event *e, struct message *m)
{
    struct host_call call = {.run = run_wait, .p = {e}, .i = {(int64_t)e->recorded}};
    return host_queue(d, q, "event_wait", &call, m);
}

static int event_synchronize(struct device *d, struct device_event *e, struct message *m)
{
    (void)d;
    TRY(host_enter("event_synchronize", m));
    run_until(e, e->recorded);
    return 0;
}

/* Time goes by with the calls, so that it repeats. */
static int event_seconds(struct device *d, struct device_event *from, struct device_event *to, double *seconds,
                         struct message *m)
{
    (void)d, (void)from, (void)to;
    TRY(host_enter("event_seconds", m));
    *seconds = 1e-6;
    return 0;
}

static int synchronize(struct device *d, struct message *m)
{
    TRY(host_enter("synchronize", m));
    host_drain(d);
    return 0;
}

/* ---- capture ---- */

static int capture_begin(struct device *d, struct message *m)
{
    TRY(host_enter("capture_begin", m));
    if (host_control.no_capture)
        return message_set(m, STATUS_UNSUPPORTED, "this device captures nothing");
    d->capturing = 1;
    return 0;
}

static void capture_abandon(struct device *d)
{
    d->capturing = 0;
    d->capture.count = 0;
}

static int capture_end(struct device *d, struct device_graph **g, struct message *m)
{
    TRY(host_enter("capture_end", m));
    *g = memory_new(1, sizeof **g, m);
    if (!*g)
        return STATUS_NOMEM;
    (*g)->list = d->capture;
    d->capture = (struct call_list){0};
    d->capturing = 0;
    host_record.graphs_held++;
    return 0;
}

static void run_graph(struct device *d, const struct host_call *c)
{
    const struct device_graph *g = c->p[0];
    for (size_t i = 0; i < g->list.count; i++)
        g->list.calls[i].run(d, &g->list.calls[i]);
}

static int graph_launch(struct device *d, struct device_graph *g, struct message *m)
{
    struct host_call call = {.run = run_graph, .p = {g}};
    host_record.launches++;
    return host_queue(d, QUEUE_COMPUTE, "graph_launch", &call, m);
}

static void graph_free(struct device *d, struct device_graph *g)
{
    if (!g)
        return;
    host_drain(d);
    host_record.graphs_held--;
    list_free(&g->list);
    memory_free(g);
}

/* ---- device ---- */

static int device_open(const struct device_options *options, struct device **out, struct message *m)
{
    TRY(host_enter("open", m));
    if (host_control.no_open)
        return message_set(m, STATUS_UNSUPPORTED, "%s", host_control.no_open);
    struct device *d = memory_new(1, sizeof *d, m);
    if (!d)
        return STATUS_NOMEM;
    d->options = *options;
    d->kernels = host_definition();
    host_record.open++;
    is_lost = 0;
    *out = d;
    return 0;
}

static void device_close(struct device *d)
{
    if (!d)
        return;
    host_drain(d);
    for (int q = 0; q < DEVICE_QUEUES; q++)
        list_free(&d->queues[q]);
    list_free(&d->capture);
    host_record.open--;
    memory_free(d);
}

static int information(struct device *d, struct device_information *i, struct message *m)
{
    (void)d;
    TRY(host_enter("information", m));
    size_t all = host_control.memory ? host_control.memory : (size_t)1 << 40;
    *i = (struct device_information){.name = "host memory",
                                     .library = "plain C",
                                     .memory = all,
                                     .free = all - host_record.held,
                                     .has_f16 = !host_control.no_f16,
                                     .has_bf16 = 1,
                                     .has_s8 = 1,
                                     .multiprocessors = 1};
    return 0;
}

static int peak(struct device *d, enum device_type type, double seconds, double *macs, struct message *m)
{
    (void)d, (void)type, (void)seconds;
    TRY(host_enter("peak", m));
    *macs = 1e9;
    return 0;
}

void host_table_device(struct device_backend *b)
{
    b->open = device_open;
    b->close = device_close;
    b->information = information;
    b->event_new = event_new;
    b->event_free = event_free;
    b->event_record = event_record;
    b->event_wait = event_wait;
    b->event_synchronize = event_synchronize;
    b->event_seconds = event_seconds;
    b->synchronize = synchronize;
    b->capture_begin = capture_begin;
    b->capture_end = capture_end;
    b->capture_abandon = capture_abandon;
    b->graph_launch = graph_launch;
    b->graph_free = graph_free;
    b->peak = peak;
}
