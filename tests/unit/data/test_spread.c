/* A stream of batches whose images ranks share: each image once, what is made of it back in its place. */
#include "sets.h"
#include "data/spread.h"
#include "tests/unit/crew.h"

enum { BATCHES = 6, SIDE = 8, BYTES = SIDE * SIDE * 3, MOST = 64, OUT = 2 };

static const int batch_images[BATCHES] = {5, 1, 17, 3, 8, 2};
static const char *path;

/* Image i of the stream begins with the byte i. */
static int setup(void **state)
{
    struct record_writer *w;
    int images = 0;
    (void)state;
    static char name[300];
    snprintf(name, sizeof name, "%s/stream", temporary_folder());
    path = name;
    ASSERT_OK(writer_open(&w, path, &m));
    for (int k = 0; k < BATCHES; k++) {
        struct batch b;
        ASSERT_OK(batch_new(&b, (struct image_shape){SIDE, SIDE, 3}, 2, batch_images[k], &m));
        ASSERT_OK(record_set(b.record, "classes", "[\"a\",\"b\"]", &m));
        for (int i = 0; i < batch_images[k]; i++)
            b.images[i * BYTES] = (uint8_t)images++;
        ASSERT_OK(writer_put(w, b.record, &m));
        batch_free(&b);
    }
    ASSERT_OK(batch_write_end(w, images, NULL, &m));
    ASSERT_OK(writer_commit(w, &m));
    return 0;
}

/* Of each batch the first `limit` images. */
struct wish {
    int limit, each;
    /* by the first rank: */
    int done, rounds, status;
    uint8_t got[MOST][OUT];
    /* by all: */
    int seen[CREW_MOST];
};

static int64_t visit(void *context, const struct batch *b, struct message *why)
{
    const struct wish *w = context;
    (void)why;
    return b->count < w->limit ? b->count : w->limit;
}

static int share(struct wish *w, const struct ranks *ranks)
{
    struct message why;
    struct spread s;
    struct round r;
    int rank = ranks ? ranks->rank : 0, got;
    TRY(spread_open(&s, ranks, path, BYTES, w->each, visit, w, &why));
    while ((got = spread_next(&s, &r, &why)) > 0) {
        uint8_t own[MOST][OUT];
        for (int i = 0; i < r.own; i++) {
            own[i][0] = r.images[i * BYTES];
            own[i][1] = (uint8_t)(own[i][0] * 3);
        }
        w->seen[rank] += (int)r.own;
        TRY(spread_collect(&s, &r, own, OUT, rank == 0 ? w->got[w->done] : NULL, &why));
        if (rank == 0) {
            w->done += (int)r.count;
            w->rounds++;
        }
    }
    spread_close(&s);
    return got;
}

static void work(void *context, const struct ranks *ranks)
{
    struct wish *w = context;
    int status = share(w, ranks);
    if (ranks->rank == 0)
        w->status = status;
}

/* Of every batch the first `limit` images came, once, in their order. */
static void expect(const struct wish *w, int ranks)
{
    int at = 0, image = 0, seen = 0;
    assert_int_equal(w->status, 0);
    for (int k = 0; k < BATCHES; k++)
        for (int i = 0; i < batch_images[k]; i++, image++) {
            if (i >= w->limit)
                continue;
            assert_int_equal(w->got[at][0], image);
            assert_int_equal(w->got[at][1], image * 3 % 256);
            at++;
        }
    assert_int_equal(w->done, at);
    for (int r = 0; r < ranks; r++)
        seen += w->seen[r];
    assert_int_equal(seen, at);
}

static void test_every_image_once_in_its_place(void **state)
{
    (void)state;
    for (int limit = 1; limit <= 17; limit += 4)
        for (int each = 1; each <= 9; each += 4) {
            struct wish alone = {.limit = limit, .each = each};
            alone.status = share(&alone, NULL);
            expect(&alone, 1);
            for (int ranks = 1; ranks <= CREW_MOST; ranks++) {
                struct wish w = {.limit = limit, .each = each};
                crew_run(ranks, work, &w);
                expect(&w, ranks);
                /* a round has what fits into it, whatever the batches */
                if (ranks > 1)
                    assert_int_equal(w.rounds, (w.done + ranks * each - 1) / (ranks * each));
            }
        }
}

static void test_nothing_is_wanted(void **state)
{
    (void)state;
    struct wish w = {.limit = 0, .each = 4};
    crew_run(3, work, &w);
    assert_int_equal(w.status, 0);
    assert_int_equal(w.rounds, 0);
}

static int64_t refuse(void *context, const struct batch *b, struct message *why)
{
    (void)context;
    (void)b;
    return message_set(why, STATUS_MISMATCH, "not these");
}

static void test_what_is_refused(void **state)
{
    (void)state;
    struct spread s;
    struct round r;
    ASSERT_OK(spread_open(&s, NULL, path, BYTES, 4, refuse, NULL, &m));
    ASSERT_FAILS(spread_next(&s, &r, &m), STATUS_MISMATCH, "not these");
    spread_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_image_once_in_its_place),
        cmocka_unit_test(test_nothing_is_wanted),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests_name("spread", tests, setup, temporary_folder_remove);
}
