/* What shards give, kept on the device, and its sums; between ranks, by the devices' own library or through the host's
 * memory: from the device, over the ranks, and to the device again. */
#include "base/memory.h"
#include "exec/train/device/device_train.h"
#include <string.h>

/* ---- open and close ---- */

/* Partial sums that stand beside the first at once, over a subtree of so many shards. */
static int partial_rows(int shards)
{
    int rows = 0;
    for (int i = 1; i < shards; i++)
        rows = tree_depth(i) > rows ? tree_depth(i) : rows;
    return rows;
}

static int ranks_of(const struct gradient *g)
{
    return g->reduce.ranks ? g->reduce.ranks->count : 1;
}

static int allocate(struct gradient *g, size_t bytes, void **p, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    TRY(c->backend->allocate(c->device, device_align(bytes + 1), p, m));
    return c->backend->zero(c->device, *p, device_align(bytes + 1), m);
}

static int allocate_rows(struct gradient *g, size_t rows, size_t floats, float **to, struct message *m)
{
    void *p = NULL;
    int status = rows > 0 ? allocate(g, rows * floats * sizeof(float), &p, m) : 0;
    *to = p;
    return status;
}

/* Tables; and, where it is needed, page-locked memory for the longest that goes through the host at once: all rows,
 * a flat buffer, all slices. */
static int open_host(struct gradient *g, size_t shards, struct message *m)
{
    struct device_shared *s = &device_of(g)->shared;
    const struct device_context *c = device_of(g)->context;
    size_t all = shards * s->row_bytes, slices = (size_t)g->reduce.most_trees * s->slice * sizeof(float);
    size_t flat = g->parameter_count * sizeof(float), own = max_size(all, flat);
    s->table = memory_new(4 * (size_t)ranks_of(g), sizeof *s->table, m);
    if (!s->table || c->peers)
        return s->table ? 0 : STATUS_NOMEM;
    TRY(c->backend->allocate_host(c->device, own + 1, &s->host_own, m));
    return c->backend->allocate_host(c->device, max_size(own, slices) + 1, &s->host_all, m);
}

int device_shared_open(struct gradient *g, struct message *m)
{
    struct device_training *t = device_of(g);
    struct device_shared *s = &t->shared;
    const struct reduce *r = &g->reduce;
    size_t shards = (size_t)share_of(g->batch, r->shard, 0, 1).shards;
    if (!g->shard)
        return 0;
    s->row_bytes = 2 * sizeof(float);
    for (int i = 0; i < g->graph.count; i++)
        s->row_bytes = max_size(s->row_bytes, 2 * (size_t)gradient_node(g, i)->c * sizeof(double));
    TRY(allocate(g, shards * s->row_bytes, &s->rows, m));
    TRY(allocate(g, s->row_bytes, &s->total, m));
    TRY(allocate_rows(g, (size_t)r->own_room - 1, g->parameter_count, &s->sums, m));
    TRY(allocate_rows(g, (size_t)partial_rows(t->shards), g->parameter_count, &s->partial, m));
    if (!r->ranks)
        return 0;
    s->slice = (g->parameter_count / (size_t)ranks_of(g) + 64) / 32 * 32; /* and the next multiple of 16 bytes */
    TRY(allocate_rows(g, (size_t)r->most_trees, s->slice, &s->slices, m));
    TRY(device_peers_meet(g, m));
    return open_host(g, shards, m);
}

/* Of the device. */
size_t device_shared_bytes(const struct gradient *g)
{
    const struct device_training *t = device_of(g);
    const struct reduce *r = &g->reduce;
    if (!g->shard)
        return 0;
    size_t flat = (size_t)(r->own_room - 1 + partial_rows(t->shards)) * g->parameter_count;
    size_t slices = r->ranks ? (size_t)r->most_trees * t->shared.slice : 0;
    size_t rows = (size_t)share_of(g->batch, r->shard, 0, 1).shards + 1;
    return (flat + slices) * sizeof(float) + rows * t->shared.row_bytes;
}

void device_shared_close(struct gradient *g)
{
    struct device_shared *s = &device_of(g)->shared;
    const struct device_context *c = device_of(g)->context;
    void *blocks[] = {s->rows, s->total, s->sums, s->partial, s->slices};
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        c->backend->release(c->device, blocks[i]);
    c->backend->release_host(c->device, s->host_own);
    c->backend->release_host(c->device, s->host_all);
    memory_free(s->table);
}

int device_shared_is_queued(const struct gradient *g)
{
    return !g->reduce.ranks || device_of(g)->context->peers;
}

/* ---- between ranks, of the device's memory ---- */

static int copy_out(struct gradient *g, void *to, const void *from, size_t bytes, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    return bytes > 0 ? c->backend->copy_out(c->device, QUEUE_COMPUTE, to, from, bytes, m) : 0;
}

static int copy_in(struct gradient *g, void *to, const void *from, size_t bytes, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    return bytes > 0 ? c->backend->copy_in(c->device, QUEUE_COMPUTE, to, from, bytes, m) : 0;
}

static int wait_for_device(struct gradient *g, struct message *m)
{
    const struct device_context *c = device_of(g)->context;
    return c->backend->synchronize(c->device, m);
}

/* As ranks->gather. Through the host: the parts lie side by side, `total` bytes in all; and what the host holds of
 * one call is over when the next one has waited. */
static int gather(struct gradient *g, const void *own, void *all, const size_t *bytes, const size_t *offset,
                  size_t total, struct message *m)
{
    struct device_shared *s = &device_of(g)->shared;
    const struct device_context *c = device_of(g)->context;
    const struct ranks *ranks = g->reduce.ranks;
    if (c->peers)
        return c->backend->peers_gather(c->device, c->peers, own, all, bytes, offset, m);
    TRY(copy_out(g, s->host_own, own, bytes[ranks->rank], m));
    TRY(wait_for_device(g, m));
    TRY(ranks->gather(s->host_own, s->host_all, bytes, offset, m));
    return copy_in(g, all, s->host_all, total, m);
}

/* sent: how far what goes reaches. */
static int exchange(struct gradient *g, const struct device_exchange_call *e, size_t sent, struct message *m)
{
    struct device_shared *s = &device_of(g)->shared;
    const struct device_context *c = device_of(g)->context;
    const struct ranks *ranks = g->reduce.ranks;
    const size_t *bytes = e->receive_bytes, *at = e->receive_offset;
    if (c->peers)
        return c->backend->peers_exchange(c->device, c->peers, e, m);
    TRY(copy_out(g, s->host_own, e->send, sent, m));
    TRY(wait_for_device(g, m));
    TRY(ranks->exchange(s->host_own, e->send_bytes, e->send_offset, s->host_all, bytes, at, m));
    for (int i = 0; i < ranks->count; i++)
        TRY(copy_in(g, device_at(e->receive, at[i]), (char *)s->host_all + at[i], bytes[i], m));
    return 0;
}

/* ---- rows: one a shard ---- */

void *device_shared_row(const struct gradient *g, int shard, size_t bytes)
{
    return device_at(device_of(g)->shared.rows, (size_t)(g->reduce.share.begin + shard) * bytes);
}

int device_shared_gather(struct gradient *g, size_t bytes, struct message *m)
{
    struct device_shared *s = &device_of(g)->shared;
    const struct reduce *r = &g->reduce;
    if (!r->ranks)
        return 0;
    size_t *each = s->table, *offset = each + r->ranks->count;
    for (int i = 0; i < r->ranks->count; i++) {
        struct share share = share_of(r->images, r->shard, i, r->ranks->count);
        each[i] = (size_t)(share.end - share.begin) * bytes;
        offset[i] = (size_t)share.begin * bytes;
    }
    return gather(g, device_shared_row(g, 0, bytes), s->rows, each, offset, (size_t)r->share.shards * bytes, m);
}

int device_shared_sums(struct gradient *g, int values, struct message *m)
{
    struct device_shared *s = &device_of(g)->shared;
    const struct device_context *c = device_of(g)->context;
    TRY(device_shared_gather(g, (size_t)values * sizeof(double), m));
    return c->backend->tree_sums(c->device, s->rows, g->reduce.share.shards, values, s->total, m);
}

/* ---- gradients by parameters ---- */

float *device_shared_sum(const struct gradient *g, int tree, int depth)
{
    const struct device_training *t = device_of(g);
    if (depth > 0)
        return t->shared.partial + (size_t)(depth - 1) * g->parameter_count;
    return tree == 0 ? t->gradients : t->shared.sums + (size_t)(tree - 1) * g->parameter_count;
}

/* Own subtree `round` of every rank: its slices to their owners, a row of slices each. */
static int slices_exchange(struct gradient *g, int round, struct message *m)
{
    const struct reduce *r = &g->reduce;
    struct device_shared *s = &device_of(g)->shared;
    int ranks = r->ranks->count, has_own = round < r->own_count;
    size_t *send = s->table, *send_at = send + ranks, *receive = send_at + ranks, *receive_at = receive + ranks;
    const struct device_exchange_call e = {.send = device_shared_sum(g, has_own ? round : 0, 0),
                                           .send_bytes = send,
                                           .send_offset = send_at,
                                           .receive = s->slices,
                                           .receive_bytes = receive,
                                           .receive_offset = receive_at};
    size_t count = g->parameter_count, begin = reduce_slice_begin(count, r->ranks->rank, ranks);
    size_t own = reduce_slice_begin(count, r->ranks->rank + 1, ranks) - begin;
    for (int i = 0; i < ranks; i++) {
        size_t at = reduce_slice_begin(count, i, ranks), end = reduce_slice_begin(count, i + 1, ranks);
        int tree = r->trees_first[i] + round, has = tree < r->trees_first[i + 1];
        send[i] = has_own ? (end - at) * sizeof(float) : 0;
        send_at[i] = at * sizeof(float);
        receive[i] = has ? own * sizeof(float) : 0;
        receive_at[i] = has ? (size_t)tree * s->slice * sizeof(float) : 0;
    }
    return exchange(g, &e, has_own ? count * sizeof(float) : 0, m);
}

static int add_slices(void *context, int to, int from, struct message *m)
{
    struct gradient *g = context;
    const struct device_shared *s = &device_of(g)->shared;
    const struct device_context *c = device_of(g)->context;
    float *a = s->slices + (size_t)to * s->slice, *b = s->slices + (size_t)from * s->slice;
    return c->backend->add(c->device, &(struct device_add_call){DEVICE_F32, a, b, s->slice, 0, a}, m);
}

/* The finished slices, to all. */
static int slices_gather(struct gradient *g, struct message *m)
{
    struct device_shared *s = &device_of(g)->shared;
    int ranks = g->reduce.ranks->count;
    size_t *bytes = s->table, *offset = bytes + ranks, count = g->parameter_count;
    for (int i = 0; i < ranks; i++) {
        offset[i] = reduce_slice_begin(count, i, ranks) * sizeof(float);
        bytes[i] = reduce_slice_begin(count, i + 1, ranks) * sizeof(float) - offset[i];
    }
    return gather(g, s->slices, device_of(g)->gradients, bytes, offset, count * sizeof(float), m);
}

int device_shared_gradients(struct gradient *g, struct message *m)
{
    const struct reduce *r = &g->reduce;
    if (!r->ranks)
        return 0;
    for (int round = 0; round < r->most_own; round++)
        TRY(slices_exchange(g, round, m));
    TRY(reduce_add_trees(r, add_slices, g, m));
    return slices_gather(g, m);
}
