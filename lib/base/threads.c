#include "base/threads.h"
#include "base/memory.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>

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
    void *context;
    int items;
    atomic_int next; /* first item not yet taken */
    int busy;        /* workers that have not finished this generation */
    unsigned generation;
    int stop;
};

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
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->generation == seen && !p->stop)
            pthread_cond_wait(&p->start, &p->lock);
        if (p->stop)
            break;
        seen = p->generation;
        pthread_mutex_unlock(&p->lock);
        items_take(p, w->index);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
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

void threads_run(struct threads *p, thread_work *work, void *context, int items)
{
    if (!p || p->count == 1 || items <= 1) {
        for (int i = 0; i < items; i++)
            work(context, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->work = work;
    p->context = context;
    p->items = items;
    atomic_store(&p->next, 0);
    p->busy = p->count - 1;
    p->generation++;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->lock);
    items_take(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void threads_close(struct threads *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
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
