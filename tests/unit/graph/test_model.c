/* Models: tensors against the graph, names against torchvision, files from elsewhere, initial values. */
#include "samples.h"
#include "graph/convert.h"
#include <math.h>
#include <unistd.h>
#include "record/file.h"
#include "record/stream.h"

static void test_names_and_shapes_are_torchvisions(void **state)
{
    (void)state;
    struct message m;
    struct text names = {0};
    struct model model = sample_resnet(64, 1);
    ASSERT_OK(file_read("tests/reference/torchvision_names.txt", 1 << 20, &names, &m), m);
    int lines = 0;
    for (char *line = strtok(names.data, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        char got[192], *space = strchr(line, ' ');
        *space = '\0';
        const struct tensor *t = record_find(model.record, line);
        if (!t)
            print_error("missing %s\n", line);
        assert_non_null(t);
        tensor_describe(t, got);
        assert_string_equal(got, space + 1);
    }
    assert_int_equal(lines, 122);
    assert_int_equal(model.record->tensor_count, 122);
    assert_int_equal(model_parameters(&model, NULL), 62);
    assert_int_equal(model_parameter_elements(&model), 11173962);
    ASSERT_OK(model_verify(&model, &m), m);
    text_free(&names);
    model_free(&model);
}

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

static void refuse(struct record *r, int code, const char *part)
{
    struct message m = {{0}};
    struct model model;
    ASSERT_FAILS(model_from_record(&model, r, &m), code, part, m);
}

static void replace(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape)
{
    struct message m;
    record_remove(r, name);
    ASSERT_OK(record_add(r, name, dtype, rank, shape, NULL, &m), m);
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

/* The smallest int8 model, legal. */
static struct record *int8_record(void)
{
    static const char text[] =
        "x = input u8[2,2,1]\nn = normalize x mean=0 std=1\nq = quantize n\nc = conv2d q out=2 kernel=1 "
        "bias\nr = relu c\np = avgpool r\nfc = linear p out=2 bias\n";
    static const float scale = 0.5f, scales[2] = {0.25f, 0.5f};
    static const uint8_t zero = 7, range[2] = {0, 255};
    static const int8_t weights[4] = {1, -127, 127, 0};
    static const int32_t biases[2] = {1 << 30, -5};
    static const char *const u8[] = {"q", "c", "r", "p"}, *const layers[] = {"c", "fc"};
    struct message m;
    struct record *r = record_new(&m);
    char name[32];
    ASSERT_OK(record_set(r, "graph", text, &m), m);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s.scale", u8[i]);
        ASSERT_OK(record_add_copy(r, name, DTYPE_F32, 0, NULL, &scale, &m), m);
        snprintf(name, sizeof name, "%s.zero_point", u8[i]);
        ASSERT_OK(record_add_copy(r, name, DTYPE_U8, 0, NULL, &zero, &m), m);
        snprintf(name, sizeof name, "%s.range", u8[i]);
        ASSERT_OK(record_add_copy(r, name, DTYPE_U8, 1, (int64_t[]){2}, range, &m), m);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "%s.weight", layers[i]);
        ASSERT_OK(record_add_copy(r, name, DTYPE_I8, i ? 2 : 4, (int64_t[]){2, i ? 2 : 1, 1, 1}, weights, &m), m);
        snprintf(name, sizeof name, "%s.weight_scale", layers[i]);
        ASSERT_OK(record_add_copy(r, name, DTYPE_F32, 1, (int64_t[]){2}, scales, &m), m);
        snprintf(name, sizeof name, "%s.bias", layers[i]);
        ASSERT_OK(record_add_copy(r, name, DTYPE_I32, 1, (int64_t[]){2}, biases, &m), m);
    }
    return r;
}

static void test_wrong_scales_and_codes_are_refused(void **state)
{
    (void)state;
    static const float bad[] = {0, -1, NAN, INFINITY, 1e-40f};
    struct message m;
    struct model model;
    ASSERT_OK(model_from_record(&model, int8_record(), &m), m);
    model_free(&model);
    for (int i = 0; i < 5; i++) {
        struct record *r = int8_record();
        *(float *)record_find(r, "c.scale")->data = bad[i];
        refuse(r, STATUS_RANGE, "c.scale: ");
        r = int8_record();
        ((float *)record_find(r, "fc.weight_scale")->data)[1] = bad[i];
        refuse(r, STATUS_RANGE, "fc.weight_scale: ");
    }
    struct record *r = int8_record();
    ((uint8_t *)record_find(r, "q.range")->data)[1] = 6;
    refuse(r, STATUS_RANGE, "q.zero_point: 7 is not in 0..6");
    r = int8_record();
    ((uint8_t *)record_find(r, "q.range")->data)[0] = 255;
    refuse(r, STATUS_RANGE, "q.range: 255..255 is empty");
    r = int8_record();
    ((int8_t *)record_find(r, "c.weight")->data)[1] = -128;
    refuse(r, STATUS_RANGE, "c.weight: -128 at index 1");
    r = int8_record();
    ((int32_t *)record_find(r, "c.bias")->data)[0] = (1 << 30) + 1;
    refuse(r, STATUS_RANGE, "c.bias: magnitude at index 0 exceeds 2^30");
    r = int8_record();
    *(float *)record_find(r, "r.scale")->data = 0.25f;
    refuse(r, STATUS_MISMATCH, "r.scale: differs from its input's, c.scale");
    r = int8_record();
    ASSERT_OK(record_set(r, "stage", "fused", &m), m);
    refuse(r, STATUS_MISMATCH, "stage: says 'fused', but the graph is at stage int8");
    r = int8_record();
    ASSERT_OK(record_set(r, "graph", "x = input u8[2,2,1]\nx = relu x\n", &m), m);
    refuse(r, STATUS_RANGE, "graph: line 2: ");
}

static void test_a_file_is_named_and_round_trips(void **state)
{
    (void)state;
    char path[] = "/tmp/resq-model-XXXXXX";
    close(mkstemp(path));
    struct message m;
    struct model model = sample_resnet(2, 1), again, copy;
    char before[MODEL_DIGEST_SIZE], after[MODEL_DIGEST_SIZE];
    ASSERT_OK(record_set(model.record, "kept", "as it is", &m), m);
    ASSERT_OK(model_store(&model, &m), m);
    ASSERT_OK(record_save(model.record, path, &m), m);
    ASSERT_OK(model_load(&again, path, &m), m);
    ASSERT_OK(model_copy(&copy, &again, &m), m);
    ASSERT_OK(model_digest(&model, before, &m), m);
    ASSERT_OK(model_digest(&copy, after, &m), m);
    assert_string_equal(before, after);
    ASSERT_OK(model_graph_digest(&model, before, &m), m);
    ASSERT_OK(model_graph_digest(&copy, after, &m), m);
    assert_string_equal(before, after);
    assert_string_equal(record_get(again.record, "kept"), "as it is");
    model_free(&again);
    model_free(&copy);
    ((float *)record_find(model.record, "conv1.weight")->data)[0] = NAN;
    ASSERT_OK(record_save(model.record, path, &m), m);
    ASSERT_FAILS(model_load(&again, path, &m), STATUS_RANGE, path, m);
    assert_non_null(strstr(m.text, ": conv1.weight: NaN at index 0"));
    model_free(&model);
    remove(path);
}

/* A model of ours keeps its graph and may store its weights in 16 bits: what is read is F32 of the same values. */
static void test_a_model_may_be_stored_in_halves(void **state)
{
    (void)state;
    static const uint16_t half[4] = {0x3c00, 0xc000, 0x0001, 0x3555};
    static const float halves[4] = {1, -2, 0x1p-24f, 0.333251953125f};
    struct message m;
    struct model model = sample_resnet(4, 1), again;
    ASSERT_OK(model_store(&model, &m), m);
    float *weights = model_tensor(&model, graph_find(&model.graph, "conv1"), "weight")->data;
    weights[0] = 0x1.ffcp+15f; /* 65504 */
    weights[1] = 0x1.002p0f;   /* half way between two: to the even one */
    weights[2] = 0x1.006p0f;
    ASSERT_OK(tensors_halve(model.record, &m), m);
    assert_int_equal(record_find(model.record, "conv1.weight")->dtype, DTYPE_F16);
    assert_int_equal(record_find(model.record, "fc.weight")->dtype, DTYPE_F16);
    assert_int_equal(record_find(model.record, "fc.bias")->dtype, DTYPE_F32);
    assert_int_equal(record_find(model.record, "bn1.running_var")->dtype, DTYPE_F32);
    struct record *r = record_copy(model.record, &m);
    memcpy(record_find(r, "fc.weight")->data, half, sizeof half);
    ASSERT_OK(model_from_record(&again, r, &m), m);
    weights = record_find(again.record, "conv1.weight")->data;
    assert_true(weights[0] == 65504 && weights[1] == 1 && weights[2] == 0x1.008p0f);
    assert_int_equal(record_find(again.record, "conv1.weight")->dtype, DTYPE_F32);
    assert_memory_equal(record_find(again.record, "fc.weight")->data, halves, sizeof halves);
    /* Once rounded, for good. */
    ASSERT_OK(tensors_halve(again.record, &m), m);
    assert_memory_equal(record_find(again.record, "conv1.weight")->data,
                        record_find(model.record, "conv1.weight")->data,
                        record_find(model.record, "conv1.weight")->bytes);
    model_free(&again);
    r = record_copy(model.record, &m);
    ((uint16_t *)record_find(r, "conv1.weight")->data)[5] = 0x7c00;
    refuse(r, STATUS_RANGE, "conv1.weight: Inf at index 5");
    model_free(&model);
    model = sample_resnet(4, 1);
    ((float *)record_find(model.record, "conv1.weight")->data)[7] = -65520;
    ASSERT_FAILS(tensors_halve(model.record, &m), STATUS_RANGE, "conv1.weight: -65520 at index 7 is beyond F16", m);
    model_free(&model);
    r = int8_record(); /* which has no use for them */
    replace(r, "q.scale", DTYPE_F16, 0, NULL);
    refuse(r, STATUS_MISMATCH, "q.scale: got F16[]");
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
        cmocka_unit_test(test_names_and_shapes_are_torchvisions),
        cmocka_unit_test(test_initial_values_are_torchvisions),
        cmocka_unit_test(test_initial_values_without_batch_norm),
        cmocka_unit_test(test_draws_are_keyed_by_name_and_seed),
        cmocka_unit_test(test_state_dict_is_taken_as_resnet18),
        cmocka_unit_test(test_wrappers_are_taken_off),
        cmocka_unit_test(test_other_types_are_converted),
        cmocka_unit_test(test_other_networks_are_named),
        cmocka_unit_test(test_what_is_given_is_in_the_graph),
        cmocka_unit_test(test_a_given_graph_is_taken_by_its_names),
        cmocka_unit_test(test_the_other_naming_is_understood),
        cmocka_unit_test(test_wrong_tensors_are_said_by_name),
        cmocka_unit_test(test_wrong_values_are_said_by_name_and_index),
        cmocka_unit_test(test_wrong_scales_and_codes_are_refused),
        cmocka_unit_test(test_a_file_is_named_and_round_trips),
        cmocka_unit_test(test_a_model_may_be_stored_in_halves),
        cmocka_unit_test(test_int8_cannot_be_initialised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
