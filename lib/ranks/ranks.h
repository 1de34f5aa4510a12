/* ranks.h: the processes that share one piece of work, and what they tell each other.
 *
 * Each runs the same program with the same arguments and makes the same calls in the same order. Nothing here adds or
 * compares: a library's own order of sums depends on how many there are and how they are connected. Bytes alone travel,
 * and base/tree.h says what is added to what. */
#ifndef RESQ_RANKS_RANKS_H
#define RESQ_RANKS_RANKS_H

#include "base/status.h"
#include <stddef.h>

enum { RANKS_MOST = 1024, RANKS_LANES = 3, RANKS_CALLS = 64 };

/* How a library carries them. All ranks call the same function; byte counts are below 2^31. What can fail returns 0, or
 * STATUS_IO; after that only abandon may be called. */
struct ranks {
    int rank, count; /* rank 0..count-1 */
    int local;       /* this one's number among the ranks of its machine, from 0 */
    /* What rank 0 has at data comes to all others' data. */
    int (*broadcast)(void *data, size_t bytes, struct message *m);
    /* Rank r gives the bytes[r] bytes at its `own`; every rank gets them at all + offset[r], where r's own may lie
     * already. bytes and offset [count] are the same on every rank. */
    int (*gather)(const void *own, void *all, const size_t *bytes, const size_t *offset, struct message *m);
    /* Rank r gets send_bytes[r] bytes from send + send_offset[r]; from it come receive_bytes[r] bytes to
     * receive + receive_offset[r]. */
    int (*exchange)(const void *send, const size_t *send_bytes, const size_t *send_offset, void *receive,
                    const size_t *receive_bytes, const size_t *receive_offset, struct message *m);

    /* ---- an exchange while the caller computes: by the thread that makes all other calls ---- */

    /* Begins one as above. Until it is done what it sends stays as it is, and what it receives is read by nobody; the
     * tables are copied. send and receive are different buffers (to Open MPI one address for both means MPI_IN_PLACE).
     * call: the caller's name for it, 0..RANKS_CALLS - 1, which none under way has. In each lane, 0..RANKS_LANES - 1,
     * all ranks begin the same exchanges in the same order; what another lane begins, and the calls above, may come
     * before one on one rank and behind it on another. */
    int (*begin)(int lane, int call, const void *send, const size_t *send_bytes, const size_t *send_offset,
                 void *receive, const size_t *receive_bytes, const size_t *receive_offset, struct message *m);
    /* 1: it is done, 0: not yet. A library may get on with what is under way only inside of its calls: this one is made
     * now and then. */
    int (*test)(int call, struct message *m);
    /* Until one more of those under way is done; at once where there is none. */
    int (*wait)(struct message *m);
    /* ---- */

    /* Ends all processes with exit status 1, whatever they are doing. */
    void (*abandon)(void);
    /* Waits for all, and closes the library: nothing is under way, and no call comes after it. */
    void (*close)(void);
};

/* What a library gives. open: once; *ranks is the library's. */
struct ranks_backend {
    int version;
    size_t size;
    int (*open)(const struct ranks **ranks, struct message *m);
};
enum { RANKS_VERSION = 3 };
#define RANKS_BACKEND_SYMBOL "resq_ranks_backend"
typedef const struct ranks_backend *ranks_backend_entry(void);

/* Whether this process was started as one of several, by what a launcher left in the environment: mpirun of Open MPI or
 * MPICH, or srun with PMI. The library that fits is resq-openmpi.so or resq-mpich.so, beside the program or in
 * ../lib/resq; RESQ_RANKS names another one (with a slash: a file), or says `off`.
 *
 * *ranks: NULL for a process alone. STATUS_UNSUPPORTED where there are several and no library. */
int ranks_open(const struct ranks **ranks, struct message *m) RESQ_USE_RESULT;

#endif
