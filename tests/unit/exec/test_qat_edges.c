/* Quantized training at the ends of the codes, and what it refuses. */
#include "exec/train/gradient.h"
#include "nets.h"

enum { MAX_NODES = 16 };

/* A value exactly between two codes rounds to the even one: at an end of the range, that decides whether it was
 * clamped. The pixel is black, so a channel's value before rounding is its bias over the scale, 1/16. */
static void expect_mask(const char *conv, int zero_point, const float values[4], const int inside[4])
{
    struct message m;
    struct model model;
    struct gradient *g;
    char text[512];
    const struct affine maps[5] = {{0},
                                   {0x1p-8f, 0, 0, 255},
                                   {0x1p-4f, (uint8_t)zero_point, 0, 255},
                                   {0x1p-4f, (uint8_t)zero_point, 0, 255},
                                   {0, 0, 0, 0}};
    snprintf(text, sizeof text,
             "x = input u8[1,1,1]\nn = normalize x mean=0 std=1\n%s\np = avgpool c\nf = linear p out=2\n", conv);
    random_model(&model, text, 1);
    float *weight = model_tensor(&model, 2, "weight")->data, *bias = model_tensor(&model, 2, "bias")->data;
    for (int k = 0; k < 4; k++) {
        weight[k] = 127 * 0x1p-7f;
        bias[k] = values[k] / 16;
    }
    struct gradient_options o = {
        .batch = 1, .quantized = 1, .activations = maps, .weight_bits = 8, .activation_bits = 8};
    ASSERT_OK(gradient_open(&g, &model, &o, &m), m);
    float logits[2], dlogits[2] = {1, 0.5f};
    uint8_t black = 0;
    ASSERT_OK(gradient_forward(g, &black, 1, logits, &m), m);
    ASSERT_OK(gradient_backward(g, dlogits, &m), m);
    const struct slice *slices;
    assert_true(gradient_slices(g, &slices) == 3 && strcmp(slices[1].name, "c.bias") == 0);
    for (int k = 0; k < 4; k++)
        if ((gradient_gradients(g)[slices[1].offset + (size_t)k] != 0) != inside[k])
            fail_msg("%s, zero point %d: %g is %s the codes", conv, zero_point, (double)values[k],
                     inside[k] ? "inside" : "outside");
    gradient_close(g);
    model_free(&model);
}

static void test_ties_at_the_ends(void **state)
{
    (void)state;
    expect_mask("c = conv2d n out=4 kernel=1 bias", 1, (float[]){-1.5f, -1.25f, 254.5f, 254.75f},
                (int[]){0, 1, 1, 0});
    expect_mask("c = conv2d n out=4 kernel=1 bias", 0, (float[]){-0.5f, -0.75f, 255.5f, 255.25f},
                (int[]){1, 0, 0, 1});
    expect_mask("c = conv2d n out=4 kernel=1 bias relu", 7, (float[]){-0.5f, -0.75f, 248.5f, 248.25f},
                (int[]){1, 0, 1, 1});
}

static void refuse(const char *text, const char *reason)
{
    struct message m = {{0}};
    struct model model;
    struct gradient *g;
    struct affine maps[MAX_NODES];
    for (int i = 0; i < MAX_NODES; i++)
        maps[i] = (struct affine){0.01f, 0, 0, 255};
    random_model(&model, text, 1);
    struct gradient_options o = {
        .batch = 1, .quantized = 1, .activations = maps, .weight_bits = 8, .activation_bits = 8};
    int status = gradient_open(&g, &model, &o, &m);
    assert_true(status == STATUS_UNSUPPORTED || status == STATUS_RANGE);
    assert_string_equal(m.text, reason);
    o.weight_bits = 9;
    assert_int_equal(gradient_open(&g, &model, &o, &m), STATUS_RANGE);
    assert_string_equal(m.text, "9 weight bits, want 2..8");
    model_free(&model);
}

#define HEAD "x = input u8[4,4,2]\nn = normalize x mean=0,0 std=1,1\nc = conv2d n out=3 kernel=3\n"

static void test_refusals(void **state)
{
    (void)state;
    refuse(HEAD "p = avgpool c\nf = linear p out=3 relu\n",
           "f: a relu or clip behind the logits cannot be trained in integers");
    refuse("x = input u8[64,64,4]\nn = normalize x mean=0,0,0,0 std=1,1,1,1\nl = conv2d n out=4096 kernel=4\n"
           "c = conv2d l out=1 kernel=3\np = avgpool c\nf = linear p out=3\n",
           "c: sums of 36864 products may exceed 32 bits");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ties_at_the_ends), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
