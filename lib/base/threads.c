#include "base/threads.h"
#include "base/memory.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

enum { SPINS = 1000 }; /* looks at a value before sleeping: some ten microseconds */

struct worker {
    struct threads *pool;
    int index; /* 1..count-1; the caller is 0 */
    pthread_t thread;
};

struct threads {
    int count;
    struct worker *workers;
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    /* the current job, written under lock before `generation` moves on: */
    thread_work *work;
    team_work *team; /* instead of work */
    void *context;
    int items;
    atomic_int next; /* first item not yet taken */
    atomic_int busy; /* workers that have not finished this generation */
    atomic_uint generation;
    atomic_int stop;
    /* the team's barrier: */
    atomic_int arrived, sleepers;
    atomic_uint round;
};

static inline void spin_pause(void)
{
#ifdef __x86_64__
    __builtin_ia32_pause();
#endif
}

static void items_take(struct threads *p, int worker)
{
    for (;;) {
        int item = atomic_fetch_add(&p->next, 1);
        if (item >= p->items)
            return;
        p->work(p->context, item, worker);
    }
}

static void *worker_main(void *argument)
{
    struct worker *w = argument;
    struct threads *p = w->pool;
    unsigned seen = 0;
    for (int first = 1;; first = 0) {
        for (int i = 0; !first && i < SPINS && atomic_load(&p->generation) == seen; i++)
            spin_pause();
        pthread_mutex_lock(&p->lock);
        while (p->generation == seen && !p->stop)
            pthread_cond_wait(&p->start, &p->lock);
        seen = p->generation;
        int stop = p->stop;
        pthread_mutex_unlock(&p->lock);
        if (stop)
            break;
        if (p->team)
            p->team(p->context, w->index, p->count);
        else
            items_take(p, w->index);
        if (atomic_fetch_sub(&p->busy, 1) == 1) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
    return NULL;
}

/* Signals are for the caller's thread, so that its system calls see them: workers block all. */
static void workers_start(struct threads *p, int wanted)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p->count = 1;
    while (p->count < wanted) {
        struct worker *w = &p->workers[p->count];
        w->pool = p;
        w->index = p->count;
        if (pthread_create(&w->thread, NULL, worker_main, w))
            break;
        p->count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int threads_open(struct threads **pool, int count, struct message *m)
{
    *pool = NULL;
    if (count < 1 || count > 4096)
        return message_set(m, STATUS_RANGE, "threads: %d is not in 1..4096", count);
    struct threads *p = memory_new(1, sizeof *p, m);
    if (!p)
        return STATUS_NOMEM;
    p->workers = memory_new((size_t)count, sizeof *p->workers, m);
    if (!p->workers) {
        memory_free(p);
        return STATUS_NOMEM;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->start, NULL);
    pthread_cond_init(&p->done, NULL);
    atomic_init(&p->next, 0);
    workers_start(p, count);
    *pool = p;
    return STATUS_OK;
}

int threads_count(const struct threads *pool)
{
    return pool ? pool->count : 1;
}

/* Wakes the workers for what work or team, context and items say. */
static void job_start(struct threads *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->next, 0);
    atomic_store(&p->busy, p->count - 1);
    atomic_fetch_add(&p->generation, 1);
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
}

static void job_wait(struct threads *p)
{
    for (int i = 0; i < SPINS && atomic_load(&p->busy) > 0; i++)
        spin_pause();
    if (atomic_load(&p->busy) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    while (atomic_load(&p->busy) > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void threads_run(struct threads *p, thread_work *work, void *context, int items)
{
    if (!p || p->count == 1 || items <= 1) {
        for (int i = 0; i < items; i++)
            work(context, i, 0);
        return;
    }
    p->work = work;
    p->team = NULL;
    p->context = context;
    p->items = items;
    job_start(p);
    items_take(p, 0);
    job_wait(p);
}

void threads_team(struct threads *p, team_work *work, void *context)
{
    if (!p || p->count == 1) {
        work(context, 0, 1);
        return;
    }
    p->team = work;
    p->context = context;
    atomic_store(&p->arrived, 0);
    job_start(p);
    work(context, 0, p->count);
    job_wait(p);
}

/* Sleeps while *value is `seen`. */
static void value_wait(atomic_uint *value, unsigned seen)
{
#ifdef __linux__
    syscall(SYS_futex, value, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
#else
    (void)value, (void)seen;
    sched_yield();
#endif
}

static void value_wake(atomic_uint *value)
{
#ifdef __linux__
    syscall(SYS_futex, value, FUTEX_WAKE_PRIVATE, 4096, NULL, NULL, 0);
#else
    (void)value;
#endif
}

void threads_barrier(struct threads *p)
{
    if (!p || p->count == 1)
        return;
    unsigned round = atomic_load(&p->round);
    if (atomic_fetch_add(&p->arrived, 1) == p->count - 1) {
        atomic_store(&p->arrived, 0);
        atomic_fetch_add(&p->round, 1);
        if (atomic_load(&p->sleepers) > 0)
            value_wake(&p->round);
        return;
    }
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&p->round) != round)
            return;
        spin_pause();
    }
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->round) == round)
        value_wait(&p->round, round);
    atomic_fetch_sub(&p->sleepers, 1);
}

void threads_close(struct threads *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->count; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->lock);
    memory_free(p->workers);
    memory_free(p);
}

int threads_online(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set))
        return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? count : 1;
}
