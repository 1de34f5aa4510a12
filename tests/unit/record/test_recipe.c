/* What fixes a run's result, and checkpoints of others. */
#include "samples.h"
#include "record/checkpoint_file.h"
#include "record/lineage.h"
#include "record/recipe.h"

/* Another run's, and what is said of it. */
static void refuse(const char *there, const char *here, const char *part)
{
    struct message m;
    assert_int_equal(recipe_compare(there, here, &m), STATUS_MISMATCH);
    if (!strstr(m.text, part))
        fail_msg("got '%s', want '%s'", m.text, part);
}

static char *recipe_of(const char *made_by, const char *part, double rate)
{
    struct message m;
    struct record *r = record_new(&m);
    struct lineage l = {.message = &m};
    struct text t = {0};
    lineage_add(&l, "width", "16");
    lineage_add_number(&l, "learning-rate", rate);
    ASSERT_OK(record_set(r, "dataset-digest", "sha256:aa", &m), m);
    ASSERT_OK(record_set(r, "split", "train", &m), m);
    ASSERT_OK(record_set(r, "part", part, &m), m);
    ASSERT_OK(record_set(r, "made-by", made_by, &m), m);
    ASSERT_OK(recipe_make(&t, "train-fp32", &l, r, &m), m);
    record_free(r);
    lineage_free(&l);
    return t.data;
}

static void test_recipe_text(void **state)
{
    (void)state;
    char *t =
        recipe_of("cifar-load 1.2.3 epochs=5 from=2 seed=1\n  other 1.0.0 x=1\naugment 2.0.1 crop=4", "train", 0.1);
    assert_string_equal(
        t, "augment.crop=4 augment.major=2 cifar-load.major=1 cifar-load.seed=1 "
           "dataset-digest=sha256:aa learning-rate=0.1 part=train split=train train-fp32.major=0 width=16");
    memory_free(t);
}

static void test_recipes_that_differ(void **state)
{
    (void)state;
    struct message m;
    char *a = recipe_of("cifar-load 1.2.3 batch=128 epochs=5 from=0 seed=1", "train", 0.1);
    char *same = recipe_of("cifar-load 1.3.0 batch=64 epochs=9 from=2 seed=1", "train", 0.1);
    char *b = recipe_of("cifar-load 1.2.3 seed=2\naugment 1.0.0 crop=4", "train", 0.1);
    char *c = recipe_of("cifar-load 2.0.0 seed=1", "all", 0.25);
    ASSERT_OK(recipe_compare(a, same, &m), m);
    refuse(a, b,
           "another run's checkpoint: augment.crop is absent, want 4; augment.major is absent, want 1; "
           "cifar-load.seed is 1, want 2");
    refuse(b, a, "augment.crop is 4, want absent");
    refuse(a, c, "cifar-load.major is 1, want 2; learning-rate is 0.1, want 0.25; part is train, want all");
    refuse("", "a-b=1 a=1", "a is absent, want 1; a-b is absent, want 1");
    memory_free(a);
    memory_free(same);
    memory_free(b);
    memory_free(c);
}

static int add_block(void *context, struct record *r, struct message *m)
{
    return record_set(r, "block", context, m);
}

static void test_a_checkpoint_is_of_one_recipe(void **state)
{
    (void)state;
    struct message m;
    struct record *r;
    char path[] = "/tmp/resq-checkpoint-XXXXXX", block[] = "7";
    close(mkstemp(path));
    ASSERT_OK(checkpoint_save(path, "a=1", add_block, block, &m), m);
    assert_int_equal(checkpoint_load(path, &r, &m), 1);
    assert_string_equal(record_kind(r), "checkpoint");
    assert_string_equal(record_get(r, "block"), "7");
    ASSERT_OK(checkpoint_is_of(r, "a=1", &m), m);
    assert_int_equal(checkpoint_is_of(r, "a=2", &m), STATUS_MISMATCH);
    assert_string_equal(m.text, "another run's checkpoint: a is 1, want 2");
    record_unset(r, "recipe");
    assert_int_equal(checkpoint_is_of(r, "a=1", &m), STATUS_FORMAT);
    assert_string_equal(m.text, "recipe: missing metadata");
    record_free(r);
    remove(path);
    assert_int_equal(checkpoint_load(path, &r, &m), 0);
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipe_text),
        cmocka_unit_test(test_recipes_that_differ),
        cmocka_unit_test(test_a_checkpoint_is_of_one_recipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
