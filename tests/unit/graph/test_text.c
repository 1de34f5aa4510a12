/* The graph's text: what is printed, what is read, what is refused and where. */
#include "samples.h"

static char *printed(const struct graph *g)
{
    struct message m;
    struct text t = {0};
    ASSERT_OK(graph_print(g, &t, &m), m);
    return t.data;
}

static void test_columns_are_aligned(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    ASSERT_OK(graph_parse(&g, awkward_graphs[3], &m), m);
    char *text = printed(&g);
    assert_string_equal(text, "x  = input                                          u8[6,6,3]\n"
                              "n  = normalize x mean=0,0,0 std=1,1,1               f32[6,6,3]\n"
                              "c  = conv2d n out=4 kernel=3 pad=1 bias relu        f32[6,6,4]\n"
                              "s  = conv2d n out=4 kernel=1 bias                   f32[6,6,4]\n"
                              "d  = conv2d c out=4 kernel=3 pad=1 bias add=s relu  f32[6,6,4]\n"
                              "p  = avgpool d                                      f32[4]\n"
                              "fc = linear p out=3 bias                            f32[3]\n");
    memory_free(text);
    graph_free(&g);
}

static void assert_same_graph(const struct graph *a, const struct graph *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const struct node *x = &a->nodes[i], *y = &b->nodes[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->op, y->op);
        assert_int_equal(x->input_count, y->input_count);
        for (int k = 0; k < x->input_count; k++)
            assert_int_equal(x->inputs[k], y->inputs[k]);
        const int xs[] = {x->out,      x->kernel,    x->stride, x->pad, x->groups, x->has_bias,
                          x->has_relu, (int)x->type, x->h,      x->w,   x->c,      x->is_vector};
        const int ys[] = {y->out,      y->kernel,    y->stride, y->pad, y->groups, y->has_bias,
                          y->has_relu, (int)y->type, y->h,      y->w,   y->c,      y->is_vector};
        assert_memory_equal(xs, ys, sizeof xs);
        assert_memory_equal(x->mean, y->mean, sizeof x->mean);
        assert_memory_equal(x->std, y->std, sizeof x->std);
        assert_memory_equal(&x->eps, &y->eps, sizeof x->eps);
    }
}

static void assert_round_trip(const struct graph *g)
{
    struct message m;
    struct graph again;
    char *text = printed(g), *second;
    ASSERT_OK(graph_parse(&again, text, &m), m);
    assert_same_graph(g, &again);
    second = printed(&again);
    assert_string_equal(text, second);
    memory_free(text);
    memory_free(second);
    graph_free(&again);
}

static void test_parse_of_print_is_the_graph(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    for (int i = 0; i < AWKWARD_COUNT; i++) {
        ASSERT_OK(graph_parse(&g, awkward_graphs[i], &m), m);
        assert_round_trip(&g);
        graph_free(&g);
    }
    static const int widths[] = {1, 8, 64, 512};
    for (int i = 0; i < 4; i++) {
        ASSERT_OK(resnet18_build(&g, widths[i], 2 + i, (const float[]){0.1f, 1.0f / 3, -2e-7f}, NULL, &m), m);
        assert_round_trip(&g);
        graph_free(&g);
    }
}

static void test_stages(void **state)
{
    (void)state;
    static const enum graph_stage want[] = {STAGE_FUSED, STAGE_FLOAT, STAGE_FLOAT, STAGE_FUSED, STAGE_INT8};
    struct message m;
    struct graph g;
    for (int i = 0; i < AWKWARD_COUNT; i++) {
        ASSERT_OK(graph_parse(&g, awkward_graphs[i], &m), m);
        assert_int_equal(graph_stage(&g), want[i]);
        ASSERT_OK(graph_require_stage(&g, want[i], &m), m);
        graph_free(&g);
    }
    ASSERT_OK(resnet18_build(&g, 4, 10, NULL, NULL, &m), m);
    ASSERT_FAILS(graph_require_stage(&g, STAGE_FUSED, &m), STATUS_MISMATCH,
                 "is at stage float, want fused: run fuse first", m);
    graph_free(&g);
}

static void test_fusable_prefers_the_later_convolution(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    ASSERT_OK(resnet18_build(&g, 4, 10, NULL, NULL, &m), m);
    assert_int_equal(graph_fusable(&g, graph_find(&g, "layer1.0.add")), -1); /* a batch norm stands between */
    graph_free(&g);
    ASSERT_OK(graph_parse(&g,
                          "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\na = conv2d n out=4 kernel=1\n"
                          "b = conv2d n out=4 kernel=1\nc = add b a\np = avgpool c\nfc = linear p out=3\n",
                          &m),
              m);
    assert_int_equal(graph_fusable(&g, 4), 3);
    assert_int_equal(graph_uses(&g, 1), 2);
    assert_int_equal(graph_uses(&g, 6), 1); /* the output is read once: by the world */
    assert_true(node_macs(&g, 2) == 6 * 6 * 4 * 3);
    assert_true(node_macs(&g, 6) == 4 * 3);
    graph_free(&g);
}

#define HEAD "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\n"
#define TAIL "p = avgpool c\nfc = linear p out=3\n"

static void test_faults_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"", "1 to 4096 nodes"},
        {"x = input\n", "line 1: the input needs its type"},
        {"x = input f32[6,6,3]\n", "line 1: node 'x' says f32[6,6,3] but gives u8[6,6,3]"},
        {"x = input u8[6,6]\n", "line 1: a type has one or three dimensions"},
        {"x = input u8[6,6,3,1]\n", "line 1: a type has one or three dimensions"},
        {"x = input u8[6,-6,3]\n", "line 1: dimension: '-6'"},
        {"x = input u8[0,6,3]\n", "height=0"},
        {"x = input u8[1025,6,3]\n", "height=1025"},
        {"x = input u8[6,6,5]\n", "channels=5"},
        {"x = input i8[6,6,3]\n", "line 1: 'i8[6,6,3]' is not a type"},
        {"x = input u8[6,6,3] more\n", "the type is the last word"},
        {"x input u8[6,6,3]\n", "line 1: want NAME = OP"},
        {"x-y = input u8[6,6,3]\n", "node name 'x-y' holds other than"},
        {HEAD "c = convolution n out=4\n", "line 3: unknown operation 'convolution'"},
        {HEAD "x = relu n\n", "line 3: node 'x' is defined twice"},
        {HEAD "c = relu y\n", "line 3: no node 'y' stands before this one"},
        {HEAD "c = relu c\n" TAIL, "no node"},
        {HEAD "c = relu\n", "line 3: relu wants 1 input"},
        {HEAD "c = add n\n", "add wants 2 inputs"},
        {HEAD "c = relu x\n", "only normalize may read the input"},
        {HEAD "c = input u8[1,1,1]\n", "the first node, and no other, is the input"},
        {"n = normalize x mean=0 std=1\n", "no node 'x'"},
        {HEAD "c = conv2d n kernel=3\n", "line 3: conv2d needs out="},
        {HEAD "c = conv2d n out=4\n", "conv2d needs kernel="},
        {HEAD "c = conv2d n out=4 out=4 kernel=1\n", "'out' is given twice"},
        {HEAD "c = conv2d n out=0 kernel=1\n", "out=0 is not in 1..65536"},
        {HEAD "c = conv2d n out=4 kernel=7\n", "kernel=7 is larger than the padded input"},
        {HEAD "c = conv2d n out=4 kernel=3 pad=3\n", "pad=3 is not in 0..2"},
        {HEAD "c = conv2d n out=4 kernel=3 stride=0\n", "stride=0"},
        {HEAD "c = conv2d n out=4 kernel=3 groups=2\n", "groups=2 does not divide 3 and 4 channels"},
        {HEAD "c = conv2d n out=4x kernel=3\n", "line 3: out: '4x'"},
        {HEAD "c = conv2d n out= kernel=3\n", "line 3: out: ''"},
        {HEAD "c = conv2d n out=99999999999999999999 kernel=3\n", "line 3: out:"},
        {HEAD "c = conv2d n out=4 kernel=3 bias=1\n", "'bias' takes no value"},
        {HEAD "c = conv2d n out=4 kernel\n", "'kernel' needs a value"},
        {HEAD "c = conv2d n out=4 kernel=3 dilation=2\n", "conv2d has no option 'dilation'"},
        {HEAD "c = relu n relu\n", "relu has no option 'relu'"},
        {HEAD "c = conv2d n out=4 kernel=3 add=n\n", "cannot add: residual of f32[4,4,4] and f32[6,6,3]"},
        {HEAD "c = conv2d n out=4 kernel=3 add=z\n", "no node 'z'"},
        {HEAD "c = conv2d n out=4 kernel=3 f32[6,6,4]\n", "line 3: node 'c' says f32[6,6,4] but gives f32[4,4,4]"},
        {HEAD "c = batchnorm n eps=-1\n", "eps is not in 0..1"},
        {HEAD "c = batchnorm n eps=nan\n", "eps: 'nan'"},
        {HEAD "c = linear n out=3\n", "linear wants a vector"},
        {HEAD "p = avgpool n\nc = conv2d p out=3 kernel=1\n", "conv2d wants [H,W,C]"},
        {HEAD "p = avgpool n\nc = avgpool p\n", "avgpool wants [H,W,C]"},
        {HEAD "q = quantize n\nc = batchnorm q\n", "batchnorm wants f32, got u8"},
        {HEAD "q = quantize n\nc = quantize q\n", "quantize wants f32, got u8"},
        {HEAD "q = dequantize n\n", "dequantize wants u8, got f32"},
        {HEAD "q = quantize n\nc = conv2d q out=3 kernel=1 add=n\n", "residual of u8[6,6,3] and f32[6,6,3]"},
        {HEAD "p = avgpool n\nq = quantize p\n", "the last node 'q' must give f32[K]"},
        {HEAD "p = relu n\n", "the last node 'p' must give f32[K]"},
        {HEAD "c = relu n\nd = relu n\n" TAIL, "node 'd' is never used"},
        {"x = input u8[6,6,3]\nn = normalize x mean=0,0 std=1,1,1\n", "mean= and std= want 3 values"},
        {"x = input u8[6,6,3]\nn = normalize x mean=0,0,0,0,0 std=1,1,1\n", "mean has more than 4 values"},
        {"x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,0,1\n", "std > 0"},
        {"x = input u8[6,6,3]\nn = normalize x mean=0,0,0\n", "normalize needs std="},
        {"x = input u8[1024,1024,4]\nn = normalize x mean=0,0,0,0 std=1,1,1,1\nc = conv2d n out=65536 "
         "kernel=1\n" TAIL,
         "more than 268435456 elements"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct message m = {{0}};
        struct graph g;
        int status = graph_parse(&g, cases[i].text, &m);
        if (status >= 0 || !strstr(m.text, cases[i].want) || strchr(m.text, '\n'))
            print_error("case %zu: %d '%s', want '%s'\n", i, status, m.text, cases[i].want);
        assert_true(status < 0 && strstr(m.text, cases[i].want));
        assert_null(g.nodes);
    }
}

static void test_long_names_and_long_texts_are_refused(void **state)
{
    (void)state;
    struct message m;
    struct graph g;
    char text[512] = HEAD;
    size_t at = strlen(text);
    memset(text + at, 'c', 64);
    strcpy(text + at + 64, " = relu n\n");
    ASSERT_FAILS(graph_parse(&g, text, &m), STATUS_RANGE, "longer than 63 bytes", m);
    memset(text + at, 'c', 300);
    strcpy(text + at + 300, " = relu n\n");
    ASSERT_FAILS(graph_parse(&g, text, &m), STATUS_FORMAT, "line 3: a word of more than 255 bytes", m);
    struct text many = {0};
    ASSERT_OK(text_add(&many, &m, HEAD "r0 = relu n\n"), m);
    for (int i = 1; i < 4096; i++)
        ASSERT_OK(text_add(&many, &m, "r%d = relu r%d\n", i, i - 1), m);
    ASSERT_FAILS(graph_parse(&g, many.data, &m), STATUS_RANGE, "line 4097: more than 4096 nodes", m);
    text_free(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns_are_aligned),
        cmocka_unit_test(test_parse_of_print_is_the_graph),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_fusable_prefers_the_later_convolution),
        cmocka_unit_test(test_faults_are_refused_with_their_line),
        cmocka_unit_test(test_long_names_and_long_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
