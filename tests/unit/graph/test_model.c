/* Models: tensors against the graph, names against torchvision, files. */
#include "records.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_and_shapes_are_torchvisions),
        cmocka_unit_test(test_wrong_scales_and_codes_are_refused),
        cmocka_unit_test(test_a_file_is_named_and_round_trips),
        cmocka_unit_test(test_a_model_may_be_stored_in_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
