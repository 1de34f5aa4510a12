/* The descriptors of ops: that each is sound, and what follows from them. */
#include "samples.h"
#include <math.h>
#include "graph/op.h"
#include "graph/schema.h"

static int is_number(const struct attribute *a)
{
    return a->kind == ATTRIBUTE_INTEGER || a->kind == ATTRIBUTE_NUMBER;
}

static int fields_size(const struct attribute *a)
{
    return a->kind == ATTRIBUTE_INPUT ? 0 : a->kind == ATTRIBUTE_CHANNELS ? 4 * (int)sizeof(float) : 4;
}

static void check_attribute(const struct op *op, const struct attribute *a)
{
    assert_ptr_equal(attribute_find(op->attributes, a->name), a); /* no other has its name */
    assert_true(a->offset + (size_t)fields_size(a) <= sizeof(struct node));
    assert_true((a->kind == ATTRIBUTE_INPUT) == (a->offset == 0));
    if (is_number(a)) {
        assert_true(a->low <= a->high);
        assert_true(a->is_needed || ((float)a->low <= a->initial && a->initial <= (float)a->high));
    }
    if (a->absorbs != OP_INPUT) {
        assert_string_equal(a->name, graph_op_name(a->absorbs));
        assert_int_equal(a->kind == ATTRIBUTE_INPUT, op_at(a->absorbs)->input_count == 2);
    }
    if (a->kind == ATTRIBUTE_INPUT)
        assert_int_equal(a->input, op->input_count);
}

static void test_each_descriptor_is_sound(void **state)
{
    (void)state;
    for (int i = 0; i < OP_COUNT; i++) {
        const struct op *op = op_at((enum graph_op)i);
        int inputs = op->input_count;
        assert_non_null(op);
        assert_true(op->name[0] && op->input_count >= 0);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(op->name, graph_op_name((enum graph_op)k));
        for (const struct attribute *a = op->attributes; a && a->name; a++) {
            check_attribute(op, a);
            inputs += a->kind == ATTRIBUTE_INPUT;
        }
        assert_true(inputs <= NODE_MAX_INPUTS);
        assert_true((inputs == 0) == (i == OP_INPUT));
        assert_int_equal(op->weights != NULL, op->integer == INTEGER_LAYER);
        assert_int_equal(op->weights != NULL, attribute_find(op->attributes, "bias") != NULL);
    }
    assert_null(op_at(OP_COUNT));
    assert_string_equal(graph_op_name(OP_COUNT), "?");
}

static void test_a_new_node_is_as_its_text_leaves_it(void **state)
{
    (void)state;
    struct message m;
    struct graph g = {0};
    int conv = graph_append(&g, OP_CONV2D, "c", 0, -1, &m), norm = graph_append(&g, OP_BATCHNORM, "b", 0, -1, &m);
    int linear = graph_append(&g, OP_LINEAR, "l", 0, -1, &m);
    const struct node *n = g.nodes;
    assert_true(conv == 0 && norm == 1 && linear == 2);
    assert_true(n[conv].stride == 1 && n[conv].groups == 1 && n[conv].pad == 0 && n[conv].out == 0);
    assert_true(n[norm].eps == 1e-5f && n[conv].eps == 0);
    assert_true(n[linear].stride == 0 && n[linear].groups == 0);
    for (int i = 0; i < g.count; i++)
        for (const struct attribute *a = op_of(&n[i])->attributes; a->name; a++)
            assert_int_equal(attribute_is_given(a, &n[i]), a->is_needed);
    graph_free(&g);
}

static void test_steps_behind_a_layer_keep_their_order(void **state)
{
    (void)state;
    struct node n = {.op = OP_CONV2D, .input_count = 1};
    assert_string_equal(node_epilogue(&n, OP_RELU)->name, "relu");
    assert_string_equal(node_epilogue(&n, OP_ADD)->name, "add");
    assert_false(node_has_epilogue(&n));
    n.input_count = 2;
    assert_null(node_epilogue(&n, OP_ADD));
    assert_string_equal(node_epilogue(&n, OP_RELU)->name, "relu");
    assert_true(node_has_epilogue(&n));
    n.has_relu = 1;
    assert_null(node_epilogue(&n, OP_RELU));
    n.input_count = 1;
    assert_null(node_epilogue(&n, OP_ADD)); /* the relu comes after it */
    assert_true(node_has_epilogue(&n));
    static const enum graph_op others[] = {OP_BATCHNORM, OP_AVGPOOL, OP_CONV2D, OP_INPUT};
    n.has_relu = 0;
    for (int k = 0; k < 4; k++)
        assert_null(node_epilogue(&n, others[k]));
    assert_string_equal(node_epilogue(&n, OP_CLIP)->name, "clip");
    n.clip = (struct clip){1, 0, 6};
    assert_null(node_epilogue(&n, OP_CLIP));
    assert_null(node_epilogue(&n, OP_RELU)); /* the clip comes after it */
    assert_true(node_has_epilogue(&n));
    n.clip.on = 0;
    n.op = OP_LINEAR;
    assert_string_equal(node_epilogue(&n, OP_RELU)->name, "relu");
    assert_null(node_epilogue(&n, OP_ADD));
}

static void test_which_nodes_compute_on_codes(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    ASSERT_OK(graph_parse(&g,
                          "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nq = quantize n\n"
                          "c = conv2d q out=4 kernel=3\nr = relu c\nf = dequantize r\nd = conv2d f out=4 kernel=1\n"
                          "e = quantize d\np = avgpool e\nfc = linear p out=3\n",
                          &m),
              m);
    static const int integer[] = {0, 0, 0, 1, 1, 0, 0, 0, 1, 1}, map[] = {0, 0, 1, 1, 1, 0, 0, 1, 1, 0};
    for (int i = 0; i < g.count; i++) {
        assert_int_equal(node_is_integer(&g, i), integer[i]);
        assert_int_equal(node_has_map(&g, i), map[i]);
    }
    graph_free(&g);
}

/* The spreads are torch.nn.init's: kaiming_normal_(mode="fan_out", nonlinearity="relu"), and uniform by fan-in. */
static void test_first_values_of_weights(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    ASSERT_OK(graph_parse(&g,
                          "x = input u8[6,6,4]\nn = normalize x mean=0,0,0,0 std=1,1,1,1\n"
                          "c = conv2d n out=6 kernel=3 groups=2 bias\np = avgpool c\nfc = linear p out=5 bias\n",
                          &m),
              m);
    assert_int_equal(node_tensors(&g, 2, specs), 2);
    assert_int_equal(specs[0].start, START_NORMAL);
    assert_true(fabs(specs[0].spread - sqrt(2.0 / (6 * 9))) < 1e-12); /* fan_out is not divided by groups */
    assert_int_equal(specs[1].start, START_UNIFORM);
    assert_true(fabs(specs[1].spread - 1 / sqrt(2.0 * 9)) < 1e-12);
    assert_int_equal(node_tensors(&g, 4, specs), 2);
    for (int k = 0; k < 2; k++) {
        assert_int_equal(specs[k].start, START_UNIFORM);
        assert_true(fabs(specs[k].spread - 1 / sqrt(6.0)) < 1e-12);
    }
    assert_true(node_weight_count(&g, &g.nodes[2]) == 6 * 2 * 9 && node_macs(&g, 2) == 16 * 6 * 2 * 9);
    assert_true(node_weight_count(&g, &g.nodes[3]) == 0 && node_macs(&g, 3) == 0);
    graph_free(&g);
}

/* What the text cannot say but a program can build. */
static void test_nodes_built_by_hand_are_checked(void **state)
{
    (void)state;
    static const struct {
        enum graph_op op;
        int inputs[2];
        const char *want;
    } cases[] = {
        {OP_RELU, {1, 1}, "relu takes 1 inputs, got 2"}, {OP_ADD, {1, -1}, "add takes 2 inputs, got 1"},
        {OP_RELU, {3, -1}, "input 0 does not stand"},    {OP_NORMALIZE, {1, -1}, "normalize reads the input"},
        {OP_COUNT, {1, -1}, "unknown operation"},        {OP_RELU, {0, -1}, "only normalize may read the input"},
    };
    struct message m;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct graph g;
        ASSERT_OK(graph_parse(&g, awkward_graphs[3], &m), m);
        g.count = 2;
        assert_int_equal(graph_append(&g, cases[i].op, "y", cases[i].inputs[0], cases[i].inputs[1], &m), 2);
        int status = graph_verify_last(&g, &m);
        if (status >= 0 || !strstr(m.text, cases[i].want))
            print_error("case %zu: %d '%s', want '%s'\n", i, status, m.text, cases[i].want);
        assert_true(status < 0 && strstr(m.text, cases[i].want));
        graph_free(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_descriptor_is_sound),
        cmocka_unit_test(test_a_new_node_is_as_its_text_leaves_it),
        cmocka_unit_test(test_steps_behind_a_layer_keep_their_order),
        cmocka_unit_test(test_which_nodes_compute_on_codes),
        cmocka_unit_test(test_first_values_of_weights),
        cmocka_unit_test(test_nodes_built_by_hand_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
