/* ONNX files in and out while memory runs out, and what comes back of what went out. How files look from outside:
 * tests/cli/onnx.bats. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/memory.h"
#include "onnx/export.h"
#include "onnx/import.h"

#define ASSERT_OK(call, m)                       \
    do {                                         \
        if ((call) < 0)                          \
            fail_msg("%s: %s", #call, (m).text); \
    } while (0)

static long allocations_left;

static int fail_later(size_t bytes)
{
    (void)bytes;
    return allocations_left-- <= 0;
}

static const char *const files[] = {"torchscript_opset9", "dynamo_plain", "dynamo", "tf2onnx", "qdq"};

static int import(const char *name, struct model *model, struct message *m)
{
    char path[256];
    const struct onnx_import_options options = {0};
    snprintf(path, sizeof path, "tests/reference/onnx/%s.onnx", name);
    return onnx_import(model, path, &options, m);
}

/* The file's bytes; the caller's to free. */
static char *export(const struct model *model, int pixels, size_t *size, int *status, struct message *m)
{
    char *bytes = NULL;
    const struct onnx_export_options options = {.pixels = pixels};
    FILE *f = open_memstream(&bytes, size);
    assert_non_null(f);
    *status = onnx_export(model, &options, f, m);
    fclose(f);
    return bytes;
}

static void test_every_failing_allocation(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct model model;
        struct message m = {{0}};
        long n = 0;
        int status;
        do { /* the n-th and all behind it */
            m.text[0] = '\0';
            allocations_left = n++;
            memory_test_hook = fail_later;
            status = import(files[i], &model, &m);
            memory_test_hook = NULL;
            if (status < 0 && status != STATUS_NOMEM)
                fail_msg("%s: allocation %ld: %d: %s", files[i], n - 1, status, m.text);
            assert_true((status >= 0) == (m.text[0] == '\0'));
        } while (status < 0);
        assert_true(n > 50);
        n = 0;
        do {
            size_t size;
            allocations_left = n++;
            memory_test_hook = fail_later;
            char *bytes = export(&model, 1, &size, &status, &m);
            memory_test_hook = NULL;
            free(bytes);
            assert_true(status == STATUS_NOMEM || status >= 0);
        } while (status < 0);
        model_free(&model);
    }
}

/* In, out and in again: the same tensors. */
static void test_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct model model, back;
        struct message m;
        size_t size;
        int status;
        const struct onnx_import_options options = {0};
        ASSERT_OK(import(files[i], &model, &m), m);
        char *bytes = export(&model, 0, &size, &status, &m);
        ASSERT_OK(status, m);
        ASSERT_OK(onnx_import_bytes(&back, bytes, size, &options, &m), m);
        for (size_t k = 0; k < model.record->tensor_count; k++) {
            const struct tensor *t = &model.record->tensors[k], *u = record_find(back.record, t->name);
            assert_non_null(u);
            assert_int_equal(t->bytes, u->bytes);
            assert_memory_equal(t->data, u->data, t->bytes);
        }
        assert_int_equal(model.record->tensor_count, back.record->tensor_count);
        free(bytes);
        model_free(&model);
        model_free(&back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_failing_allocation),
        cmocka_unit_test(test_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
