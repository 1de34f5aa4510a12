/* Pictures that grow: the option, and what becomes of a mini-batch. That a run is that of small pictures:
 * tests/cli/train-fp32.bats, --grow. */
#include "common.h"
#include "train/growth.h"

static void test_growth_as_text(void **state)
{
    (void)state;
    struct growth growth;
    struct text t = {0};
    ASSERT_OK(growth_parse("16:45,20x24:33", &growth, &m));
    ASSERT_OK(growth_print(&growth, &t, &m));
    assert_string_equal(t.data, "16:45,20x24:33");
    text_free(&t);
    assert_int_equal(growth_begin(&growth, 1, 9), 4);
    assert_int_equal(growth_begin(&growth, 2, 9), 7);
    assert_int_equal(growth_shape(&growth, 3, 9, IMAGE_CIFAR).width, 16);
    assert_int_equal(growth_shape(&growth, 4, 9, IMAGE_CIFAR).width, 24);
    assert_int_equal(growth_shape(&growth, 7, 9, IMAGE_CIFAR).width, 32);
    assert_true(fabs(growth_cost(&growth, 9, 9, IMAGE_CIFAR) - (4 * 0.25 + 3 * 20 * 24 / 1024.0 + 2)) < 1e-12);
    assert_true(fabs(growth_cost(&growth, 5, 9, IMAGE_CIFAR) - (1 + 20 * 24 / 1024.0)) < 1e-12);
    ASSERT_FAILS(growth_parse("16:45,24", &growth, &m), STATUS_RANGE, "'24' is no SIZE:PERCENT");
    ASSERT_FAILS(growth_parse("16:60,24:40", &growth, &m), STATUS_RANGE, "100 percent in all");
    ASSERT_OK(growth_parse("16:45,32:33", &growth, &m));
    ASSERT_FAILS(growth_check(&growth, IMAGE_CIFAR, &m), STATUS_RANGE, "32x32 is not smaller");
}

/* As each picture by itself, for any threads and any number of pictures; and no byte beyond them. */
static void test_every_picture_is_shrunk_alike(void **state)
{
    (void)state;
    static const struct image_shape from = {21, 17, 3}, to = {9, 16, 3};
    static const int counts[] = {0, 1, 7, 8, 9, 33};
    enum { MOST = 33, GUARD = 64 };
    const size_t wide = image_shape_bytes(from), narrow = image_shape_bytes(to);
    struct random_stream draw = random_open(1, RANDOM_TEST, 0, 0);
    uint8_t *images = malloc(MOST * wide), *want = malloc(MOST * narrow), *got = malloc(MOST * narrow + GUARD);
    for (size_t i = 0; i < MOST * wide; i++)
        images[i] = (uint8_t)random_below(&draw, 256);
    for (size_t i = 0; i < MOST; i++)
        ASSERT_OK(image_resize(images + i * wide, from, NULL, FILTER_BOX, want + i * narrow, to, &m));
    for (int threads = 0; threads <= 5; threads++) {
        struct threads *pool = NULL;
        if (threads > 0)
            ASSERT_OK(threads_open(&pool, threads, &m));
        for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
            const size_t bytes = (size_t)counts[k] * narrow;
            memset(got, 0xa5, MOST * narrow + GUARD);
            ASSERT_OK(growth_shrink(pool, images, counts[k], from, got, to, &m));
            assert_memory_equal(got, want, bytes);
            for (size_t i = bytes; i < MOST * narrow + GUARD; i++)
                assert_int_equal(got[i], 0xa5);
        }
        threads_close(pool);
    }
    free(images);
    free(want);
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growth_as_text),
                                       cmocka_unit_test(test_every_picture_is_shrunk_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
