/* A narrow ResNet-18 against PyTorch (tests/reference/train_step.py): logits, one training step's gradients,
 * statistics after it. */
#include "exec/train/gradient.h"
#include "nets.h"
#include "record/stream.h"

static const char *const isas[] = {"ref", "blas", "avx2"};

struct fixture {
    struct model model;
    struct record *step;
    int images;
};

static int fixture_open(void **state)
{
    static struct fixture f;
    struct message m;
    ASSERT_OK(model_load(&f.model, "tests/reference/train_step_model.safetensors", &m), m);
    ASSERT_OK(record_load(&f.step, "tests/reference/train_step.safetensors", &m), m);
    f.images = (int)record_find(f.step, "images")->shape[0];
    *state = &f;
    return 0;
}

static int fixture_close(void **state)
{
    struct fixture *f = *state;
    model_free(&f->model);
    record_free(f->step);
    return 0;
}

/* Largest difference at most `tolerance` of the largest value. */
static void expect_close(const struct fixture *f, const char *name, const float *got, double tolerance)
{
    const struct tensor *t = record_find(f->step, name);
    const float *want = t ? t->data : NULL;
    double largest = 0;
    if (!t)
        fail_msg("%s is not in the fixture", name);
    for (size_t i = 0; t && i < t->count; i++)
        largest = fmax(largest, fabs((double)want[i]));
    for (size_t i = 0; t && i < t->count; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= tolerance * largest))
            fail_msg("%s[%zu] is %.9g, want %.9g (largest %g)", name, i, (double)got[i], (double)want[i], largest);
}

static void test_logits(void **state)
{
    const struct fixture *f = *state;
    struct message m;
    float logits[64];
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        struct exec *e;
        int status = exec_open(&e, &f->model, &(struct exec_options){.isa = isas[k]}, &m);
        if (status == STATUS_UNSUPPORTED)
            continue;
        ASSERT_OK(status, m);
        ASSERT_OK(exec_run(e, record_find(f->step, "images")->data, f->images, logits, &m), m);
        expect_close(f, "logits", logits, 5e-6);
        exec_close(e);
    }
}

static void expect_gradients(const struct fixture *f, struct gradient *g)
{
    const struct slice *slices;
    int count = gradient_slices(g, &slices);
    assert_int_equal(count, 62);
    for (int i = 0; i < count; i++) {
        char name[128];
        snprintf(name, sizeof name, "gradient.%s", slices[i].name);
        expect_close(f, name, gradient_gradients(g) + slices[i].offset, 3e-5);
    }
}

static void expect_statistics(const struct fixture *f, struct gradient *g)
{
    const struct slice *slices;
    int count = gradient_state_slices(g, &slices);
    assert_int_equal(count, 60);
    for (int i = 0; i < count; i++) {
        char name[128];
        const float *value = gradient_state(g) + slices[i].offset;
        snprintf(name, sizeof name, "after.%s", slices[i].name);
        if (slices[i].rank == 0)
            assert_true(*value == (float)*(int64_t *)record_find(f->step, name)->data && *value == 5);
        else
            expect_close(f, name, value, 3e-6);
    }
}

static void test_training_step(void **state)
{
    const struct fixture *f = *state;
    struct message m;
    float logits[64];
    for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
        struct gradient *g;
        struct gradient_options o = {.batch = 4, .threads = 2, .isa = isas[k]};
        int status = gradient_open(&g, &f->model, &o, &m);
        if (status == STATUS_UNSUPPORTED)
            continue;
        ASSERT_OK(status, m);
        ASSERT_OK(gradient_forward(g, record_find(f->step, "images")->data, f->images, logits, &m), m);
        expect_close(f, "logits_training", logits, 5e-6);
        ASSERT_OK(gradient_backward(g, record_find(f->step, "dlogits")->data, &m), m);
        expect_gradients(f, g);
        expect_statistics(f, g);
        gradient_close(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logits),
        cmocka_unit_test(test_training_step),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
