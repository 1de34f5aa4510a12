/* The lowering to int8: its structure, its tensors, its proofs and its refusals; and that the network still
 * computes. */
#include "lowered.h"
#include "graph/codes.h"
#include "quant/observer.h"

static int count_op(const struct graph *g, enum graph_op op, int integer)
{
    int count = 0;
    for (int i = 0; i < g->count; i++)
        count += g->nodes[i].op == op && (integer < 0 || node_is_integer(g, i) == integer);
    return count;
}

static struct setup resnet; /* of width 2: fused once for all tests */

static int setup_resnet(void **state)
{
    (void)state;
    resnet = fused(sample_resnet(2, 1));
    return 0;
}

static int free_resnet(void **state)
{
    (void)state;
    setup_free(&resnet);
    return 0;
}

static void test_resnet_is_integer_throughout(void **state)
{
    (void)state;
    struct lower_report report = {0};
    struct model model = lowered(&resnet, &defaults, &report);
    const struct graph *g = &model.graph;
    assert_int_equal(graph_stage(g), STAGE_INT8);
    assert_string_equal(record_get(model.record, "stage"), "int8");
    assert_string_equal(record_get(model.record, "quantization"),
                        "observer=mse weight-bits=8 activation-bits=8 weights=per-channel");
    assert_int_equal(count_op(g, OP_CONV2D, 1), 20);
    assert_int_equal(count_op(g, OP_CONV2D, 0), 0);
    assert_int_equal(count_op(g, OP_AVGPOOL, 1), 1);
    assert_int_equal(count_op(g, OP_LINEAR, 1), 1);
    assert_int_equal(count_op(g, OP_QUANTIZE, -1), 1);
    assert_int_equal(count_op(g, OP_DEQUANTIZE, -1), 0);
    assert_int_equal(g->count, resnet.model.graph.count + 1);
    assert_int_equal(graph_find(g, "norm.q"), 2);
    /* after a relu the zero point falls out as 0; of what has no relu it need not */
    for (int i = 0; i < g->count; i++)
        if (g->nodes[i].has_relu)
            assert_int_equal(*(const uint8_t *)model_tensor(&model, i, "zero_point")->data, 0);
    assert_true(*(const uint8_t *)model_tensor(&model, 2, "zero_point")->data > 50);
    assert_int_equal(report.count, 1 + 20 + 1 + 1);
    for (int i = 0; i < report.count; i++) {
        const struct lower_row *row = &report.rows[i];
        int is_layer = strcmp(row->name, "norm.q") != 0 && strcmp(row->name, "avgpool") != 0;
        assert_true(is_layer ? row->bound > 0 && row->bound <= INT32_MAX && row->weight_sqnr > 30
                             : row->bound == 0 && isnan(row->weight_sqnr));
        assert_true(strcmp(row->name, "fc") == 0 ? isnan(row->activation_sqnr) : row->activation_sqnr > 30);
        const struct tensor *bound = model_tensor(&model, graph_find(g, row->name), "accumulator_bound");
        assert_true(is_layer ? *(const int64_t *)bound->data == row->bound : bound == NULL);
    }
    assert_int_equal(report.warnings.length, 0);
    assert_true(output_sqnr(&resnet.model, &model, 2) > 20);
    lower_report_free(&report);
    model_free(&model);
}

static void assert_same_records(const struct record *a, const struct record *b)
{
    assert_int_equal(a->tensor_count, b->tensor_count);
    for (size_t i = 0; i < a->tensor_count; i++) {
        const struct tensor *x = &a->tensors[i], *y = &b->tensors[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

/* Each op that gives codes has the map that was chosen for it (there is no relu of its own here). */
static void assert_own_maps(const struct model *lowered_model, const struct affine *maps)
{
    const struct graph *g = &lowered_model->graph;
    for (int i = 0; i < g->count; i++) {
        int old = graph_find(&resnet.model.graph, g->nodes[i].name);
        if (old > 0 && g->nodes[i].type == NODE_U8)
            assert_true(*(const float *)model_tensor(lowered_model, i, "scale")->data == maps[old].scale);
    }
}

/* Twice the same; and the same with the maps given, as training does. */
static void test_lowering_is_deterministic(void **state)
{
    (void)state;
    struct message m;
    struct affine maps[GRAPH_MAX_NODES];
    struct lower_options given = defaults;
    struct model a = lowered(&resnet, &defaults, NULL), b = lowered(&resnet, &defaults, NULL), c;
    ASSERT_OK(lower_choose_activations(&resnet.model, &resnet.ranges, &defaults, maps, &m), m);
    assert_true(maps[0].scale == 0 && maps[1].scale > 0);
    assert_true(maps[resnet.model.graph.count - 1].scale == 0);
    given.observer = NULL;
    ASSERT_OK(model_copy(&c, &resnet.model, &m), m);
    ASSERT_OK(pass_lower_int8_with(&c, maps, &given, NULL, &m), m);
    assert_own_maps(&c, maps);
    assert_same_records(a.record, b.record);
    assert_same_records(a.record, c.record);
    assert_string_equal(record_get(c.record, "quantization"),
                        "trained weight-bits=8 activation-bits=8 weights=per-channel");
    model_free(&a);
    model_free(&b);
    model_free(&c);
}

static void test_weights_and_biases_are_those_of_quant(void **state)
{
    (void)state;
    struct model model = lowered(&resnet, &defaults, NULL);
    int old = graph_find(&resnet.model.graph, "conv1"), now = graph_find(&model.graph, "conv1");
    int8_t q[2 * 27];
    float scale[2], input = *(const float *)model_tensor(&model, 2, "scale")->data;
    int32_t bias[2];
    layer_quantize(model_tensor(&resnet.model, old, "weight")->data, model_tensor(&resnet.model, old, "bias")->data,
                   2, 27, &(struct weight_codes){.bits = 8}, input, q, scale, bias);
    assert_memory_equal(model_tensor(&model, now, "weight")->data, q, sizeof q);
    assert_memory_equal(model_tensor(&model, now, "weight_scale")->data, scale, sizeof scale);
    assert_memory_equal(model_tensor(&model, now, "bias")->data, bias, sizeof bias);
    model_free(&model);
}

static int bits_of(const struct model *model, const char *layer)
{
    return model_weight_bits(model, graph_find(&model->graph, layer));
}

static int top_of(const struct model *model, const char *name)
{
    return ((const uint8_t *)model_tensor(model, graph_find(&model->graph, name), "range")->data)[1];
}

static void test_a_plan_says_each_layers_bits(void **state)
{
    static const char text[] = "conv1 4 -\nlayer2.0.conv1 2 6\nnorm - 7\navgpool - 5\nfc 3 -\n";
    (void)state;
    struct lower_options o = defaults;
    struct bit_plan plan;
    struct message m;
    ASSERT_OK(bit_plan_parse(&plan, text, sizeof text - 1, &resnet.model.graph, &m), m);
    o.plan = &plan;
    o.weight_bits = 4;
    o.activation_bits = 3;
    o.end_bits = 8;
    struct model model = lowered(&resnet, &o, NULL);
    assert_int_equal(bits_of(&model, "conv1"), 4); /* an end, but planned */
    assert_int_equal(bits_of(&model, "layer2.0.conv1"), 2);
    assert_int_equal(bits_of(&model, "layer2.0.conv2"), 4); /* not named: the options' */
    assert_int_equal(bits_of(&model, "fc"), 3);
    assert_int_equal(top_of(&model, "norm.q"), 127);
    assert_int_equal(top_of(&model, "avgpool"), 31);
    assert_int_equal(top_of(&model, "layer2.0.conv1"), 63);
    assert_int_equal(top_of(&model, "conv1"), 7);
    double weights = 0, packed = 0;
    for (int i = 0; i < model.graph.count; i++) {
        const struct tensor *w = model_tensor(&model, i, "weight");
        weights += w ? (double)model_weight_count(&model, i) : 0;
        packed +=
            w ? 8.0 * (double)codes_bytes(model_weight_count(&model, i), bits_of(&model, model.graph.nodes[i].name))
              : 0;
    }
    const char *said = strstr(record_get(model.record, "quantization"), " plan=");
    assert_non_null(said);
    assert_true(fabs(strtod(said + 6, NULL) - packed / weights) < 0.02); /* less what a last byte leaves */
    model_free(&model);
    o.keep_float = "layer2.0.conv1";
    struct model copy;
    ASSERT_OK(model_copy(&copy, &resnet.model, &m), m);
    ASSERT_FAILS(pass_lower_int8(&copy, &resnet.ranges, &o, NULL, &m), STATUS_MISMATCH,
                 "layer2.0.conv1 is to stay in float, but is in the plan of bits", m);
    model_free(&copy);
    bit_plan_free(&plan);
}

static void test_fewer_bits_and_one_scale(void **state)
{
    (void)state;
    struct lower_options o = defaults;
    struct message m;
    o.weight_bits = 4;
    o.activation_bits = 5;
    o.per_tensor = 1;
    o.observer = "percentile";
    o.observer_parameter = 99.5;
    struct model model = lowered(&resnet, &o, NULL), eight = lowered(&resnet, &defaults, NULL);
    assert_string_equal(record_get(model.record, "quantization"),
                        "observer=percentile parameter=99.5 weight-bits=4 activation-bits=5 weights=per-tensor "
                        "ends=same weight-observer=max");
    for (int i = 0; i < model.graph.count; i++) {
        const struct tensor *scale = model_tensor(&model, i, "weight_scale");
        const struct tensor *range = model_tensor(&model, i, "range");
        for (size_t k = 0; scale && k < scale->count; k++)
            assert_true(((const float *)scale->data)[k] == ((const float *)scale->data)[0]);
        size_t count = 0;
        int8_t *owned = NULL;
        const int8_t *codes = scale ? model_weight_codes(&model, i, &count, &owned, &m) : NULL;
        assert_true(!scale || owned); /* packed */
        for (size_t k = 0; k < count; k++)
            assert_true(abs(codes[k]) <= 7);
        memory_free(owned);
        if (range)
            assert_memory_equal(range->data, ((const uint8_t[]){0, 31}), 2);
    }
    assert_true(output_sqnr(&resnet.model, &model, 2) < output_sqnr(&resnet.model, &eight, 2) - 6);
    model_free(&model);
    model_free(&eight);
}

static void test_kept_layers_stay_float(void **state)
{
    (void)state;
    struct message m;
    struct lower_options o = defaults;
    o.keep_float = "layer2.0.*";
    struct model model = lowered(&resnet, &o, NULL);
    const struct graph *g = &model.graph;
    assert_int_equal(count_op(g, OP_CONV2D, 0), 3);
    assert_int_equal(count_op(g, OP_CONV2D, 1), 17);
    assert_int_equal(count_op(g, OP_DEQUANTIZE, -1), 1); /* layer1.1.conv2.f, read by two */
    assert_int_equal(count_op(g, OP_QUANTIZE, -1), 2);   /* norm.q and layer2.0.conv2.q */
    assert_int_equal(graph_uses(g, graph_find(g, "layer1.1.conv2.f")), 2);
    assert_non_null(record_find(model.record, "layer2.0.conv2.q.zero_point"));
    assert_null(record_find(model.record, "layer2.0.conv2.scale"));
    assert_int_equal(record_find(model.record, "layer2.0.conv2.weight")->dtype, DTYPE_F32);
    assert_true(output_sqnr(&resnet.model, &model, 2) > 20);
    model_free(&model);
    o.keep_float = "*";
    ASSERT_OK(model_copy(&model, &resnet.model, &m), m);
    ASSERT_FAILS(pass_lower_int8(&model, &resnet.ranges, &o, NULL, &m), STATUS_MISMATCH,
                 "no layer is left to quantize", m);
    o.keep_float = "layer9*";
    ASSERT_FAILS(pass_lower_int8(&model, &resnet.ranges, &o, NULL, &m), STATUS_MISMATCH,
                 "no node matches 'layer9*'", m);
    model_free(&model);
}

/* An unfused relu works on its input's codes; adds and hidden linear layers give codes of their own; values needed both
 * ways exist both ways. */
static void test_awkward_graphs_are_lowered(void **state)
{
    (void)state;
    static const char *const more[] = {"x = input u8[6,6,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.3,0.3,0.3\nc = "
                                       "conv2d n out=4 kernel=3 pad=1 bias\n"
                                       "r = relu c\nd = conv2d r out=4 kernel=3 pad=1 add=c\ne = conv2d d out=4 "
                                       "kernel=1 groups=2 relu\np = avgpool e\n"
                                       "q = relu p\nfc = linear q out=3\n",
                                       "x = input u8[6,6,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.3,0.3,0.3\nc = "
                                       "conv2d n out=4 kernel=3 pad=1 bias\n"
                                       "p = avgpool c\n",
                                       "x = input u8[6,6,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.3,0.3,0.3\nc = "
                                       "conv2d n out=4 kernel=3 pad=1 bias\n"
                                       "p = avgpool c\nr = relu p\n"};
    static const struct {
        int relu_u8, dequantized;
    } want[] = {{0, 0}, {0, 0}, {1, 0}, {0, 0}, {2, 0}, {0, 1}, {0, 1}};
    for (int i = 0; i < 7; i++) {
        struct setup s = fused(sample_model(i < 4 ? awkward_graphs[i] : more[i - 4], 4));
        struct model model = lowered(&s, &defaults, NULL);
        assert_int_equal(count_op(&model.graph, OP_RELU, 1), want[i].relu_u8);
        assert_int_equal(count_op(&model.graph, OP_DEQUANTIZE, -1), want[i].dequantized);
        double sqnr = output_sqnr(&s.model, &model, 2);
        if (sqnr < 20)
            print_error("graph %d: %g dB\n", i, sqnr);
        assert_true(sqnr > 20);
        model_free(&model);
        setup_free(&s);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct message m;
    struct setup s = fused(sample_model(small, 1));
    struct lower_options o = defaults;
    o.observer = "median";
    ASSERT_FAILS(pass_lower_int8(&s.model, &s.ranges, &o, NULL, &m), STATUS_RANGE, "no observer 'median'", m);
    o = defaults;
    o.observer = "percentile";
    o.observer_parameter = 30;
    ASSERT_FAILS(pass_lower_int8(&s.model, &s.ranges, &o, NULL, &m), STATUS_RANGE, "n: percentile 30", m);
    for (int bits = 1; bits <= 9; bits += 8) {
        o = defaults;
        o.weight_bits = bits;
        ASSERT_FAILS(pass_lower_int8(&s.model, &s.ranges, &o, NULL, &m), STATUS_RANGE, "want 2..8", m);
        o = defaults;
        o.activation_bits = bits;
        ASSERT_FAILS(pass_lower_int8(&s.model, &s.ranges, &o, NULL, &m), STATUS_RANGE, "want 2..8", m);
    }
    strcpy(s.ranges.names[1], "other");
    ASSERT_FAILS(pass_lower_int8(&s.model, &s.ranges, &defaults, NULL, &m), STATUS_MISMATCH,
                 "the ranges do not have 'c'", m);
    struct affine maps[8] = {{0}};
    ASSERT_FAILS(pass_lower_int8_with(&s.model, maps, &defaults, NULL, &m), STATUS_RANGE, "n: scale 0 is not", m);
    maps[1] = (struct affine){1, 9, 0, 8};
    ASSERT_FAILS(pass_lower_int8_with(&s.model, maps, &defaults, NULL, &m), STATUS_RANGE,
                 "n: zero point 9 is not in 0..8", m);
    setup_free(&s);
    struct model model = sample_resnet(1, 1);
    ASSERT_FAILS(pass_lower_int8(&model, &s.ranges, &defaults, NULL, &m), STATUS_MISMATCH,
                 "want fused: run fuse first", m);
    model_free(&model);
}

/* The relu behind a separate add is the end of its codes; in symmetric codes, which go on below zero, it stays. */
static void test_separate_sums(void **state)
{
    (void)state;
    struct message m;
    struct setup s = {.model = sample_resnet(2, 1)};
    ASSERT_OK(pass_fold_batchnorm(&s.model, NULL, &m), m);
    ASSERT_OK(pass_separate_adds(&s.model, NULL, &m), m);
    ASSERT_OK(pass_fuse_epilogue(&s.model, NULL, &m), m);
    ASSERT_OK(model_store(&s.model, &m), m);
    assert_int_equal(graph_stage(&s.model.graph), STAGE_FUSED);
    assert_int_equal(count_op(&s.model.graph, OP_ADD, 0), 8);
    s.ranges = sample_ranges(&s.model, 2);
    struct lower_options o = defaults;
    o.separate_sums = 1;
    struct model model = lowered(&s, &o, NULL);
    const struct graph *g = &model.graph;
    assert_int_equal(count_op(g, OP_ADD, 1), 8);
    assert_int_equal(count_op(g, OP_RELU, -1), 0);
    assert_int_equal(count_op(g, OP_DEQUANTIZE, -1), 0);
    int sum = graph_find(g, "layer1.0.add"), next = graph_find(g, "layer1.1.conv1");
    assert_int_equal(g->nodes[next].inputs[0], sum);
    assert_int_equal(*(const uint8_t *)model_tensor(&model, sum, "zero_point")->data, 0);
    assert_true(output_sqnr(&s.model, &model, 3) > 20);
    model_free(&model);
    o.symmetric = 1;
    model = lowered(&s, &o, NULL);
    assert_int_equal(count_op(&model.graph, OP_RELU, 1), 8);
    model_free(&model);
    /* a network whose sums are in its convolutions, and a fused one to be taken apart, are refused by name */
    ASSERT_OK(model_copy(&model, &resnet.model, &m), m);
    assert_int_equal(pass_separate_adds(&model, NULL, &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "layer1.0.conv2: adds 'conv1' already: begin with the float model");
    model_free(&model);
    ASSERT_OK(model_copy(&model, &resnet.model, &m), m);
    assert_int_equal(pass_lower_int8(&model, &resnet.ranges, &o, NULL, &m), STATUS_MISMATCH);
    assert_non_null(strstr(m.text, "layer1.0.conv2: its sum is not separate"));
    model_free(&model);
    setup_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_separate_sums),
        cmocka_unit_test(test_resnet_is_integer_throughout),
        cmocka_unit_test(test_lowering_is_deterministic),
        cmocka_unit_test(test_weights_and_biases_are_those_of_quant),
        cmocka_unit_test(test_fewer_bits_and_one_scale),
        cmocka_unit_test(test_a_plan_says_each_layers_bits),
        cmocka_unit_test(test_kept_layers_stay_float),
        cmocka_unit_test(test_awkward_graphs_are_lowered),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup_resnet, free_resnet);
}
