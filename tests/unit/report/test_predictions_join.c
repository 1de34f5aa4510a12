/* Predictions of parts of the images, put together. */
#include "check.h"
#include "report/predictions.h"

enum { CLASSES = 3, PARTS = 3 };

struct part {
    int first, count, step; /* images first, first + step, .. */
    const char *model, *dataset;
};

static void set(struct predictions *p, const char *key, const char *value)
{
    struct message m;
    ASSERT_OK(record_set(p->metadata, key, value, &m), m);
}

/* What the model says of image i is a function of i, whatever part it stands in. */
static struct predictions make(const struct part *x)
{
    struct message m;
    struct predictions p = {0};
    char images[16], made_by[128];
    p.metadata = record_new(&m);
    snprintf(images, sizeof images, "%d", x->count);
    snprintf(made_by, sizeof made_by, "cifar-load 1.0 offset=%d\nevaluate 1.0 model=%s\n  fuse 1.0", x->first,
             x->model);
    set(&p, "model-digest", x->model);
    set(&p, "dataset-digest", x->dataset);
    set(&p, "images", images);
    set(&p, "made-by", made_by);
    ASSERT_OK(predictions_reserve(&p, x->count, CLASSES, &m), m);
    for (int i = 0; i < x->count; i++) {
        const int image = x->first + i * x->step;
        p.indices[i] = image;
        p.labels[i] = (uint16_t)(image % CLASSES);
        for (int c = 0; c < CLASSES; c++)
            p.logits[i * CLASSES + c] = (float)(10 * image + c);
    }
    p.count = x->count;
    return p;
}

/* The parts in this order; frees them. */
static int join(struct predictions *out, const struct part *parts, const int *order, int count, struct message *m)
{
    static const char *const called[PARTS] = {"a", "b", "c"};
    struct predictions made[PARTS];
    const char *names[PARTS];
    for (int i = 0; i < count; i++) {
        made[i] = make(&parts[order[i]]);
        names[i] = called[order[i]];
    }
    int status = predictions_join(out, made, names, count, m);
    for (int i = 0; i < count; i++)
        predictions_free(&made[i]);
    return status;
}

/* They fail with this, and leave nothing. */
static void refuse(const struct part *parts, int count, const char *why)
{
    static const int order[PARTS] = {0, 1, 2};
    static const struct predictions nothing;
    struct message m;
    struct predictions out;
    assert_int_equal(join(&out, parts, order, count, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, why);
    assert_memory_equal(&out, &nothing, sizeof out);
}

/* These images, and of each what `make` says. */
static void expect(const struct predictions *p, const int *images, int count)
{
    assert_int_equal(p->count, count);
    assert_int_equal(p->classes, CLASSES);
    for (int i = 0; i < count; i++) {
        assert_int_equal(p->indices[i], images[i]);
        assert_int_equal(p->labels[i], images[i] % CLASSES);
        for (int c = 0; c < CLASSES; c++)
            assert_true(p->logits[i * CLASSES + c] == (float)(10 * images[i] + c));
    }
}

static void test_order_does_not_count(void **state)
{
    (void)state;
    static const struct part parts[PARTS] = {{0, 2, 1, "x", "set"}, {2, 3, 1, "x", "set"}, {5, 1, 1, "x", "set"}};
    static const int orders[][PARTS] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    static const int images[] = {0, 1, 2, 3, 4, 5};
    for (int i = 0; i < 6; i++) {
        struct message m;
        struct predictions all;
        ASSERT_OK(join(&all, parts, orders[i], PARTS, &m), m);
        expect(&all, images, 6);
        assert_string_equal(record_get(all.metadata, "model-digest"), "x");
        assert_string_equal(record_get(all.metadata, "made-by"),
                            "cifar-load 1.0 offset=0\nevaluate 1.0 model=x\n  fuse 1.0\n"
                            "cifar-load 1.0 offset=2\nevaluate 1.0 model=x\n  fuse 1.0\n"
                            "cifar-load 1.0 offset=5\nevaluate 1.0 model=x\n  fuse 1.0");
        predictions_free(&all);
    }
}

/* Nobody says that parts are all there is, or that each is a piece. */
static void test_gaps_and_combs_are_joined(void **state)
{
    (void)state;
    static const int order[] = {0, 1};
    static const struct part apart[] = {{7, 2, 1, "x", "set"}, {1, 3, 1, "x", "set"}},
                             combs[] = {{1, 3, 2, "x", "set"}, {0, 3, 2, "x", "set"}};
    struct message m;
    struct predictions all;
    ASSERT_OK(join(&all, apart, order, 2, &m), m);
    expect(&all, (const int[]){1, 2, 3, 7, 8}, 5);
    predictions_free(&all);
    ASSERT_OK(join(&all, combs, order, 2, &m), m); /* each part stays as it is */
    expect(&all, (const int[]){0, 2, 4, 1, 3, 5}, 6);
    predictions_free(&all);
    ASSERT_OK(join(&all, apart, order, 1, &m), m);
    expect(&all, (const int[]){7, 8}, 2);
    predictions_free(&all);
}

static void test_what_was_joined_is_a_part(void **state)
{
    (void)state;
    static const struct part parts[] = {{0, 2, 1, "x", "set"}, {4, 2, 1, "x", "set"}, {2, 2, 1, "x", "set"}};
    struct message m;
    struct predictions two[2], all, at_once;
    const char *names[] = {"ab", "c"};
    ASSERT_OK(join(&two[0], parts, (const int[]){1, 0}, 2, &m), m);
    two[1] = make(&parts[2]);
    ASSERT_OK(predictions_join(&all, two, names, 2, &m), m);
    ASSERT_OK(join(&at_once, parts, (const int[]){0, 1, 2}, 3, &m), m);
    expect(&all, (const int[]){0, 1, 4, 5, 2, 3}, 6);
    expect(&at_once, (const int[]){0, 1, 2, 3, 4, 5}, 6);
    assert_string_equal(record_get(all.metadata, "made-by"), record_get(at_once.metadata, "made-by"));
    predictions_free(&two[0]);
    predictions_free(&two[1]);
    predictions_free(&all);
    predictions_free(&at_once);
}

static void test_an_image_twice_is_refused(void **state)
{
    (void)state;
    refuse((const struct part[]){{0, 3, 1, "x", "set"}, {2, 3, 1, "x", "set"}}, 2,
           "b: indices: image 2 is there twice");
    refuse((const struct part[]){{2, 3, 1, "x", "set"}, {0, 3, 1, "x", "set"}}, 2,
           "a: indices: image 2 is there twice");
    refuse((const struct part[]){{0, 3, 2, "x", "set"}, {1, 2, 1, "x", "set"}, {4, 1, 1, "x", "set"}}, 3,
           "b: indices: image 2 is there twice");
    refuse((const struct part[]){{5, 1, 1, "x", "set"}, {5, 1, 1, "x", "set"}}, 2,
           "b: indices: image 5 is there twice");
    refuse((const struct part[]){{0, 5, 1, "x", "set"}, {5, 2, 1, "x", "set"}, {9, 2, -3, "x", "set"}}, 3,
           "c: indices: image 6 is there twice");
}

static void test_other_models_and_sets_are_refused(void **state)
{
    (void)state;
    refuse((const struct part[]){{0, 2, 1, "x", "set"}, {2, 2, 1, "y", "set"}}, 2,
           "b: model-digest: differs from that of a");
    refuse((const struct part[]){{2, 2, 1, "x", "set"}, {0, 2, 1, "x", "other"}}, 2,
           "a: dataset-digest: differs from that of b");
    refuse((const struct part[]){{0, 2, 1, "x", "set"}, {2, 2, 1, "x", "set"}, {4, 2, 1, "x", "other"}}, 3,
           "c: dataset-digest: differs from that of a");
}

/* A key that one of them lacks differs too; so does the number of classes, which no key need say. */
static void test_other_metadata_and_classes_are_refused(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct message m;
        struct predictions parts[] = {make(&(struct part){0, 2, 1, "x", "set"}),
                                      make(&(struct part){2, 2, 1, "x", "set"})},
                           out;
        const char *names[] = {"a", "b"};
        if (k < 2)
            set(&parts[k], "tta", "flip");
        else
            parts[1].classes = CLASSES - 1;
        assert_int_equal(predictions_join(&out, parts, names, 2, &m), STATUS_MISMATCH);
        assert_string_equal(m.text, k < 2 ? "b: tta: differs from that of a" : "b: classes: 2, want 3");
        predictions_free(&parts[0]);
        predictions_free(&parts[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_does_not_count),
        cmocka_unit_test(test_gaps_and_combs_are_joined),
        cmocka_unit_test(test_what_was_joined_is_a_part),
        cmocka_unit_test(test_an_image_twice_is_refused),
        cmocka_unit_test(test_other_models_and_sets_are_refused),
        cmocka_unit_test(test_other_metadata_and_classes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
