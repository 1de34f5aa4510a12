/* Gradients of weights with learned scales, against PyTorch's; weights behind given codes. */
#include "fixture.h"
#include "quant/learned.h"
#include "quant/weights.h"
#include <math.h>

enum { OUTPUTS = 6, PER = 90 };

#define ASSERT_NEAR(got, want, tolerance)                         \
    do {                                                          \
        double got_ = (got), want_ = (want);                      \
        if (!(fabs(got_ - want_) <= (tolerance)))                 \
            fail_msg("%s is %.9g, want %.9g", #got, got_, want_); \
    } while (0)

/* What a pass of this delta gives, against fixture NAME.BITS and NAME_scale.BITS. */
static void compare(const struct record *r, const char *name, int bits, double delta)
{
    const float *w = fixture_get(r, "weights.w", 0)->data, *scale = fixture_get(r, "weights.scale", 0)->data;
    float gradient[OUTPUTS * PER];
    char text[2][64];
    snprintf(text[0], sizeof text[0], "%s.%%d", name);
    snprintf(text[1], sizeof text[1], "%s_scale.%%d", name);
    const float *want = fixture_get(r, text[0], bits)->data, *want_scale = fixture_get(r, text[1], bits)->data;
    memcpy(gradient, fixture_get(r, "weights.upstream", 0)->data, sizeof gradient);
    int stopped = 0;
    for (int c = 0; c < OUTPUTS; c++) {
        double sum =
            learned_weights_backward(w + c * PER, PER, scale[c], weight_qmax(bits), delta, gradient + c * PER);
        float got = learned_scale_gradient(sum, PER, weight_qmax(bits));
        ASSERT_NEAR((double)got, (double)want_scale[c], 2e-6 + 2e-5 * fabs((double)want_scale[c]));
        for (int i = c * PER; i < (c + 1) * PER; i++) {
            ASSERT_NEAR((double)gradient[i], (double)want[i], 1e-6 + 1e-5 * fabs((double)want[i]));
            stopped += gradient[i] == 0;
        }
    }
    assert_true(bits == 8 ? stopped < PER : stopped > PER && stopped < 5 * PER);
}

static void test_gradients_are_pytorchs(void **state)
{
    (void)state;
    struct record *r = fixture_load("tests/reference/learned.safetensors");
    static const int bits[] = {2, 3, 4, 8};
    for (int b = 0; b < 4; b++) {
        compare(r, "lsq", bits[b], 0);
        compare(r, "ewgs", bits[b], 0.3);
    }
    record_free(r);
}

/* The codes come back whatever they were; what the codes say of a weight already stays as it was. */
static void test_weights_of_codes(void **state)
{
    (void)state;
    struct record *r = fixture_load("tests/reference/learned.safetensors");
    const float *w = fixture_get(r, "weights.w", 0)->data;
    for (int bits = 2; bits <= 8; bits++) {
        int8_t q[OUTPUTS * PER];
        float scale[OUTPUTS], to[OUTPUTS * PER];
        const struct weight_codes how = {.bits = bits, .observer = WEIGHT_MSE};
        weights_quantize(w, OUTPUTS, PER, &how, q, scale);
        q[7] = (int8_t)(q[7] > 0 ? q[7] - 1 : q[7] + 1); /* as GPTQ would have it */
        for (int c = 0; c < OUTPUTS; c++) {
            const int at = c * PER, qmax = weight_qmax(bits);
            const float s = 1.3f * scale[c]; /* matched since */
            learned_weights_of_codes(w + at, q + at, PER, s, qmax, to + at);
            double products = 0, squares = 0;
            for (int i = at; i < at + PER; i++) {
                products += (double)w[i] * q[i];
                squares += (double)(q[i] * q[i]);
            }
            for (int i = at; i < at + PER; i++) {
                assert_int_equal(weight_code(to[i], s, qmax), q[i]);
                double v = (double)w[i] * squares / products; /* in units of a code */
                if (fabs(v - q[i]) < 0.48)
                    ASSERT_NEAR((double)to[i], v * (double)s, 1e-6);
            }
        }
        assert_true(fabs((double)to[7] / (1.3 * (double)scale[0]) - q[7]) < 0.4901 ||
                    abs(q[7]) == weight_qmax(bits));
    }
    record_free(r);
}

/* No code but 0, or codes of the other sign: the weights are what the codes say. */
static void test_weights_of_codes_that_say_nothing(void **state)
{
    (void)state;
    static const float w[3] = {0.1f, -0.4f, 3};
    static const int8_t zeros[3] = {0, 0, 0}, other[3] = {-1, 1, -3};
    float to[3];
    learned_weights_of_codes(w, zeros, 3, 0.5f, 3, to);
    assert_true(to[0] == 0.1f && to[1] == (float)(-0.49 * 0.5) && to[2] == (float)(0.49 * 0.5));
    learned_weights_of_codes(w, other, 3, 0.5f, 3, to);
    for (int i = 0; i < 3; i++)
        assert_int_equal(weight_code(to[i], 0.5f, 3), other[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients_are_pytorchs),
                                       cmocka_unit_test(test_weights_of_codes),
                                       cmocka_unit_test(test_weights_of_codes_that_say_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
