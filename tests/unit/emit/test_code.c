/* What an emitted network computes with, beside the single precision that it stands for. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/random.h"
#include "base/scalar.h"

#include "lib/emit/code/real.c99"
#include "lib/emit/code/nearest.c99"
#include "lib/emit/code/real_of.c99"
#include "lib/emit/code/real_times.c99"
#include "lib/emit/code/real_plus.c99"
#include "lib/emit/code/shifted_out.c99"
#include "lib/emit/code/real_fused.c99"
#include "lib/emit/code/real_code.c99"
#include "lib/emit/code/real_float.c99"
#include "lib/emit/code/real_from.c99"
#include "lib/emit/code/dot.c99"
#include "lib/emit/code/conv.c99"
#include "lib/emit/code/codes_row.c99"
#include "lib/emit/code/conv_window.c99"
#include "lib/emit/code/conv_codes.c99"
#include "lib/emit/code/conv_floats.c99"

enum { TRIALS = 1000000 };

static uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* A sum of random size, a float of random digits: few of them often, so that ties occur. */
static int32_t any_sum(struct random_stream *r)
{
    int32_t v = (int32_t)(random_u32(r) >> 1 >> random_below(r, 31));
    return random_below(r, 2) ? -v : v;
}

static float any_float(struct random_stream *r, int lowest, int highest)
{
    uint32_t digits = 1u << 23 | (random_u32(r) >> 9);
    if (random_below(r, 2))
        digits &= ~((1u << random_below(r, 24)) - 1);
    return ldexpf((float)digits, lowest + (int)random_below(r, (uint32_t)(highest - lowest + 1)) - 23);
}

static void test_codes_are_those_of_single_precision(void **state)
{
    (void)state;
    struct random_stream r = random_open(1, RANDOM_TEST, 0, 0);
    int inside = 0;
    for (int i = 0; i < TRIALS; i++) {
        int32_t sum = any_sum(&r);
        int zero = (int)random_below(&r, 256), other = (int)random_below(&r, 511) - 255;
        float scale = any_float(&r, -34, 6), other_scale = any_float(&r, -34, 6);
        float v = (float)sum * scale;
        struct real w = real_times(real_of(sum, 0), real_from(scale));
        assert_int_equal(real_code(w, zero, 3, 250), code_round(v, zero, 3, 250));
        v += (float)other * other_scale;
        w = real_plus(w, real_times(real_of(other, 0), real_from(other_scale)));
        int code = code_round(v, zero, 3, 250);
        inside += code > 3 && code < 250;
        assert_int_equal(real_code(w, zero, 3, 250), code);
    }
    assert_true(inside > TRIALS / 10);
}

/* Halves after the product, and halves that only the rounding to 24 bits makes. */
static void test_ties(void **state)
{
    (void)state;
    static const float scales[] = {0.5f, 0x1p-24f, 0x1.fffffep-2f, 0x1.000002p-1f, 0x1.555556p-2f, 0x1p-1f};
    for (size_t k = 0; k < sizeof scales / sizeof *scales; k++)
        for (int32_t i = -600; i <= 600; i++)
            for (int far = 0; far < 2; far++) {
                int32_t sum = far ? (1 << 24) + i : i;
                float v = (float)sum * scales[k];
                struct real w = real_times(real_of(sum, 0), real_from(scales[k]));
                assert_int_equal(bits_of(real_float(w)), bits_of(v));
                assert_int_equal(real_code(w, 128, 0, 255), code_round(v, 128, 0, 255));
                float y = v + 0.5f;
                struct real z = real_plus(w, real_from(0.5f));
                assert_int_equal(bits_of(real_float(z)), bits_of(y));
            }
}

/* Sums whose parts lie anywhere to each other, of few digits often: where they cancel,
 * where one is a rest of the other. */
static void test_fused_products(void **state)
{
    (void)state;
    struct random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    for (int i = 0; i < TRIALS; i++) {
        float a = (float)random_below(&r, 256), b = any_float(&r, -40, 40), c = any_float(&r, -60, 60);
        if (a > 0 && random_below(&r, 4) == 0)
            c = nextafterf(a * b, random_below(&r, 2) ? 0.0f : 1e30f);
        if (random_below(&r, 64) == 0)
            c = 0;
        c = random_below(&r, 2) ? -c : c;
        float want = fmaf(a, b, c);
        struct real v = real_fused(real_of((int64_t)a, 0), real_from(b), real_from(c));
        if (bits_of(real_float(v)) != bits_of(want == 0 ? 0.0f : want))
            fail_msg("%a * %a + %a is %a, got %a", (double)a, (double)b, (double)c, (double)want,
                     (double)real_float(v));
    }
}

/* Scales at the ends of what is emitted; sums at the ends of 32 bits. */
static void test_ends(void **state)
{
    (void)state;
    static const int32_t sums[] = {INT32_MAX, -INT32_MAX,    INT32_MAX - 64, 1, -1, 0,
                                   1 << 24,   (1 << 24) + 1, (1 << 25) + 3};
    static const float scales[] = {0, 0x1p-149f, 0x1.8p-140f, 0x1p-126f, 0x1.fffffep-127f, 0x1.fffffep63f,
                                   1, 0x1p-31f};
    for (size_t a = 0; a < sizeof sums / sizeof *sums; a++)
        for (size_t b = 0; b < sizeof scales / sizeof *scales; b++)
            for (size_t c = 0; c < sizeof scales / sizeof *scales; c++) {
                float v = (float)sums[a] * scales[b] + 0.0f;
                struct real w = real_times(real_of(sums[a], 0), real_from(scales[b]));
                assert_int_equal(real_code(w, 7, 0, 255), code_round(v, 7, 0, 255));
                float y = (float)-3 * scales[c];
                v += y;
                w = real_plus(w, real_times(real_of(-3, 0), real_from(scales[c])));
                assert_int_equal(real_code(w, 7, 0, 255), code_round(v, 7, 0, 255));
            }
}

static void test_logits_and_quantize(void **state)
{
    (void)state;
    struct random_stream r = random_open(2, RANDOM_TEST, 0, 0);
    for (int i = 0; i < TRIALS; i++) {
        int32_t sum = any_sum(&r);
        float scale = any_float(&r, -126, 62), v = (float)sum * scale;
        assert_int_equal(bits_of(real_float(real_times(real_of(sum, 0), real_from(scale)))) << (sum == 0),
                         bits_of(v) << (sum == 0));
        float x = any_float(&r, -20, 20) * (random_below(&r, 2) ? -1.0f : 1.0f);
        assert_int_equal(real_code(real_from(x), 100, 0, 255), code_round(x, 100, 0, 255));
    }
    static const float odd[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 0x1p-149f, 0.5f, 1.5f, 2.5f, -0.5f, FLT_MAX};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        struct real w = real_from(odd[i]);
        assert_true(!isfinite(odd[i]) || ldexp(w.value, w.exponent) == (double)odd[i]);
        assert_int_equal(real_code(real_from(odd[i]), 100, 2, 255), code_round(odd[i], 100, 2, 255));
    }
}

/* Against a sum pixel by pixel that knows no runs: strides, pads, groups, pictures that are no squares. */
static int32_t plain_sum(const struct conv *c, const int8_t *w, const uint8_t *x, int k, int row, int column)
{
    int depth = c->channels / c->groups, group = k / (c->outputs / c->groups);
    int32_t sum = c->channel[k].bias;
    for (int r = 0; r < c->kernel; r++)
        for (int t = 0; t < c->kernel; t++)
            for (int i = 0; i < depth; i++) {
                int y = row * c->stride - c->pad + r, z = column * c->stride - c->pad + t;
                if (y >= 0 && y < c->height && z >= 0 && z < c->width)
                    sum += (x[(y * c->width + z) * c->channels + group * depth + i] - c->zero) *
                           w[((k * c->kernel + r) * c->kernel + t) * depth + i];
            }
    return sum;
}

static void test_convolutions(void **state)
{
    (void)state;
    static uint8_t x[9 * 7 * 12], other[9 * 7 * 24], y[9 * 7 * 24];
    static int8_t weights[24 * 5 * 5 * 12], room[7 * 7 * 12];
    static uint8_t packed[sizeof weights];
    static struct channel channel[24];
    struct random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    static const int shapes[][4] = {{3, 1, 1, 1}, {3, 2, 1, 1}, {1, 2, 0, 1},  {5, 1, 2, 1},
                                    {5, 3, 4, 1}, {3, 1, 1, 4}, {3, 2, 0, 12}, {7, 1, 3, 2}};
    for (size_t n = 0; n < 3 * (sizeof shapes / sizeof *shapes); n++) {
        const int *shape = shapes[n / 3];
        int bits = 8 >> n % 3;
        struct conv c = {.height = 9,
                         .width = 7,
                         .channels = 12,
                         .outputs = 24,
                         .kernel = shape[0],
                         .stride = shape[1],
                         .pad = shape[2],
                         .groups = shape[3],
                         .zero = 9,
                         .out_zero = 77,
                         .low = 2,
                         .high = 250,
                         .other_zero = 31,
                         .other_scale = real_from(0.37f),
                         .channel = channel,
                         .bits = bits,
                         .weights = bits == 8 ? (const void *)weights : packed};
        if (c.kernel == 7)
            c.channels = 4; /* the weights' room */
        c.out_height = (c.height + 2 * c.pad - c.kernel) / c.stride + 1;
        c.out_width = (c.width + 2 * c.pad - c.kernel) / c.stride + 1;
        for (size_t i = 0; i < sizeof x; i++)
            x[i] = (uint8_t)random_u32(&r);
        for (size_t i = 0; i < sizeof other; i++)
            other[i] = (uint8_t)random_u32(&r);
        for (size_t i = 0; i < sizeof weights; i++)
            weights[i] = (int8_t)((int)random_below(&r, 1u << bits) - (1 << (bits - 1)));
        memset(packed, 0, sizeof packed);
        for (size_t i = 0; i < sizeof weights; i++)
            packed[i * (size_t)bits / 8] |= (uint8_t)((weights[i] & ((1 << bits) - 1)) << (i * (size_t)bits % 8));
        for (int k = 0; k < c.outputs; k++)
            channel[k] = (struct channel){any_sum(&r) >> 16, real_from(any_float(&r, -11, -9))};
        conv_codes(&c, x, other, y, bits == 8 ? NULL : room);
        for (int i = 0; i < c.out_height * c.out_width * c.outputs; i++) {
            int k = i % c.outputs, row = i / c.outputs / c.out_width, column = i / c.outputs % c.out_width;
            float v = (float)plain_sum(&c, weights, x, k, row, column) * real_float(channel[k].scale);
            v += (float)(other[i] - 31) * 0.37f;
            assert_int_equal(y[i], code_round(v, 77, 2, 250));
        }
    }
}

static void test_float_convolutions(void **state)
{
    (void)state;
    enum { H = 6, W = 5, C = 12, K = 40 };
    static float x[H * W * C], weights[16 * 12 * 9 * 12], plain[K * 9 * C], y[H * W * K];
    struct random_stream r = random_open(4, RANDOM_TEST, 0, 0);
    for (int groups = 1; groups <= 4; groups *= 2) {
        struct conv_floats c = {.height = H,
                                .width = W,
                                .channels = C,
                                .out_height = H,
                                .out_width = W,
                                .outputs = K,
                                .kernel = 3,
                                .stride = 1,
                                .pad = 1,
                                .groups = groups,
                                .weights = weights};
        int depth = C / groups, each = K / groups, blocks = (each + 15) / 16;
        memset(weights, 0, sizeof weights);
        for (int i = 0; i < H * W * C; i++)
            x[i] = (float)random_normal(&r);
        for (int k = 0; k < K; k++)
            for (int i = 0; i < 9 * depth; i++) { /* [tap][channel] */
                plain[k * 9 * depth + i] = (float)random_normal(&r);
                int in = k % each;
                weights[(((k / each) * blocks + in / 16) * 9 * depth + i) * 16 + in % 16] =
                    plain[k * 9 * depth + i];
            }
        conv_floats(&c, x, NULL, y);
        for (int i = 0; i < H * W * K; i++) {
            int k = i % K, row = i / K / W, column = i / K % W;
            double sum = 0;
            for (int t = 0; t < 9; t++) {
                int iy = row + t / 3 - 1, ix = column + t % 3 - 1;
                for (int j = 0; j < depth && iy >= 0 && iy < H && ix >= 0 && ix < W; j++)
                    sum += (double)x[(iy * W + ix) * C + k / each * depth + j] *
                           (double)plain[(k * 9 + t) * depth + j];
            }
            assert_int_equal(bits_of(y[i]), bits_of((float)sum));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_those_of_single_precision),
        cmocka_unit_test(test_ties),
        cmocka_unit_test(test_fused_products),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_logits_and_quantize),
        cmocka_unit_test(test_convolutions),
        cmocka_unit_test(test_float_convolutions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
