/* ranks.h by MPI-3: built once for each MPI that is installed, with its own compiler. */
#include "ranks/ranks.h"
#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

static struct ranks own;
static int
    *tables; /* [RANKS_CALLS + 1][4][ranks], as MPI takes counts and displacements; the last is of what waits */
static MPI_Comm lanes[RANKS_LANES];
static MPI_Request requests[RANKS_CALLS]; /* MPI_REQUEST_NULL: done */

static int failed(int code, const char *what, struct message *m)
{
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    MPI_Error_string(code, text, &length);
    text[length] = 0;
    return message_set(m, STATUS_IO, "%s between ranks: %s", what, text);
}

/* One table of a call of bytes as ints, or NULL where one does not fit. */
static int *narrow(int call, int table, const size_t *bytes)
{
    int *to = tables + (size_t)(4 * call + table) * (size_t)own.count;
    for (int i = 0; i < own.count; i++) {
        if (bytes[i] > INT_MAX)
            return NULL;
        to[i] = (int)bytes[i];
    }
    return to;
}

static int too_large(struct message *m)
{
    return message_set(m, STATUS_IO, "more than 2 GiB at once between ranks");
}

static int broadcast(void *data, size_t bytes, struct message *m)
{
    if (bytes > INT_MAX)
        return too_large(m);
    int code = MPI_Bcast(data, (int)bytes, MPI_BYTE, 0, MPI_COMM_WORLD);
    return code == MPI_SUCCESS ? 0 : failed(code, "broadcast", m);
}

static int gather(const void *mine, void *all, const size_t *bytes, const size_t *offset, struct message *m)
{
    const int *counts = narrow(RANKS_CALLS, 0, bytes), *at = narrow(RANKS_CALLS, 1, offset);
    if (!counts || !at)
        return too_large(m);
    int in_place = mine == (const char *)all + offset[own.rank];
    int code = MPI_Allgatherv(in_place ? MPI_IN_PLACE : mine, in_place ? 0 : counts[own.rank],
                              in_place ? MPI_DATATYPE_NULL : MPI_BYTE, all, counts, at, MPI_BYTE, MPI_COMM_WORLD);
    return code == MPI_SUCCESS ? 0 : failed(code, "gather", m);
}

/* request: NULL: waits. */
static int exchange_by(MPI_Comm by, int call, MPI_Request *request, const void *send, const size_t *send_bytes,
                       const size_t *send_offset, void *receive, const size_t *receive_bytes,
                       const size_t *receive_offset, struct message *m)
{
    const int *to = narrow(call, 0, send_bytes), *to_at = narrow(call, 1, send_offset);
    const int *from = narrow(call, 2, receive_bytes), *from_at = narrow(call, 3, receive_offset);
    if (!to || !to_at || !from || !from_at)
        return too_large(m);
    int code = request ? MPI_Ialltoallv(send, to, to_at, MPI_BYTE, receive, from, from_at, MPI_BYTE, by, request)
                       : MPI_Alltoallv(send, to, to_at, MPI_BYTE, receive, from, from_at, MPI_BYTE, by);
    return code == MPI_SUCCESS ? 0 : failed(code, "exchange", m);
}

static int exchange(const void *send, const size_t *send_bytes, const size_t *send_offset, void *receive,
                    const size_t *receive_bytes, const size_t *receive_offset, struct message *m)
{
    return exchange_by(MPI_COMM_WORLD, RANKS_CALLS, NULL, send, send_bytes, send_offset, receive, receive_bytes,
                       receive_offset, m);
}

static int begin(int lane, int call, const void *send, const size_t *send_bytes, const size_t *send_offset,
                 void *receive, const size_t *receive_bytes, const size_t *receive_offset, struct message *m)
{
    return exchange_by(lanes[lane], call, &requests[call], send, send_bytes, send_offset, receive, receive_bytes,
                       receive_offset, m);
}

static int test(int call, struct message *m)
{
    int is_done = 0;
    int code = MPI_Test(&requests[call], &is_done, MPI_STATUS_IGNORE);
    return code == MPI_SUCCESS ? is_done : failed(code, "exchange", m);
}

static int wait_for_one(struct message *m)
{
    int which;
    int code = MPI_Waitany(RANKS_CALLS, requests, &which, MPI_STATUS_IGNORE);
    return code == MPI_SUCCESS ? 0 : failed(code, "exchange", m);
}

static void abandon(void)
{
    MPI_Abort(MPI_COMM_WORLD, 1);
}

static void close_ranks(void)
{
    for (int i = 0; i < RANKS_LANES; i++)
        if (lanes[i] != MPI_COMM_NULL)
            MPI_Comm_free(&lanes[i]);
    MPI_Finalize();
    free(tables);
    tables = NULL;
}

static int count_local(struct message *m)
{
    MPI_Comm machine;
    int code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, own.rank, MPI_INFO_NULL, &machine);
    if (code != MPI_SUCCESS)
        return failed(code, "machines", m);
    MPI_Comm_rank(machine, &own.local);
    MPI_Comm_free(&machine);
    return 0;
}

static int open_lanes(struct message *m)
{
    for (int i = 0; i < RANKS_LANES; i++) {
        int code = MPI_Comm_dup(MPI_COMM_WORLD, &lanes[i]);
        if (code != MPI_SUCCESS)
            return failed(code, "lanes", m);
    }
    return 0;
}

static int open_ranks(const struct ranks **ranks, struct message *m)
{
    int given = 0;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given);
    if (code != MPI_SUCCESS || given < MPI_THREAD_FUNNELED)
        return message_set(m, STATUS_UNSUPPORTED, "MPI does not start");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &own.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &own.count);
    if (own.count > RANKS_MOST)
        return message_set(m, STATUS_UNSUPPORTED, "%d processes, at most %d", own.count, (int)RANKS_MOST);
    for (int i = 0; i < RANKS_CALLS; i++)
        requests[i] = MPI_REQUEST_NULL;
    for (int i = 0; i < RANKS_LANES; i++)
        lanes[i] = MPI_COMM_NULL;
    tables = calloc((RANKS_CALLS + 1) * 4 * (size_t)own.count, sizeof *tables);
    if (!tables)
        return message_set(m, STATUS_NOMEM, "memory exhausted");
    if (own.count == 1) { /* alone after all: nobody will close it */
        close_ranks();
        *ranks = NULL;
        return 0;
    }
    int status = count_local(m);
    if (status >= 0)
        status = open_lanes(m);
    if (status < 0)
        return status;
    own.broadcast = broadcast;
    own.gather = gather;
    own.exchange = exchange;
    own.begin = begin;
    own.test = test;
    own.wait = wait_for_one;
    own.abandon = abandon;
    own.close = close_ranks;
    *ranks = &own;
    return 0;
}

const struct ranks_backend *resq_ranks_backend(void);
const struct ranks_backend *resq_ranks_backend(void)
{
    static const struct ranks_backend backend = {RANKS_VERSION, sizeof backend, open_ranks};
    return &backend;
}
