/* What fits the machine: the largest batch that does, by plan alone. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "base/available.h"

static struct message m, said;

/* 100 bytes and 7 an image. */
static int seven_an_image(void *context, int batch, size_t *bytes, struct message *reason)
{
    ++*(int *)context;
    if (batch > 1000)
        return message_set(reason, STATUS_RANGE, "too many");
    *bytes = 100 + 7 * (size_t)batch;
    return 0;
}

static void test_the_largest_batch_that_fits_is_named(void **state)
{
    (void)state;
    int calls = 0;
    assert_int_equal(batch_fits(seven_an_image, &calls, 64, "a batch", 548, &said, &m), 0);
    assert_string_equal(said.text, "a batch of 64 images takes 0.0 MB");
    assert_int_equal(calls, 1);
    assert_int_equal(batch_fits(seven_an_image, &calls, 64, "a batch", 547, &said, &m), STATUS_NOMEM);
    assert_non_null(strstr(m.text, "-b 63 fits"));
    assert_int_equal(batch_fits(seven_an_image, &calls, 1000, "a batch", 107, &said, &m), STATUS_NOMEM);
    assert_non_null(strstr(m.text, "-b 1 fits"));
    assert_true(calls < 40);
    assert_int_equal(batch_fits(seven_an_image, &calls, 1000, "a batch", 106, &said, &m), STATUS_NOMEM);
    assert_non_null(strstr(m.text, "none fits"));
    assert_int_equal(batch_fits(seven_an_image, &calls, 1001, "a batch", 106, &said, &m), STATUS_RANGE);
}

static void test_this_machine_has_some(void **state)
{
    (void)state;
    assert_true(memory_available() > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_largest_batch_that_fits_is_named),
        cmocka_unit_test(test_this_machine_has_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
