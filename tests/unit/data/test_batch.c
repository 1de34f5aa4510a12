/* The stream of batches: what a reader takes, and every way in which it can be wrong. */
#include "sets.h"
#include "base/memory.h"
#include "data/batch.h"
#include "record/file.h"
#include "record/stream.h"

static char *ten_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                              "dog",      "frog",       "horse", "ship", "truck"};
static const char ten_json[] =
    "[\"airplane\",\"automobile\",\"bird\",\"cat\",\"deer\",\"dog\",\"frog\",\"horse\",\"ship\",\"truck\"]";

/* A batch as a test describes it; KEY=VALUE pairs replace metadata, KEY alone removes it. */
struct plan {
    int count, epoch, position, total;
    const char *change[3];
    int label; /* of every image */
};

static void plan_write(struct record_writer *w, const struct plan *p)
{
    struct batch b;
    ASSERT_OK(batch_new(&b, IMAGE_CIFAR, 10, p->count, &m));
    ASSERT_OK(record_set(b.record, "dataset", "D", &m));
    ASSERT_OK(record_set(b.record, "dataset-digest", "sha256:1", &m));
    ASSERT_OK(record_set(b.record, "classes", ten_json, &m));
    ASSERT_OK(record_set(b.record, "split", "train", &m));
    ASSERT_OK(record_set(b.record, "part", "all", &m));
    ASSERT_OK(record_set(b.record, "made-by", "a tool", &m));
    ASSERT_OK(record_set(b.record, "of-another", "kept", &m));
    ASSERT_OK(record_setf(b.record, "epoch", &m, "%d", p->epoch));
    ASSERT_OK(record_setf(b.record, "position", &m, "%d", p->position));
    ASSERT_OK(record_setf(b.record, "total", &m, "%d", p->total));
    for (int i = 0; i < p->count; i++) {
        b.indices[i] = p->position + i;
        batch_label_set(&b, i, p->label);
        memset(b.images + i * IMAGE_BYTES, p->position + i, IMAGE_BYTES);
    }
    for (int i = 0; i < 3 && p->change[i]; i++) {
        char key[64];
        const char *value = strchr(p->change[i], '=');
        snprintf(key, sizeof key, "%.*s", (int)strcspn(p->change[i], "="), p->change[i]);
        if (value)
            ASSERT_OK(record_set(b.record, key, value + 1, &m));
        else
            record_unset(b.record, key);
    }
    ASSERT_OK(writer_put(w, b.record, &m));
    batch_free(&b);
}

/* Writes batches until one of count 0; end: images of the end record, negative: none. */
static const char *stream_write(const char *name, const struct plan *plans, int end)
{
    const char *path = temporary_path(name);
    struct record_writer *w;
    ASSERT_OK(writer_open(&w, path, &m));
    for (; plans->count > 0; plans++)
        plan_write(w, plans);
    if (end >= 0)
        ASSERT_OK(batch_write_end(w, end, NULL, &m));
    ASSERT_OK(writer_commit(w, &m));
    return path;
}

/* Reads to the end; how many images, or the failure. */
static int stream_read(const char *path)
{
    struct batch_reader r;
    struct batch b;
    int status, images = 0;
    ASSERT_OK(batch_reader_open(&r, path, &m));
    while ((status = batch_reader_next(&r, &b, &m)) > 0) {
        images += (int)b.count;
        batch_free(&b);
    }
    if (status == 0)
        assert_int_equal(batch_reader_next(&r, &b, &m), 0); /* and stays at the end */
    assert_null(b.record);
    batch_reader_close(&r);
    return status < 0 ? status : images;
}

static void test_two_epochs(void **state)
{
    (void)state;
    const struct plan plans[] = {{3, 4, 0, 5, {0}, 1}, {2, 4, 3, 5, {0}, 2}, {5, 5, 0, 5, {0}, 9}, {0}};
    const char *path = stream_write("two", plans, 10);
    struct batch_reader r;
    struct batch b;
    ASSERT_OK(batch_reader_open(&r, path, &m));
    assert_int_equal(batch_reader_next(&r, &b, &m), 1);
    assert_int_equal(b.count, 3);
    assert_int_equal(b.epoch, 4);
    assert_int_equal(b.total, 5);
    assert_int_equal(batch_label(&b, 2), 1);
    assert_int_equal(b.indices[2], 2);
    assert_int_equal(b.images[2 * IMAGE_BYTES], 2);
    assert_string_equal(r.dataset, "D");
    assert_string_equal(r.digest, "sha256:1");
    assert_string_equal(r.split, "train");
    assert_string_equal(r.part, "all");
    assert_int_equal(r.class_count, 10);
    assert_string_equal(r.classes[9], "truck");
    assert_string_equal(record_get(r.first, "of-another"), "kept");
    assert_int_equal(r.first->tensor_count, 0);
    batch_free(&b);
    assert_int_equal(batch_reader_next(&r, &b, &m), 1);
    assert_int_equal(b.position, 3);
    batch_free(&b);
    batch_reader_close(&r);
    assert_int_equal(stream_read(path), 10);
}

static void test_what_is_not_said_is_taken_as_right(void **state)
{
    (void)state;
    const struct plan plans[] = {
        {3, 0, 0, 5, {"epoch", "position", "total"}, 1}, {3, 0, 0, 5, {"epoch", "position", "total"}, 1}, {0}};
    assert_int_equal(stream_read(stream_write("unsaid", plans, 6)), 6);
}

static void test_wrong_streams(void **state)
{
    (void)state;
    const struct {
        struct plan plans[4];
        int end, status;
        const char *reason;
    } cases[] = {
        {{{0}}, -1, STATUS_TRUNCATED, ": empty input"},
        {{{0}}, 0, STATUS_TRUNCATED, ": empty input"},
        {{{2, 0, 0, 4, {0}, 0}}, -1, STATUS_TRUNCATED, ": truncated stream after 1 record"},
        {{{2, 0, 0, 4, {0}, 0}, {2, 0, 2, 4, {0}, 0}}, -1, STATUS_TRUNCATED, ": truncated stream after 2 records"},
        {{{2, 0, 0, 2, {0}, 0}}, 3, STATUS_MISMATCH, "images: 3, but the stream held 2"},
        {{{2, 0, 1, 4, {0}, 0}}, 2, STATUS_MISMATCH, "position: epoch 0 goes on at 1, want 0"},
        {{{2, 0, 0, 6, {0}, 0}, {2, 0, 3, 6, {0}, 0}}, 4, STATUS_MISMATCH, "goes on at 3, want 2"},
        {{{2, 0, 0, 6, {0}, 0}, {2, 0, 0, 6, {0}, 0}}, 4, STATUS_MISMATCH, "goes on at 0, want 2"},
        {{{2, 0, 0, 3, {0}, 0}, {2, 0, 2, 3, {0}, 0}}, 4, STATUS_MISMATCH, "spans two epochs"},
        {{{2, 0, 0, 2, {0}, 0}, {2, 2, 0, 2, {0}, 0}}, 4, STATUS_MISMATCH, "epoch: 2 follows 0"},
        {{{2, 3, 0, 2, {0}, 0}, {2, 2, 0, 2, {0}, 0}}, 4, STATUS_MISMATCH, "epoch: 2 follows 3"},
        {{{2, 0, 0, 3, {0}, 0}, {2, 1, 0, 3, {0}, 0}}, 4, STATUS_MISMATCH, "begins after 2 of 3"},
        {{{2, 0, 0, 2, {0}, 10}}, 2, STATUS_RANGE, "labels[0]: 10, want 0..9"},
        {{{2, 0, 0, 2, {"classes"}, 0}}, 2, STATUS_FORMAT, "missing metadata: classes"},
        {{{2, 0, 0, 2, {"classes=[\"a\",3]"}, 0}}, 2, STATUS_FORMAT, "classes: item 1"},
        {{{2, 0, 0, 2, {"classes=[]"}, 0}}, 2, STATUS_FORMAT, "want a JSON list"},
        {{{2, 0, 0, 2, {"classes={\"a\":1,"}, 0}}, 2, STATUS_FORMAT, "classes: "},
        {{{2, 0, 0, 2, {"epoch=-1"}, 0}}, 2, STATUS_RANGE, "epoch: '-1'"},
        {{{2, 0, 0, 2, {"total=2x"}, 0}}, 2, STATUS_RANGE, "total: '2x'"},
        {{{2, 0, 0, 2, {"kind=ranges"}, 0}}, 2, STATUS_MISMATCH, "is a ranges record, want a batch record"},
        {{{2, 0, 0, 4, {0}, 0}, {2, 0, 2, 4, {"dataset=E"}, 0}}, 4, STATUS_MISMATCH, "dataset: changes"},
        {{{2, 0, 0, 4, {0}, 0}, {2, 0, 2, 4, {"dataset-digest=2"}, 0}},
         4,
         STATUS_MISMATCH,
         "dataset-digest: changes"},
        {{{2, 0, 0, 4, {0}, 0}, {2, 0, 2, 4, {"classes=[\"a\"]"}, 0}}, 4, STATUS_MISMATCH, "classes: changes"},
        {{{2, 0, 0, 4, {0}, 0}, {2, 0, 2, 4, {"split=test"}, 0}}, 4, STATUS_MISMATCH, "split: changes"},
        {{{2, 0, 0, 4, {0}, 0}, {2, 0, 2, 4, {"part=train"}, 0}}, 4, STATUS_MISMATCH, "part: changes"},
        {{{2, 0, 0, 4, {0}, 0}, {2, 0, 2, 4, {"part"}, 0}}, 4, STATUS_MISMATCH, "part: changes"},
        {{{2, 0, 0, 2, {"split=training"}, 0}}, 2, STATUS_FORMAT, "split: value of 8 bytes"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *path = stream_write("wrong", cases[i].plans, cases[i].end);
        ASSERT_FAILS(stream_read(path), cases[i].status, cases[i].reason);
        assert_int_equal(strncmp(m.text, path, strlen(path)), 0); /* the file comes first */
    }
}

/* Bytes of a stream, for cutting and gluing. */
static void stream_bytes(const char *path, struct text *t)
{
    text_clear(t);
    ASSERT_OK(file_read(path, 1 << 24, t, &m));
}

static void test_surplus_bytes(void **state)
{
    (void)state;
    const struct plan plans[] = {{2, 0, 0, 2, {0}, 1}, {0}};
    struct text t = {0}, twice = {0};
    stream_bytes(stream_write("whole", plans, 2), &t);
    ASSERT_OK(text_add_bytes(&twice, t.data, t.length, &m));
    ASSERT_OK(text_add_bytes(&twice, "x", 1, &m));
    ASSERT_FAILS(stream_read(file_write("surplus", twice.data, twice.length)), STATUS_FORMAT,
                 "surplus bytes after the end record");
    text_clear(&twice);
    ASSERT_OK(text_add_bytes(&twice, t.data, t.length, &m));
    ASSERT_OK(text_add_bytes(&twice, t.data, t.length, &m));
    ASSERT_FAILS(stream_read(file_write("twice", twice.data, twice.length)), STATUS_FORMAT,
                 "surplus record after the end record");
    text_free(&t);
    text_free(&twice);
}

static void test_every_cut_is_noticed(void **state)
{
    (void)state;
    const struct plan plans[] = {{1, 0, 0, 2, {0}, 1}, {1, 0, 1, 2, {0}, 1}, {0}};
    struct text t = {0};
    stream_bytes(stream_write("whole", plans, 2), &t);
    for (size_t cut = 0; cut < t.length; cut += cut < 64 ? 1 : 61) {
        const char *path = file_write("cut", t.data, cut);
        assert_int_equal(stream_read(path), STATUS_TRUNCATED);
    }
    text_free(&t);
}

static void test_wrong_tensors(void **state)
{
    (void)state;
    struct batch b, again;
    const int64_t shape[4] = {2, 32, 32, 3};
    ASSERT_OK(batch_new(&b, IMAGE_CIFAR, 10, 2, &m));
    b.indices[1] = -4;
    ASSERT_FAILS(batch_from_record(&again, b.record, 10, &m), STATUS_RANGE, "indices[1]: -4 is negative");
    record_remove(b.record, "labels");
    ASSERT_FAILS(batch_from_record(&again, b.record, 10, &m), STATUS_MISMATCH, "labels");
    ASSERT_OK(record_add(b.record, "labels", DTYPE_U8, 1, (int64_t[]){3}, NULL, &m));
    ASSERT_FAILS(batch_from_record(&again, b.record, 10, &m), STATUS_MISMATCH, "got U8[3], want U8[2]");
    record_remove(b.record, "images");
    ASSERT_OK(record_add(b.record, "images", DTYPE_I8, 4, shape, NULL, &m));
    ASSERT_FAILS(batch_from_record(&again, b.record, 10, &m), STATUS_MISMATCH, "images");
    batch_free(&b);
    assert_true(batch_new(&b, IMAGE_CIFAR, 10, 0, &m) < 0);
}

static void test_end_record_tells_the_data_and_no_place(void **state)
{
    (void)state;
    struct record *source = record_new(&m), *end;
    struct record_writer *w;
    struct record_reader *r;
    ASSERT_OK(record_set(source, "kind", "batch", &m));
    ASSERT_OK(record_set(source, "position", "3", &m));
    ASSERT_OK(record_set(source, "made-by", "a\nb", &m));
    ASSERT_OK(writer_open(&w, temporary_path("end"), &m));
    ASSERT_OK(batch_write_end(w, 12, source, &m));
    ASSERT_OK(writer_commit(w, &m));
    ASSERT_OK(reader_open(&r, temporary_path("end"), &m));
    assert_int_equal(reader_next(r, &end, &m), 1);
    assert_string_equal(record_kind(end), "end");
    assert_string_equal(record_get(end, "images"), "12");
    assert_string_equal(record_get(end, "made-by"), "a\nb");
    assert_null(record_get(end, "position"));
    record_free(end);
    record_free(source);
    reader_close(r);
}

static void test_class_names(void **state)
{
    (void)state;
    char *strange[3] = {"a \"b\"", "\xc3\xa9t\xc3\xa9", "c,d"}, **back;
    int count;
    char *json = classes_to_json(strange, 3, &m);
    assert_non_null(json);
    ASSERT_OK(classes_from_json(json, &back, &count, &m));
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++)
        assert_string_equal(back[i], strange[i]);
    classes_free(back, count);
    memory_free(json);
    strange[1] = "\xff";
    assert_null(classes_to_json(strange, 3, &m));
    json = classes_to_json(ten_names, 10, &m);
    assert_string_equal(json, ten_json);
    memory_free(json);
    ASSERT_FAILS(classes_from_json("[\"a\\tb\"]", &back, &count, &m), STATUS_FORMAT, "control character");
    ASSERT_FAILS(classes_from_json("[\"\"]", &back, &count, &m), STATUS_FORMAT, "item 0");
    ASSERT_FAILS(classes_from_json("{\"a\":1}", &back, &count, &m), STATUS_FORMAT, "want a JSON list");
}

static void test_image_set(void **state)
{
    (void)state;
    const struct plan plans[] = {{3, 0, 0, 5, {0}, 1}, {2, 0, 3, 5, {0}, 2}, {0}};
    struct image_set s;
    ASSERT_OK(image_set_load(&s, stream_write("set", plans, 5), &m));
    assert_int_equal(s.count, 5);
    assert_int_equal(s.class_count, 10);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(s.indices[i], i);
        assert_int_equal(s.labels[i], i < 3 ? 1 : 2);
        assert_int_equal(s.images[i * IMAGE_BYTES + 77], i);
    }
    assert_string_equal(record_get(s.first, "dataset"), "D");
    image_set_free(&s);
    ASSERT_FAILS(image_set_load(&s, stream_write("set", plans, -1), &m), STATUS_TRUNCATED, "truncated stream");
    assert_null(s.images);
}

/* ---- mixed images ---- */

struct mix_plan {
    int mixed, label2;
    float share;
};

static void mixed_write(const char *path, const struct mix_plan *plans)
{
    struct record_writer *w;
    int images = 0;
    ASSERT_OK(writer_open(&w, path, &m));
    for (; plans->mixed >= 0; plans++) {
        struct batch b;
        ASSERT_OK(batch_new(&b, IMAGE_CIFAR, 10, 2, &m));
        ASSERT_OK(record_set(b.record, "classes", ten_json, &m));
        if (plans->mixed > 0)
            ASSERT_OK(batch_mix(&b, plans->mixed, &m));
        for (int k = 0; k < plans->mixed; k++)
            batch_mixed_set(&b, 1, k, plans->label2, plans->share);
        ASSERT_OK(writer_put(w, b.record, &m));
        images += 2;
        batch_free(&b);
    }
    ASSERT_OK(batch_write_end(w, images, NULL, &m));
    ASSERT_OK(writer_commit(w, &m));
}

static int mixed_read(const struct mix_plan *plans, int takes_mixed)
{
    struct batch_reader r;
    struct batch b;
    int status, batches = 0;
    mixed_write(temporary_path("mixed"), plans);
    ASSERT_OK(batch_reader_open(&r, temporary_path("mixed"), &m));
    r.takes_mixed = takes_mixed;
    while ((status = batch_reader_next(&r, &b, &m)) > 0) {
        const struct mix_plan *p = &plans[batches++];
        assert_int_equal(b.mixed, p->mixed);
        for (int k = 0; k < p->mixed; k++) {
            assert_int_equal(batch_label2(&b, 1, k), p->label2);
            assert_true(b.share[p->mixed + k] == p->share && b.share[k] == 0);
        }
        batch_free(&b);
    }
    batch_reader_close(&r);
    return status < 0 ? status : batches;
}

static void test_mixed_images(void **state)
{
    (void)state;
    const struct mix_plan end = {-1, 0, 0};
    assert_int_equal(mixed_read((const struct mix_plan[]){{1, 9, 1}, {1, 0, 0.25f}, end}, 1), 2);
    assert_int_equal(mixed_read((const struct mix_plan[]){{3, 9, 0.333333f}, end}, 1), 1);
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{1, 9, 1}, end}, 0), STATUS_MISMATCH,
                 "labels2: mixed images (augment --cutmix, --mixup, --ricap) have no one label");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{1, 9, 1}, {0, 0, 0}, end}, 1), STATUS_MISMATCH,
                 "labels2: changes within the stream from 1 labels an image to 0");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{0, 0, 0}, {3, 9, 0}, end}, 1), STATUS_MISMATCH,
                 "labels2: changes within the stream from 0");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{1, 10, 0}, end}, 1), STATUS_RANGE,
                 "labels2[1,0]: 10, want 0..9");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{1, 1, 1.001f}, end}, 1), STATUS_RANGE, "share[1,0]: 1.001");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{1, 1, -0.5f}, end}, 1), STATUS_RANGE, "share[1,0]: -0.5");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{1, 1, (float)atof("nan")}, end}, 1), STATUS_RANGE,
                 "share[1,0]: ");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{2, 1, 0.6f}, end}, 1), STATUS_RANGE, "share[1]: in all 1.2");
    ASSERT_FAILS(mixed_read((const struct mix_plan[]){{4, 1, 0}, end}, 1), STATUS_RANGE,
                 "labels2: 4 further labels an image, want 1..3");
    /* each of the two without the other */
    for (int which = 0; which < 2; which++) {
        struct batch b, again;
        ASSERT_OK(batch_new(&b, IMAGE_CIFAR, 10, 2, &m));
        ASSERT_OK(batch_mix(&b, 1, &m));
        record_remove(b.record, which ? "share" : "labels2");
        assert_true(batch_from_record(&again, b.record, 10, &m) < 0);
        assert_non_null(strstr(m.text, which ? "share" : "labels2"));
        batch_free(&b);
    }
}

static void test_data_against_model(void **state)
{
    (void)state;
    struct record *data = record_new(&m), *model = record_new(&m);
    ASSERT_OK(data_matches_model(data, model, 0, &m)); /* nothing said */
    ASSERT_OK(record_set(data, "classes", "[\"a\",\"b\"]", &m));
    ASSERT_OK(record_set(data, "dataset-digest", "sha256:1", &m));
    ASSERT_OK(data_matches_model(data, model, 0, &m));
    ASSERT_OK(record_set(model, "classes", "[\"a\", \"b\"]", &m));
    ASSERT_OK(record_set(model, "dataset-digest", "sha256:1", &m));
    ASSERT_OK(data_matches_model(data, model, 0, &m));
    ASSERT_OK(record_set(model, "dataset-digest", "sha256:2", &m));
    ASSERT_FAILS(data_matches_model(data, model, 0, &m), STATUS_MISMATCH, "dataset-digest: ");
    ASSERT_OK(data_matches_model(data, model, 1, &m));
    ASSERT_OK(record_set(model, "classes", "[\"a\",\"c\"]", &m));
    ASSERT_FAILS(data_matches_model(data, model, 1, &m), STATUS_MISMATCH, "number 1 is 'b' of the images, 'c'");
    ASSERT_OK(record_set(model, "classes", "[\"a\"]", &m));
    ASSERT_FAILS(data_matches_model(data, model, 1, &m), STATUS_MISMATCH, "the images have 2, the model 1");
    record_free(data);
    record_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_epochs),
        cmocka_unit_test(test_what_is_not_said_is_taken_as_right),
        cmocka_unit_test(test_wrong_streams),
        cmocka_unit_test(test_surplus_bytes),
        cmocka_unit_test(test_every_cut_is_noticed),
        cmocka_unit_test(test_wrong_tensors),
        cmocka_unit_test(test_end_record_tells_the_data_and_no_place),
        cmocka_unit_test(test_class_names),
        cmocka_unit_test(test_image_set),
        cmocka_unit_test(test_mixed_images),
        cmocka_unit_test(test_data_against_model),
    };
    return cmocka_run_group_tests_name("batch", tests, NULL, temporary_folder_remove);
}
