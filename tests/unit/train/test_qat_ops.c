/* Quantized training of every op: the logits are, bit for bit, those of the int8 model that lowering makes, in every
 * mode of ranges; and where nothing is clipped the gradients point where the float network's do: with so few values a
 * single one that rounds to the other side of a relu is a part of them. */
#include "../exec/nets.h"
#include "clipping.h"
#include "exec/train/gradient.h"
#include "pass/pass.h"

enum { IMAGES = 4, CLASSES = 5 };

/* As fuse leaves it: sums, windows, concats, flatten, clips in layers and alone, hidden linear layers, a value given
 * twice, max-pool of the pixels. */
#define NET_QAT                                                         \
    "x = input u8[9,8,3]\n"                                             \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n"           \
    "m0 = maxpool norm kernel=3 stride=1 pad=1\n"                       \
    "c1 = conv2d m0 out=6 kernel=3 pad=1 bias clip=0,1.5\n"             \
    "c2 = conv2d c1 out=6 kernel=3 pad=1 groups=6 bias\n"               \
    "v2 = clip c2 low=-1 high=0.75\n"                                   \
    "s2 = add v2 c2\n"                                                  \
    "c3 = conv2d s2 out=12 kernel=1 groups=2 bias relu\n"               \
    "s3 = add c3 c3\n"                                                  \
    "m3 = maxpool s3 kernel=3 stride=2 pad=1\n"                         \
    "a3 = avgpool c3 kernel=2 pad=1\n"                                  \
    "d3 = conv2d c3 out=4 kernel=3 stride=2 pad=1 bias\n"               \
    "r3 = relu d3\n"                                                    \
    "k3 = concat m3 d3 m3 r3\n"                                         \
    "c4 = conv2d k3 out=32 kernel=3 pad=1 groups=32 bias add=k3 relu\n" \
    "m4 = maxpool c4 kernel=2\n"                                        \
    "q4 = avgpool a3 kernel=3 stride=2 pad=1\n"                         \
    "f4 = flatten m4\n"                                                 \
    "p4 = avgpool q4\n"                                                 \
    "l4 = linear f4 out=12 bias relu\n"                                 \
    "s4 = add l4 p4\n"                                                  \
    "l5 = linear s4 out=9 bias clip=-2,2\n"                             \
    "fc = linear l5 out=5 bias\n"

/* Last nodes that compute on floats. */
#define NET_LAST_CONCAT                                       \
    "x = input u8[6,6,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "c1 = conv2d norm out=3 kernel=3 pad=1 bias relu\n"       \
    "p1 = avgpool c1\n"                                       \
    "l1 = linear p1 out=2 bias\n"                             \
    "k1 = concat p1 l1\n"

#define NET_LAST_FLATTEN                                      \
    "x = input u8[6,6,3]\n"                                   \
    "norm = normalize x mean=0.5,0.4,0.45 std=0.25,0.2,0.3\n" \
    "c1 = conv2d norm out=5 kernel=3 pad=1 bias relu\n"       \
    "c2 = conv2d c1 out=5 kernel=6 groups=5 bias\n"           \
    "f2 = flatten c2\n"

static const char *const nets[] = {NET_QAT, NET_HEAD, NET_LAST_CONCAT, NET_LAST_FLATTEN};
enum { NETS = sizeof nets / sizeof *nets };

struct setting {
    struct model fused;
    struct affine maps[MAX_NODES];
    uint8_t *images;
};

static void setting_open(struct setting *s, const char *text, int bits)
{
    struct message m;
    memset(s, 0, sizeof *s);
    random_model(&s->fused, text, 3);
    ASSERT_OK(pass_fuse_epilogue(&s->fused, NULL, &m), m);
    s->images = random_images(&s->fused, IMAGES, 4);
    ASSERT_OK(clipping_maps(&s->fused, s->images, IMAGES, bits, s->maps, &m), m);
}

static void setting_close(struct setting *s)
{
    free(s->images);
    model_free(&s->fused);
}

static struct gradient_options options_of(const struct setting *s, int bits, enum range_mode ranges)
{
    return (struct gradient_options){.threads = 2,
                                     .batch = IMAGES + 1,
                                     .quantized = 1,
                                     .activations = s->maps,
                                     .weight_bits = bits,
                                     .activation_bits = bits,
                                     .ranges = ranges,
                                     .range_averaging = 0.5};
}

/* Logits of the int8 model lowered from g's weights under maps. */
static void lowered_logits(const struct setting *s, const struct gradient *g, const struct affine *maps, int bits,
                           float *logits)
{
    struct message m;
    struct model model;
    struct exec *e;
    struct lower_options how = {.observer_parameter = (double)NAN, .weight_bits = bits, .activation_bits = bits};
    ASSERT_OK(model_copy(&model, &s->fused, &m), m);
    ASSERT_OK(gradient_store(g, NULL, NULL, &model, &m), m);
    ASSERT_OK(pass_lower_int8_with(&model, maps, &how, NULL, &m), m);
    ASSERT_OK(exec_open(&e, &model, &(struct exec_options){.batch = 3}, &m), m);
    assert_string_equal(exec_precision(e), "int8");
    ASSERT_OK(exec_run(e, s->images, IMAGES, logits, &m), m);
    exec_close(e);
    model_free(&model);
}

/* Moves every parameter a little, as an optimizer would. */
static void step(struct gradient *g)
{
    const struct slice *slices;
    int count = gradient_slices(g, &slices);
    struct random_stream r = random_open(6, RANDOM_TEST, 0, 0);
    for (int i = 0; i < count; i++)
        for (size_t k = 0; k < slices[i].count; k++) {
            float *p = &gradient_parameters(g)[slices[i].offset + k];
            *p = slices[i].role == SLICE_SCALE ? *p * 1.05f : *p + (float)(0.02 * random_normal(&r));
        }
}

static void compare(const char *text, int bits, enum range_mode ranges)
{
    struct setting s;
    struct message m;
    struct gradient *g;
    struct affine maps[MAX_NODES];
    float trained[IMAGES * CLASSES], deployed[IMAGES * CLASSES], dlogits[IMAGES * CLASSES];
    setting_open(&s, text, bits);
    struct gradient_options o = options_of(&s, bits, ranges);
    ASSERT_OK(gradient_open(&g, &s.fused, &o, &m), m);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        dlogits[i] = i % 3 ? 0.1f : -0.2f;
    for (int round = 0; round < 3; round++) {
        ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
        ASSERT_OK(gradient_forward(g, s.images, IMAGES, trained, &m), m);
        lowered_logits(&s, g, maps, bits, deployed);
        assert_memory_equal(trained, deployed, sizeof trained);
        assert_memory_not_equal(trained, trained + CLASSES, CLASSES * sizeof *trained);
        ASSERT_OK(gradient_backward(g, dlogits, &m), m);
        for (size_t k = 0; k < gradient_parameter_count(g); k++)
            assert_true(isfinite(gradient_gradients(g)[k]));
        step(g);
    }
    gradient_close(g);
    setting_close(&s);
}

static void test_what_is_trained_is_deployed(void **state)
{
    (void)state;
    for (int i = 0; i < NETS; i++) {
        compare(nets[i], 8, RANGE_FIXED);
        compare(nets[i], 8, RANGE_AVERAGE);
        compare(nets[i], 8, RANGE_LEARNED);
        compare(nets[i], 5, RANGE_LEARNED);
    }
}

/* ---- gradients ---- */

/* Ranges that hold everything, so that only roundings are straight-through. */
static void wide_maps(struct setting *s)
{
    struct message m;
    for (int i = 0; i < s->fused.graph.count; i++)
        if (node_is_observed(&s->fused.graph, i)) {
            double low = (double)s->maps[i].scale * (0 - s->maps[i].zero_point) / 0.8;
            double high = (double)s->maps[i].scale * (255 - s->maps[i].zero_point) / 0.8;
            ASSERT_OK(affine_from_range(low, high, 8, &s->maps[i], &m), m);
        }
}

static void compare_gradients(const char *text)
{
    struct setting s;
    struct message m;
    struct gradient *quantized, *plain;
    float logits[IMAGES * CLASSES], dlogits[IMAGES * CLASSES];
    setting_open(&s, text, 8);
    wide_maps(&s);
    struct gradient_options o = options_of(&s, 8, RANGE_FIXED);
    ASSERT_OK(gradient_open(&quantized, &s.fused, &o, &m), m);
    ASSERT_OK(gradient_open(&plain, &s.fused, &(struct gradient_options){.batch = IMAGES}, &m), m);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        dlogits[i] = i % 3 ? 0.1f : -0.2f;
    ASSERT_OK(gradient_forward(quantized, s.images, IMAGES, logits, &m), m);
    ASSERT_OK(gradient_forward(plain, s.images, IMAGES, logits, &m), m);
    ASSERT_OK(gradient_backward(quantized, dlogits, &m), m);
    ASSERT_OK(gradient_backward(plain, dlogits, &m), m);
    const struct slice *slices;
    int count = gradient_slices(plain, &slices);
    for (int i = 0; i < count; i++) {
        double along = 0, one = 0, two = 0;
        for (size_t k = slices[i].offset; k < slices[i].offset + slices[i].count; k++) {
            double want = (double)gradient_gradients(plain)[k], got = (double)gradient_gradients(quantized)[k];
            along += got * want;
            one += want * want;
            two += got * got;
        }
        if (!(along > 0.6 * sqrt(one * two)) || two > 2 * one || one > 2 * two)
            fail_msg("%s: norms %g and %g, cosine %g", slices[i].name, sqrt(one), sqrt(two),
                     along / sqrt(one * two));
    }
    gradient_close(quantized);
    gradient_close(plain);
    setting_close(&s);
}

static void test_gradients_are_the_floats(void **state)
{
    (void)state;
    for (int i = 0; i < NETS; i++)
        compare_gradients(nets[i]);
}

/* ---- what is refused ---- */

static void test_refusals(void **state)
{
    (void)state;
    struct message m = {{0}};
    struct model model;
    random_model(&model,
                 "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\np = avgpool n\n"
                 "fc = linear p out=3 bias relu\n",
                 1);
    assert_int_equal(gradient_check_quantized(&model.graph, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "fc: a relu or clip behind the logits cannot be trained in integers");
    model_free(&model);
    random_model(&model,
                 "x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nb = batchnorm n\np = avgpool b\n"
                 "fc = linear p out=3 bias\n",
                 1);
    assert_int_equal(gradient_check_quantized(&model.graph, &m), STATUS_UNSUPPORTED);
    assert_string_equal(m.text, "b: batchnorm cannot be trained in integers: fuse it");
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_trained_is_deployed),
        cmocka_unit_test(test_gradients_are_the_floats),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
