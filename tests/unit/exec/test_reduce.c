/* Gradients by weights that ranks exchange while other work goes on: whatever comes late, in whatever order, they are
 * the bits of one process once reduce_wait has returned; what fails on the way is said by reduce_end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exec/train/reduce.h"
#include "tests/unit/crew.h"
#include <stdlib.h>

enum {
    LONGEST = 300001, /* floats: some pieces, the last one short */
    LAYERS = 70,      /* more than wait at once */
    MOST_SHARDS = 8,
    SUMS = 3
};

/* Layer 1 is the longest; others are short. */
static size_t count_of(int layer)
{
    return layer == 1 ? LONGEST : layer == 2 ? 140000 : 1 + (size_t)layer * 37 % 211;
}

static size_t count_of_all(void)
{
    size_t all = 0;
    for (int layer = 0; layer < LAYERS; layer++)
        all += count_of(layer);
    return all;
}

/* What a shard gives for float i of a layer; sums of these are rounded. */
static float value_of(int layer, int shard, size_t i)
{
    uint32_t h = (uint32_t)i * 2654435761u ^ (uint32_t)(layer * 64 + shard) * 2246822519u;
    h = (h ^ h >> 15) * 2654435761u;
    return (float)(int32_t)(h ^ h >> 13) * 1e-7f;
}

static float sum_of(int layer, int begin, int end, size_t i)
{
    if (end - begin == 1)
        return value_of(layer, begin, i);
    int middle = tree_middle(begin, end);
    return sum_of(layer, begin, middle, i) + sum_of(layer, middle, end, i);
}

struct job {
    struct reduce *reduce;
    int layer;
};

static void weight_work(void *context, int begin, int end, float *gradient)
{
    const struct job *j = context;
    int first = j->reduce->share.begin;
    for (size_t i = 0; i < count_of(j->layer); i++) {
        gradient[i] = sum_of(j->layer, first + begin, first + end, i);
        if (i % 5000 == 0)
            reduce_poke(j->reduce);
    }
}

/* Sums that all wait for in between, as a batch norm does. */
static int sums_differ(struct reduce *r)
{
    double part[MOST_SHARDS * SUMS], want[SUMS] = {0};
    int first = r->share.begin, own = r->share.end - first;
    for (int i = 0; i < own * SUMS; i++)
        part[i] = first + i / SUMS + i % SUMS;
    for (int i = 0; i < r->share.shards * SUMS; i++)
        want[i % SUMS] += i / SUMS + i % SUMS;
    return memcmp(reduce_sums(r, &(struct parts){part, SUMS, own, 1}, SUMS), want, sizeof want) != 0;
}

/* One rank's mini-batches, of several numbers of shards; how much is wrong. */
struct outcome {
    pthread_mutex_t lock;
    int wrong, failed;
};

static int batch_run(struct reduce *r, int shards, float *gradients)
{
    int wrong = 0;
    size_t at = 0;
    reduce_begin(r, shards * SHARD_IMAGES);
    for (int layer = 0; layer < LAYERS; at += count_of(layer++)) {
        struct job job = {r, layer};
        reduce_weights(r, weight_work, &job, gradients + at, count_of(layer));
        if (layer % 9 == 0)
            wrong += sums_differ(r);
    }
    reduce_wait(r);
    at = 0;
    for (int layer = 0; layer < LAYERS; at += count_of(layer++))
        for (size_t i = 0; i < count_of(layer); i++)
            wrong += gradients[at + i] != sum_of(layer, 0, shards, i);
    return wrong;
}

static void run_rank(void *context, const struct ranks *ranks)
{
    static const int shards[] = {MOST_SHARDS, 1 /* most ranks have none */, 5};
    struct outcome *o = context;
    struct reduce r;
    struct message why;
    float *gradients = calloc(count_of_all(), sizeof *gradients);
    int wrong = 0;
    int status =
        reduce_open(&r, ranks, MOST_SHARDS * SHARD_IMAGES, SHARD_IMAGES, SUMS, LONGEST, count_of_all(), &why);
    for (int i = 0; i < 3 && status >= 0; i++) {
        wrong += batch_run(&r, shards[i], gradients);
        status = reduce_end(&r, &why);
    }
    pthread_mutex_lock(&o->lock);
    o->wrong += wrong;
    if (status < 0) {
        o->failed++;
        print_error("rank %d: %s\n", ranks->rank, why.text);
    }
    pthread_mutex_unlock(&o->lock);
    reduce_close(&r);
    free(gradients);
}

static void test_late(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= CREW_MOST; ranks += ranks < 4 ? 1 : 2) {
        struct outcome o = {.lock = PTHREAD_MUTEX_INITIALIZER};
        crew_run(ranks, run_rank, &o);
        assert_int_equal(o.failed, 0);
        if (o.wrong > 0)
            fail_msg("%d ranks: %d floats differ from one process's", ranks, o.wrong);
    }
}

/* ---- what fails ---- */

static int fails_in; /* 0: begin, 1: test, 2: wait */

static int answer(int where, struct message *why)
{
    return fails_in == where ? message_set(why, STATUS_IO, "the link is down") : 0;
}

static int failing_begin(int lane, int call, const void *send, const size_t *send_bytes, const size_t *send_offset,
                         void *receive, const size_t *receive_bytes, const size_t *receive_offset,
                         struct message *why)
{
    (void)lane, (void)call, (void)send, (void)send_bytes, (void)send_offset;
    (void)receive, (void)receive_bytes, (void)receive_offset;
    return answer(0, why);
}

static int failing_test(int call, struct message *why)
{
    (void)call;
    return answer(1, why);
}

static int failing_wait(struct message *why)
{
    return answer(2, why);
}

static void no_work(void *context, int begin, int end, float *gradient)
{
    (void)context, (void)begin, (void)end;
    gradient[0] = 1;
}

static void test_failure(void **state)
{
    const struct ranks ranks = {
        .rank = 1, .count = 2, .begin = failing_begin, .test = failing_test, .wait = failing_wait};
    static float gradient[LONGEST];
    struct message m;
    (void)state;
    for (fails_in = 0; fails_in <= 2; fails_in++) {
        struct reduce r;
        /* Two subtrees of the second rank's: more layers than there is room for. */
        assert_int_equal(reduce_open(&r, &ranks, 3 * SHARD_IMAGES, SHARD_IMAGES, 1, LONGEST, LONGEST, &m), 0);
        reduce_begin(&r, 3 * SHARD_IMAGES);
        for (int layer = 0; layer < LAYERS; layer++)
            reduce_weights(&r, no_work, NULL, gradient, LONGEST);
        assert_int_equal(reduce_end(&r, &m), STATUS_IO);
        assert_string_equal(m.text, "the link is down");
        reduce_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_late), cmocka_unit_test(test_failure)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
