/* Saturation-free weights: no pair leaves 16 bits in any order, nothing changes where none would, and no scale is
 * larger than it has to be. */
#include "fixture.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "quant/affine.h"
#include "quant/saturation.h"
#include "quant/weights.h"

enum { OUTPUTS = 40, INPUTS = 18, COUNT = OUTPUTS * INPUTS };

struct layer {
    float w[COUNT], bias[OUTPUTS], scale[OUTPUTS];
    int8_t q[COUNT];
    int32_t bias_q[OUTPUTS];
};

static void fill(struct layer *y)
{
    srand(7);
    for (int i = 0; i < COUNT; i++)
        y->w[i] = (float)(rand() % 2001 - 1000) / 700.0f;
    for (int c = 0; c < OUTPUTS; c++)
        y->bias[c] = (float)(rand() % 200 - 100) / 9.0f;
    for (int i = 0; i < INPUTS; i++) {
        y->w[i] = 0;                                 /* a channel of zeros */
        y->w[INPUTS + i] = i == 4 ? 2.0f : 0;        /* of one weight */
        y->w[2 * INPUTS + i] = i % 2 ? 1.0f : -1.0f; /* all as large */
        y->w[3 * INPUTS + i] = i == 0 ? 1.0f : i == 1 ? -1.0f : 0.001f;
    }
}

static int quantized(struct layer *y, int bits, int per_tensor, int qmax_x)
{
    const struct weight_codes how = {.bits = bits, .per_tensor = per_tensor};
    layer_quantize(y->w, y->bias, OUTPUTS, INPUTS, &how, 0.02f, y->q, y->scale, y->bias_q);
    return saturation_spare(y->w, y->bias, OUTPUTS, INPUTS, bits, per_tensor, 0.02f, qmax_x, y->q, y->scale,
                            y->bias_q);
}

/* What vpmaddubsw does with the worst activations, over every pair of a channel: 1 where it saturates. */
static int saturates(const int8_t *q, int qmax_x)
{
    for (int i = 0; i < INPUTS; i++)
        for (int k = 0; k < INPUTS; k++) {
            int high = (q[i] > 0 ? q[i] : 0) + (q[k] > 0 ? q[k] : 0),
                low = (q[i] < 0 ? q[i] : 0) + (q[k] < 0 ? q[k] : 0);
            if (i != k && (qmax_x * high > INT16_MAX || qmax_x * low < INT16_MIN))
                return 1;
        }
    return 0;
}

static void test_no_pair_saturates(void **state)
{
    (void)state;
    struct layer y, before;
    fill(&y);
    before = y;
    layer_quantize(before.w, before.bias, OUTPUTS, INPUTS, &(struct weight_codes){.bits = 8}, 0.02f, before.q,
                   before.scale, before.bias_q);
    int changed = quantized(&y, 8, 0, 255), raised = 0;
    for (int c = 0; c < OUTPUTS; c++) {
        const int8_t *own = before.q + c * INPUTS;
        assert_false(saturates(y.q + c * INPUTS, 255));
        assert_true((y.scale[c] != before.scale[c]) == saturates(own, 255));
        raised += y.scale[c] != before.scale[c];
        assert_int_equal(y.bias_q[c], (int64_t)bias_code_value(y.bias[c], 0.02f, y.scale[c]));
        for (int i = 0; i < INPUTS; i++)
            assert_int_equal(y.q[c * INPUTS + i], weight_code(y.w[c * INPUTS + i], y.scale[c], 127));
        int8_t less[INPUTS]; /* by a scale a hundredth smaller, at most */
        for (int i = 0; i < INPUTS && y.scale[c] != before.scale[c]; i++)
            less[i] = (int8_t)weight_code(y.w[c * INPUTS + i], y.scale[c] * 0.99f, 127);
        assert_true(y.scale[c] == before.scale[c] || saturates(less, 255));
    }
    assert_int_equal(changed, raised);
    assert_true(raised > OUTPUTS / 2 && y.scale[0] == before.scale[0] && y.scale[1] == before.scale[1] &&
                y.scale[3] == before.scale[3]);
}

static void test_one_scale_for_all(void **state)
{
    (void)state;
    struct layer y;
    fill(&y);
    assert_int_equal(quantized(&y, 8, 1, 255), OUTPUTS);
    for (int c = 0; c < OUTPUTS; c++) {
        assert_true(y.scale[c] == y.scale[0]);
        assert_false(saturates(y.q + c * INPUTS, 255));
    }
}

static void test_nothing_to_do(void **state)
{
    (void)state;
    struct layer y;
    fill(&y);
    assert_int_equal(quantized(&y, 7, 0, 255), 0); /* 63 + 63 <= 128 */
    assert_int_equal(quantized(&y, 8, 0, 127), 0); /* 127 * 254 < 2^15 */
    assert_int_equal(quantized(&y, 4, 1, 255), 0);
}

static void test_symmetric_maps(void **state)
{
    (void)state;
    struct affine a;
    struct message m;
    ASSERT_OK(affine_symmetric(-0.5, 12.7, &a, &m), m);
    assert_true(a.scale == 12.7f / 127 && a.zero_point == 128 && a.qmin == 0 && a.qmax == 255);
    assert_int_equal(affine_quantize(&a, 12.7f), 255);
    assert_int_equal(affine_quantize(&a, 0), 128);
    assert_int_equal(affine_quantize(&a, -12.7f), 1);
    ASSERT_OK(affine_symmetric(-3, 1, &a, &m), m);
    assert_true(a.scale == 3.0f / 127);
    ASSERT_OK(affine_symmetric(0, 0, &a, &m), m);
    assert_true(a.scale == 0x1p-23f && a.zero_point == 128);
    assert_true(affine_symmetric(1, -1, &a, &m) < 0 && affine_symmetric(0, (double)INFINITY, &a, &m) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_pair_saturates),
        cmocka_unit_test(test_one_scale_for_all),
        cmocka_unit_test(test_nothing_to_do),
        cmocka_unit_test(test_symmetric_maps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
