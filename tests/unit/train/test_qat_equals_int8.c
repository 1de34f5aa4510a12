/* What is trained is what is deployed: the logits of a quantized forward pass are, bit for bit, those of the int8
 * model that lowering makes of the stored weights under the maps of that pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/random.h"
#include "clipping.h"
#include "exec/train/gradient.h"
#include "graph/resnet.h"
#include "pass/pass.h"
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 4, CLASSES = 10, IMAGE = 32 * 32 * 3 };

#define ASSERT_OK(call, m)                       \
    do {                                         \
        if ((call) < 0)                          \
            fail_msg("%s: %s", #call, (m).text); \
    } while (0)

struct setting {
    struct model fused;
    struct affine maps[MAX_NODES];
    uint8_t images[IMAGES * IMAGE];
};

static void fused_resnet(struct model *model)
{
    struct message m;
    struct graph g = {0};
    ASSERT_OK(resnet18_build(&g, 4, CLASSES, NULL, NULL, &m), m);
    ASSERT_OK(model_initialise(model, &g, 3, &m), m);
    for (size_t i = 0; i < model->record->tensor_count; i++) {
        struct tensor *t = &model->record->tensors[i];
        struct random_stream r = random_open(4, RANDOM_TEST, 0, i);
        for (size_t k = 0; t->dtype == DTYPE_F32 && t->rank == 1 && k < t->count; k++)
            ((float *)t->data)[k] = (float)(((const float *)t->data)[k] * (0.5 + random_uniform(&r)) +
                                            (strstr(t->name, "var") ? 0 : 0.3 * random_normal(&r)));
    }
    ASSERT_OK(pass_fold_batchnorm(model, NULL, &m), m);
    ASSERT_OK(pass_fuse_epilogue(model, NULL, &m), m);
}

static void setting_open(struct setting *s, int bits)
{
    struct message m;
    struct random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    memset(s, 0, sizeof *s);
    fused_resnet(&s->fused);
    assert_true(s->fused.graph.count <= MAX_NODES);
    for (int i = 0; i < IMAGES * IMAGE; i++)
        s->images[i] = (uint8_t)random_below(&r, 256);
    ASSERT_OK(clipping_maps(&s->fused, s->images, IMAGES, bits, s->maps, &m), m);
}

/* Logits of the int8 model lowered from g's weights under maps. */
static void lowered_logits(const struct setting *s, const struct gradient *g, const struct affine *maps,
                           const struct gradient_options *o, float *logits)
{
    struct message m;
    struct model model;
    struct exec *e;
    struct lower_options how = {.observer_parameter = (double)NAN,
                                .weight_bits = o->weight_bits,
                                .activation_bits = o->activation_bits,
                                .per_tensor = o->per_tensor};
    ASSERT_OK(model_copy(&model, &s->fused, &m), m);
    ASSERT_OK(gradient_store(g, NULL, NULL, &model, &m), m);
    ASSERT_OK(pass_lower_int8_with(&model, maps, &how, NULL, &m), m);
    ASSERT_OK(exec_open(&e, &model, &(struct exec_options){.batch = 3}, &m), m);
    assert_string_equal(exec_precision(e), "int8");
    ASSERT_OK(exec_run(e, s->images, IMAGES, logits, &m), m);
    exec_close(e);
    model_free(&model);
}

/* Moves every parameter, as an optimizer would; learned scales by a little. */
static void step(struct gradient *g)
{
    const struct slice *slices;
    int count = gradient_slices(g, &slices);
    struct random_stream r = random_open(6, RANDOM_TEST, 0, 0);
    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].count; k++) {
            float *p = &gradient_parameters(g)[slices[i].offset + k];
            *p = slices[i].role == SLICE_SCALE ? *p * 1.07f : *p + (float)(0.02 * random_normal(&r));
        }
}

static void compare(int weight_bits, int activation_bits, int per_tensor, enum range_mode ranges)
{
    static struct setting s;
    struct message m;
    struct gradient *g;
    struct affine maps[MAX_NODES];
    float trained[IMAGES * CLASSES], deployed[IMAGES * CLASSES], dlogits[IMAGES * CLASSES];
    setting_open(&s, activation_bits);
    struct gradient_options o = {.threads = 2,
                                 .batch = IMAGES,
                                 .quantized = 1,
                                 .activations = s.maps,
                                 .weight_bits = weight_bits,
                                 .activation_bits = activation_bits,
                                 .per_tensor = per_tensor,
                                 .ranges = ranges,
                                 .range_averaging = 0.5};
    ASSERT_OK(gradient_open(&g, &s.fused, &o, &m), m);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        dlogits[i] = 0.1f;
    for (int round = 0; round < 3; round++) {
        ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
        if (ranges == RANGE_FIXED)
            assert_memory_equal(maps, s.maps, sizeof maps[0] * (size_t)s.fused.graph.count);
        ASSERT_OK(gradient_forward(g, s.images, IMAGES, trained, &m), m);
        lowered_logits(&s, g, maps, &o, deployed);
        assert_memory_equal(trained, deployed, sizeof trained);
        assert_memory_not_equal(trained, trained + CLASSES, CLASSES * sizeof *trained);
        ASSERT_OK(gradient_backward(g, dlogits, &m), m);
        step(g);
    }
    gradient_close(g);
    model_free(&s.fused);
}

static void test_fixed_ranges(void **state)
{
    (void)state;
    compare(8, 8, 0, RANGE_FIXED);
    compare(4, 6, 1, RANGE_FIXED);
}

static void test_moving_ranges(void **state)
{
    (void)state;
    compare(8, 8, 0, RANGE_AVERAGE);
}

static void test_learned_scales(void **state)
{
    (void)state;
    compare(8, 8, 0, RANGE_LEARNED);
    compare(3, 4, 0, RANGE_LEARNED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixed_ranges),
        cmocka_unit_test(test_moving_ranges),
        cmocka_unit_test(test_learned_scales),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
