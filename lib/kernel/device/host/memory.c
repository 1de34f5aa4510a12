/* Memory of the device in ordinary memory: counted, limited, filled with NaNs, and checked. */
#include "base/memory.h"
#include "kernel/device/host/queue.h"
#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    size_t bytes;
    int is_host;
};

/* Before what is given out, so that this begins on a multiple of 256. */
enum { BLOCK_HEAD = DEVICE_ALIGNMENT };

static struct block *blocks;

static unsigned char *begin_of(struct block *b)
{
    return (unsigned char *)b + BLOCK_HEAD;
}

void host_check(const void *p, size_t bytes, const char *name)
{
    for (struct block *b = blocks; b; b = b->next) {
        uintptr_t at = (uintptr_t)p, begin = (uintptr_t)begin_of(b);
        if (!b->is_host && at >= begin && at + bytes <= begin + b->bytes)
            return;
    }
    host_wrong("memory that is not the device's", name, bytes);
}

static int allocate_block(size_t bytes, int is_host, void **p, struct message *m)
{
    size_t limit = host_control.memory;
    TRY(host_enter("allocate", m));
    if (!is_host && limit && bytes > limit - host_record.held)
        return message_set(m, STATUS_NOMEM, "out of memory: %zu bytes of %zu", bytes, limit - host_record.held);
    struct block *b = aligned_alloc(DEVICE_ALIGNMENT, BLOCK_HEAD + (bytes + 255) / 256 * 256);
    if (!b)
        return message_set(m, STATUS_NOMEM, "out of memory: %zu bytes", bytes);
    *b = (struct block){.next = blocks, .bytes = bytes, .is_host = is_host};
    blocks = b;
    memset(begin_of(b), 0xff, bytes);
    host_record.allocations++;
    host_record.held += is_host ? 0 : bytes;
    *p = begin_of(b);
    return 0;
}

static void release_block(struct device *d, void *p)
{
    if (!p)
        return;
    host_drain(d);
    for (struct block **b = &blocks; *b; b = &(*b)->next) {
        struct block *found = *b;
        if (begin_of(found) != p)
            continue;
        *b = found->next;
        host_record.held -= found->is_host ? 0 : found->bytes;
        free(found);
        return;
    }
    host_wrong("released, but never allocated", "release", 0);
}

static int allocate(struct device *d, size_t bytes, void **p, struct message *m)
{
    (void)d;
    return allocate_block(bytes, 0, p, m);
}

static int allocate_host(struct device *d, size_t bytes, void **p, struct message *m)
{
    (void)d;
    return allocate_block(bytes, 1, p, m);
}

/* ---- copies ---- */

static void run_copy(struct device *d, const struct host_call *c)
{
    (void)d;
    if (c->i[1])
        host_check(c->p[0], (size_t)c->i[0], "copy to");
    if (c->i[2])
        host_check(c->p[1], (size_t)c->i[0], "copy from");
    memcpy((void *)(uintptr_t)c->p[0], c->p[1], (size_t)c->i[0]);
}

static int copy(struct device *d, enum device_queue q, const char *name, void *to, const void *from, size_t bytes,
                int to_device, int from_device, struct message *m)
{
    struct host_call call = {.run = run_copy, HOST_P(to, from), HOST_I((int64_t)bytes, to_device, from_device)};
    return host_queue(d, q, name, &call, m);
}

static int copy_in(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                   struct message *m)
{
    return copy(d, q, "copy_in", to, from, bytes, 1, 0, m);
}

static int copy_out(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                    struct message *m)
{
    return copy(d, q, "copy_out", to, from, bytes, 0, 1, m);
}

static int copy_on(struct device *d, enum device_queue q, void *to, const void *from, size_t bytes,
                   struct message *m)
{
    return copy(d, q, "copy_on", to, from, bytes, 1, 1, m);
}

static void run_zero(struct device *d, const struct host_call *c)
{
    (void)d;
    host_check(c->p[0], (size_t)c->i[0], "zero");
    memset((void *)(uintptr_t)c->p[0], 0, (size_t)c->i[0]);
}

static int zero(struct device *d, void *to, size_t bytes, struct message *m)
{
    return HOST_QUEUE(d, "zero", run_zero, m, HOST_P(to), HOST_I((int64_t)bytes));
}

void host_table_memory(struct device_backend *b)
{
    b->allocate = allocate;
    b->release = release_block;
    b->allocate_host = allocate_host;
    b->release_host = release_block;
    b->copy_in = copy_in;
    b->copy_out = copy_out;
    b->copy_on = copy_on;
    b->zero = zero;
}
