/* What the backend's own logic does when a library of NVIDIA's refuses; only on the emulated device, which can be
 * told to. On a GPU all of it is skipped. */
#include "tests/cuda/both.h"

static const struct device_backend *b;
static const struct device_options plain = {0};

static int emulated(void **state)
{
    (void)state;
    return device_backend_open("cuda", &b, &reason);
}

#define ONLY_EMULATED()                    \
    do {                                   \
        if (!getenv("RESQ_CUDA_EMULATED")) \
            skip();                        \
    } while (0)

static int forget(void **state)
{
    (void)state;
    unsetenv("RESQ_EMULATION_FAIL"), unsetenv("RESQ_EMULATION_DEVICES"), unsetenv("RESQ_EMULATION_MEMORY");
    unsetenv("RESQ_EMULATION_NORM"), unsetenv("RESQ_EMULATION_CONV");
    return 0;
}

static void says(int status, int wanted, const char *words)
{
    if (status != wanted || !strstr(reason.text, words) || strchr(reason.text, '\n'))
        fail_msg("status %d and '%s', want %d and '%s'", status, reason.text, wanted, words);
}

static void open_says(int wanted, const char *words)
{
    struct device *d = NULL;
    memset(&reason, 0, sizeof reason);
    says(b->open(&plain, &d, &reason), wanted, words);
    assert_null(d);
}

static void test_open(void **state)
{
    (void)state;
    ONLY_EMULATED();
    setenv("RESQ_EMULATION_DEVICES", "0", 1);
    open_says(STATUS_UNSUPPORTED, "cudaGetDeviceCount: no CUDA-capable device is detected");
    unsetenv("RESQ_EMULATION_DEVICES");
    setenv("RESQ_EMULATION_FAIL", "cudnnCreate:1", 1);
    open_says(STATUS_IO, "cudnnCreate: CUDNN_STATUS");
    setenv("RESQ_EMULATION_FAIL", "cublasLtCreate:1", 1);
    open_says(STATUS_UNSUPPORTED, "cublasLtCreate: CUBLAS_STATUS_NOT_INITIALIZED");
    setenv("RESQ_EMULATION_FAIL", "cublasLtMatmul:1", 1);
    open_says(STATUS_IO, "cublasLtMatmul: CUBLAS_STATUS_EXECUTION_FAILED");
    setenv("RESQ_EMULATION_FAIL", "cudnnConvolutionForward:2", 1); /* after its trial */
    open_says(STATUS_IO, "cudnnConvolutionForward: CUDNN_STATUS_EXECUTION_FAILED");
    setenv("RESQ_EMULATION_FAIL", "cudaStreamSynchronize:1", 1);
    open_says(STATUS_IO, "cudaStreamSynchronize: an illegal memory access was encountered");
    unsetenv("RESQ_EMULATION_FAIL");
    setenv("RESQ_EMULATION_MEMORY", "1000000", 1);
    open_says(STATUS_NOMEM, "out of memory");
}

/* Whichever allocation fails, open says so and leaves nothing behind (the sanitizer sees to that). */
static void test_every_allocation(void **state)
{
    (void)state;
    ONLY_EMULATED();
    for (int n = 1; n < 100; n++) {
        char wish[40];
        struct device *d = NULL;
        snprintf(wish, sizeof wish, "cudaMalloc:%d", n);
        setenv("RESQ_EMULATION_FAIL", wish, 1);
        int status = b->open(&plain, &d, &reason);
        if (status >= 0) {
            b->close(d);
            assert_in_range(n, 5, 99);
            return;
        }
        assert_null(d);
        says(status, STATUS_NOMEM, "cudaMalloc: out of memory");
    }
    fail_msg("open never succeeds");
}

static struct device *opened(struct device_options options)
{
    struct device *d = NULL;
    ok(b->open(&options, &d, &reason));
    return d;
}

static const struct device_conv conv = {2, 8, 8, 16, 8, 8, 16, 3, 1, 1, DEVICE_F16};
enum { ALL = 1 << DEVICE_FORWARD | 1 << DEVICE_DATA | 1 << DEVICE_WEIGHT };

static void algorithms_are(struct device *d, size_t limit, const char *forward, const char *data,
                           const char *weight)
{
    struct device_plan *p = NULL;
    ok(b->conv_plan(d, &conv, ALL, limit, &p, &reason));
    assert_string_equal(b->plan_algorithm(p, DEVICE_FORWARD), forward);
    assert_string_equal(b->plan_algorithm(p, DEVICE_DATA), data);
    assert_string_equal(b->plan_algorithm(p, DEVICE_WEIGHT), weight);
    b->plan_free(d, p);
}

/* The emulation's list: the fastest first, some of them not deterministic, one by Winograd. */
static void test_algorithms(void **state)
{
    (void)state;
    ONLY_EMULATED();
    struct device *d = opened(plain), *fast = opened((struct device_options){.fast = 1});
    algorithms_are(d, 1 << 20, "implicit-precomp-gemm", "1", "1");
    algorithms_are(fast, 1 << 20, "winograd-nonfused", "0", "3");
    algorithms_are(d, 4000, "implicit-gemm", "1", "1"); /* 96 bytes too few for the first */
    algorithms_are(fast, 100, "implicit-gemm", "0", "0");
    struct device_plan *p = NULL;
    says(b->conv_plan(d, &conv, ALL, 100, &p, &reason), STATUS_UNSUPPORTED,
         "3x3 convolution 8x8x16 -> 16: cudnnConvolutionBackwardData: no deterministic algorithm within 100 bytes");
    assert_null(p);
    /* One that was measured and then does not run: the next. */
    setenv("RESQ_EMULATION_FAIL", "cudnnConvolutionForward:1", 1);
    algorithms_are(d, 1 << 20, "implicit-gemm", "1", "1");
    unsetenv("RESQ_EMULATION_FAIL");
    setenv("RESQ_EMULATION_CONV", "indirect", 1);
    algorithms_are(d, 1 << 20, "winograd-nonfused", "1", "1");
    /* What was fastest, and what does not depend on it. */
    setenv("RESQ_EMULATION_CONV", "reversed", 1);
    algorithms_are(d, 1 << 20, "implicit-gemm", "1", "1");
    ok(b->conv_plan(d, &conv, ALL | DEVICE_FIXED, 1 << 20, &p, &reason));
    assert_string_equal(b->plan_algorithm(p, DEVICE_FORWARD), "implicit-precomp-gemm");
    b->plan_free(d, p);
    unsetenv("RESQ_EMULATION_CONV");
    b->close(d), b->close(fast);
}

static const char *norm_algorithm(struct device *d, enum device_type type, int c, int relu, int has_other)
{
    struct device_norm n = {2, 4, 4, c, type, relu, has_other, 1e-5, 0.1};
    struct device_plan *p = NULL;
    static char name[40];
    ok(b->norm_plan(d, &n, &p, &reason));
    snprintf(name, sizeof name, "%s", b->plan_algorithm(p, DEVICE_FORWARD));
    b->plan_free(d, p);
    return name;
}

/* cuDNN's fused form only where it is there and gives the right values. (In the emulation it is always faster.) */
static void test_norm_ways(void **state)
{
    (void)state;
    ONLY_EMULATED();
    struct device *d = opened(plain);
    assert_string_equal(norm_algorithm(d, DEVICE_F16, 16, 1, 1), "cudnn-persistent");
    assert_string_equal(norm_algorithm(d, DEVICE_F16, 16, 0, 0), "cudnn-persistent");
    assert_string_equal(norm_algorithm(d, DEVICE_F16, 10, 1, 0), "own");
    assert_string_equal(norm_algorithm(d, DEVICE_F16, 16, 0, 1), "own");
    assert_string_equal(norm_algorithm(d, DEVICE_BF16, 16, 1, 1), "own");
    assert_string_equal(norm_algorithm(d, DEVICE_F32, 16, 1, 1), "own");
    setenv("RESQ_EMULATION_NORM", "wrong", 1);
    assert_string_equal(norm_algorithm(d, DEVICE_F16, 16, 1, 1), "own");
    setenv("RESQ_EMULATION_NORM", "unsteady", 1);
    assert_string_equal(norm_algorithm(d, DEVICE_F16, 16, 1, 1), "own");
    struct device *fast = opened((struct device_options){.fast = 1});
    assert_string_equal(norm_algorithm(fast, DEVICE_F16, 16, 1, 1), "cudnn-persistent");
    b->close(fast);
    setenv("RESQ_EMULATION_NORM", "none", 1);
    assert_string_equal(norm_algorithm(d, DEVICE_F16, 16, 1, 1), "own");
    b->close(d);
}

static void test_capture(void **state)
{
    (void)state;
    ONLY_EMULATED();
    struct device *d = opened(plain);
    struct device_graph *g = NULL;
    void *p = NULL;
    ok(b->allocate(d, 1000, &p, &reason));
    static const char *const fails[] = {"cudaStreamEndCapture:1", "cudaGraphInstantiate:1"};
    for (int i = 0; i < 2; i++) {
        setenv("RESQ_EMULATION_FAIL", fails[i], 1);
        ok(b->capture_begin(d, &reason));
        ok(b->zero(d, p, 1000, &reason));
        assert_true(b->capture_end(d, &g, &reason) < 0);
        assert_null(g);
        unsetenv("RESQ_EMULATION_FAIL");
        b->capture_abandon(d); /* nothing is left to abandon: no harm */
        ok(b->synchronize(d, &reason));
    }
    ok(b->capture_begin(d, &reason));
    says(b->synchronize(d, &reason), STATUS_UNSUPPORTED, "operation not permitted when stream is capturing");
    b->capture_abandon(d);
    ok(b->synchronize(d, &reason));
    b->close(d);
}

/* Closing gives everything back, asked for or not. */
static void test_close(void **state)
{
    (void)state;
    ONLY_EMULATED();
    struct device_information before, after;
    for (int turn = 0; turn < 2; turn++) {
        struct device *d = opened(plain);
        struct device_plan *plan = NULL;
        struct device_event *event = NULL;
        void *p = NULL;
        ok(b->information(d, turn ? &after : &before, &reason));
        ok(b->allocate(d, 1 << 20, &p, &reason));
        ok(b->allocate_host(d, 1 << 20, &p, &reason));
        ok(b->event_new(d, &event, &reason));
        ok(b->conv_plan(d, &conv, ALL, 1 << 20, &plan, &reason));
        b->close(d);
    }
    assert_int_equal(before.free, after.free);
}

/* TF32 rounds products of float32 where it was asked for, and nowhere else. */
static void test_tf32(void **state)
{
    (void)state;
    ONLY_EMULATED();
    for (int tf32 = 0; tf32 < 2; tf32++) {
        struct device *d = opened((struct device_options){.tf32 = tf32});
        struct device_linear l = {1, 1, 1, DEVICE_F32, DEVICE_F32};
        float values[2] = {1.0f + 0x1p-20f, 1}, *p = NULL, y = 0;
        ok(b->allocate(d, 3 * 256, (void **)&p, &reason));
        ok(b->copy_in(d, QUEUE_COMPUTE, p, &values[0], 4, &reason));
        ok(b->copy_in(d, QUEUE_COMPUTE, p + 64, &values[1], 4, &reason));
        ok(b->linear_forward(d, &l, p, p + 64, NULL, p + 128, &reason));
        ok(b->copy_out(d, QUEUE_COMPUTE, &y, p + 128, 4, &reason));
        ok(b->synchronize(d, &reason));
        assert_true(y == (tf32 ? 1.0f : values[0]));
        b->close(d); /* the memory with it */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_open, forget),
        cmocka_unit_test_teardown(test_every_allocation, forget),
        cmocka_unit_test_teardown(test_algorithms, forget),
        cmocka_unit_test_teardown(test_norm_ways, forget),
        cmocka_unit_test_teardown(test_capture, forget),
        cmocka_unit_test_teardown(test_tf32, forget),
        cmocka_unit_test_teardown(test_close, forget),
    };
    return cmocka_run_group_tests_name("failures", tests, emulated, NULL);
}
