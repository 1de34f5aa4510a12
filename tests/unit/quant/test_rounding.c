/* Learned rounding against PyTorch's, and what must hold of any. */
#include "fixture.h"
#include "quant/rounding.h"
#include "quant/weights.h"
#include <math.h>

enum { OUTPUTS = 4, PER = 9, COUNT = OUTPUTS * PER };

#define ASSERT_NEAR(got, want, tolerance)                         \
    do {                                                          \
        double got_ = (got), want_ = (want);                      \
        if (!(fabs(got_ - want_) <= (tolerance)))                 \
            fail_msg("%s is %.9g, want %.9g", #got, got_, want_); \
    } while (0)

static void compare(const struct record *r, int bits)
{
    const float *w = fixture_get(r, "w", 0)->data, *s = fixture_get(r, "scale", 0)->data;
    const float *start = fixture_get(r, "start.%d", bits)->data, *v = fixture_get(r, "v.%d", bits)->data;
    const float *soft = fixture_get(r, "soft.%d", bits)->data, *want = fixture_get(r, "gradient.%d", bits)->data;
    int8_t base[COUNT];
    float got[COUNT], to[COUNT];
    double sum = 0;
    for (int c = 0; c < OUTPUTS; c++)
        rounding_begin(w + c * PER, PER, s[c], weight_qmax(bits), base + c * PER, got + c * PER);
    assert_memory_equal(base, fixture_get(r, "base.%d", bits)->data, sizeof base);
    for (int i = 0; i < COUNT; i++)
        ASSERT_NEAR((double)got[i], (double)start[i], 2e-5 * (1 + fabs((double)start[i])));
    memcpy(got, fixture_get(r, "upstream", 0)->data, sizeof got);
    for (int c = 0; c < OUTPUTS; c++) {
        rounding_soft(base + c * PER, v + c * PER, PER, s[c], to + c * PER);
        rounding_backward(v + c * PER, PER, s[c], 0.3f, 3.5f, got + c * PER);
        sum += rounding_penalty(v + c * PER, PER, 3.5f);
    }
    for (int i = 0; i < COUNT; i++) {
        ASSERT_NEAR((double)to[i], (double)soft[i], 1e-6 * (1 + fabs((double)soft[i])));
        ASSERT_NEAR((double)got[i], (double)want[i], 3e-6 + 1e-5 * fabs((double)want[i]));
    }
    ASSERT_NEAR(sum, (double)*(const float *)fixture_get(r, "penalty.%d", bits)->data, 1e-4);
}

static void test_values_and_gradients_are_pytorchs(void **state)
{
    (void)state;
    struct record *r = fixture_load("tests/reference/reconstruct.safetensors");
    static const int bits[] = {2, 3, 4, 8};
    for (int b = 0; b < 4; b++)
        compare(r, bits[b]);
    record_free(r);
}

/* At first the network computes with its own weights, wherever a code reaches. */
static void test_the_start_is_the_weight(void **state)
{
    (void)state;
    struct random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    for (int bits = 2; bits <= 8; bits++) {
        const int qmax = weight_qmax(bits);
        const float s = 0.37f;
        int inside = 0, outside = 0;
        for (int i = 0; i < 2000; i++) {
            float w = (float)(0.5 * (qmax + 1) * (double)s * random_normal(&r)), v, soft;
            int8_t base, q;
            rounding_begin(&w, 1, s, qmax, &base, &v);
            rounding_soft(&base, &v, 1, s, &soft);
            rounding_codes(&base, &v, 1, &q);
            assert_true(q >= -qmax && q <= qmax && (q == base || q == base + 1));
            int is_in = fabsf(w) <= s * (float)qmax;
            ASSERT_NEAR((double)soft, is_in ? (double)w : copysign((double)s * qmax, (double)w),
                        (double)s * (0.00101 + 2e-6 * qmax));
            if (fabs(fabs((double)(w / s) - floor((double)(w / s))) - 0.5) > 1e-3)
                assert_int_equal(q, weight_code(w, s, qmax)); /* the nearest */
            inside += is_in;
            outside += !is_in;
        }
        assert_true(inside > 100 && outside > 20);
    }
}

/* The loss is sum a * w^ + lambda * penalty. */
static void test_gradients_by_central_differences(void **state)
{
    (void)state;
    enum { N = 21 };
    struct random_stream r = random_open(2, RANDOM_TEST, 0, 0);
    int8_t base[N];
    float v[N], a[N], got[N];
    const float s = 0.6f, lambda = 0.2f, beta = 4;
    for (int i = 0; i < N; i++) {
        base[i] = (int8_t)(i % 7 - 3);
        v[i] = (float)(2.1 * (2 * random_uniform(&r) - 1));
        a[i] = got[i] = (float)random_normal(&r);
    }
    v[3] = 4; /* h is 1, and stays so */
    v[4] = -4;
    rounding_backward(v, N, s, lambda, beta, got);
    for (int i = 0; i < N; i++) {
        double sides[2];
        for (int k = 0; k < 2; k++) {
            float at = v[i] + (k ? 0.01f : -0.01f), w;
            rounding_soft(base + i, &at, 1, s, &w);
            sides[k] = (double)(a[i] * w) + (double)lambda * rounding_penalty(&at, 1, beta);
        }
        ASSERT_NEAR((double)got[i], (sides[1] - sides[0]) / 0.02, 2e-4);
    }
    assert_true(got[3] == 0 && got[4] == 0);
}

/* For every part a variable, and back. */
static void test_start_inverts_value(void **state)
{
    (void)state;
    for (int i = 1; i < 1000; i++)
        ASSERT_NEAR((double)rounding_value(rounding_start((float)i / 1000)), i / 1000.0, 2e-6);
    assert_true(rounding_value(-1000) == 0 && rounding_value(1000) == 1);
    ASSERT_NEAR((double)rounding_value(rounding_start(7)), 0.999, 1e-6);
    ASSERT_NEAR((double)rounding_value(rounding_start(-7)), 0.001, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_gradients_are_pytorchs),
        cmocka_unit_test(test_the_start_is_the_weight),
        cmocka_unit_test(test_gradients_by_central_differences),
        cmocka_unit_test(test_start_inverts_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
