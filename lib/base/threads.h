/* threads.h: a small pool. Work is cut into items by its shape, never by the number of threads, so that results do
 * not depend on it; which thread runs an item is unspecified. */
#ifndef RESQ_BASE_THREADS_H
#define RESQ_BASE_THREADS_H

#include "base/status.h"

struct threads; /* opaque */

/* item: 0..items-1; worker: 0..threads_count-1, for per-worker scratch. */
typedef void thread_work(void *context, int item, int worker);

/* count >= 1 counts the caller: 1 starts no thread. Where a thread cannot be created the pool goes on with those
 * it has (results are the same). Workers sleep when idle: they look for work for some microseconds after a job, so
 * that the next of a series finds them awake, and no longer. */
int threads_open(struct threads **pool, int count, struct message *m) RESQ_USE_RESULT;
int threads_count(const struct threads *pool); /* how many really run, the caller included; NULL pool: 1 */
/* Runs work for every item and returns when all are done. The caller takes part; not reentrant; NULL: serial. */
void threads_run(struct threads *pool, thread_work *work, void *context, int items);
/* Calls work once in every thread at the same time, the caller being member 0, and returns when all have returned:
 * one waking up for many steps, which threads_barrier separates. NULL: one member. */
typedef void team_work(void *context, int member, int members);
void threads_team(struct threads *pool, team_work *work, void *context);
/* Waits, within a team, until every member is here. What was written before is seen after. Spins for some
 * microseconds, then sleeps. */
void threads_barrier(struct threads *pool);
void threads_close(struct threads *pool); /* NULL is fine */
int threads_online(void);                 /* processors this process may run on, at least 1 */

#endif
