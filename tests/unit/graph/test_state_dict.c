/* Records that others saved, without a graph: whose names they may have, what is assumed of
 * them, and how they are refused. */
#include "records.h"
#include "graph/convert.h"
#include <math.h>
#include <unistd.h>
#include "record/file.h"

/* r with graph and stage gone: what torch saves. */
static struct record *state_dict(int width)
{
    struct model model = sample_resnet(width, 1);
    struct record *r = model.record;
    model.record = NULL;
    model_free(&model);
    record_unset(r, "graph");
    record_unset(r, "stage");
    record_unset(r, "kind");
    record_unset(r, "format");
    return r;
}

static void rename_tensor(struct record *r, size_t i, const char *format, const char *part)
{
    struct message m;
    char *name = memory_printf(&m, format, part);
    memory_free(r->tensors[i].name);
    r->tensors[i].name = name;
}

static void test_state_dict_is_taken_as_resnet18(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct record *r = state_dict(12);
    record_remove(r, "bn1.num_batches_tracked");
    ASSERT_OK(model_from_record(&model, r, &m), m);
    assert_int_equal(model.graph.nodes[2].out, 12);
    assert_int_equal(graph_stage(&model.graph), STAGE_FLOAT);
    assert_int_equal(model.record->tensor_count, 122);
    model_free(&model);
}

static void test_the_other_naming_is_understood(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    struct record *r = state_dict(4);
    for (size_t i = 0; i < r->tensor_count; i++) {
        char *name = memory_strdup(r->tensors[i].name, &m), *at = strstr(name, "downsample");
        if (strncmp(name, "fc.", 3) == 0)
            rename_tensor(r, i, "module.linear.%s", name + 3);
        else if (at) {
            memmove(at, at + 2, strlen(at + 2) + 1);
            memcpy(at, "shortcut", 8);
            rename_tensor(r, i, "module.%s", name);
        } else
            rename_tensor(r, i, "module.%s", name);
        memory_free(name);
    }
    assert_non_null(record_find(r, "module.layer2.0.shortcut.1.running_var"));
    ASSERT_OK(model_from_record(&model, r, &m), m);
    assert_non_null(record_find(model.record, "layer2.0.downsample.1.running_var"));
    assert_non_null(record_find(model.record, "fc.bias"));
    model_free(&model);
}

/* Every tensor under a longer name, and what AveragedModel keeps beside them. */
static void prefixed(const char *prefix)
{
    struct message m;
    struct model model;
    struct record *r = state_dict(4);
    for (size_t i = 0; i < r->tensor_count; i++) {
        char *name = memory_strdup(r->tensors[i].name, &m);
        char *whole = memory_printf(&m, "%s%s", prefix, name);
        memory_free(r->tensors[i].name);
        r->tensors[i].name = whole;
        memory_free(name);
    }
    ASSERT_OK(record_add(r, "n_averaged", DTYPE_I64, 0, NULL, NULL, &m), m);
    ASSERT_OK(model_from_record(&model, r, &m), m);
    assert_int_equal(model.record->tensor_count, 122);
    model_free(&model);
}

static void test_wrappers_are_taken_off(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"module.",
                                           "_orig_mod.",
                                           "model.",
                                           "net.",
                                           "backbone.",
                                           "module._orig_mod.",
                                           "_orig_mod.module.",
                                           "model.module.",
                                           "lit.model.net._orig_mod.",
                                           "student.",
                                           "state_dict.",
                                           "my.own."};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        prefixed(prefixes[i]);
    struct message m;
    struct model model;
    struct record *r;
    for (int k = 0; k < 5; k++) { /* a head beside its backbone */
        r = state_dict(4);
        for (size_t i = 0; i < r->tensor_count; i++)
            if (strncmp(r->tensors[i].name, "fc.", 3) != 0) {
                char *name = memory_printf(&m, "%s%s", prefixes[k], r->tensors[i].name);
                rename_tensor(r, i, "%s", name);
                memory_free(name);
            }
        ASSERT_OK(model_from_record(&model, r, &m), m);
        model_free(&model);
    }
    /* and two that would be one */
    r = state_dict(4);
    ASSERT_OK(record_add(r, "module.fc.bias", DTYPE_F32, 1, (int64_t[]){10}, NULL, &m), m);
    refuse(r, STATUS_MISMATCH, "module.fc.bias: stands beside 'fc.bias', which means the same");
}

/* As torch saves models of half precision and double, and counters of other types. */
static void test_other_types_are_converted(void **state)
{
    (void)state;
    static const uint16_t half[6] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0x3555};
    static const float halves[6] = {1, -2, 0x1p-24f, 65504, -0.0f, 0.333251953125f};
    static const uint16_t bfloat[2] = {0x3f80, 0xc049};
    struct message m;
    struct model model;
    struct record *r = state_dict(4);
    replace(r, "bn1.bias", DTYPE_F64, 1, (int64_t[]){4});
    ((double *)record_find(r, "bn1.bias")->data)[2] = 0.1;
    replace(r, "conv1.weight", DTYPE_F16, 4, (int64_t[]){4, 3, 3, 3});
    memcpy(record_find(r, "conv1.weight")->data, half, sizeof half);
    replace(r, "fc.bias", DTYPE_BF16, 1, (int64_t[]){10});
    memcpy(record_find(r, "fc.bias")->data, bfloat, sizeof bfloat);
    replace(r, "bn1.num_batches_tracked", DTYPE_F32, 1, (int64_t[]){1});
    *(float *)record_find(r, "bn1.num_batches_tracked")->data = 1000;
    ASSERT_OK(model_from_record(&model, r, &m), m);
    assert_memory_equal(record_find(model.record, "conv1.weight")->data, halves, sizeof halves);
    assert_true(((const float *)record_find(model.record, "bn1.bias")->data)[2] == 0.1f);
    assert_true(((const float *)record_find(model.record, "fc.bias")->data)[1] == -3.140625f);
    assert_int_equal(*(const int64_t *)record_find(model.record, "bn1.num_batches_tracked")->data, 1000);
    model_free(&model);
    r = state_dict(4); /* an infinity stays one, and is refused as such */
    replace(r, "conv1.weight", DTYPE_F16, 4, (int64_t[]){4, 3, 3, 3});
    ((uint16_t *)record_find(r, "conv1.weight")->data)[5] = 0x7c00;
    refuse(r, STATUS_RANGE, "conv1.weight: Inf at index 5");
}

static void test_other_networks_are_named(void **state)
{
    (void)state;
    struct message m;
    struct record *r = state_dict(4);
    ASSERT_OK(record_add(r, "layer1.2.conv1.weight", DTYPE_F32, 4, (int64_t[]){4, 4, 3, 3}, NULL, &m), m);
    refuse(r, STATUS_MISMATCH, "looks like a ResNet of 3, 2, 2 and 2 blocks in torchvision's names");
    static const int blocks[3][4] = {{3, 4, 6, 3}, {3, 4, 6, 3}, {1, 1, 1, 1}};
    static const char *const names[3] = {"looks like ResNet-34 in kuangliu's pytorch-cifar names",
                                         "looks like ResNet-50 in torchvision's names",
                                         "looks like ResNet-10 in torchvision's names"};
    for (int k = 0; k < 3; k++) {
        char name[64];
        r = record_new(&m);
        ASSERT_OK(record_add(r, "conv1.weight", DTYPE_F32, 4, (int64_t[]){4, 3, 7, 7}, NULL, &m), m);
        ASSERT_OK(record_add(r, k ? "fc.weight" : "linear.weight", DTYPE_F32, 0, NULL, NULL, &m), m);
        for (int layer = 0; layer < 4; layer++)
            for (int block = 0; block < blocks[k][layer]; block++) {
                snprintf(name, sizeof name, "layer%d.%d.conv%d.weight", layer + 1, block, k == 1 ? 3 : 2);
                ASSERT_OK(record_add(r, name, DTYPE_F32, 0, NULL, NULL, &m), m);
            }
        if (k == 0)
            ASSERT_OK(record_add(r, "layer2.0.shortcut.0.weight", DTYPE_F32, 0, NULL, NULL, &m), m);
        refuse(r, STATUS_MISMATCH, names[k]);
    }
    r = record_new(&m);
    ASSERT_OK(record_add(r, "conv2_x.0.residual_function.0.weight", DTYPE_F32, 0, NULL, NULL, &m), m);
    ASSERT_OK(record_add(r, "fc.weight", DTYPE_F32, 0, NULL, NULL, &m), m);
    refuse(r, STATUS_MISMATCH,
           "looks like a ResNet of 1, 0, 0 and 0 blocks in weiaicunzai's pytorch-cifar100 names");
}

static void keep_line(void *context, const char *line)
{
    snprintf(context, 512, "%s", line);
}

/* What a state_dict does not say: given, it is in the graph; not given, it is warned of once and by name. */
static void test_what_is_given_is_in_the_graph(void **state)
{
    (void)state;
    struct message m;
    struct model model;
    char said[512] = "";
    struct model_given given = {.tell = keep_line, .context = said};
    ASSERT_OK(model_from_record_given(&model, state_dict(4), &given, &m), m);
    assert_non_null(strstr(said, "mean 0.4914,0.4822,0.4465 and deviation 0.247,0.2435,0.2616 (CIFAR-10's)"));
    assert_non_null(strstr(said, "3x3 stem of stride 1, no max-pool"));
    assert_non_null(strstr(said, "eps 1e-05"));
    model_free(&model);
    ASSERT_OK(normalize_parse("0.5:0.25", given.mean, given.std, &m), m);
    given.has_normalize = given.has_eps = 1;
    given.eps = 1e-3f;
    ASSERT_OK(model_from_record_given(&model, state_dict(4), &given, &m), m);
    assert_null(strstr(said, "mean"));
    assert_null(strstr(said, "eps"));
    assert_non_null(strstr(said, "3x3 stem"));
    for (int c = 0; c < 3; c++)
        assert_true(model.graph.nodes[1].mean[c] == 0.5f && model.graph.nodes[1].std[c] == 0.25f);
    for (int i = 0; i < model.graph.count; i++)
        assert_true(model.graph.nodes[i].op != OP_BATCHNORM || model.graph.nodes[i].eps == 1e-3f);
    model_free(&model);
    said[0] = '\0';
    struct model own = sample_resnet(4, 1);
    graph_free(&own.graph);
    ASSERT_FAILS(model_from_record_given(&model, own.record, &given, &m), STATUS_MISMATCH,
                 "has a graph of its own: --normalize", m);
    assert_string_equal(said, "");
}

static void test_a_given_graph_is_taken_by_its_names(void **state)
{
    (void)state;
    static const char text[] = "x = input u8[8,8,3]\nn = normalize x mean=0,0,0 std=1,1,1\n"
                               "net.0 = conv2d n out=3 kernel=3\nnet.1 = batchnorm net.0\na = avgpool net.1\n"
                               "linear = linear a out=4 bias\n";
    static const char *const suffixes[] = {"weight", "bias", "running_mean", "running_var"};
    struct message m;
    struct model model;
    for (int wrong = 0; wrong < 3; wrong++) {
        char said[512] = "", name[64];
        struct model_given given = {.graph = text, .graph_name = "net.txt", .tell = keep_line, .context = said};
        struct record *r = record_new(&m);
        ASSERT_OK(
            record_add(r, "module.net.0.weight", DTYPE_F32, 4, (int64_t[]){3, 3, 3, wrong == 1 ? 5 : 3}, NULL, &m),
            m);
        for (int k = 0; k < 4; k++) {
            snprintf(name, sizeof name, "module.net.1.%s", suffixes[k]);
            ASSERT_OK(record_add(r, name, DTYPE_F32, 1, (int64_t[]){3}, NULL, &m), m);
        }
        ASSERT_OK(record_add(r, "module.linear.weight", DTYPE_F32, 2, (int64_t[]){4, 3}, NULL, &m), m);
        ASSERT_OK(record_add(r, wrong == 2 ? "module.linear.scale" : "module.linear.bias", DTYPE_F32, 1,
                             (int64_t[]){4}, NULL, &m),
                  m);
        int status = model_from_record_given(&model, r, &given, &m);
        assert_string_equal(said, ""); /* nothing is assumed */
        if (wrong == 0)
            ASSERT_OK(status, m);
        else
            assert_non_null(strstr(m.text, wrong == 1 ? "net.0.weight: got F32[3,3,3,5], want F32[3,3,3,3]"
                                                      : "linear.bias: missing tensor"));
        if (wrong == 0)
            model_free(&model);
    }
}

static void test_wrong_tensors_are_said_by_name(void **state)
{
    (void)state;
    struct message m;
    struct record *r = state_dict(4);
    replace(r, "conv1.weight", DTYPE_F32, 4, (int64_t[]){4, 3, 7, 7});
    refuse(r, STATUS_MISMATCH, "conv1.weight: got F32[4,3,7,7], want F32[4,3,3,3]: torchvision's stock model");
    r = state_dict(4);
    record_remove(r, "conv1.weight");
    refuse(r, STATUS_MISMATCH, "conv1.weight: missing tensor; without a graph");
    r = state_dict(4);
    record_remove(r, "layer3.1.bn2.bias");
    refuse(r, STATUS_MISMATCH, "layer3.1.bn2.bias: missing tensor");
    r = state_dict(4);
    ASSERT_OK(record_add(r, "layer5.weight", DTYPE_F32, 0, NULL, NULL, &m), m);
    refuse(r, STATUS_MISMATCH, "layer5.weight: surplus tensor");
    r = state_dict(4);
    ASSERT_OK(record_add(r, "conv1.bias", DTYPE_F32, 1, (int64_t[]){4}, NULL, &m), m);
    refuse(r, STATUS_MISMATCH, "conv1.bias: surplus tensor");
    r = state_dict(4);
    replace(r, "layer2.0.conv1.weight", DTYPE_F32, 4, (int64_t[]){8, 4, 1, 1});
    refuse(r, STATUS_MISMATCH, "layer2.0.conv1.weight: got F32[8,4,1,1], want F32[8,4,3,3]");
    r = state_dict(4);
    replace(r, "conv1.weight", DTYPE_I32, 4, (int64_t[]){4, 3, 3, 3});
    refuse(r, STATUS_MISMATCH, "conv1.weight: got I32[4,3,3,3], want F32[4,3,3,3]");
    r = state_dict(4);
    ASSERT_OK(record_set(r, "kind", "ranges", &m), m);
    refuse(r, STATUS_MISMATCH, "is a ranges record, want a model record");
}

static void test_wrong_values_are_said_by_name_and_index(void **state)
{
    (void)state;
    struct record *r = state_dict(4);
    ((float *)record_find(r, "conv1.weight")->data)[17] = NAN;
    refuse(r, STATUS_RANGE, "conv1.weight: NaN at index 17");
    r = state_dict(4);
    ((float *)record_find(r, "fc.bias")->data)[9] = -INFINITY;
    refuse(r, STATUS_RANGE, "fc.bias: Inf at index 9");
    r = state_dict(4);
    ((float *)record_find(r, "bn1.running_var")->data)[3] = -0.5f;
    refuse(r, STATUS_RANGE, "bn1.running_var: -0.5 at index 3 is negative");
    r = state_dict(4);
    *(int64_t *)record_find(r, "bn1.num_batches_tracked")->data = -1;
    refuse(r, STATUS_RANGE, "bn1.num_batches_tracked: negative");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_state_dict_is_taken_as_resnet18),
        cmocka_unit_test(test_wrappers_are_taken_off),
        cmocka_unit_test(test_other_types_are_converted),
        cmocka_unit_test(test_other_networks_are_named),
        cmocka_unit_test(test_what_is_given_is_in_the_graph),
        cmocka_unit_test(test_a_given_graph_is_taken_by_its_names),
        cmocka_unit_test(test_the_other_naming_is_understood),
        cmocka_unit_test(test_wrong_tensors_are_said_by_name),
        cmocka_unit_test(test_wrong_values_are_said_by_name_and_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
