/* crew.h: ranks (ranks/ranks.h) that are threads of one process. Begun exchanges come late and out of step: each is
 * there for a rank after some asking, other numbers of times on other ranks; until then what it receives is NaN. */
#ifndef RESQ_TEST_CREW_H
#define RESQ_TEST_CREW_H

#include "ranks/ranks.h"
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>

enum { CREW_MOST = 8, CREW_BEGUN = 128 /* of a lane, that are remembered */, CREW_LATE = 5 };

/* One of a rank: what it gives, and what of it others have taken. */
struct crew_begun {
    const void *send;
    void *receive;
    size_t send_bytes[CREW_MOST], send_offset[CREW_MOST], receive_bytes[CREW_MOST], receive_offset[CREW_MOST];
    int number, taken; /* in its lane, from 1 */
};

struct crew_call {
    int lane, number, late, has_taken, is_under_way;
};

struct crew {
    pthread_mutex_t lock;
    struct crew_begun begun[RANKS_LANES][CREW_BEGUN][CREW_MOST];
    struct crew_call calls[CREW_MOST][RANKS_CALLS];
    int numbers[CREW_MOST][RANKS_LANES];
    unsigned late;
    pthread_barrier_t barrier;
    int count, abandoned;
    struct {
        const void *send;
        const size_t *bytes, *offset;
    } offer[CREW_MOST];
};

static struct crew crew;
static _Thread_local int crew_rank;

static void crew_wait(void)
{
    pthread_barrier_wait(&crew.barrier);
}

static int crew_broadcast(void *data, size_t bytes, struct message *why)
{
    (void)why;
    if (crew_rank == 0)
        crew.offer[0].send = data;
    crew_wait();
    if (crew_rank != 0)
        memcpy(data, crew.offer[0].send, bytes);
    crew_wait();
    return 0;
}

static int crew_gather(const void *own, void *all, const size_t *bytes, const size_t *offset, struct message *why)
{
    (void)why;
    crew.offer[crew_rank].send = own;
    crew_wait();
    for (int i = 0; i < crew.count; i++)
        if (bytes[i] > 0 && (const char *)all + offset[i] != crew.offer[i].send)
            memcpy((char *)all + offset[i], crew.offer[i].send, bytes[i]);
    crew_wait();
    return 0;
}

static int crew_exchange(const void *send, const size_t *send_bytes, const size_t *send_offset, void *receive,
                         const size_t *receive_bytes, const size_t *receive_offset, struct message *why)
{
    int wrong = 0;
    crew.offer[crew_rank].send = send;
    crew.offer[crew_rank].bytes = send_bytes;
    crew.offer[crew_rank].offset = send_offset;
    crew_wait();
    for (int i = 0; i < crew.count; i++) {
        wrong |= crew.offer[i].bytes[crew_rank] != receive_bytes[i];
        if (receive_bytes[i] > 0)
            memcpy((char *)receive + receive_offset[i],
                   (const char *)crew.offer[i].send + crew.offer[i].offset[crew_rank], receive_bytes[i]);
    }
    crew_wait();
    return wrong ? message_set(why, STATUS_IO, "rank %d: other bytes than were sent", crew_rank) : 0;
}

static int crew_begin(int lane, int call, const void *send, const size_t *send_bytes, const size_t *send_offset,
                      void *receive, const size_t *receive_bytes, const size_t *receive_offset, struct message *why)
{
    struct crew_call *c = &crew.calls[crew_rank][call];
    size_t bytes = (size_t)crew.count * sizeof *send_bytes;
    pthread_mutex_lock(&crew.lock);
    int number = ++crew.numbers[crew_rank][lane];
    struct crew_begun *b = &crew.begun[lane][number % CREW_BEGUN][crew_rank];
    int wrong = c->is_under_way || send == receive || (b->number > 0 && b->taken < crew.count);
    crew.late = crew.late * 1664525u + 1013904223u;
    *c = (struct crew_call){lane, number, (int)(crew.late >> 24) % CREW_LATE * (1 + crew_rank % 3), 0, 1};
    *b = (struct crew_begun){.send = send, .receive = receive, .number = number};
    memcpy(b->send_bytes, send_bytes, bytes);
    memcpy(b->send_offset, send_offset, bytes);
    memcpy(b->receive_bytes, receive_bytes, bytes);
    memcpy(b->receive_offset, receive_offset, bytes);
    for (int i = 0; i < crew.count; i++)
        memset((char *)receive + receive_offset[i], 0xff, receive_bytes[i]);
    pthread_mutex_unlock(&crew.lock);
    return wrong ? message_set(why, STATUS_IO, "rank %d: call %d is under way, or sends what it receives",
                               crew_rank, call)
                 : 0;
}

/* Copies what all have given, once; the lock is held. */
static int crew_take(struct crew_call *c)
{
    struct crew_begun *of = crew.begun[c->lane][c->number % CREW_BEGUN], *own = &of[crew_rank];
    int wrong = 0;
    for (int i = 0; i < crew.count; i++) {
        wrong |= of[i].send_bytes[crew_rank] != own->receive_bytes[i];
        memmove((char *)own->receive + own->receive_offset[i],
                (const char *)of[i].send + of[i].send_offset[crew_rank], own->receive_bytes[i]);
        of[i].taken++;
    }
    c->has_taken = 1;
    return wrong;
}

static int crew_test(int call, struct message *why)
{
    struct crew_call *c = &crew.calls[crew_rank][call];
    struct crew_begun *of = crew.begun[c->lane][c->number % CREW_BEGUN];
    int all = 1, wrong = 0;
    if (!c->is_under_way)
        return 1;
    pthread_mutex_lock(&crew.lock);
    for (int i = 0; i < crew.count; i++)
        all &= of[i].number == c->number;
    if (c->late > 0)
        c->late--;
    else if (all && !c->has_taken)
        wrong = crew_take(c);
    if (c->has_taken && of[crew_rank].taken == crew.count)
        c->is_under_way = 0;
    pthread_mutex_unlock(&crew.lock);
    if (wrong)
        return message_set(why, STATUS_IO, "rank %d: other bytes than were sent", crew_rank);
    return !c->is_under_way;
}

static int crew_wait_for_one(struct message *why)
{
    for (;;) {
        int under_way = 0;
        for (int i = 0; i < RANKS_CALLS; i++) {
            under_way += crew.calls[crew_rank][i].is_under_way;
            int done = crew.calls[crew_rank][i].is_under_way ? crew_test(i, why) : 0;
            if (done != 0)
                return done < 0 ? done : 0;
        }
        if (under_way == 0)
            return 0;
        sched_yield();
    }
}

static void crew_nothing(void)
{
}

typedef void crew_work(void *context, const struct ranks *ranks);

struct crew_member {
    struct ranks ranks;
    crew_work *work;
    void *context;
};

static void *crew_member_main(void *argument)
{
    struct crew_member *member = argument;
    crew_rank = member->ranks.rank;
    member->work(member->context, &member->ranks);
    return NULL;
}

/* Calls work once in each of `count` ranks and returns when all have returned. */
static inline void crew_run(int count, crew_work *work, void *context)
{
    struct crew_member members[CREW_MOST];
    pthread_t threads[CREW_MOST];
    memset(&crew, 0, sizeof crew);
    crew.count = count;
    pthread_mutex_init(&crew.lock, NULL);
    pthread_barrier_init(&crew.barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        members[i] = (struct crew_member){.ranks = {.rank = i,
                                                    .count = count,
                                                    .broadcast = crew_broadcast,
                                                    .gather = crew_gather,
                                                    .exchange = crew_exchange,
                                                    .begin = crew_begin,
                                                    .test = crew_test,
                                                    .wait = crew_wait_for_one,
                                                    .abandon = crew_nothing,
                                                    .close = crew_nothing},
                                          .work = work,
                                          .context = context};
        pthread_create(&threads[i], NULL, crew_member_main, &members[i]);
    }
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&crew.barrier);
}

#endif
