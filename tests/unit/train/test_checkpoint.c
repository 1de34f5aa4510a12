/* Checkpoints, the log, and what may be trained on or chosen with. */
#include "common.h"
#include "train/checkpoint.h"
#include "train/held_out.h"
#include "train/log.h"

/* ---- checkpoints ---- */

static const struct slice slices[] = {
    {.name = "a.weight", .rank = 2, .shape = {2, 3}, .offset = 0, .count = 6},
    {.name = "a.bias", .rank = 1, .shape = {2}, .offset = 16, .count = 2},
    {.name = "x.scale", .rank = 0, .offset = 32, .count = 1},
};

static void test_checkpoint_round_trip(void **state)
{
    (void)state;
    float values[48], back[48] = {0};
    for (int i = 0; i < 48; i++)
        values[i] = (float)i / 7;
    struct training_state s = {.epoch = 2,
                               .epoch_step = 17,
                               .step = 99,
                               .images_seen = 12345,
                               .sums = {1.0 / 3, 2176, 1999},
                               .epoch_seconds = 0.1,
                               .seconds = 1e9 / 7,
                               .best_epoch = 1,
                               .best_accuracy = 200.0 / 3,
                               .best_loss = NAN};
    struct training_state t = {0};
    ASSERT_OK(text_add(&s.log, &m, "# note\nepoch\tx\n1\t2\n"));
    struct record *r = record_new(&m);
    ASSERT_OK(record_set(r, "kind", "checkpoint", &m));
    ASSERT_OK(checkpoint_add(r, "", slices, 3, values, &m));
    ASSERT_OK(checkpoint_add_state(r, &s, &m));
    ASSERT_OK(record_save(r, path_of("checkpoint"), &m));
    record_free(r);
    assert_int_equal(checkpoint_load(path_of("checkpoint"), &r, &m), 1);
    ASSERT_OK(checkpoint_take(r, "", slices, 3, back, &m));
    ASSERT_OK(checkpoint_take_state(r, &t, &m));
    assert_memory_equal(values, back, 6 * sizeof(float));
    assert_memory_equal(values + 16, back + 16, 2 * sizeof(float));
    assert_true(values[32] == back[32] && back[8] == 0);
    assert_int_equal(t.epoch, 2);
    assert_int_equal(t.epoch_step, 17);
    assert_int_equal(t.step, 99);
    assert_int_equal(t.images_seen, 12345);
    assert_true(t.sums.loss == s.sums.loss && t.sums.images == 2176 && t.sums.correct == 1999);
    assert_true(t.epoch_seconds == s.epoch_seconds && t.seconds == s.seconds);
    assert_true(t.best_epoch == 1 && t.best_accuracy == s.best_accuracy && isnan(t.best_loss));
    assert_string_equal(t.log.data, s.log.data);
    ASSERT_FAILS(checkpoint_take(r, "momentum.", slices, 3, back, &m), STATUS_MISMATCH, "momentum.a.weight");
    record_unset(r, "epoch");
    ASSERT_FAILS(checkpoint_take_state(r, &t, &m), STATUS_FORMAT, "epoch: missing metadata");
    record_free(r);
    training_state_free(&s);
    training_state_free(&t);
}

static void test_checkpoint_files(void **state)
{
    (void)state;
    struct record *r = record_new(&m);
    ASSERT_OK(record_set(r, "kind", "model", &m));
    ASSERT_OK(record_save(r, path_of("model"), &m));
    record_free(r);
    assert_int_equal(checkpoint_load(path_of("none"), &r, &m), 0);
    assert_null(r);
    ASSERT_FAILS(checkpoint_load(path_of("model"), &r, &m), STATUS_MISMATCH, "model: is a model record");
    ASSERT_FAILS(checkpoint_load(path_of("model/x"), &r, &m), STATUS_IO, "Not a directory");
}

/* ---- the log ---- */

static void test_log(void **state)
{
    (void)state;
    struct text log = {0};
    struct record *r = record_new(&m);
    ASSERT_OK(record_set(r, "dataset", "CIFAR-10", &m));
    ASSERT_OK(record_set(r, "dataset-digest", "sha256:aa", &m));
    ASSERT_OK(log_begin(&log, "train-fp32", r, 45000, 5000, "bf16", 0, 0, &m));
    ASSERT_OK(log_add(&log, &(struct log_row){0, 0, NAN, NAN, NAN, 12.5, NAN, 0.25}, &m));
    ASSERT_OK(log_add(&log, &(struct log_row){1, 352, 0.05, 1.25, 50, 60.125, 1234.56, 9}, &m));
    ASSERT_OK(log_save(&log, path_of("log"), &m));
    ASSERT_OK(log_save(&log, NULL, &m));
    size_t size;
    char *text = slurp(path_of("log"), &size);
    assert_string_equal(
        text,
        "# tool: train-fp32 " RESQ_VERSION "\n# dataset: CIFAR-10\n# dataset-digest: sha256:aa\n"
        "# images: 45000\n# held-out: 5000\n# precision: bf16\nepoch\tstep\tlearning_rate\tloss\taccuracy_train\t"
        "accuracy_held_out\timages_per_s\tseconds\n0\t0\t-\t-\t-\t12.500\t-\t0.25\n"
        "1\t352\t0.05\t1.250000\t50.000\t60.125\t1234.6\t9.00\n");
    free(text);
    text_free(&log);
    record_free(r);
}

/* ---- what may be chosen with ---- */

static int try_held_out(const char *own_part, const char *own_digest, const char *part, const char *trained_on)
{
    struct record *stream = record_new(&m), *model = record_new(&m);
    struct held_out h;
    write_stream(
        path_of("held-out"),
        &(struct stream_spec){.epochs = 1, .total = 3, .batch = 2, .part = own_part, .digest = own_digest});
    ASSERT_OK(record_set(stream, "dataset-digest", "sha256:aa", &m));
    ASSERT_OK(record_set(stream, "split", "train", &m));
    ASSERT_OK(record_set(stream, "part", part, &m));
    ASSERT_OK(record_set(model, "trained-on", trained_on, &m));
    int status = held_out_open(&h, path_of("held-out"), stream, model, &m);
    if (status >= 0) {
        assert_true(held_out_is_open(&h));
        assert_int_equal(h.set.count, 3);
    }
    held_out_close(&h);
    record_free(stream);
    record_free(model);
    return status;
}

static void test_held_out_refusals(void **state)
{
    (void)state;
    struct held_out h;
    ASSERT_OK(try_held_out("held-out", "sha256:aa", "train", ""));
    ASSERT_OK(try_held_out("train", "sha256:aa", "held-out", ""));
    ASSERT_OK(try_held_out("held-out", "sha256:aa", "train", "sha256:aa train/train"));
    ASSERT_OK(try_held_out("held-out", "sha256:aa", "train", "sha256:bb train/all"));
    ASSERT_FAILS(try_held_out("held-out", "sha256:aa", "all", ""), STATUS_MISMATCH,
                 "part: is held-out, which shares images with the training stream's part all");
    ASSERT_FAILS(try_held_out("all", "sha256:aa", "train", ""), STATUS_MISMATCH, "held-out: part: is all");
    ASSERT_FAILS(try_held_out("train", "sha256:aa", "train", ""), STATUS_MISMATCH, "part: is train");
    ASSERT_FAILS(try_held_out("held-out", "sha256:bb", "train", ""), STATUS_MISMATCH,
                 "dataset-digest: is sha256:bb");
    ASSERT_FAILS(try_held_out("held-out", "sha256:aa", "train", "sha256:aa train/all"), STATUS_MISMATCH,
                 "shares images with the model's part all");
    write_stream(path_of("test"),
                 &(struct stream_spec){.epochs = 1, .total = 3, .batch = 2, .split = "test", .part = "all"});
    ASSERT_FAILS(held_out_open(&h, path_of("test"), NULL, NULL, &m), STATUS_MISMATCH, "split: is test");
    ASSERT_OK(held_out_open(&h, NULL, NULL, NULL, &m));
    assert_false(held_out_is_open(&h));
}

static void test_held_out_digest_ignores_cuts(void **state)
{
    (void)state;
    char first[DIGEST_HEX] = "";
    for (int cut = 1; cut <= 5; cut++) {
        struct held_out h;
        write_stream(path_of("cut"), &(struct stream_spec){.epochs = 1, .total = 5, .batch = cut});
        ASSERT_OK(held_out_open(&h, path_of("cut"), NULL, NULL, &m));
        if (cut == 1)
            memcpy(first, h.digest, sizeof first);
        assert_string_equal(h.digest, first);
        held_out_close(&h);
    }
}

static void describe(struct record *model, const char *part, const char *want)
{
    struct record *stream = record_new(&m);
    ASSERT_OK(record_set(stream, "dataset", "Pictures", &m));
    ASSERT_OK(record_set(stream, "dataset-digest", "sha256:aa", &m));
    ASSERT_OK(record_set(stream, "split", "train", &m));
    ASSERT_OK(record_set(stream, "part", part, &m));
    ASSERT_OK(data_describe(model, stream, &m));
    assert_string_equal(record_get(model, "trained-on"), want);
    assert_string_equal(record_get(model, "dataset"), "Pictures");
    record_free(stream);
}

static void test_trained_on_grows(void **state)
{
    (void)state;
    struct record *model = record_new(&m);
    describe(model, "train", "sha256:aa train/train");
    describe(model, "train", "sha256:aa train/train");
    describe(model, "held-out", "sha256:aa train/all");
    describe(model, "train", "sha256:aa train/all");
    record_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_checkpoint_round_trip),
        cmocka_unit_test(test_checkpoint_files),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_held_out_refusals),
        cmocka_unit_test(test_held_out_digest_ignores_cuts),
        cmocka_unit_test(test_trained_on_grows),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
