/* crew.h: ranks (ranks/ranks.h) that are threads of one process. */
#ifndef RESQ_TEST_CREW_H
#define RESQ_TEST_CREW_H

#include "ranks/ranks.h"
#include <pthread.h>
#include <string.h>

enum { CREW_MOST = 8 };

struct crew {
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
    crew.count = count;
    pthread_barrier_init(&crew.barrier, NULL, (unsigned)count);
    for (int i = 0; i < count; i++) {
        members[i] = (struct crew_member){.ranks = {.rank = i,
                                                    .count = count,
                                                    .broadcast = crew_broadcast,
                                                    .gather = crew_gather,
                                                    .exchange = crew_exchange,
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
