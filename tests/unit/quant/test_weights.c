/* Weight scales by search, against numpy's, and what they are for: less error than the largest weight's scale. */
#include "fixture.h"
#include "quant/weights.h"
#include <math.h>

enum { OUTPUTS = 9, PER = 75 };

static double error_of(const float *w, const int8_t *q, const float *scale)
{
    double sum = 0;
    for (int i = 0; i < OUTPUTS * PER; i++) {
        double e = (double)w[i] - (double)scale[i / PER] * q[i];
        sum += e * e;
    }
    return sum;
}

static void test_scales_are_numpys(void **state)
{
    (void)state;
    struct record *r = fixture_load("tests/reference/weights.safetensors");
    const float *w = fixture_get(r, "w", 0)->data;
    static const int bits[] = {2, 3, 4, 8};
    for (int b = 0; b < 4; b++) {
        struct weight_codes how = {.bits = bits[b], .observer = WEIGHT_MSE};
        int8_t q[OUTPUTS * PER], plain_q[OUTPUTS * PER];
        float scale[OUTPUTS], plain[OUTPUTS];
        weights_quantize(w, OUTPUTS, PER, &how, q, scale);
        assert_memory_equal(scale, fixture_get(r, "scale%d", bits[b])->data, sizeof scale);
        assert_memory_equal(q, fixture_get(r, "codes%d", bits[b])->data, sizeof q);
        how.observer = WEIGHT_MAX;
        weights_quantize(w, OUTPUTS, PER, &how, plain_q, plain);
        double least = error_of(w, q, scale), of_max = error_of(w, plain_q, plain);
        assert_true(bits[b] < 4 ? least < 0.9 * of_max : least <= of_max);
        how.observer = WEIGHT_MSE;
        how.per_tensor = 1;
        weights_quantize(w, OUTPUTS, PER, &how, q, scale);
        for (int c = 0; c < OUTPUTS; c++)
            assert_true(scale[c] == *(const float *)fixture_get(r, "shared%d", bits[b])->data);
    }
    record_free(r);
}

static void test_given_scales_are_taken(void **state)
{
    (void)state;
    static const float w[4] = {0.5f, -0.26f, 3, 0.1f}, given[2] = {0.25f, 1};
    struct weight_codes how = {.bits = 3, .observer = WEIGHT_MSE, .scale = given};
    int8_t q[4];
    float scale[2];
    int32_t bias_q[2];
    assert_int_equal(layer_quantize(w, NULL, 2, 2, &how, 0.5f, q, scale, bias_q), 0);
    assert_memory_equal(scale, given, sizeof scale);
    assert_memory_equal(q, ((const int8_t[]){2, -1, 3, 0}), 4);
}

/* Where nothing is lost, or nothing can be won: the largest weight's scale, as ever. */
static void test_edges(void **state)
{
    (void)state;
    static const float zeros[3] = {0}, exact[3] = {-1, 0, 1}, least[2] = {0x1p-140f, -0x1p-149f};
    assert_true(weight_scale_search(zeros, 3, 7) == ZERO_SCALE);
    assert_true(weight_scale_search(exact, 3, 1) == 1);
    assert_true(weight_scale_search(exact, 3, 3) == weight_scale(1, 3));
    assert_true(weight_scale_search(least, 2, 7) == SMALLEST_NORMAL);
    assert_int_equal(weight_observer_find("mse"), WEIGHT_MSE);
    assert_int_equal(weight_observer_find("max"), WEIGHT_MAX);
    assert_int_equal(weight_observer_find("mean"), -1);
    assert_string_equal(weight_observer_name(WEIGHT_MSE), "mse");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scales_are_numpys),
        cmocka_unit_test(test_given_scales_are_taken),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
