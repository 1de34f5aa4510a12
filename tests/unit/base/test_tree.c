/* The tree of shards: what is added to what, whole and in parts. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/random.h"
#include "base/tree.h"

enum { MOST = 70, WIDE = 5 };

/* The definition, as the header words it: 0 and 1, 2 and 3 .., then pairs of pairs. */
static float sum_by_pairs(const float *shards, int count)
{
    float level[MOST];
    memcpy(level, shards, (size_t)count * sizeof *level);
    for (; count > 1; count = (count + 1) / 2)
        for (int i = 0; i < (count + 1) / 2; i++)
            level[i] = 2 * i + 1 < count ? level[2 * i] + level[2 * i + 1] : level[2 * i];
    return level[0];
}

static float sum_by_halves(const float *shards, int begin, int end)
{
    if (end - begin == 1)
        return shards[begin];
    int middle = tree_middle(begin, end);
    return sum_by_halves(shards, begin, middle) + sum_by_halves(shards, middle, end);
}

static void sum_in_order(const float *shards, int count, float *sum)
{
    float others[TREE_LEVELS * WIDE];
    const struct tree_rows rows = {sum, others, WIDE};
    for (int i = 0; i < count; i++) {
        float *row = tree_open(&rows, i);
        for (int k = 0; k < WIDE; k++)
            row[k] = shards[i] * (float)(k + 1);
        tree_close(&rows, i);
    }
    tree_finish(&rows, count);
}

static void test_every_way_gives_the_same_bits(void **state)
{
    (void)state;
    float shards[MOST], sum[WIDE], all[MOST * 2];
    struct random_stream r = random_open(1, RANDOM_TEST, 1, 1);
    int differ = 0;
    for (int i = 0; i < MOST; i++)
        shards[i] = (float)random_normal(&r);
    for (int count = 1; count <= MOST; count++) {
        float want = sum_by_pairs(shards, count), plain = 0;
        sum_in_order(shards, count, sum);
        assert_memory_equal(&sum[0], &want, sizeof want);
        for (int i = 0; i < count; i++) {
            all[2 * i] = shards[i];
            plain += shards[i];
        }
        tree_fold(all, 2, count, 1);
        assert_memory_equal(&all[0], &want, sizeof want);
        want = sum_by_halves(shards, 0, count);
        assert_memory_equal(&sum[0], &want, sizeof want);
        differ += memcmp(&plain, &want, sizeof want) != 0;
    }
    assert_true(differ > MOST / 2); /* else the numbers would show nothing */
}

static void test_shards_of_images(void **state)
{
    (void)state;
    assert_int_equal(tree_shards(1), 1);
    assert_int_equal(tree_shards(32), 1);
    assert_int_equal(tree_shards(33), 2);
    assert_int_equal(tree_images(70, 0), 32);
    assert_int_equal(tree_images(70, 2), 6);
    assert_int_equal(tree_shards(65536), TREE_SHARDS);
    for (int shard = 0, most = 0; shard <= TREE_SHARDS; shard++) {
        most = tree_depth(shard) > most ? tree_depth(shard) : most;
        assert_true(most < TREE_LEVELS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_way_gives_the_same_bits),
        cmocka_unit_test(test_shards_of_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
