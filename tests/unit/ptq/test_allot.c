/* The choice of bits: against all choices tried one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "ptq/allot.h"

enum { ITEMS = 7 };

static void draw_items(struct allot_item *items, int count, uint64_t seed, int costs, int losses)
{
    struct random_stream r = random_open(seed, RANDOM_TEST, 0, 0);
    for (int i = 0; i < count; i++) {
        items[i].count = 1 + (int)random_below(&r, 4);
        for (int k = 0; k < items[i].count; k++) {
            items[i].cost[k] = (int64_t)random_below(&r, (uint32_t)costs);
            items[i].loss[k] = (double)random_below(&r, (uint32_t)losses) / 8;
        }
    }
}

/* The least loss of all choices that cost at most `most`, or -1. */
static double best_of_all(const struct allot_item *items, int i, int64_t cost, double loss, int64_t most)
{
    double best = -1;
    if (cost > most)
        return -1;
    if (i == ITEMS)
        return loss;
    for (int k = 0; k < items[i].count; k++) {
        double b = best_of_all(items, i + 1, cost + items[i].cost[k], loss + items[i].loss[k], most);
        best = b >= 0 && (best < 0 || b < best) ? b : best;
    }
    return best;
}

static void test_no_choice_is_better(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct allot_item items[ITEMS];
        struct allot_front f;
        struct message m;
        draw_items(items, ITEMS, seed, seed % 3 ? 50 : 6, seed % 2 ? 1000 : 12);
        assert_int_equal(allot_find(&f, items, ITEMS, &m), 0);
        assert_true(f.is_exact && f.count > 0 && f.items == ITEMS);
        for (int i = 0; i < f.count; i++) {
            int64_t cost = 0;
            double loss = 0;
            for (int k = 0; k < ITEMS; k++) {
                cost += items[k].cost[f.pick[i * ITEMS + k]];
                loss += items[k].loss[f.pick[i * ITEMS + k]];
            }
            assert_true(cost == f.cost[i] && loss == f.loss[i]);
            assert_true(i == 0 || (f.cost[i] > f.cost[i - 1] && f.loss[i] < f.loss[i - 1]));
        }
        for (int64_t most = 0; most < 350; most += 7) {
            int i = allot_within(&f, most);
            double best = best_of_all(items, 0, 0, 0, most);
            assert_true(i < 0 ? best < 0 : best == f.loss[i]);
        }
        allot_free(&f);
    }
}

static void test_too_many_are_thinned_and_said(void **state)
{
    (void)state;
    enum { MANY = 24 };
    struct allot_item items[MANY];
    struct allot_front f;
    struct message m;
    struct random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    for (int i = 0; i < MANY; i++) {
        items[i].count = 4;
        for (int k = 0; k < 4; k++) {
            items[i].cost[k] = 1000000 * (k + 1) + (int64_t)random_below(&r, 900000);
            items[i].loss[k] = 10 - (double)items[i].cost[k] / 1e6; /* none betters another */
        }
    }
    assert_int_equal(allot_find(&f, items, MANY, &m), 0);
    assert_true(!f.is_exact && f.count > 1000 && f.count <= ALLOT_MOST);
    for (int i = 1; i < f.count; i++)
        assert_true(f.cost[i] > f.cost[i - 1] && f.loss[i] < f.loss[i - 1]);
    allot_free(&f);
}

static void test_edges(void **state)
{
    (void)state;
    struct allot_item one = {.count = 2, .cost = {5, 3}, .loss = {1, 1}}, none = {0};
    struct allot_front f;
    struct message m;
    assert_int_equal(allot_find(&f, &one, 1, &m), 0);
    assert_true(f.count == 1 && f.cost[0] == 3 && f.pick[0] == 1);
    assert_int_equal(allot_within(&f, 2), -1);
    assert_int_equal(allot_within(&f, 3), 0);
    allot_free(&f);
    assert_int_equal(allot_find(&f, NULL, 0, &m), 0);
    assert_true(f.count == 1 && f.cost[0] == 0);
    allot_free(&f);
    assert_int_equal(allot_find(&f, &none, 1, &m), STATUS_RANGE);
    allot_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_choice_is_better),
        cmocka_unit_test(test_too_many_are_thinned_and_said),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
