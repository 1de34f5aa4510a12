/* Separate sums of codes are ONNX Runtime's QLinearAdd to the last code
 * (tests/reference/qlinearadd.py), on every instruction set. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "base/memory.h"
#include "exec/plan/maps.h"
#include "record/file.h"
#include "record/stream.h"

static const struct tensor *part(const struct record *r, const char *name, const char *what)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, what);
    const struct tensor *t = record_find(r, full);
    assert_non_null(t);
    return t;
}

static void compare(const struct record *r, const char *name)
{
    const struct tensor *a = part(r, name, "a"), *b = part(r, name, "b"), *want = part(r, name, "y");
    const float *scale = part(r, name, "scales")->data;
    const uint8_t *zero = part(r, name, "zero_points")->data;
    const struct affine of_a = {scale[0], zero[0], 0, 255}, of_b = {scale[1], zero[1], 0, 255},
                        of_y = {scale[2], zero[2], 0, 255};
    struct add_u8_call call = add_call_make(&of_a, &of_b, &of_y);
    call.a = a->data;
    call.b = b->data;
    call.count = a->count;
    uint8_t *y = memory_new(a->count, 1, NULL);
    float *before = memory_new(a->count, sizeof *before, NULL);
    call.y = y;
    for (int i = 0; kernel_isa_at(i); i++) {
        const struct kernel_table *table;
        struct message m;
        if (kernel_table_get(&table, kernel_isa_at(i), &m) < 0)
            continue; /* not on this machine */
        const struct elementwise_kernels *k = &table->elementwise;
        call.before = NULL;
        memset(y, 0, a->count);
        add_call_run(k, 1, &call);
        assert_memory_equal(y, want->data, a->count);
        call.before = before;
        memset(y, 0, a->count);
        add_call_run(k, 1, &call);
        assert_memory_equal(y, want->data, a->count);
        for (size_t j = 0; j < a->count; j++) { /* of what is rounded, less the zero point */
            float exact = ((float)((const uint8_t *)a->data)[j] - (float)zero[0]) * scale[0] / scale[2] +
                          ((float)((const uint8_t *)b->data)[j] - (float)zero[1]) * scale[1] / scale[2];
            assert_true(before[j] > exact - 0.001f && before[j] < exact + 0.001f);
        }
        call.low = 7;
        call.high = 199;
        add_call_run(k, 1, &call);
        for (size_t j = 0; j < a->count; j++) {
            uint8_t q = ((const uint8_t *)want->data)[j];
            assert_int_equal(y[j], q < 7 ? 7 : q > 199 ? 199 : q);
        }
        call.low = 0;
        call.high = 255;
    }
    memory_free(y);
    memory_free(before);
}

static void test_sums_are_qlinearadds(void **state)
{
    static const char *const names[] = {"any", "relu", "even", "sixteenths", "sums", "thirtieths"};
    struct record *r;
    struct message m;
    (void)state;
    assert_true(record_load(&r, "tests/reference/qlinearadd.safetensors", &m) >= 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        compare(r, names[i]);
    record_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sums_are_qlinearadds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
