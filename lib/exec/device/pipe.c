#include "exec/device/pipe.h"
#include <string.h>

static int slot_open(struct device_pipe *p, struct device_pipe_slot *s, struct message *m)
{
    const struct device_backend *b = p->context->backend;
    struct device *d = p->context->device;
    TRY(b->allocate_host(d, p->in_bytes, &s->in, m));
    TRY(b->allocate_host(d, p->out_bytes, &s->out, m));
    TRY(b->allocate(d, p->in_bytes, &s->staged, m));
    TRY(b->event_new(d, &s->copied, m));
    return b->event_new(d, &s->done, m);
}

int device_pipe_open(struct device_pipe *p, struct device_context *c, size_t in_bytes, size_t out_bytes,
                     struct message *m)
{
    *p = (struct device_pipe){.context = c, .in_bytes = in_bytes, .out_bytes = out_bytes};
    for (int i = 0; i < PIPE_SLOTS; i++)
        TRY(slot_open(p, &p->slots[i], m));
    return 0;
}

void device_pipe_close(struct device_pipe *p)
{
    for (int i = 0; p->context && i < PIPE_SLOTS; i++) {
        const struct device_backend *b = p->context->backend;
        struct device *d = p->context->device;
        struct device_pipe_slot *s = &p->slots[i];
        b->release_host(d, s->in);
        b->release_host(d, s->out);
        b->release(d, s->staged);
        b->event_free(d, s->copied);
        b->event_free(d, s->done);
    }
    *p = (struct device_pipe){0};
}

int device_pipe_wait(struct device_pipe *p, int slot, struct message *m)
{
    struct device_pipe_slot *s = &p->slots[slot];
    if (!s->busy)
        return 0;
    s->busy = 0;
    return p->context->backend->event_synchronize(p->context->device, s->done, m);
}

/* That `staged` was read is known: whoever fills a slot has waited for its `done`. */
int device_pipe_send(struct device_pipe *p, int slot, void *to, size_t bytes, struct message *m)
{
    const struct device_backend *b = p->context->backend;
    struct device *d = p->context->device;
    struct device_pipe_slot *s = &p->slots[slot];
    TRY(b->copy_in(d, QUEUE_COPY, s->staged, s->in, bytes, m));
    TRY(b->event_record(d, s->copied, QUEUE_COPY, m));
    TRY(b->event_wait(d, QUEUE_COMPUTE, s->copied, m));
    return b->copy_on(d, QUEUE_COMPUTE, to, s->staged, bytes, m);
}

int device_pipe_receive(struct device_pipe *p, int slot, const void *from, size_t bytes, struct message *m)
{
    const struct device_backend *b = p->context->backend;
    struct device *d = p->context->device;
    struct device_pipe_slot *s = &p->slots[slot];
    TRY(b->copy_out(d, QUEUE_COMPUTE, s->out, from, bytes, m));
    TRY(b->event_record(d, s->done, QUEUE_COMPUTE, m));
    s->busy = 1;
    p->next = (slot + 1) % PIPE_SLOTS;
    return 0;
}
