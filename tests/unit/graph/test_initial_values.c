/* Initial values: torchvision's, drawn by name and seed. */
#include "samples.h"
#include <math.h>

static void test_initial_values_are_torchvisions(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    struct model model;
    ASSERT_OK(resnet18_build(&g, 16, 10, NULL, NULL, &m), m);
    ASSERT_OK(model_initialise(&model, &g, 3, &m), m);
    const struct tensor *t = record_find(model.record, "layer4.1.conv2.weight");
    const float *w = t->data;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < t->count; i++) {
        sum += (double)w[i];
        squares += (double)w[i] * (double)w[i];
    }
    double n = (double)t->count, deviation = sqrt(2.0 / (128 * 9));
    assert_true(fabs(sum / n) < 5 * deviation / sqrt(n));
    assert_true(fabs(sqrt(squares / n) / deviation - 1) < 0.01);
    t = record_find(model.record, "fc.weight");
    float largest = 0;
    for (size_t i = 0; i < t->count; i++)
        largest = fmaxf(largest, fabsf(((const float *)t->data)[i]));
    assert_true(largest <= 1 / sqrtf(128) && largest > 0.98f / sqrtf(128));
    assert_true(((const float *)record_find(model.record, "bn1.weight")->data)[7] == 1);
    assert_true(((const float *)record_find(model.record, "bn1.running_var")->data)[7] == 1);
    assert_true(((const float *)record_find(model.record, "bn1.bias")->data)[7] == 0);
    assert_true(*(const int64_t *)record_find(model.record, "bn1.num_batches_tracked")->data == 0);
    assert_string_equal(record_get(model.record, "stage"), "float");
    assert_string_equal(record_get(model.record, "kind"), "model");
    model_free(&model);
}

static void extent(const struct model *model, const char *name, double *largest, double *deviation)
{
    const struct tensor *t = record_find(model->record, name);
    double squares = 0;
    *largest = 0;
    for (size_t i = 0; i < t->count; i++) {
        double w = (double)((const float *)t->data)[i];
        squares += w * w;
        *largest = fmax(*largest, fabs(w));
    }
    *deviation = sqrt(squares / (double)t->count);
}

/* As torchvision's SqueezeNet, but for a living head; one batch norm anywhere, and it is a ResNet's start again. */
static void test_initial_values_without_batch_norm(void **state)
{
    (void)state;
    static const char bare[] = "x = input u8[8,8,3]\nn = normalize x mean=0,0,0 std=1,1,1\n"
                               "a = conv2d n out=64 kernel=3 pad=1 bias\nr = relu a\n"
                               "g = conv2d r out=64 kernel=3 pad=1 groups=4 bias\ns = relu g\n"
                               "head = conv2d s out=40 kernel=1 bias\nt = relu head\np = avgpool t\n";
    static const char normed[] = "x = input u8[8,8,3]\nn = normalize x mean=0,0,0 std=1,1,1\n"
                                 "a = conv2d n out=64 kernel=3 pad=1 bias\nb = batchnorm a\nr = relu b\n"
                                 "head = conv2d r out=40 kernel=1 bias\np = avgpool head\n";
    double largest, deviation;
    struct message m;
    struct graph g;
    struct model model;
    ASSERT_OK(graph_parse(&g, bare, &m), m);
    ASSERT_OK(model_initialise(&model, &g, 7, &m), m);
    static const struct {
        const char *name;
        double inputs;
    } layers[] = {{"a.weight", 3 * 9}, {"g.weight", 16 * 9}};
    for (int i = 0; i < 2; i++) {
        const double bound = sqrt(6 / layers[i].inputs);
        extent(&model, layers[i].name, &largest, &deviation);
        assert_true(largest <= 1.0001 * bound && largest > 0.99 * bound);
        assert_true(fabs(deviation / (bound / sqrt(3)) - 1) < 0.05);
    }
    extent(&model, "head.weight", &largest, &deviation);
    assert_true(largest > 0.02 && fabs(deviation / 0.01 - 1) < 0.1);
    static const char *const zeros[] = {"a.bias", "g.bias"};
    for (int i = 0; i < 2; i++) {
        extent(&model, zeros[i], &largest, &deviation);
        assert_true(largest == 0);
    }
    extent(&model, "head.bias", &largest, &deviation); /* no class is behind its relu */
    assert_true(largest == 1 && deviation == 1);
    model_free(&model);
    ASSERT_OK(graph_parse(&g, normed, &m), m);
    ASSERT_OK(model_initialise(&model, &g, 7, &m), m);
    extent(&model, "head.weight", &largest, &deviation);
    assert_true(fabs(deviation / sqrt(2.0 / 40) - 1) < 0.05);
    extent(&model, "a.bias", &largest, &deviation);
    assert_true(largest > 0.9 / sqrt(27));
    model_free(&model);
}

/* A layer more, or another seed: only what should change does. */
static void test_draws_are_keyed_by_name_and_seed(void **state)
{
    (void)state;
    static const char one[] =
        "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nb = conv2d n out=3 kernel=1\n"
        "p = avgpool b\nfc = linear p out=3 bias\n";
    static const char two[] =
        "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\na = conv2d n out=3 kernel=1 bias\n"
        "b = conv2d a out=3 kernel=1\np = avgpool b\nfc = linear p out=3 bias\n";
    struct model a = sample_model(one, 5), b = sample_model(two, 5), c = sample_model(one, 6);
    const struct tensor *x = record_find(a.record, "b.weight"), *y = record_find(b.record, "b.weight");
    assert_memory_equal(x->data, y->data, x->bytes);
    assert_memory_not_equal(x->data, record_find(b.record, "a.weight")->data, x->bytes);
    assert_memory_not_equal(x->data, record_find(c.record, "b.weight")->data, x->bytes);
    model_free(&a);
    model_free(&b);
    model_free(&c);
}

static void test_int8_cannot_be_initialised(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    struct model model;
    ASSERT_OK(graph_parse(&g, awkward_graphs[4], &m), m);
    ASSERT_FAILS(model_initialise(&model, &g, 0, &m), STATUS_UNSUPPORTED, "int8 graph", m);
    ASSERT_FAILS(resnet18_build(&g, 0, 10, NULL, NULL, &m), STATUS_RANGE, "width 0", m);
    ASSERT_FAILS(resnet18_build(&g, 513, 10, NULL, NULL, &m), STATUS_RANGE, "width 513", m);
    ASSERT_FAILS(resnet18_build(&g, 8, 1, NULL, NULL, &m), STATUS_RANGE, "1 classes", m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_initial_values_are_torchvisions),
        cmocka_unit_test(test_initial_values_without_batch_norm),
        cmocka_unit_test(test_draws_are_keyed_by_name_and_seed),
        cmocka_unit_test(test_int8_cannot_be_initialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
