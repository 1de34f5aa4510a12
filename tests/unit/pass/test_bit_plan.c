/* Plans of bits: what a text says, that it comes back, and every way in which it can be none. */
#include "interpret.h"
#include "pass/bit_plan.h"

static const char net[] = "x = input u8[8,8,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
                          "a = conv2d n out=4 kernel=3 pad=1 bias relu\nm = maxpool a kernel=2\np = avgpool m\nfc "
                          "= linear p out=4 bias\n";

static struct graph graph;

static int setup(void **state)
{
    struct message m;
    (void)state;
    ASSERT_OK(graph_parse(&graph, net, &m), m);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    graph_free(&graph);
    return 0;
}

static void test_what_is_said_comes_back(void **state)
{
    static const char text[] = "# by hand\n\n  a\t4 3 # its codes\r\np - 2\nfc 8 -\nn - -";
    struct bit_plan plan, again;
    struct message m;
    struct text printed = {0};
    (void)state;
    ASSERT_OK(bit_plan_parse(&plan, text, strlen(text), &graph, &m), m);
    const struct bit_row want[] = {{0, 0}, {0, 0}, {4, 3}, {0, 0}, {0, 2}, {8, 0}};
    assert_int_equal(plan.nodes, 6);
    assert_memory_equal(plan.rows, want, sizeof want);
    assert_true(bit_plan_is_low(&plan) && bit_plan_has_low_weights(&plan));
    ASSERT_OK(bit_plan_print(&plan, &graph, &printed, &m), m);
    assert_null(strstr(printed.data, "m "));
    ASSERT_OK(bit_plan_parse(&again, printed.data, printed.length, &graph, &m), m);
    assert_memory_equal(again.rows, want, sizeof want);
    text_free(&printed);
    bit_plan_free(&plan);
    bit_plan_free(&again);
    ASSERT_OK(bit_plan_parse(&plan, "", 0, &graph, &m), m);
    assert_false(bit_plan_is_low(&plan));
    plan.rows[4].activations = 7;
    assert_true(bit_plan_is_low(&plan) && !bit_plan_has_low_weights(&plan));
    bit_plan_free(&plan);
    assert_false(bit_plan_is_low(NULL));
}

static void test_refusals_name_the_line(void **state)
{
    static const struct {
        const char *text, *says;
        int status;
    } cases[] = {
        {"a 8 8\nb 8 8\n", "line 2: the network has no layer 'b'", STATUS_MISMATCH},
        {"\na 8 8\n#\na 4 4", "line 4: 'a' again, which line 2 has", STATUS_FORMAT},
        {"a 9 8", "line 1: weights: '9' bits, want 2 to 8, or -", STATUS_RANGE},
        {"a 1 8", "line 1: weights: '1' bits", STATUS_RANGE},
        {"a 8 16", "line 1: activations: '16' bits", STATUS_RANGE},
        {"a 8 x", "line 1: activations: 'x' bits", STATUS_RANGE},
        {"a 8", "line 1: 2 fields, want LAYER WEIGHT-BITS ACTIVATION-BITS", STATUS_FORMAT},
        {"a 8 8 8 8", "line 1: 5 fields", STATUS_FORMAT},
        {"p 4 8", "line 1: 'p' has no weights", STATUS_MISMATCH},
        {"m - 8", "line 1: 'm' gives no codes of its own", STATUS_MISMATCH},
        {"fc 8 8", "line 1: 'fc' gives no codes of its own", STATUS_MISMATCH},
        {"x - 8", "line 1: 'x' gives no codes of its own", STATUS_MISMATCH},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bit_plan plan;
        struct message m;
        ASSERT_FAILS(bit_plan_parse(&plan, cases[i].text, strlen(cases[i].text), &graph, &m), cases[i].status,
                     cases[i].says, m);
        assert_null(plan.rows);
    }
    struct bit_plan plan;
    struct message m;
    ASSERT_FAILS(bit_plan_parse(&plan, "a\0b 8 8", 7, &graph, &m), STATUS_MISMATCH, "line 1: the network has no",
                 m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_said_comes_back),
        cmocka_unit_test(test_refusals_name_the_line),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
