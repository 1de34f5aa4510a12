/* Bytes between GPUs of several processes, by NCCL: loaded when several processes train, and not needed otherwise.
 *
 * ncclSend, ncclRecv and ncclAllGather alone, which move bytes. No reduction of NCCL's: its order of sums depends on
 * how many GPUs there are and how they are connected. */
#include "kernel/device/cuda/cuda.h"

#ifndef RESQ_NCCL

static int missing(struct message *m)
{
    return message_set(m, STATUS_UNSUPPORTED, "resq-cuda.so was built without NCCL's header (nccl.h)");
}

int cuda_peers_offer(struct device *d, struct device_peers_offer *offer, struct message *m)
{
    (void)d, (void)offer;
    return missing(m);
}

int cuda_peers_open(struct device *d, const unsigned char id[DEVICE_PEERS_ID_BYTES], int rank, int count,
                    struct device_peers **p, struct message *m)
{
    (void)d, (void)id, (void)rank, (void)count, (void)p;
    return missing(m);
}

void cuda_peers_close(struct device *d, struct device_peers *p)
{
    (void)d, (void)p;
}

int cuda_peers_gather(struct device *d, struct device_peers *p, const void *own, void *all, const size_t *bytes,
                      const size_t *offset, struct message *m)
{
    (void)d, (void)p, (void)own, (void)all, (void)bytes, (void)offset;
    return missing(m);
}

int cuda_peers_exchange(struct device *d, struct device_peers *p, const struct device_exchange_call *call,
                        struct message *m)
{
    (void)d, (void)p, (void)call;
    return missing(m);
}

#else

#include "base/memory.h"
#include <dlfcn.h>
#include <nccl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is called of it; types as its header has them. */
static struct {
    void *library;
    ncclResult_t (*GetVersion)(int *version);
    ncclResult_t (*GetUniqueId)(ncclUniqueId *id);
    ncclResult_t (*CommInitRank)(ncclComm_t *comm, int count, ncclUniqueId id, int rank);
    ncclResult_t (*CommDestroy)(ncclComm_t comm);
    ncclResult_t (*Send)(const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                         cudaStream_t stream);
    ncclResult_t (*Recv)(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                         cudaStream_t stream);
    ncclResult_t (*AllGather)(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                              cudaStream_t stream);
    ncclResult_t (*GroupStart)(void);
    ncclResult_t (*GroupEnd)(void);
    const char *(*GetErrorString)(ncclResult_t result);
} nccl;

struct device_peers {
    ncclComm_t comm;
    int rank, count;
};

static int failed(struct message *m, ncclResult_t result, const char *call)
{
    return message_set(m, STATUS_IO, "nccl%.*s: %s", (int)strcspn(call, "("), call, nccl.GetErrorString(result));
}

#define NCCL_TRY(m, call)                       \
    do {                                        \
        ncclResult_t result_ = nccl.call;       \
        if (result_ != ncclSuccess)             \
            return failed((m), result_, #call); \
    } while (0)

/* ---- the library ---- */

static int find_all(void *library, struct message *m)
{
    const struct {
        const char *name;
        void *to;
    } names[] = {{"ncclGetVersion", &nccl.GetVersion},
                 {"ncclGetUniqueId", &nccl.GetUniqueId},
                 {"ncclCommInitRank", &nccl.CommInitRank},
                 {"ncclCommDestroy", &nccl.CommDestroy},
                 {"ncclSend", &nccl.Send},
                 {"ncclRecv", &nccl.Recv},
                 {"ncclAllGather", &nccl.AllGather},
                 {"ncclGroupStart", &nccl.GroupStart},
                 {"ncclGroupEnd", &nccl.GroupEnd},
                 {"ncclGetErrorString", &nccl.GetErrorString}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *found = dlsym(library, names[i].name);
        if (!found)
            return message_set(m, STATUS_UNSUPPORTED, "NCCL has no %s: want version 2.7 or later", names[i].name);
        memcpy(names[i].to, &found, sizeof found);
    }
    nccl.library = library;
    return 0;
}

/* RESQ_NCCL: another library, or `off`. It stays loaded. */
static int library_open(struct message *m)
{
    const char *chosen = getenv("RESQ_NCCL");
    if (nccl.library)
        return 0;
    if (chosen && strcmp(chosen, "off") == 0)
        return message_set(m, STATUS_UNSUPPORTED, "RESQ_NCCL is off");
    void *library = dlopen(chosen && *chosen ? chosen : "libnccl.so.2", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return message_set(m, STATUS_UNSUPPORTED, "no NCCL: %s", dlerror());
    return find_all(library, m);
}

/* ---- meeting ---- */

int cuda_peers_offer(struct device *d, struct device_peers_offer *offer, struct message *m)
{
    ncclUniqueId id;
    int version = 0;
    (void)d;
    TRY(library_open(m));
    NCCL_TRY(m, GetVersion(&version));
    NCCL_TRY(m, GetUniqueId(&id));
    _Static_assert(sizeof id == sizeof offer->id, "an id of NCCL's");
    memcpy(offer->id, &id, sizeof id);
    snprintf(offer->library, sizeof offer->library, "NCCL %d.%d.%d", version / 10000, version / 100 % 100,
             version % 100);
    return 0;
}

int cuda_peers_open(struct device *d, const unsigned char id[DEVICE_PEERS_ID_BYTES], int rank, int count,
                    struct device_peers **p, struct message *m)
{
    ncclUniqueId of;
    struct device_peers *new = memory_new(1, sizeof *new, m);
    if (!new)
        return STATUS_NOMEM;
    memcpy(&of, id, sizeof of);
    new->rank = rank;
    new->count = count;
    ncclResult_t result = nccl.CommInitRank(&new->comm, count, of, rank);
    int status = result == ncclSuccess ? held_add(d, HELD_PEERS, new, m) : failed(m, result, "CommInitRank(");
    if (status < 0) {
        if (result == ncclSuccess)
            (void)nccl.CommDestroy(new->comm);
        memory_free(new);
        return status;
    }
    *p = new;
    return 0;
}

/* What was queued is over by now: the device was waited for. */
void cuda_peers_close(struct device *d, struct device_peers *p)
{
    if (!p || !held_remove(d, HELD_PEERS, p))
        return;
    (void)nccl.CommDestroy(p->comm);
    memory_free(p);
}

/* ---- bytes ---- */

static int copy_own(struct device *d, void *to, const void *from, size_t bytes, struct message *m)
{
    return bytes > 0 && to != from ? cuda_copy_on(d, QUEUE_COMPUTE, to, from, bytes, m) : 0;
}

static const void *byte_at(const void *p, size_t offset)
{
    return (const char *)p + offset;
}

/* Inside of a group, which is ended whatever comes. */
static int queue_exchange(struct device *d, const struct device_peers *p, const struct device_exchange_call *c,
                          struct message *m)
{
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    for (int i = 0; i < p->count; i++) {
        if (i == p->rank)
            continue;
        if (c->send_bytes[i] > 0)
            NCCL_TRY(m, Send(byte_at(c->send, c->send_offset[i]), c->send_bytes[i], ncclInt8, i, p->comm, queue));
        if (c->receive_bytes[i] > 0)
            NCCL_TRY(m, Recv(byte_offset(c->receive, c->receive_offset[i]), c->receive_bytes[i], ncclInt8, i,
                             p->comm, queue));
    }
    return 0;
}

int cuda_peers_exchange(struct device *d, struct device_peers *p, const struct device_exchange_call *c,
                        struct message *m)
{
    int own = p->rank;
    TRY(copy_own(d, byte_offset(c->receive, c->receive_offset[own]), byte_at(c->send, c->send_offset[own]),
                 c->receive_bytes[own], m));
    NCCL_TRY(m, GroupStart());
    int status = queue_exchange(d, p, c, m);
    ncclResult_t ended = nccl.GroupEnd();
    return status < 0 || ended == ncclSuccess ? status : failed(m, ended, "GroupEnd(");
}

/* Whether all give as much, and lie side by side in order. */
static int is_even(const struct device_peers *p, const size_t *bytes, const size_t *offset)
{
    for (int i = 1; i < p->count; i++)
        if (bytes[i] != bytes[0] || offset[i] != offset[i - 1] + bytes[0])
            return 0;
    return 1;
}

static int queue_gather(struct device *d, const struct device_peers *p, const void *own, void *all,
                        const size_t *bytes, const size_t *offset, struct message *m)
{
    cudaStream_t queue = d->queue[QUEUE_COMPUTE];
    for (int i = 0; i < p->count; i++) {
        if (i == p->rank)
            continue;
        if (bytes[p->rank] > 0)
            NCCL_TRY(m, Send(own, bytes[p->rank], ncclInt8, i, p->comm, queue));
        if (bytes[i] > 0)
            NCCL_TRY(m, Recv(byte_offset(all, offset[i]), bytes[i], ncclInt8, i, p->comm, queue));
    }
    return 0;
}

int cuda_peers_gather(struct device *d, struct device_peers *p, const void *own, void *all, const size_t *bytes,
                      const size_t *offset, struct message *m)
{
    if (is_even(p, bytes, offset)) {
        NCCL_TRY(m,
                 AllGather(own, byte_offset(all, offset[0]), bytes[0], ncclInt8, p->comm, d->queue[QUEUE_COMPUTE]));
        return 0;
    }
    TRY(copy_own(d, byte_offset(all, offset[p->rank]), own, bytes[p->rank], m));
    NCCL_TRY(m, GroupStart());
    int status = queue_gather(d, p, own, all, bytes, offset, m);
    ncclResult_t ended = nccl.GroupEnd();
    return status < 0 || ended == ncclSuccess ? status : failed(m, ended, "GroupEnd(");
}

#endif
