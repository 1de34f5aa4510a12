/* Folding and fusing: the network computes the same afterwards, and looks as it should. */
#include "interpret.h"
#include "pass/pass.h"
#include "record/stream.h"

static void fuse(struct model *model, struct text *report)
{
    struct message m;
    ASSERT_OK(pass_fold_batchnorm(model, report, &m), m);
    ASSERT_OK(pass_fuse_epilogue(model, report, &m), m);
    ASSERT_OK(model_store(model, &m), m);
}

static void assert_text(const struct model *model, const char *want)
{
    struct message m;
    struct text t = {0};
    ASSERT_OK(graph_print(&model->graph, &t, &m), m);
    assert_string_equal(t.data, want);
    text_free(&t);
}

static void test_resnet_becomes_convolutions(void **state)
{
    (void)state;
    struct message m;
    struct model model = sample_resnet(2, 1), before;
    struct text report = {0};
    ASSERT_OK(model_copy(&before, &model, &m), m);
    fuse(&model, &report);
    assert_int_equal(graph_stage(&model.graph), STAGE_FUSED);
    assert_string_equal(record_get(model.record, "stage"), "fused");
    assert_int_equal(model.graph.count, 2 + 20 + 2);
    assert_int_equal(model.record->tensor_count, 42); /* 20 convolutions and the last layer, weight and bias each */
    const struct node *n = &model.graph.nodes[graph_find(&model.graph, "layer2.0.conv2")];
    assert_true(n->has_bias && n->has_relu && n->input_count == 2);
    assert_string_equal(model.graph.nodes[n->inputs[1]].name, "layer2.0.downsample.0");
    assert_int_equal(model.graph.nodes[n->inputs[1]].has_relu, 0); /* it rounds on its own first, without relu */
    n = &model.graph.nodes[graph_find(&model.graph, "layer1.1.conv2")];
    assert_string_equal(model.graph.nodes[n->inputs[1]].name, "layer1.0.conv2");
    assert_non_null(strstr(report.data, "layer2.0.downsample.1: folded into layer2.0.downsample.0\n"));
    assert_non_null(strstr(report.data, "layer2.0.add: now part of layer2.0.conv2\n"));
    assert_null(strstr(report.data, "warning"));
    assert_true(output_sqnr(&before, &model, 2) > 120);
    text_free(&report);
    model_free(&model);
    model_free(&before);
}

static void test_awkward_graphs_compute_the_same(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct message m;
        struct model model = sample_model(awkward_graphs[i], 3), before;
        ASSERT_OK(model_copy(&before, &model, &m), m);
        fuse(&model, NULL);
        assert_int_equal(graph_stage(&model.graph), STAGE_FUSED);
        assert_true(output_sqnr(&before, &model, 3) > 120);
        model_free(&model);
        model_free(&before);
    }
}

/* The convolution moves behind its residual, whichever stood first. */
static void test_an_early_convolution_moves(void **state)
{
    (void)state;
    struct message m;
    struct model model = sample_model(
                     "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\na = conv2d n out=3 kernel=1\n"
                     "r = relu n\ns = add a r\nt = relu s\np = avgpool t\nfc = linear p out=3\n",
                     1),
                 before;
    ASSERT_OK(model_copy(&before, &model, &m), m);
    fuse(&model, NULL);
    assert_text(
        &model,
        "x  = input                               u8[6,6,3]\nn  = normalize x mean=0,0,0 std=1,1,1    f32[6,6,3]\n"
        "r  = relu n                              f32[6,6,3]\na  = conv2d n out=3 kernel=1 add=r relu  f32[6,6,3]\n"
        "p  = avgpool a                           f32[3]\nfc = linear p out=3                      f32[3]\n");
    assert_true(output_sqnr(&before, &model, 3) > 200);
    model_free(&model);
    model_free(&before);
}

static void test_folding_is_pytorchs(void **state)
{
    (void)state;
    static const char *const suffixes[] = {"weight", "bias", "running_mean", "running_var"};
    struct message m;
    struct record *r;
    struct model model =
        sample_model("x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nc = conv2d n out=4 kernel=3\n"
                     "b = batchnorm c\np = avgpool b\nfc = linear p out=3\n",
                     1);
    struct text report = {0};
    ASSERT_OK(record_load(&r, "tests/reference/quant.safetensors", &m), m);
    const struct tensor *t = record_find(r, "conv.weight");
    memcpy(model_tensor(&model, 2, "weight")->data, t->data, t->bytes);
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "bn.%s", suffixes[i]);
        memcpy(model_tensor(&model, 3, suffixes[i])->data, record_find(r, name)->data, 16);
    }
    fuse(&model, &report);
    for (int i = 0; i < 2; i++) {
        const struct tensor *got = model_tensor(&model, 2, suffixes[i]);
        const struct tensor *want = record_find(r, i ? "folded.bias" : "folded.weight");
        assert_int_equal(got->count, want->count);
        for (size_t k = 0; k < got->count; k++) {
            float a = ((const float *)got->data)[k], b = ((const float *)want->data)[k];
            assert_true(fabsf(a - b) <= 1.2e-7f * fabsf(b));
        }
    }
    assert_non_null(strstr(report.data, "warning: c: 1 of 4 channels are zero\n")); /* gamma is 0 there */
    text_free(&report);
    record_free(r);
    model_free(&model);
}

/* Behind no layer, behind one that is read twice, behind a relu: a layer of its own, which computes the same. */
static void test_a_batch_norm_alone_becomes_a_layer(void **state)
{
    (void)state;
    static const char *const graphs[] = {
        "x = input u8[6,6,3]\nn = normalize x mean=0.5,0.4,0.3 std=0.3,0.4,0.5\nb = batchnorm n\nr = relu b\n"
        "p = avgpool r\nfc = linear p out=3\n",
        "x = input u8[6,6,3]\nn = normalize x mean=0.5,0.4,0.3 std=0.3,0.4,0.5\nc = conv2d n out=3 kernel=1\n"
        "b = batchnorm c\na = add b c\np = avgpool a\nfc = linear p out=3\n",
        "x = input u8[6,6,3]\nn = normalize x mean=0.5,0.4,0.3 std=0.3,0.4,0.5\nc = conv2d n out=3 kernel=1 relu\n"
        "b = batchnorm c\nv = clip b low=0 high=6\np = avgpool v\nfc = linear p out=3\n"};
    for (int i = 0; i < 3; i++) {
        struct text report = {0};
        struct model model = sample_model(graphs[i], (uint64_t)i), before = sample_model(graphs[i], (uint64_t)i);
        fuse(&model, &report);
        const struct node *n = &model.graph.nodes[graph_find(&model.graph, "b")];
        assert_int_equal(n->op, OP_CONV2D);
        assert_int_equal(n->groups, 3);
        assert_int_equal(n->has_relu, i == 0);
        assert_int_equal(n->clip.on, i == 2);
        assert_int_equal(graph_stage(&model.graph), STAGE_FUSED);
        assert_non_null(strstr(report.data, "b: now a convolution of one channel a group\n"));
        assert_true(output_sqnr(&before, &model, 3) > 120);
        text_free(&report);
        model_free(&model);
        model_free(&before);
    }
}

static void refuse_fold(const char *text, int code, const char *part)
{
    struct message m;
    struct model model = sample_model(text, 1);
    ASSERT_FAILS(pass_fold_batchnorm(&model, NULL, &m), code, part, m);
    model_free(&model);
}

static void test_what_cannot_be_folded_is_refused_by_name(void **state)
{
    (void)state;
    refuse_fold("x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\np = avgpool n\nb = batchnorm p\nfc = "
                "linear b out=3\n",
                STATUS_MISMATCH, "node 'b': batch norm of a vector cannot be folded, 'p' is no linear layer");
    struct message m;
    struct model model =
        sample_model("x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nc = conv2d n out=3 kernel=1\n"
                     "b = batchnorm c eps=0\np = avgpool b\nfc = linear p out=3\n",
                     1);
    ((float *)model_tensor(&model, 3, "running_var")->data)[2] = 0;
    ASSERT_FAILS(pass_fold_batchnorm(&model, NULL, &m), STATUS_RANGE,
                 "b.running_var: 0 + eps at index 2 is not positive", m);
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resnet_becomes_convolutions),
        cmocka_unit_test(test_awkward_graphs_compute_the_same),
        cmocka_unit_test(test_an_early_convolution_moves),
        cmocka_unit_test(test_folding_is_pytorchs),
        cmocka_unit_test(test_a_batch_norm_alone_becomes_a_layer),
        cmocka_unit_test(test_what_cannot_be_folded_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
