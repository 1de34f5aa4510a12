/* NCCL between processes of one machine, over sockets: what lib/kernel/device/cuda/nccl.c calls of it, found as it
 * finds the real one, by dlopen of this library (RESQ_NCCL).
 *
 * Like the real one it says nothing where two sides do not fit: a Send without its Recv waits for ever. One of other
 * bytes ends the program. Where a process is gone, the others wait too, until whoever started them ends them. */
#include "tests/cuda/emulation/emulate.h"
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <memory>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

/* As nccl.h has them: its header need not be there. */
typedef int ncclResult_t;
typedef int ncclDataType_t;
enum { ncclSuccess = 0, ncclSystemError = 2, ncclInvalidArgument = 4, ncclInvalidUsage = 5, ncclInt8 = 0 };
typedef struct {
    char internal[128];
} ncclUniqueId;

struct ncclComm {
    int rank, count;
    std::vector<int> sockets; /* of each other process; -1: our own */
};
typedef struct ncclComm *ncclComm_t;

struct part {
    ncclComm_t comm;
    int peer, sends;
    char *at;
    size_t bytes;
};

static int depth; /* of groups */
static std::vector<struct part> group;

EXPORT ncclResult_t ncclGetVersion(int *version)
{
    *version = 22703;
    return ncclSuccess;
}

EXPORT const char *ncclGetErrorString(ncclResult_t result)
{
    return result == ncclSuccess           ? "no error"
           : result == ncclSystemError     ? "unhandled system error (run with NCCL_DEBUG=INFO for details)"
           : result == ncclInvalidUsage    ? "invalid usage (run with NCCL_DEBUG=WARN for details)"
           : result == ncclInvalidArgument ? "invalid argument (run with NCCL_DEBUG=WARN for details)"
                                           : "internal error - please report this issue to the NCCL developers";
}

/* ---- meeting ---- */

EXPORT ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    static int made;
    if (emulate_failure("ncclGetUniqueId"))
        return ncclSystemError;
    memset(id, 0, sizeof *id);
    snprintf(id->internal, sizeof id->internal, "resq-emulated-nccl-%d-%d", (int)getpid(), made++);
    return ncclSuccess;
}

/* A name without a file, which goes with its process. */
static socklen_t name_of(const ncclUniqueId *id, int rank, struct sockaddr_un *name)
{
    memset(name, 0, sizeof *name);
    name->sun_family = AF_UNIX;
    int length = snprintf(name->sun_path + 1, sizeof name->sun_path - 1, "%.80s-%d", id->internal, rank);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
}

static void whole_write(int s, const void *from, size_t bytes)
{
    if (send(s, from, bytes, MSG_NOSIGNAL) != (ssize_t)bytes)
        pause();
}

static void whole_read(int s, void *to, size_t bytes)
{
    if (recv(s, to, bytes, MSG_WAITALL) != (ssize_t)bytes)
        pause();
}

static int connect_to(const ncclUniqueId *id, int rank)
{
    struct sockaddr_un name;
    socklen_t length = name_of(id, rank, &name);
    for (;;) {
        int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(s, (struct sockaddr *)&name, length) == 0)
            return s;
        close(s);
        usleep(1000);
    }
}

/* Those before us listen for us, those behind us come to us. */
static void meet(ncclComm_t comm, const ncclUniqueId *id, int listening)
{
    comm->sockets.assign((size_t)comm->count, -1);
    for (int i = 0; i < comm->rank; i++) {
        comm->sockets[(size_t)i] = connect_to(id, i);
        whole_write(comm->sockets[(size_t)i], &comm->rank, sizeof comm->rank);
    }
    for (int i = comm->rank + 1; i < comm->count; i++) {
        int s = accept(listening, nullptr, nullptr), who;
        whole_read(s, &who, sizeof who);
        comm->sockets[(size_t)who] = s;
    }
}

/* Which device each has: two on one are refused, by all. */
static bool has_twice(ncclComm_t comm)
{
    int own = 0;
    cudaGetDevice(&own);
    std::vector<int> devices((size_t)comm->count, own);
    for (int s : comm->sockets)
        if (s >= 0)
            whole_write(s, &own, sizeof own);
    for (int i = 0; i < comm->count; i++)
        if (comm->sockets[(size_t)i] >= 0)
            whole_read(comm->sockets[(size_t)i], &devices[(size_t)i], sizeof own);
    std::sort(devices.begin(), devices.end());
    return std::adjacent_find(devices.begin(), devices.end()) != devices.end();
}

EXPORT ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    for (int s : comm->sockets)
        if (s >= 0)
            close(s);
    delete comm;
    return ncclSuccess;
}

EXPORT ncclResult_t ncclCommInitRank(ncclComm_t *comm, int count, ncclUniqueId id, int rank)
{
    struct sockaddr_un name;
    socklen_t length = name_of(&id, rank, &name);
    if (emulate_failure("ncclCommInitRank") || count < 1 || rank < 0 || rank >= count)
        return ncclInvalidArgument;
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listening, (struct sockaddr *)&name, length) != 0 || listen(listening, count) != 0)
        return ncclSystemError;
    ncclComm_t made = new ncclComm{rank, count, {}};
    meet(made, &id, listening);
    close(listening);
    if (has_twice(made)) {
        ncclCommDestroy(made);
        return ncclInvalidUsage;
    }
    *comm = made;
    return ncclSuccess;
}

/* ---- bytes ---- */

/* How far one part is: its length goes before it. */
struct moving {
    struct part part;
    uint64_t length;
    size_t done; /* of length and bytes */
};

static void check_length(const struct moving *m)
{
    if (m->length == m->part.bytes)
        return;
    fprintf(stderr, "emulation: a Recv of %zu bytes, a Send of %llu\n", m->part.bytes,
            (unsigned long long)m->length);
    abort();
}

/* As much as goes without waiting. */
static void move_some(struct moving *m)
{
    int s = m->part.comm->sockets[(size_t)m->part.peer];
    while (m->done < sizeof m->length + m->part.bytes) {
        bool in_length = m->done < sizeof m->length;
        char *at = in_length ? (char *)&m->length + m->done : m->part.at + (m->done - sizeof m->length);
        size_t left = in_length ? sizeof m->length - m->done : sizeof m->length + m->part.bytes - m->done;
        ssize_t got =
            m->part.sends ? send(s, at, left, MSG_DONTWAIT | MSG_NOSIGNAL) : recv(s, at, left, MSG_DONTWAIT);
        if (got == 0 && !m->part.sends)
            pause(); /* it is gone */
        if (got <= 0)
            return;
        m->done += (size_t)got;
        if (!m->part.sends && m->done == sizeof m->length)
            check_length(m);
    }
}

/* All parts of a group at once; those of one direction and process in order. */
static void move_all(const std::vector<struct part> &parts)
{
    std::vector<struct moving> all;
    for (const struct part &p : parts)
        all.push_back({p, p.sends ? (uint64_t)p.bytes : 0, 0});
    for (bool is_over = false; !is_over;) {
        is_over = true;
        std::vector<struct pollfd> waits;
        std::vector<std::pair<int, int>> busy;
        for (struct moving &m : all) {
            std::pair<int, int> line(m.part.peer, m.part.sends);
            if (m.done == sizeof m.length + m.part.bytes || std::find(busy.begin(), busy.end(), line) != busy.end())
                continue;
            move_some(&m);
            if (m.done == sizeof m.length + m.part.bytes)
                continue;
            is_over = false;
            busy.push_back(line);
            waits.push_back(
                {m.part.comm->sockets[(size_t)m.part.peer], (short)(m.part.sends ? POLLOUT : POLLIN), 0});
        }
        if (!is_over)
            poll(waits.data(), waits.size(), 1000);
    }
}

EXPORT ncclResult_t ncclGroupStart(void)
{
    depth++;
    return ncclSuccess;
}

EXPORT ncclResult_t ncclGroupEnd(void)
{
    if (depth < 1 || emulate_failure("ncclGroupEnd"))
        return ncclInvalidUsage;
    if (--depth > 0)
        return ncclSuccess;
    std::vector<struct part> parts;
    parts.swap(group);
    emulate_submit([=] { move_all(parts); });
    return ncclSuccess;
}

static ncclResult_t add_part(ncclComm_t comm, int peer, int sends, const void *at, size_t bytes,
                             ncclDataType_t type)
{
    if (type != ncclInt8 || peer < 0 || peer >= comm->count || peer == comm->rank || !at)
        return ncclInvalidArgument;
    ncclGroupStart();
    group.push_back({comm, peer, sends, (char *)at, bytes});
    return ncclGroupEnd();
}

EXPORT ncclResult_t ncclSend(const void *from, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                             cudaStream_t)
{
    return add_part(comm, peer, 1, from, count, type);
}

EXPORT ncclResult_t ncclRecv(void *to, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t)
{
    return add_part(comm, peer, 0, to, count, type);
}

EXPORT ncclResult_t ncclAllGather(const void *from, void *to, size_t count, ncclDataType_t type, ncclComm_t comm,
                                  cudaStream_t)
{
    char *own = (char *)to + (size_t)comm->rank * count;
    ncclResult_t status = emulate_failure("ncclAllGather") ? ncclSystemError : ncclSuccess;
    ncclGroupStart();
    if (own != from)
        emulate_submit([=] { memmove(own, from, count); });
    for (int i = 0; i < comm->count && status == ncclSuccess; i++) {
        if (i == comm->rank || count == 0)
            continue;
        status = add_part(comm, i, 1, from, count, type);
        if (status == ncclSuccess)
            status = add_part(comm, i, 0, (char *)to + (size_t)i * count, count, type);
    }
    ncclResult_t ended = ncclGroupEnd();
    return status == ncclSuccess ? ended : status;
}
