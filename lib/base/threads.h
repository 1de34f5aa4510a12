/* threads.h: a small pool. Work is cut into items by its shape, never by the number of threads, so that results do
 * not depend on it; which thread runs an item is unspecified. */
#ifndef RESQ_BASE_THREADS_H
#define RESQ_BASE_THREADS_H

#include "base/status.h"

struct threads; /* opaque */

/* item: 0..items-1; worker: 0..threads_count-1, for per-worker scratch. */
typedef void thread_work(void *context, int item, int worker);

/* count >= 1 counts the caller: 1 starts no thread. Where a thread cannot be created the pool goes on with those
 * it has (results are the same). Workers sleep when idle, they do not spin. */
int threads_open(struct threads **pool, int count, struct message *m) RESQ_USE_RESULT;
int threads_count(const struct threads *pool); /* how many really run, the caller included; NULL pool: 1 */
/* Runs work for every item and returns when all are done. The caller takes part; not reentrant; NULL: serial. */
void threads_run(struct threads *pool, thread_work *work, void *context, int items);
void threads_close(struct threads *pool); /* NULL is fine */
int threads_online(void);                 /* processors this process may run on, at least 1 */

#endif
