#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "base/memory.h"

static int fail_always(size_t bytes)
{
    (void)bytes;
    return 1;
}

static void test_blocks_are_aligned_and_zeroed(void **state)
{
    (void)state;
    struct message m;
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *p = memory_new(n, 3, &m);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        for (size_t i = 0; i < 3 * n; i++)
            assert_int_equal(p[i], 0);
        memory_free(p);
    }
    memory_free(NULL);
}

static void test_overflow_and_exhaustion_name_the_size(void **state)
{
    (void)state;
    struct message m = {{0}};
    assert_null(memory_new(SIZE_MAX, 2, &m));
    assert_string_equal(m.text, "memory exhausted: 18446744073709551615 x 2 bytes");
    assert_null(memory_new_raw(SIZE_MAX / 2 + 1, 1, &m));
    assert_string_equal(m.text, "memory exhausted: 9223372036854775808 bytes");
    memory_test_hook = fail_always;
    assert_null(memory_new(10, 10, &m));
    assert_string_equal(m.text, "memory exhausted: 100 bytes");
    assert_null(memory_strdup("x", &m));
    assert_null(memory_printf(&m, "%d", 1));
    struct arena a;
    assert_int_equal(arena_open(&a, 100, &m), STATUS_NOMEM);
    memory_test_hook = NULL;
}

static void test_resize_keeps_contents(void **state)
{
    (void)state;
    struct message m;
    char *p = memory_strdup("abcdefgh", &m);
    p = memory_resize(p, 9, 1000, 1, &m);
    assert_string_equal(p, "abcdefgh");
    p = memory_resize(p, 1000, 4, 1, &m);
    assert_memory_equal(p, "abcd", 4);
    memory_test_hook = fail_always;
    assert_null(memory_resize(p, 4, 8, 1, &m));
    memory_test_hook = NULL;
    assert_memory_equal(p, "abcd", 4); /* the old block stays */
    memory_free(p);
    p = memory_resize(NULL, 0, 8, 1, &m);
    assert_non_null(p);
    memory_free(p);
}

static void test_printf_and_multiply(void **state)
{
    (void)state;
    struct message m;
    size_t product;
    char *s = memory_printf(&m, "%s-%d", "a", 42);
    assert_string_equal(s, "a-42");
    memory_free(s);
    assert_int_equal(size_multiply(1u << 20, 1u << 20, &product), 0);
    assert_true(product == (size_t)1 << 40);
    assert_int_equal(size_multiply(SIZE_MAX / 2, 3, &product), -1);
}

static void test_arena_hands_out_aligned_blocks_until_full(void **state)
{
    (void)state;
    struct message m;
    struct arena a;
    assert_int_equal(arena_open(&a, 130, &m), 0); /* 192 after rounding */
    unsigned char *x = arena_take(&a, 1, &m), *y = arena_take(&a, 65, &m);
    assert_ptr_equal(y, x + 64);
    assert_int_equal((uintptr_t)x % 64, 0);
    assert_null(arena_take(&a, 1, &m));
    assert_non_null(strstr(m.text, "full"));
    assert_null(arena_take(&a, SIZE_MAX, &m));
    arena_reset(&a);
    assert_ptr_equal(arena_take(&a, 192, &m), x);
    arena_close(&a);
    assert_int_equal(arena_open(&a, SIZE_MAX, &m), STATUS_NOMEM);
    assert_int_equal(arena_open(&a, 0, &m), 0);
    arena_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned_and_zeroed),
        cmocka_unit_test(test_overflow_and_exhaustion_name_the_size),
        cmocka_unit_test(test_resize_keeps_contents),
        cmocka_unit_test(test_printf_and_multiply),
        cmocka_unit_test(test_arena_hands_out_aligned_blocks_until_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
