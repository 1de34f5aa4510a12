/* What a graph becomes: steps in each way of taking in, when values live, and sums of a mini-batch's parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "exec/plan/lifetimes.h"
#include "exec/train/reduce.h"
#include <stdlib.h>

static struct message m;

#define ASSERT_OK(call)                        \
    do {                                       \
        if ((call) < 0)                        \
            fail_msg("%s: %s", #call, m.text); \
    } while (0)

/* Two blocks: a plain one, and one whose shortcut is computed after the branch that it joins. */
static const char text[] = "input   = input     u8[8,8,3]\n"
                           "normal  = normalize input mean=0.5,0.5,0.5 std=0.2,0.2,0.2\n"
                           "conv1   = conv2d    normal out=4 kernel=3 pad=1\n"
                           "bn1     = batchnorm conv1\n"
                           "relu1   = relu      bn1\n"
                           "conv2   = conv2d    relu1 out=4 kernel=3 pad=1\n"
                           "bn2     = batchnorm conv2\n"
                           "down    = conv2d    relu1 out=4 kernel=1\n"
                           "downbn  = batchnorm down\n"
                           "sum     = add       bn2 downbn\n"
                           "relu2   = relu      sum\n"
                           "pool    = avgpool   relu2\n"
                           "fc      = linear    pool out=2 bias\n";

struct want {
    enum step_kind kind;
    const char *node, *output, *x, *other; /* "": none */
    const char *norm, *norm_other, *fold;
    int relu;
};

static void expect_node(const struct graph *g, int node, const char *name)
{
    if (!*name)
        assert_int_equal(node, -1);
    else
        assert_int_equal(node, graph_find(g, name));
}

static void expect_steps(enum step_fusion fusion, const struct want *want, int count)
{
    struct graph g = {0};
    struct steps s;
    ASSERT_OK(graph_parse(&g, text, &m));
    ASSERT_OK(steps_plan(&s, &g, fusion, &m));
    assert_int_equal(s.count, count);
    for (int i = 0; i < count; i++) {
        const struct step *got = &s.at[i];
        assert_int_equal(got->kind, want[i].kind);
        expect_node(&g, got->node, want[i].node);
        expect_node(&g, got->output, want[i].output);
        expect_node(&g, got->x, want[i].x);
        expect_node(&g, got->other, want[i].other);
        expect_node(&g, got->norm, want[i].norm);
        expect_node(&g, got->norm_other, want[i].norm_other);
        expect_node(&g, got->fold, want[i].fold);
        assert_int_equal(got->relu, want[i].relu);
        assert_int_equal(steps_maker(&s, got->output, s.count), i);
    }
    steps_free(&s);
    graph_free(&g);
}

#define STEPS(fusion, ...)                                             \
    do {                                                               \
        static const struct want want[] = {__VA_ARGS__};               \
        expect_steps(fusion, want, (int)(sizeof want / sizeof *want)); \
    } while (0)

static void test_every_node(void **state)
{
    (void)state;
    STEPS(FUSE_NOTHING, {STEP_NORMALIZE, "normal", "normal", "input", "", "", "", "", 0},
          {STEP_CONV, "conv1", "conv1", "normal", "", "", "", "", 0},
          {STEP_NORM, "bn1", "bn1", "conv1", "", "", "", "", 0},
          {STEP_RELU, "relu1", "relu1", "bn1", "", "", "", "", 0},
          {STEP_CONV, "conv2", "conv2", "relu1", "", "", "", "", 0},
          {STEP_NORM, "bn2", "bn2", "conv2", "", "", "", "", 0},
          {STEP_CONV, "down", "down", "relu1", "", "", "", "", 0},
          {STEP_NORM, "downbn", "downbn", "down", "", "", "", "", 0},
          {STEP_ADD, "sum", "sum", "bn2", "downbn", "", "", "", 0},
          {STEP_RELU, "relu2", "relu2", "sum", "", "", "", "", 0},
          {STEP_POOL, "pool", "pool", "relu2", "", "", "", "", 0},
          {STEP_CONV, "fc", "fc", "pool", "", "", "", "", 0});
}

/* The branch cannot wait for its shortcut; the shortcut takes in the sum. */
static void test_inference(void **state)
{
    (void)state;
    STEPS(FUSE_INTO_CONV, {STEP_NORMALIZE, "normal", "normal", "input", "", "", "", "", 0},
          {STEP_CONV, "conv1", "relu1", "normal", "", "bn1", "", "", 1},
          {STEP_CONV, "conv2", "bn2", "relu1", "", "bn2", "", "", 0},
          {STEP_CONV, "down", "relu2", "relu1", "", "downbn", "bn2", "", 1},
          {STEP_POOL, "pool", "pool", "relu2", "", "", "", "", 0},
          {STEP_CONV, "fc", "fc", "pool", "", "", "", "", 0});
    STEPS(FUSE_FOLDED, {STEP_NORMALIZE, "normal", "normal", "input", "", "", "", "", 0},
          {STEP_CONV, "conv1", "relu1", "normal", "", "", "", "bn1", 1},
          {STEP_CONV, "conv2", "bn2", "relu1", "", "", "", "bn2", 0},
          {STEP_CONV, "down", "relu2", "relu1", "bn2", "", "", "downbn", 1},
          {STEP_POOL, "pool", "pool", "relu2", "", "", "", "", 0},
          {STEP_CONV, "fc", "fc", "pool", "", "", "", "", 0});
}

/* A batch norm waits for what it is added to: it stands where the sum does. */
static void test_training(void **state)
{
    (void)state;
    STEPS(FUSE_INTO_NORM, {STEP_NORMALIZE, "normal", "normal", "input", "", "", "", "", 0},
          {STEP_CONV, "conv1", "conv1", "normal", "", "", "", "", 0},
          {STEP_NORM, "bn1", "relu1", "conv1", "", "", "", "", 1},
          {STEP_CONV, "conv2", "conv2", "relu1", "", "", "", "", 0},
          {STEP_CONV, "down", "down", "relu1", "", "", "", "", 0},
          {STEP_NORM, "downbn", "downbn", "down", "", "", "", "", 0},
          {STEP_NORM, "bn2", "relu2", "conv2", "downbn", "", "", "", 1},
          {STEP_POOL, "pool", "pool", "relu2", "", "", "", "", 0},
          {STEP_CONV, "fc", "fc", "pool", "", "", "", "", 0});
}

static void expect_life(const struct graph *g, const struct lifetime *l, const char *name, int begin, int end)
{
    assert_int_equal(l[graph_find(g, name)].begin, begin);
    assert_int_equal(l[graph_find(g, name)].end, end);
}

static void test_lives(void **state)
{
    struct graph g = {0};
    struct steps s;
    struct lifetime values[16], gradients[16];
    (void)state;
    ASSERT_OK(graph_parse(&g, text, &m));
    ASSERT_OK(steps_plan(&s, &g, FUSE_INTO_CONV, &m));
    lives_of_inference(&s, g.count, 0, values);
    expect_life(&g, values, "input", 0, 0);
    expect_life(&g, values, "conv1", -1, -1); /* never stored */
    expect_life(&g, values, "relu1", 1, 3);
    expect_life(&g, values, "bn2", 2, 3); /* an operand of the sum that `down` takes in */
    expect_life(&g, values, "fc", 5, 6);
    lives_of_inference(&s, g.count, 1, values);
    expect_life(&g, values, "relu1", 1, 6);
    steps_free(&s);
    ASSERT_OK(steps_plan(&s, &g, FUSE_INTO_NORM, &m)); /* 9 steps: backward of step i at 17 - i */
    lives_of_training(&s, g.count, values, gradients);
    expect_life(&g, values, "input", 0, 0);
    expect_life(&g, values, "relu1", 2, 15);
    expect_life(&g, gradients, "relu1", 13, 15); /* `down`, step 4, begins it */
    expect_life(&g, gradients, "downbn", 11, 12);
    expect_life(&g, values, "fc", 8, 9);
    expect_life(&g, gradients, "fc", 8, 9); /* the loss writes it before the first backward */
    assert_int_equal(life_of_backward(&s, 7).begin, 9);
    assert_int_equal(life_of_backward(&s, 7).end, 17);
    steps_free(&s);
    graph_free(&g);
}

/* A shard's parts in their order: 1 + 1e16 - 1e16 is 0, and backwards it is 1; the second shard has one part of two. */
static void test_sums(void **state)
{
    const double values[] = {1, -7, 1e16, -7, -1e16, 3, 5, 4};
    const struct parts parts = {values, 2, 4, 3}, first = {values, 2, 1, 3}, last = {values + 6, 2, 1, 3};
    struct reduce r;
    double low, high;
    (void)state;
    ASSERT_OK(reduce_open(&r, NULL, SHARD_IMAGES + 1, SHARD_IMAGES, 2, 0, 0, &m));
    reduce_begin(&r, SHARD_IMAGES + 1);
    const double *sums = reduce_sums(&r, &parts, 2);
    assert_true(sums[0] == 5 && sums[1] == -7);
    reduce_extremes(&r, &parts, &low, &high);
    assert_true(low == -1e16 && high == 4);
    reduce_extremes(&r, &first, &low, &high);
    assert_true(low == 0 && high == 0); /* of 1 and -7: zero is always within */
    reduce_extremes(&r, &last, &low, &high);
    assert_true(low == 0 && high == 4);
    reduce_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_node), cmocka_unit_test(test_inference),
                                       cmocka_unit_test(test_training), cmocka_unit_test(test_lives),
                                       cmocka_unit_test(test_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
