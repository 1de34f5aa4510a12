/* The loader: what is there is found, what is not is one line. */
#include "kernel/contract/device.h"
#include "tests/unit/kernel/shapes.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* build/resq-host.so, from build/unit/kernel/test_device_load. */
static void host_library(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 32);
    assert_true(length > 0);
    path[length] = 0;
    for (int i = 0; i < 3; i++)
        *strrchr(path, '/') = 0;
    strcat(path, "/resq-host.so");
}

static void refused(const char *path, const char *reason)
{
    const struct device_backend *b = NULL;
    struct message m = {{0}};
    setenv("RESQ_CUDA", path, 1);
    assert_int_equal(device_backend_open("cuda", &b, &m), STATUS_UNSUPPORTED);
    if (!strstr(m.text, reason))
        fail_msg("'%s' does not say '%s'", m.text, reason);
    assert_null(strchr(m.text, '\n'));
    assert_null(b);
}

static void test_refused(void **state)
{
    (void)state;
    refused("/nonexistent/resq-cuda.so", "/nonexistent/resq-cuda.so: cannot open shared object file");
    refused("/proc/self/status", "cannot load it");
    refused("libm.so.6", "libm.so.6: has no resq_device_backend");
    refused("", "there is no resq-cuda.so beside the program");
}

/* Beside the program, but without a driver it is not even loaded. */
static void test_driver(void **state)
{
    (void)state;
    char path[PATH_MAX], beside[PATH_MAX];
    host_library(path);
    snprintf(beside, sizeof beside, "%.*s/unit/kernel/resq-cuda.so", (int)(strrchr(path, '/') - path), path);
    unlink(beside);
    unsetenv("RESQ_CUDA");
    assert_false(device_backend_exists("cuda"));
    assert_int_equal(symlink(path, beside), 0);
    void *driver = dlopen("libcuda.so.1", RTLD_LAZY);
    int exists = device_backend_exists("cuda");
    if (!driver)
        refused("", "no NVIDIA driver: libcuda.so.1: cannot open shared object file");
    unlink(beside);
    assert_int_equal(exists, driver != NULL);
    setenv("RESQ_CUDA", "/nonexistent", 1);
    assert_true(device_backend_exists("cuda"));
}

static void test_found(void **state)
{
    (void)state;
    char path[PATH_MAX];
    const struct device_backend *b = NULL, *again = NULL;
    struct message m;
    host_library(path);
    setenv("RESQ_CUDA", path, 1);
    assert_int_equal(device_backend_open("cuda", &b, &m), 0);
    assert_int_equal(b->version, DEVICE_VERSION);
    setenv("RESQ_CUDA", "/nonexistent", 1); /* what is loaded stays */
    assert_int_equal(device_backend_open("cuda", &again, &m), 0);
    assert_ptr_equal(b, again);
    unsetenv("RESQ_CUDA");
}

static void test_other_name(void **state)
{
    (void)state;
    const struct device_backend *b = NULL;
    struct message m;
    assert_int_equal(device_backend_open("hip", &b, &m), STATUS_UNSUPPORTED);
    assert_non_null(strstr(m.text, "resq-hip.so"));
}

static void test_version(void **state)
{
    (void)state;
    char path[PATH_MAX];
    host_library(path);
    setenv("RESQ_HOST", "version=99", 1);
    refused(path, "is of interface 99, want");
    unsetenv("RESQ_HOST");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_refused), cmocka_unit_test(test_version),
                                       cmocka_unit_test(test_driver), cmocka_unit_test(test_other_name),
                                       cmocka_unit_test(test_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
