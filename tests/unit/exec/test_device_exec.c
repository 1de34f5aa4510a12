/* Inference lowered onto a device, here one in ordinary memory: the logits of the CPU, and every way it can fail.
 */
#include "integers.h"
#include "exec/device/choose.h"
#include "graph/resnet.h"
#include "kernel/device/host/host.h"

enum { IMAGES = 7, CLASSES = 5 };

static int setup(void **state)
{
    (void)state;
    device_backend_test = host_backend();
    host_control = (struct host_control){0};
    host_forget();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    devices_close();
    device_backend_test = NULL;
    assert_int_equal(host_record.held, 0);
    assert_int_equal(host_record.plans_held, 0);
    assert_int_equal(host_record.events_held, 0);
    assert_int_equal(host_record.graphs_held, 0);
    assert_int_equal(host_record.open, 0);
    return 0;
}

static struct exec *open_exec(const struct model *model, struct exec_options options)
{
    struct message m = {{0}};
    struct exec *e;
    ASSERT_OK(exec_open(&e, model, &options, &m), m);
    return e;
}

/* The largest difference to the CPU's logits, in parts of their magnitude. */
static double compare_model(struct model *model, struct exec_options options, float got[IMAGES * CLASSES])
{
    struct message m;
    float want[IMAGES * CLASSES];
    double worst = 0;
    uint8_t *images = random_images(model, IMAGES, 3);
    struct exec *cpu = open_exec(model, (struct exec_options){.device = "cpu"});
    options.device = "cuda";
    struct exec *e = open_exec(model, options);
    ASSERT_OK(exec_run(cpu, images, IMAGES, want, &m), m);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        got[i] = NAN;
    ASSERT_OK(exec_run(e, images, IMAGES, got, &m), m);
    for (int i = 0; i < IMAGES * CLASSES; i++) {
        double off = fabs((double)got[i] - (double)want[i]) / (1 + fabs((double)want[i]));
        worst = off <= worst ? worst : off; /* a NaN stays */
    }
    assert_string_equal(exec_device(e), "cuda");
    assert_string_equal(exec_isa(e), "host memory");
    assert_int_equal((int)exec_macs(e), (int)exec_macs(cpu));
    exec_close(cpu);
    exec_close(e);
    free(images);
    return worst;
}

static double compare(const char *text, struct exec_options options, float got[IMAGES * CLASSES])
{
    struct model model;
    random_model(&model, text, 3);
    double worst = compare_model(&model, options, got);
    model_free(&model);
    return worst;
}

static void test_floats(void **state)
{
    (void)state;
    float logits[IMAGES * CLASSES];
    for (int batch = 1; batch <= 9;
         batch += 2) { /* whole batches, a last one that is smaller, one that is larger */
        assert_true(compare(NET_FLOAT, (struct exec_options){.batch = batch}, logits) < 2e-5);
        assert_true(compare(NET_FUSED, (struct exec_options){.batch = batch}, logits) < 2e-5);
    }
    assert_true(compare(NET_FLOAT, (struct exec_options){.keep_activations = 1}, logits) < 2e-5);
}

static void test_resnet(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct graph g = {0};
    float logits[IMAGES * CLASSES];
    ASSERT_OK(resnet18_build(&g, 2, CLASSES, NULL, NULL, &m), m);
    ASSERT_OK(model_initialise(&model, &g, 1, &m), m);
    assert_true(compare_model(&model, (struct exec_options){.batch = 4}, logits) < 2e-5);
    assert_true(compare_model(&model, (struct exec_options){.batch = 4, .keep_activations = 1}, logits) < 2e-5);
    model_free(&model);
}

static void test_16_bits(void **state)
{
    (void)state;
    float logits[IMAGES * CLASSES];
    double half = compare(NET_FLOAT, (struct exec_options){.batch = 3, .precision = "fp16"}, logits);
    double brain = compare(NET_FLOAT, (struct exec_options){.batch = 3, .precision = "bf16"}, logits);
    assert_true(half > 1e-5 && half < 1e-2);
    assert_true(brain > 4 * half && brain < 1e-1);
    half = compare(NET_FUSED, (struct exec_options){.batch = 3, .precision = "fp16"}, logits);
    assert_true(half > 1e-5 && half < 1e-2);
}

/* Bit for bit, with every operation queued as late or as early as it may run, captured or not. */
static void test_integers(void **state)
{
    (void)state;
    float logits[IMAGES * CLASSES];
    for (int how = 0; how < 4; how++) {
        host_control.no_capture = how & 1;
        host_control.copies_at_once = how >> 1;
        for (int batch = 1; batch <= 9; batch += 2) {
            assert_true(compare(NET_INTEGER, (struct exec_options){.batch = batch}, logits) == 0);
            assert_true(compare(NET_MIXED, (struct exec_options){.batch = batch}, logits) == 0);
        }
    }
}

/* A network whose last node is no linear layer, in 16 bits: its logits are widened. */
static void test_other_ends(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    float got[5], want[5];
    random_model(&model,
                 "x = input u8[9,8,3]\n"
                 "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"
                 "c1 = conv2d norm out=5 kernel=3 pad=1 bias relu\n"
                 "pool = avgpool c1\n",
                 1);
    uint8_t *images = random_images(&model, 1, 3);
    struct exec *cpu = open_exec(&model, (struct exec_options){.device = "cpu"});
    struct exec *e = open_exec(&model, (struct exec_options){.device = "cuda", .batch = 1, .precision = "fp16"});
    ASSERT_OK(exec_run(cpu, images, 1, want, &m), m);
    ASSERT_OK(exec_run(e, images, 1, got, &m), m);
    for (int i = 0; i < 5; i++)
        ASSERT_NEAR((double)got[i], (double)want[i], 1e-3);
    exec_close(cpu);
    exec_close(e);
    free(images);
    model_free(&model);
}

/* ---- observing, profiling ---- */

struct seen {
    int nodes[64], count;
    double sum;
};

static int visit(void *context, int node, const float *values, size_t count, struct message *m)
{
    struct seen *s = context;
    (void)m;
    if (s->count == 0 || s->nodes[s->count - 1] != node) /* several pieces of one are one */
        s->nodes[s->count++] = node;
    for (size_t i = 0; i < count; i++)
        s->sum += fabs((double)values[i]);
    return 0;
}

static void test_observe(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct seen seen[2] = {{{0}, 0, 0}, {{0}, 0, 0}};
    random_model(&model, NET_FUSED, 4);
    uint8_t *images = random_images(&model, IMAGES, 4);
    for (int i = 0; i < 2; i++) {
        struct exec *e = open_exec(
            &model, (struct exec_options){.device = i ? "cuda" : "cpu", .keep_activations = 1, .batch = IMAGES});
        ASSERT_OK(exec_observe(e, images, IMAGES, visit, &seen[i], &m), m);
        exec_close(e);
    }
    assert_int_equal(seen[0].count, seen[1].count);
    assert_memory_equal(seen[0].nodes, seen[1].nodes, sizeof seen[0].nodes);
    ASSERT_NEAR(seen[1].sum, seen[0].sum, 1e-4 * seen[0].sum);
    free(images);
    model_free(&model);
}

static void test_profile(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    float logits[IMAGES * CLASSES];
    random_model(&model, NET_FLOAT, 4);
    uint8_t *images = random_images(&model, IMAGES, 4);
    struct exec *e = open_exec(&model, (struct exec_options){.device = "cuda", .batch = 3});
    exec_profile(e, 1);
    ASSERT_OK(exec_run(e, images, IMAGES, logits, &m), m);
    for (int i = 0; i < exec_layer_count(e); i++)
        ASSERT_NEAR(exec_layer_at(e, i).seconds, 3e-6, 1e-9); /* three batches, a microsecond each */
    assert_string_equal(exec_layer_at(e, 1).algorithm, "direct");
    assert_true(exec_peak(e) == 1e9);
    exec_close(e);
    free(images);
    model_free(&model);
}

/* ---- what is planned once, and failures ---- */

static void test_no_allocation_while_running(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    float logits[IMAGES * CLASSES];
    random_model(&model, NET_FLOAT, 4);
    uint8_t *images = random_images(&model, IMAGES, 4);
    struct exec *e = open_exec(&model, (struct exec_options){.device = "cuda", .batch = 3});
    assert_int_equal(host_record.plans, 5); /* five convolutions, all of different shapes */
    host_forget();
    ASSERT_OK(exec_run(e, images, IMAGES, logits, &m), m);
    assert_int_equal(host_record.allocations, 0);
    assert_int_equal(host_record.plans, 0);
    assert_int_equal(host_record.launches, 3);
    assert_int_equal(host_record.operations, 3 * 7); /* with it: wait, copy in; event, event; copy out, event */
    exec_close(e);
    e = open_exec(&model, (struct exec_options){.device = "cuda", .batch = 3});
    assert_int_equal(host_record.plans, 0); /* the same shapes are not measured again */
    exec_close(e);
    free(images);
    model_free(&model);
}

/* Whichever call fails, opening and running end with its one line, and nothing is left behind (teardown). */
static void test_every_call_may_fail(void **state)
{
    struct message m;
    struct model model;
    float logits[IMAGES * CLASSES];
    random_model(&model, NET_INTEGER, 4);
    uint8_t *images = random_images(&model, IMAGES, 4);
    int failures = 0;
    for (int64_t n = 1;; n++) {
        struct exec *e = NULL;
        devices_close();
        host_forget();
        host_control.fail_call = n;
        memset(&m, 0, sizeof m);
        int status = exec_open(&e, &model, &(struct exec_options){.device = "cuda", .batch = 3}, &m);
        if (status >= 0)
            status = exec_run(e, images, IMAGES, logits, &m);
        exec_close(e);
        if (status >= 0)
            break;
        assert_int_equal(status, STATUS_IO);
        assert_non_null(strstr(m.text, "the device failed, as it was told to"));
        assert_null(strchr(m.text, '\n'));
        assert_true(teardown(state) == 0);
        device_backend_test = host_backend();
        failures++;
    }
    assert_true(failures > 60);
    host_control.fail_call = 0;
    free(images);
    model_free(&model);
}

static void test_too_little_memory(void **state)
{
    (void)state;
    struct message m = {{0}};
    struct model model;
    struct exec *e;
    random_model(&model, NET_FLOAT, 4);
    host_control.memory = 20000;
    assert_int_equal(exec_open(&e, &model, &(struct exec_options){.device = "cuda", .batch = 8}, &m), STATUS_NOMEM);
    assert_non_null(strstr(m.text, "out of memory: "));
    assert_null(e);
    assert_int_equal(host_record.held, 0);
    model_free(&model);
}

/* ---- which device ---- */

static void test_choice(void **state)
{
    (void)state;
    struct message m = {{0}}, why = {{0}};
    const char *name = NULL;
    ASSERT_OK(device_choose("auto", &name, &why, &m), m);
    assert_string_equal(name, "cuda");
    assert_string_equal(why.text, "host memory, plain C");
    ASSERT_OK(device_choose("cpu", &name, &why, &m), m);
    assert_string_equal(name, "cpu");
    devices_close();
    host_control.no_open = "no CUDA-capable device is detected";
    ASSERT_OK(device_choose("auto", &name, &why, &m), m);
    assert_string_equal(name, "cpu");
    assert_string_equal(why.text, "cuda: no CUDA-capable device is detected");
    int64_t calls = host_record.calls;
    ASSERT_OK(device_choose("auto", &name, &why, &m), m); /* found out once */
    assert_string_equal(name, "cpu");
    assert_int_equal(host_record.calls, calls);
    assert_int_equal(device_choose("cuda", &name, &why, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "device cuda: no CUDA-capable device is detected");
    assert_int_equal(device_choose("abacus", &name, NULL, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "unknown device 'abacus', want auto, cpu or cuda");
}

static void refuse(const char *text, struct exec_options options, const char *reason)
{
    struct message m = {{0}};
    struct model model;
    struct exec *e;
    random_model(&model, text, 4);
    assert_int_equal(exec_open(&e, &model, &options, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, reason);
    assert_null(e);
    model_free(&model);
}

static void test_precisions(void **state)
{
    (void)state;
    refuse(NET_FLOAT, (struct exec_options){.device = "cpu", .precision = "fp16"},
           "precision fp16: a CPU computes float layers in fp32 or bf16");
    refuse(NET_INTEGER, (struct exec_options){.device = "cuda", .precision = "bf16"},
           "precision bf16: the model has integer layers, which have their own");
    refuse(NET_FLOAT, (struct exec_options){.device = "cuda", .precision = "fp8"},
           "precision 'fp8' is not one of fp32, bf16, fp16");
    host_control.no_f16 = 1;
    devices_close();
    refuse(NET_FLOAT, (struct exec_options){.device = "cuda", .precision = "fp16"},
           "precision fp16: host memory has none");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_floats),
        TEST(test_resnet),
        TEST(test_16_bits),
        TEST(test_integers),
        TEST(test_observe),
        TEST(test_profile),
        TEST(test_no_allocation_while_running),
        TEST(test_choice),
        TEST(test_precisions),
        TEST(test_other_ends),
        TEST(test_too_little_memory),
        TEST(test_every_call_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
