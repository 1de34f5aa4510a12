/* Scales, zero points and codes against PyTorch's and ONNX Runtime's, and the accumulator's bound against brute
 * force. */
#include "fixture.h"
#include <math.h>
#include "quant/affine.h"

static void test_maps_are_pytorchs(void **state)
{
    (void)state;
    struct record *r = fixture_load("tests/reference/quant.safetensors");
    const struct tensor *low = fixture_get(r, "affine.low", 0), *high = fixture_get(r, "affine.high", 0);
    static const int bits[] = {8, 4, 2};
    int below = 0;
    assert_true(low->count == 100);
    for (int b = 0; b < 3; b++) {
        const float *scales = fixture_get(r, "affine%d.scale", bits[b])->data;
        const uint8_t *zeros = fixture_get(r, "affine%d.zero_point", bits[b])->data;
        for (size_t i = 0; i < low->count; i++) {
            struct message m;
            struct affine a;
            ASSERT_OK(affine_from_range((double)((const float *)low->data)[i],
                                        (double)((const float *)high->data)[i], bits[b], &a, &m),
                      m);
            float l = fminf(((const float *)low->data)[i], 0), h = fmaxf(((const float *)high->data)[i], 0);
            float width = (h - l) / (float)((1 << bits[b]) - 1);
            if (width > 0 && width < ZERO_SCALE) { /* where PyTorch's end, ours go on */
                assert_true(scales[i] == ZERO_SCALE && a.scale == width);
                below++;
                continue;
            }
            assert_memory_equal(&a.scale, &scales[i], sizeof a.scale);
            assert_int_equal(a.zero_point, zeros[i]);
            assert_int_equal(a.qmin, 0);
            assert_int_equal(a.qmax, (1 << bits[b]) - 1);
        }
    }
    assert_int_equal(below, 6);
    record_free(r);
}

static void test_known_maps(void **state)
{
    (void)state;
    struct message m;
    struct affine a;
    ASSERT_OK(affine_from_range(0, 0, 8, &a, &m), m); /* all zero */
    assert_true(a.scale == 1.1920929e-07f && a.zero_point == 0);
    ASSERT_OK(affine_from_range(3, 3, 8, &a, &m), m); /* a constant */
    assert_true(a.scale == 3.0f / 255 && a.zero_point == 0 && affine_quantize(&a, 3) == 255);
    ASSERT_OK(affine_from_range(-3, -3, 8, &a, &m), m);
    assert_true(a.scale == 3.0f / 255 && a.zero_point == 255 && affine_quantize(&a, -3) == 0);
    ASSERT_OK(affine_from_range(-1, 2, 8, &a, &m), m);
    assert_true(fabsf(a.scale - 0.0117647f) < 1e-7f && a.zero_point == 85);
    assert_true(affine_dequantize(&a, 85) == 0 && affine_dequantize(&a, 0) == -85 * a.scale);
    static const double bad[][2] = {{1, 0}, {(double)NAN, 1}, {0, (double)INFINITY}, {-3e38, 3e38}, {0, 1e300}};
    for (int i = 0; i < 5; i++)
        ASSERT_FAILS(affine_from_range(bad[i][0], bad[i][1], 8, &a, &m), STATUS_RANGE, "range", m);
    ASSERT_FAILS(affine_from_range(0, 1, 1, &a, &m), STATUS_RANGE, "1 activation bits", m);
    ASSERT_FAILS(affine_from_range(0, 1, 9, &a, &m), STATUS_RANGE, "9 activation bits", m);
}

/* Division, ties to even before the zero point is added: 0 differ from ONNX; PyTorch multiplies by 1/scale, which
 * moves some ties by one, never more, and not all. */
static void test_codes_are_onnx_runtimes(void **state)
{
    (void)state;
    struct record *r = fixture_load("tests/reference/quant.safetensors");
    int differ = 0;
    for (int i = 0; i < 5; i++) {
        const struct tensor *x = fixture_get(r, "codes%d.x", i);
        const uint8_t *onnx = fixture_get(r, "codes%d.onnx", i)->data,
                      *torch = fixture_get(r, "codes%d.torch", i)->data;
        struct affine a = {*(const float *)fixture_get(r, "codes%d.scale", i)->data,
                           *(const uint8_t *)fixture_get(r, "codes%d.zero_point", i)->data, 0, 255};
        for (size_t k = 0; k < x->count; k++) {
            int q = affine_quantize(&a, ((const float *)x->data)[k]);
            assert_int_equal(q, onnx[k]);
            /* PyTorch saturates 3e38 / 2^-23 through an integer cast: left out */
            if (fabsf(((const float *)x->data)[k]) < 1e30f) {
                assert_true(abs(q - torch[k]) <= 1);
                differ += q != torch[k];
            }
        }
    }
    assert_true(differ > 0 && differ < 1000);
    record_free(r);
}

static void test_fewer_codes_clamp(void **state)
{
    (void)state;
    struct affine a = {0.5f, 3, 0, 15};
    assert_int_equal(affine_quantize(&a, 100), 15);
    assert_int_equal(affine_quantize(&a, -100), 0);
    assert_int_equal(affine_quantize(&a, 0.25f), 3); /* 0.5 -> 0 */
    assert_int_equal(affine_quantize(&a, 0.75f), 5); /* 1.5 -> 2 */
    assert_int_equal(affine_quantize(&a, -0.75f), 1);
    assert_int_equal(affine_quantize(&a, (float)NAN), 0);
}

static void test_weights_are_pytorchs(void **state)
{
    (void)state;
    struct record *r = fixture_load("tests/reference/quant.safetensors");
    const float *w = fixture_get(r, "weights.w", 0)->data;
    static const int bits[] = {8, 4};
    for (int b = 0; b < 2; b++) {
        int8_t q[8 * 27];
        float scale[8];
        weights_quantize(w, 8, 27, &(struct weight_codes){.bits = bits[b], .per_tensor = 0}, q, scale);
        assert_memory_equal(scale, fixture_get(r, "weights%d.scale", bits[b])->data, sizeof scale);
        assert_memory_equal(q, fixture_get(r, "weights%d.q", bits[b])->data, sizeof q);
        for (int i = 0; i < 27; i++)
            assert_int_equal(q[3 * 27 + i], 0); /* a channel of zeros */
        assert_true(scale[3] == ZERO_SCALE);
        weights_quantize(w, 8, 27, &(struct weight_codes){.bits = bits[b], .per_tensor = 1}, q, scale);
        for (int c = 0; c < 8; c++)
            assert_true(scale[c] == 40.0f / (float)((1 << (bits[b] - 1)) - 1));
    }
    record_free(r);
}

static void test_bias_raises_the_scale_until_it_fits(void **state)
{
    (void)state;
    static const float w[4] = {1e-6f, -1e-6f, 0.5f, 0.25f}, bias[2] = {-2000, 3};
    int8_t q[4];
    float scale[2];
    int32_t bias_q[2];
    weights_quantize(w, 2, 2, &(struct weight_codes){.bits = 8, .per_tensor = 0}, q, scale);
    float before = scale[0], other = scale[1];
    assert_int_equal(bias_quantize(w, bias, 2, 2, 8, 0.01f, q, scale, bias_q), 1);
    assert_true(scale[0] > before && scale[1] == other && frexpf(scale[0], &(int){0}) == frexpf(before, &(int){0}));
    assert_true(bias_q[0] >= -(1 << 30) && bias_q[0] < -(1 << 29)); /* not raised further than needed */
    assert_true(fabs((double)bias_q[0] * (double)(scale[0] * 0.01f) + 2000) < 1e-5);
    assert_int_equal(bias_q[1], (int32_t)rint(3 / (double)(other * 0.01f)));
    assert_int_equal(q[0], (int)rintf(1e-6f / scale[0]));
    /* one scale for all stays one scale */
    assert_int_equal(layer_quantize(w, (const float[]){-2e9f, 3}, 2, 2,
                                    &(struct weight_codes){.bits = 8, .per_tensor = 1}, 0.01f, q, scale, bias_q),
                     2);
    assert_true(scale[0] == scale[1]);
    assert_int_equal(q[2], (int)rintf(0.5f / scale[0]));
    assert_true(bias_q[0] >= -(1 << 30) && bias_q[1] == (int32_t)rint(3 / (double)(scale[1] * 0.01f)));
    assert_int_equal(
        layer_quantize(w, NULL, 2, 2, &(struct weight_codes){.bits = 8, .per_tensor = 0}, 0.01f, q, scale, bias_q),
        0);
    assert_true(bias_q[0] == 0 && bias_q[1] == 0 && scale[0] == before);
}

/* A map and weights that are any power of two smaller are the same codes, down to where numbers end. */
static void test_small_values_keep_their_codes(void **state)
{
    (void)state;
    static const float w[6] = {0.5f, -0.25f, 0.001f, -0.75f, 0.3f, 0}, bias[2] = {0.125f, -3};
    int8_t q[6], want_q[6];
    float scale[2], want_scale[2];
    int32_t bias_q[2], want_bias[2];
    struct affine a, want;
    struct message m;
    assert_int_equal(layer_quantize(w, bias, 2, 3, &(struct weight_codes){.bits = 8, .per_tensor = 0}, 0.02f,
                                    want_q, want_scale, want_bias),
                     0);
    ASSERT_OK(affine_from_range(-0.7, 2.1, 8, &want, &m), m);
    for (int e = 0; e <= 100; e += 4) {
        float small[6], small_bias[2];
        for (int i = 0; i < 6; i++)
            small[i] = ldexpf(w[i], -e);
        for (int i = 0; i < 2; i++)
            small_bias[i] = ldexpf(bias[i], -e);
        for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
            assert_int_equal(layer_quantize(w, bias, 2, 3,
                                            &(struct weight_codes){.bits = 8, .per_tensor = per_tensor}, 0.02f,
                                            want_q, want_scale, want_bias),
                             0);
            assert_int_equal(layer_quantize(small, small_bias, 2, 3,
                                            &(struct weight_codes){.bits = 8, .per_tensor = per_tensor}, 0.02f, q,
                                            scale, bias_q),
                             0);
            assert_memory_equal(q, want_q, sizeof q);
            assert_memory_equal(bias_q, want_bias, sizeof bias_q);
            assert_true(scale[0] == ldexpf(want_scale[0], -e) && scale[1] == ldexpf(want_scale[1], -e));
        }
        ASSERT_OK(affine_from_range(ldexp(-0.7, -e), ldexp(2.1, -e), 8, &a, &m), m);
        assert_true(a.scale == ldexpf(want.scale, -e) && a.zero_point == want.zero_point);
    }
    /* the ends: normal scales, normal products, whatever was asked for */
    static const float least[2] = {0x1p-140f, -0x1p-149f};
    for (int has_bias = 0; has_bias < 2; has_bias++) {
        assert_true(layer_quantize(least, has_bias ? (const float[]){0x1p-130f} : NULL, 1, 2,
                                   &(struct weight_codes){.bits = 8}, 0x1p-20f, q, scale, bias_q) == 1);
        assert_true(scale[0] * 0x1p-20f == SMALLEST_NORMAL && q[0] == 0 && bias_q[0] == 0);
    }
    ASSERT_OK(affine_from_range(0, 0x1p-140, 8, &a, &m), m);
    assert_true(a.scale == SMALLEST_NORMAL && a.zero_point == 0);
    assert_true(learned_scale_value(-1, 0.5f) == ZERO_SCALE && learned_scale_value(0.25f, 0.5f) == 0.25f);
    assert_true(learned_scale_value(-1, 1e-9f) == 1e-9f && learned_scale_value(2e-9f, 1e-9f) == 2e-9f);
}

/* No order of summation, no legal codes, exceed the bound; and some reach it. */
static void test_bound_is_reached_and_never_passed(void **state)
{
    (void)state;
    enum { N = 12 };
    struct random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    for (int trial = 0; trial < 300; trial++) {
        int8_t q[2 * N];
        int32_t bias[2] = {(int32_t)random_below(&r, 2000) - 1000, (int32_t)random_below(&r, 2000) - 1000};
        uint8_t qmax = (uint8_t)(1 + random_below(&r, 255)), zero = (uint8_t)random_below(&r, (uint32_t)qmax + 1);
        for (int i = 0; i < 2 * N; i++)
            q[i] = (int8_t)((int)random_below(&r, 255) - 127);
        int64_t bound = accumulator_bound(q, bias, 2, N, zero, 0, qmax), most = 0;
        for (int c = 0; c < 2; c++) {
            int64_t high = 0, low = 0; /* the greedy extremes: each code at the end that its weight likes */
            for (int i = 0; i < N; i++) {
                int64_t w = q[c * N + i], up = w * (qmax - zero), down = w * -zero;
                high += up > down ? up : down;
                low += up > down ? down : up;
            }
            high += bias[c] > 0 ? bias[c] : 0;
            low += bias[c] < 0 ? bias[c] : 0;
            most = high > most ? high : most;
            most = -low > most ? -low : most;
        }
        assert_true(bound >= most);
        assert_true(bound <= most + 2000); /* only the bias's sign is taken at its worst */
    }
    int8_t all[3] = {127, 127, -127};
    assert_true(accumulator_bound(all, NULL, 1, 3, 0, 0, 255) == 2 * 127 * 255);
    assert_true(accumulator_bound(all, NULL, 1, 3, 255, 0, 255) == 2 * 127 * 255);
    assert_true(accumulator_bound(all, NULL, 1, 3, 128, 0, 255) == 2 * 127 * 128 + 127 * 127);
    assert_true(accumulator_bound(all, (const int32_t[]){-5}, 1, 3, 0, 0, 255) == 2 * 127 * 255 + 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_maps_are_pytorchs),
        cmocka_unit_test(test_known_maps),
        cmocka_unit_test(test_codes_are_onnx_runtimes),
        cmocka_unit_test(test_fewer_codes_clamp),
        cmocka_unit_test(test_weights_are_pytorchs),
        cmocka_unit_test(test_bias_raises_the_scale_until_it_fits),
        cmocka_unit_test(test_small_values_keep_their_codes),
        cmocka_unit_test(test_bound_is_reached_and_never_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
