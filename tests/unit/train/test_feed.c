/* Mini-batches from streams cut any way: same images, same order, whatever the cuts and wherever it starts. */
#include "common.h"
#include "train/feed.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

/* Stands before the system's: where no_threads is set, there are no threads to be had. */
static int no_threads;

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return no_threads ? EAGAIN : real(thread, attributes, start, argument);
}

/* All that a feed gives, checked for shape, its images checked against the drawing. */
static int64_t check_feed(struct feed *f, const struct stream_spec *s, int batch, int epochs, int epoch, int step)
{
    struct minibatch b;
    int64_t minibatches = 0;
    int steps = (s->total + batch - 1) / batch;
    uint8_t *image = malloc(IMAGE_BYTES);
    int got;
    while ((got = assert_ok_at(feed_next(f, &b, NULL, &m), "feed_next", __FILE__, __LINE__)) > 0) {
        int count = step == steps - 1 ? s->total - step * batch : batch;
        assert_int_equal(b.epoch, epoch);
        assert_int_equal(b.step, step);
        assert_int_equal(b.count, count);
        assert_int_equal(b.last, step == steps - 1);
        for (int i = 0; i < count; i++) {
            int index = step * batch + i;
            assert_int_equal(b.labels[i], index % 10);
            assert_int_equal(b.mixed, s->mixed);
            for (int k = 0; k < s->mixed; k++) {
                assert_int_equal(b.labels2[i * s->mixed + k], (index + 1 + k) % 10);
                assert_true(b.share[i * s->mixed + k] == (float)(index % 5) / 16);
            }
            draw_image(image, index % 10, epoch, index);
            assert_memory_equal(b.images + (size_t)i * IMAGE_BYTES, image, IMAGE_BYTES);
        }
        epoch += b.last;
        step = b.last ? 0 : step + 1;
        minibatches++;
    }
    assert_int_equal(epoch, epochs);
    free(image);
    return minibatches;
}

static void test_any_cut_gives_the_same(void **state)
{
    (void)state;
    const int cuts[] = {1, 3, 7, 8, 20, 64}, batches[] = {1, 4, 7, 16, 21, 100};
    for (size_t c = 0; c < sizeof cuts / sizeof cuts[0]; c++) {
        const struct stream_spec s = {.epochs = 3, .total = 21, .batch = cuts[c], .mixed = (int)c % 4};
        write_stream(path_of("stream"), &s);
        for (size_t b = 0; b < sizeof batches / sizeof batches[0]; b++) {
            struct feed *f;
            ASSERT_OK(feed_open(&f, path_of("stream"), batches[b], 3, &m));
            assert_int_equal(feed_total(f), 21);
            assert_int_equal(feed_steps(f), (21 + batches[b] - 1) / batches[b]);
            ASSERT_OK(feed_start(f, 0, 0, &m));
            assert_int_equal(check_feed(f, &s, batches[b], 3, 0, 0), 3 * feed_steps(f));
            assert_int_equal(feed_surplus(f), 0);
            feed_close(f);
        }
    }
}

static void test_without_a_thread(void **state)
{
    (void)state;
    struct feed *f;
    struct minibatch b;
    volatile sig_atomic_t stop = 0;
    const struct stream_spec s = {.epochs = 2, .total = 21, .batch = 8};
    write_stream(path_of("stream"), &s);
    no_threads = 1;
    ASSERT_OK(feed_open(&f, path_of("stream"), 5, 2, &m));
    ASSERT_OK(feed_start(f, 0, 2, &m));
    check_feed(f, &s, 5, 2, 0, 2);
    feed_close(f);
    ASSERT_OK(feed_open(&f, path_of("stream"), 5, 3, &m));
    ASSERT_OK(feed_start(f, 1, 4, &m));
    assert_int_equal(feed_next(f, &b, &stop, &m), 1);
    ASSERT_FAILS(feed_next(f, &b, &stop, &m), STATUS_MISMATCH, "the stream ends after 2 epochs");
    stop = 1;
    ASSERT_FAILS(feed_next(f, &b, &stop, &m), STATUS_INTERRUPTED, "interrupted");
    feed_close(f);
    no_threads = 0;
}

static void test_goes_on_anywhere(void **state)
{
    (void)state;
    for (int from = 0; from < 3; from++) {
        const struct stream_spec s = {.epochs = 3, .from = from, .total = 10, .batch = 3};
        write_stream(path_of("stream"), &s);
        for (int epoch = from; epoch < 3; epoch++) {
            for (int step = 0; step <= 3; step++) { /* 3 is the epoch's end */
                struct feed *f;
                ASSERT_OK(feed_open(&f, path_of("stream"), 4, 3, &m));
                ASSERT_OK(feed_start(f, epoch, step, &m));
                check_feed(f, &s, 4, 3, step == 3 ? epoch + 1 : epoch, step == 3 ? 0 : step);
                feed_close(f);
            }
        }
        if (from > 0) {
            struct feed *f;
            ASSERT_OK(feed_open(&f, path_of("stream"), 4, 3, &m));
            ASSERT_FAILS(feed_start(f, from - 1, 1, &m), STATUS_MISMATCH, "the stream begins at epoch");
            feed_close(f);
        }
    }
}

static void test_too_few_and_too_many_epochs(void **state)
{
    (void)state;
    struct feed *f;
    struct minibatch b;
    const struct stream_spec s = {.epochs = 3, .total = 10, .batch = 4};
    write_stream(path_of("stream"), &s);
    ASSERT_OK(feed_open(&f, path_of("stream"), 5, 2, &m));
    ASSERT_OK(feed_start(f, 0, 0, &m));
    check_feed(f, &s, 5, 2, 0, 0);
    assert_int_equal(feed_surplus(f), 10);
    assert_int_equal(feed_next(f, &b, NULL, &m), 0);
    feed_close(f);
    ASSERT_OK(feed_open(&f, path_of("stream"), 5, 4, &m));
    ASSERT_OK(feed_start(f, 0, 0, &m));
    for (int i = 0; i < 6; i++)
        assert_int_equal(feed_next(f, &b, NULL, &m), 1);
    ASSERT_FAILS(feed_next(f, &b, NULL, &m), STATUS_MISMATCH,
                 "stream: the stream ends after 3 epochs, want 4 (--epochs)");
    ASSERT_FAILS(feed_next(f, &b, NULL, &m), STATUS_MISMATCH, "the stream ends");
    feed_close(f);
}

static void test_truncation(void **state)
{
    (void)state;
    struct feed *f;
    struct minibatch b;
    volatile sig_atomic_t stop = 0;
    write_stream(path_of("stream"), &(struct stream_spec){.epochs = 1, .total = 12, .batch = 4, .unfinished = 1});
    ASSERT_OK(feed_open(&f, path_of("stream"), 12, 1, &m));
    ASSERT_OK(feed_start(f, 0, 0, &m));
    assert_int_equal(feed_next(f, &b, NULL, &m), 1);
    ASSERT_FAILS(feed_next(f, &b, NULL, &m), STATUS_TRUNCATED, "truncated stream after 3 records");
    ASSERT_FAILS(feed_next(f, &b, &stop, &m), STATUS_TRUNCATED, "truncated stream after 3 records");
    stop = 1;
    ASSERT_FAILS(feed_next(f, &b, &stop, &m), STATUS_INTERRUPTED, "interrupted");
    feed_close(f);
    FILE *empty = fopen(path_of("empty"), "w");
    fclose(empty);
    ASSERT_FAILS(feed_open(&f, path_of("empty"), 4, 1, &m), STATUS_TRUNCATED, "empty input");
    assert_null(f);
}

static volatile sig_atomic_t stop_flag;

static void set_stop(int signal_number)
{
    (void)signal_number;
    stop_flag = 1;
}

/* A pipe that falls silent: closing must not wait for it, and a stop must be seen while waiting. */
static void test_silent_pipe(void **state)
{
    (void)state;
    struct feed *f;
    struct minibatch b;
    write_stream(path_of("stream"), &(struct stream_spec){.epochs = 1, .total = 12, .batch = 4, .unfinished = 1});
    assert_int_equal(mkfifo(path_of("pipe"), 0600), 0);
    int out = open(path_of("pipe"), O_RDWR);
    size_t size;
    char *bytes = slurp(path_of("stream"), &size);
    assert_int_equal(write(out, bytes, size), size);
    free(bytes);
    ASSERT_OK(feed_open(&f, path_of("pipe"), 5, 1, &m));
    ASSERT_OK(feed_start(f, 0, 0, &m));
    assert_int_equal(feed_next(f, &b, &stop_flag, &m), 1);
    assert_int_equal(feed_next(f, &b, &stop_flag, &m), 1);
    assert_int_equal(feed_next(f, &b, &stop_flag, &m), 1); /* 2 of 5: the epoch's total says that it is the last */
    assert_int_equal(b.count, 2);
    signal(SIGALRM, set_stop);
    ualarm(20000, 0);
    ASSERT_FAILS(feed_next(f, &b, &stop_flag, &m), STATUS_INTERRUPTED, "interrupted");
    feed_close(f);
    close(out); /* the reader left behind sees the end and frees what it holds */
    usleep(50000);
}

static void test_epochs_must_be_alike(void **state)
{
    (void)state;
    struct feed *f;
    struct minibatch b;
    struct record_writer *w;
    ASSERT_OK(writer_open(&w, path_of("uneven"), &m));
    put_batch(w, &(struct stream_spec){.total = 4}, 0, 0, 4);
    put_batch(w, &(struct stream_spec){.total = 5}, 1, 0, 4);
    put_batch(w, &(struct stream_spec){.total = 5}, 1, 4, 1);
    ASSERT_OK(batch_write_end(w, 9, NULL, &m));
    ASSERT_OK(writer_commit(w, &m));
    ASSERT_OK(feed_open(&f, path_of("uneven"), 4, 2, &m));
    ASSERT_OK(feed_start(f, 0, 0, &m));
    assert_int_equal(feed_next(f, &b, NULL, &m), 1);
    assert_true(feed_next(f, &b, NULL, &m) < 0);
    feed_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_cut_gives_the_same),
        cmocka_unit_test(test_without_a_thread),
        cmocka_unit_test(test_goes_on_anywhere),
        cmocka_unit_test(test_too_few_and_too_many_epochs),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_silent_pipe),
        cmocka_unit_test(test_epochs_must_be_alike),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
