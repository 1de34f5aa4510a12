#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/progress.h"
#include "base/threads.h"

#if defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

enum { ITEMS = 1000 };

struct job {
    atomic_int seen[ITEMS];
    atomic_int workers[8];
    int count;
};

static void work(void *context, int item, int worker)
{
    struct job *job = context;
    atomic_fetch_add(&job->seen[item], 1);
    atomic_fetch_add(&job->workers[worker], 1);
}

static void test_every_item_runs_once(void **state)
{
    (void)state;
    static struct job job;
    struct message m;
    for (int count = 1; count <= 3; count++) {
        struct threads *pool;
        assert_int_equal(threads_open(&pool, count, &m), 0);
        assert_int_equal(threads_count(pool), count);
        memset(&job, 0, sizeof job);
        int expected = ITEMS;
        for (int round = 1; round <= 200; round++) {
            int items = round % 5 == 0 ? round % 3 : ITEMS / 10;
            threads_run(pool, work, &job, items);
            expected += items;
        }
        threads_run(pool, work, &job, ITEMS);
        int total = 0;
        for (int i = 0; i < 8; i++) {
            assert_true(i < count || atomic_load(&job.workers[i]) == 0);
            total += atomic_load(&job.workers[i]);
        }
        assert_int_equal(atomic_load(&job.seen[ITEMS - 1]), 1);
        assert_int_equal(atomic_load(&job.seen[50]), 161);
        assert_int_equal(total, expected);
        threads_close(pool);
    }
}

/* Every member writes its own place in each of many rounds and then reads all the others'. */
struct team_job {
    struct threads *pool;
    int places[8], wrong;
    atomic_int members;
};

static void team(void *context, int member, int members)
{
    struct team_job *job = context;
    atomic_fetch_add(&job->members, 1);
    for (int round = 1; round <= 2000; round++) {
        job->places[member] = round;
        threads_barrier(job->pool);
        for (int i = 0; i < members; i++)
            if (job->places[i] != round)
                job->wrong = 1;
        threads_barrier(job->pool);
        if (round == 1000 && member == members - 1)
            usleep(2000); /* the others sleep meanwhile */
    }
}

static void test_team_moves_together(void **state)
{
    (void)state;
    struct message m;
    for (int count = 1; count <= 4; count++) {
        struct team_job job = {0};
        assert_int_equal(threads_open(&job.pool, count, &m), 0);
        for (int again = 1; again <= 3; again++) {
            threads_team(job.pool, team, &job);
            assert_int_equal(atomic_load(&job.members), again * threads_count(job.pool));
            assert_int_equal(job.wrong, 0);
            for (int i = 0; i < count; i++)
                assert_int_equal(job.places[i], 2000);
        }
        threads_close(job.pool);
    }
    struct team_job alone = {0};
    threads_team(NULL, team, &alone);
    assert_int_equal(alone.places[0], 2000);
}

static void test_no_pool_is_serial(void **state)
{
    (void)state;
    static struct job job;
    memset(&job, 0, sizeof job);
    threads_run(NULL, work, &job, 10);
    assert_int_equal(atomic_load(&job.workers[0]), 10);
    assert_int_equal(threads_count(NULL), 1);
    threads_close(NULL);
    assert_true(threads_online() >= 1);
}

static void test_count_is_checked(void **state)
{
    (void)state;
    struct message m;
    struct threads *pool;
    assert_int_equal(threads_open(&pool, 0, &m), STATUS_RANGE);
    assert_string_equal(m.text, "threads: 0 is not in 1..4096");
    assert_int_equal(threads_open(&pool, 5000, &m), STATUS_RANGE);
}

/* Where the system gives no more threads the pool goes on with fewer: address space for stacks runs out here. */
static void test_goes_on_with_fewer_threads(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || SANITIZED
    skip(); /* a sanitizer's own memory is larger than the limit */
#endif
    struct rlimit before, tight = {(rlim_t)256 << 20, RLIM_INFINITY};
    static struct job job;
    struct message m;
    struct threads *pool;
    memset(&job, 0, sizeof job);
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    tight.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_AS, &tight), 0);
    int status = threads_open(&pool, 200, &m);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(status, 0);
    assert_true(threads_count(pool) >= 1 && threads_count(pool) < 200);
    job.count = 0;
    threads_run(pool, work, &job, 1); /* one item: worker numbers stay below the array's size */
    assert_int_equal(atomic_load(&job.seen[0]), 1);
    threads_close(pool);
}

static void test_progress_is_silent_where_nobody_looks(void **state)
{
    (void)state;
    FILE *f = tmpfile();
    struct progress p;
    assert_non_null(f);
    progress_open(&p, f, 0, "reading", 10);
    progress_show(&p, 5, "note");
    progress_clear(&p);
    fflush(f);
    assert_int_equal(ftell(f), 0);
    fclose(f);
    double t = clock_seconds();
    assert_true(clock_seconds() >= t);
}

static void test_progress_rewrites_one_line_on_a_terminal(void **state)
{
    (void)state;
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master))
        skip();
    FILE *f = fopen(ptsname(master), "r+");
    assert_non_null(f);
    struct progress p;
    progress_open(&p, f, 0, "reading", 1000000);
    assert_int_equal(p.is_shown, 1);
    p.shown += 1000;
    progress_show(&p, 1, "too soon"); /* within a tenth of a second */
    p.started -= 19990;               /* so long that some seconds on a busy machine do not show */
    p.shown -= 2000;
    progress_show(&p, 999500, "loss 0.5");
    progress_clear(&p);
    char seen[256];
    ssize_t count = read(master, seen, sizeof seen - 1);
    assert_true(count > 0);
    seen[count] = 0;
    assert_memory_equal(seen, "\r\033[Kreading 999500/1000000 50/s 0:10 left loss 0.5\r\033[K", (size_t)count);
    progress_open(&p, f, 1, "quiet", 0);
    assert_int_equal(p.is_shown, 0);
    fclose(f);
    close(master);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_item_runs_once),
        cmocka_unit_test(test_team_moves_together),
        cmocka_unit_test(test_no_pool_is_serial),
        cmocka_unit_test(test_count_is_checked),
        cmocka_unit_test(test_goes_on_with_fewer_threads),
        cmocka_unit_test(test_progress_is_silent_where_nobody_looks),
        cmocka_unit_test(test_progress_rewrites_one_line_on_a_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
