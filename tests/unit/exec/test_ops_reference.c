/* The ops besides a ResNet's against PyTorch and ONNX Runtime (tests/reference/ops.py): logits, one training step's
 * gradients, and codes. */
#include "exec/plan/maps.h"
#include "exec/train/gradient.h"
#include "kernel/contract/shape.h"
#include "nets.h"
#include "record/file.h"
#include "record/stream.h"

static const char *const isas[] = {"ref",        "blas", "avx2", "avx2vnni", "avx512",
                                   "avx512vnni", "amx",  "neon", "neondot",  "neoni8mm"};
enum { ISAS = sizeof isas / sizeof *isas };

struct fixture {
    struct model model;
    struct record *record;
    int images;
};

static int fixture_open(void **state)
{
    static struct fixture f;
    struct message m;
    const struct model_given given = {.graph = "", .graph_name = "ops.net"};
    struct text text = {0};
    struct model_given with = given;
    ASSERT_OK(file_read("tests/reference/ops.net", 1 << 20, &text, &m), m);
    with.graph = text.data;
    ASSERT_OK(model_load_given(&f.model, "tests/reference/ops_model.safetensors", &with, &m), m);
    ASSERT_OK(record_load(&f.record, "tests/reference/ops.safetensors", &m), m);
    f.images = (int)record_find(f.record, "images")->shape[0];
    text_free(&text);
    *state = &f;
    return 0;
}

static int fixture_close(void **state)
{
    struct fixture *f = *state;
    model_free(&f->model);
    record_free(f->record);
    return 0;
}

static const struct tensor *tensor_of(const struct fixture *f, const char *name)
{
    const struct tensor *t = record_find(f->record, name);
    if (!t)
        fail_msg("%s is not in the fixture", name);
    return t;
}

static const void *data_of(const struct fixture *f, const char *name)
{
    return tensor_of(f, name)->data;
}

/* Largest difference at most `tolerance` of the largest value. */
static void expect_close(const struct fixture *f, const char *name, const float *got, double tolerance)
{
    const struct tensor *t = tensor_of(f, name);
    const float *want = t->data;
    double largest = 0;
    for (size_t i = 0; i < t->count; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (size_t i = 0; i < t->count; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * largest))
            fail_msg("%s[%zu] is %.9g, want %.9g (largest %g)", name, i, (double)got[i], (double)want[i], largest);
}

static void test_logits(void **state)
{
    const struct fixture *f = *state;
    struct message m;
    float logits[64];
    for (int k = 0; k < ISAS; k++) {
        struct exec *e;
        int status = exec_open(&e, &f->model, &(struct exec_options){.isa = isas[k]}, &m);
        if (status == STATUS_UNSUPPORTED)
            continue;
        ASSERT_OK(status, m);
        ASSERT_OK(exec_run(e, data_of(f, "images"), f->images, logits, &m), m);
        expect_close(f, "logits", logits, 5e-6);
        exec_close(e);
    }
}

static void test_training_step(void **state)
{
    const struct fixture *f = *state;
    struct message m;
    float logits[64];
    for (int k = 0; k < ISAS; k++) {
        struct gradient *g;
        struct gradient_options o = {.batch = 4, .threads = 2, .isa = isas[k]};
        int status = gradient_open(&g, &f->model, &o, &m);
        if (status == STATUS_UNSUPPORTED)
            continue;
        ASSERT_OK(status, m);
        ASSERT_OK(gradient_forward(g, data_of(f, "images"), f->images, logits, &m), m);
        expect_close(f, "logits_training", logits, 5e-6);
        ASSERT_OK(gradient_backward(g, data_of(f, "dlogits"), &m), m);
        const struct slice *slices;
        int count = gradient_slices(g, &slices);
        assert_int_equal(count, 18);
        for (int i = 0; i < count; i++) {
            char name[128];
            snprintf(name, sizeof name, "gradient.%s", slices[i].name);
            expect_close(f, name, gradient_gradients(g) + slices[i].offset, 3e-5);
        }
        gradient_close(g);
    }
}

/* ---- codes ---- */

static const struct kernel_table *table_at(int k)
{
    const struct kernel_table *table = NULL;
    struct message m;
    return kernel_table_get(&table, isas[k], &m) < 0 ? NULL : table;
}

static void run_conv(const struct kernel_table *table, const struct conv_shape *s, const struct requantize *r,
                     const uint8_t *x, const int8_t *w, uint8_t *y)
{
    const struct conv_u8_kernel *k = kernel_conv_u8(table, s);
    struct message m;
    void *packed = memory_new(k->packed_bytes(s), 1, &m), *scratch = memory_new(k->scratch_bytes(s) + 64, 1, &m);
    k->pack(s, w, r->zero_point_x, UINT8_MAX, packed);
    struct conv_u8_call call = {.images = 1,
                                .x = x,
                                .x_at = layout_dense(s->h, s->w, s->c),
                                .packed = packed,
                                .requantize = r,
                                .y = y,
                                .y_at = layout_dense(s->out_h, s->out_w, s->out),
                                .row_end = s->out_h};
    k->run(s, &call, scratch);
    memory_free(packed), memory_free(scratch);
}

static void compare_conv(const struct fixture *f, const char *name)
{
    char part[64];
#define PART(suffix) (snprintf(part, sizeof part, "%s.%s", name, suffix), data_of(f, part))
    const int32_t *v = PART("shape"), *bias = PART("b");
    const float *scales = PART("scales"), *weight_scale = PART("sw");
    const uint8_t *x = PART("x"), *want = PART("y");
    const int8_t *w = PART("w");
#undef PART
    struct conv_shape s = {
        .h = v[0], .w = v[1], .c = v[2], .out = v[3], .kernel = v[4], .stride = v[5], .pad = v[6], .groups = v[7]};
    s.out_h = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
    s.out_w = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    const struct affine map_x = {scales[0], (uint8_t)v[8], 0, 255}, map_y = {scales[1], (uint8_t)v[9], 0, 255};
    float multiplier[32];
    struct requantize r =
        requantize_make(&(struct conv_maps){.x = &map_x, .y = &map_y}, weight_scale, s.out, bias, multiplier);
    for (int k = 0; k < ISAS; k++) {
        uint8_t got[4096];
        if (!table_at(k))
            continue;
        run_conv(table_at(k), &s, &r, x, w, got);
        assert_memory_equal(got, want, shape_outputs(&s));
    }
}

static void test_groups_are_qlinearconvs(void **state)
{
    static const char *const names[] = {"depthwise", "depthwise_2", "depthwise_5x5", "groups_3", "multiplier"};
    for (int i = 0; i < 5; i++)
        compare_conv(*state, names[i]);
}

static void test_max_pool_is_onnx(void **state)
{
    const struct fixture *f = *state;
    const struct pool_shape s = {9, 8, 17, 3, 2, 1, 5, 4};
    for (int k = 0; k < ISAS; k++) {
        uint8_t y[5 * 4 * 17];
        for (int row = 0; table_at(k) && row < s.out_h; row++)
            table_at(k)->elementwise.max_pool_u8(&s, data_of(f, "max.x"), row, y + row * 4 * 17);
        if (table_at(k))
            assert_memory_equal(y, data_of(f, "max.y"), sizeof y);
    }
}

static void test_concat_is_qlinearconcat(void **state)
{
    const struct fixture *f = *state;
    static const int channels[] = {8, 3, 17};
    const float *scales = data_of(f, "concat.scales");
    const uint8_t *zeros = data_of(f, "concat.zeros"), *want = data_of(f, "concat.y");
    const struct affine y = {scales[3], zeros[3], 0, 255};
    for (int k = 0, first = 0; k < 3; first += channels[k++]) {
        const struct affine x = {scales[k], zeros[k], 0, 255};
        uint8_t table[256];
        char name[16];
        snprintf(name, sizeof name, "concat.x%d", k);
        const uint8_t *codes = data_of(f, name);
        codes_table(&x, &y, table);
        for (int p = 0; p < 5 * 4; p++)
            for (int c = 0; c < channels[k]; c++)
                assert_int_equal(table[codes[p * channels[k] + c]], want[p * 28 + first + c]);
    }
}

/* ONNX Runtime folds zero points and scales into one product and one constant, so that what lies next to a tie may fall
 * to the other side. */
static void expect_near(const uint8_t *got, const uint8_t *want, int count)
{
    int apart = 0;
    for (int i = 0; i < count; i++) {
        assert_true(abs(got[i] - want[i]) <= 1);
        apart += got[i] != want[i];
    }
    assert_true(apart <= count / 100);
}

static void test_sums_and_means_are_onnx_runtimes(void **state)
{
    const struct fixture *f = *state;
    enum { SUMS = 6 * 6 * 16 };
    const struct pool_shape s = {9, 8, 17, 3, 2, 1, 5, 4};
    uint8_t sums[SUMS], means[5 * 4 * 17];
    const struct elementwise_kernels *k = &table_at(0)->elementwise;
    k->add_u8(&(struct add_u8_call){.a = data_of(f, "add.a"),
                                    .b = data_of(f, "add.b"),
                                    .count = SUMS,
                                    .multiplier_a = 0.02f / 0.025f,
                                    .multiplier_b = 0.013f / 0.025f,
                                    .zero_point_a = 77,
                                    .zero_point_b = 128,
                                    .zero_point_y = 90,
                                    .high = 255,
                                    .y = sums});
    expect_near(sums, data_of(f, "add.y"), SUMS);
    struct average_pool_u8_call call = {.x = data_of(f, "average.x"),
                                        .multiplier = 0.02f / (0.015f * 9),
                                        .zero_point_x = 77,
                                        .zero_point_y = 90,
                                        .high = 255};
    for (int row = 0; row < s.out_h; row++) {
        call.y = means + row * 4 * 17;
        k->window_pool_u8(&s, &call, row);
    }
    expect_near(means, data_of(f, "average.y"), 5 * 4 * 17);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_training_step),
        cmocka_unit_test(test_groups_are_qlinearconvs),
        cmocka_unit_test(test_max_pool_is_onnx),
        cmocka_unit_test(test_concat_is_qlinearconcat),
        cmocka_unit_test(test_sums_and_means_are_onnx_runtimes),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
