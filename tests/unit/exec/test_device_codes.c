/* The arithmetic of codes that devices share (kernel/contract/arithmetic.h) against lib/quant's and against its own
 * definition, through the device in ordinary memory. */
#include "kernel/device/host/host.h"
#include "nets.h"
#include "quant/affine.h"

static const struct device_backend *b;
static struct device *d;
static struct message m;

static int setup(void **state)
{
    (void)state;
    b = host_backend();
    host_control = (struct host_control){0};
    return b->open(&(struct device_options){0}, &d, &m);
}

static int teardown(void **state)
{
    (void)state;
    b->close(d);
    return 0;
}

/* A copy on the device; and back, released. */
static void *in(const void *values, size_t bytes)
{
    void *p;
    ASSERT_OK(b->allocate(d, bytes + 1, &p, &m), m);
    if (values)
        ASSERT_OK(b->copy_in(d, QUEUE_COMPUTE, p, values, bytes, &m), m);
    ASSERT_OK(b->synchronize(d, &m), m);
    return p;
}

static void out(void *to, void *p, size_t bytes)
{
    ASSERT_OK(b->copy_out(d, QUEUE_COMPUTE, to, p, bytes, &m), m);
    ASSERT_OK(b->synchronize(d, &m), m);
    b->release(d, p);
}

/* ---- weights ---- */

enum { K = 7, PER = 11 };

static void compare_weights(int bits, int per_tensor, const float *bias)
{
    float w[K * PER], want_scale[K], got_scale[K];
    int8_t want[K * PER], got[K * PER];
    int32_t want_bias[K], got_bias[K];
    struct random_stream r = random_open(3, RANDOM_TEST, (uint32_t)bits, (uint64_t)per_tensor);
    for (int i = 0; i < K * PER; i++)
        w[i] = (float)random_normal(&r) * (i / PER == 4 ? 1e-9f : 1e-3f);
    struct affine x = {0.02f, 3, 0, 255};
    layer_quantize(w, bias, K, PER, &(struct weight_codes){.bits = bits, .per_tensor = per_tensor}, x.scale, want,
                   want_scale, want_bias);
    void *pw = in(w, sizeof w), *pb = bias ? in(bias, K * sizeof *bias) : NULL, *px = in(&x, sizeof x);
    void *q = in(NULL, sizeof got), *scale = in(NULL, sizeof got_scale), *code_bias = in(NULL, sizeof got_bias);
    const struct device_quantize_weights_call call = {pw, pb, K, PER, bits, per_tensor, px, q, scale, code_bias};
    ASSERT_OK(b->quantize_weights(d, &call, &m), m);
    out(got, q, sizeof got);
    out(got_scale, scale, sizeof got_scale);
    out(got_bias, code_bias, sizeof got_bias);
    assert_memory_equal(got, want, sizeof got);
    assert_memory_equal(got_scale, want_scale, sizeof got_scale);
    assert_memory_equal(got_bias, want_bias, sizeof got_bias);
    b->release(d, pw);
    b->release(d, px);
    if (pb)
        b->release(d, pb);
}

static void test_weights(void **state)
{
    (void)state;
    const float small[K] = {0.5f, -0.25f, 0, 1e-3f, 0.1f, -3, 2}, large[K] = {0.5f, -9e5f, 0, 1e-3f, 40, -3, 2};
    for (int bits = 2; bits <= 8; bits++)
        for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
            compare_weights(bits, per_tensor, NULL);
            compare_weights(bits, per_tensor, small);
            compare_weights(bits, per_tensor, large); /* raises scales: of some outputs, or of all */
        }
}

/* ---- maps ---- */

static void test_maps(void **state)
{
    (void)state;
    const float ranges[][2] = {{-1, 2}, {0, 6},   {-3, 0},  {0, 0},        {-0.3f, 1e-9f},
                               {1, 2},  {-2, -1}, {NAN, 1}, {0, INFINITY}, {3, 1}};
    enum { RANGES = sizeof ranges / sizeof ranges[0] };
    for (int bits = 2; bits <= 8; bits += 3)
        for (int i = 0; i < RANGES; i++) {
            struct affine want, got;
            struct device_report report = {.bad_map = 99};
            int is_range = affine_from_range((double)ranges[i][0], (double)ranges[i][1], bits, &want, &m) >= 0;
            float *ends = in(ranges[i], sizeof ranges[i]);
            struct device_map_source sources[2] = {
                {.given = {1, 0, 0, 255}}, {.mode = MAP_RANGE, .bits = bits, .low = ends, .high = ends + 1}};
            void *ps = in(sources, sizeof sources), *pm = in(NULL, 2 * sizeof got),
                 *pr = in(&report, sizeof report);
            ASSERT_OK(b->maps(d, ps, 2, pm, pr, &m), m);
            ASSERT_OK(b->copy_out(d, QUEUE_COMPUTE, &got, (struct affine *)pm + 1, sizeof got, &m), m);
            out(&report, pr, sizeof report);
            assert_int_equal(report.bad_map, is_range ? 0 : 2);
            if (is_range) {
                assert_memory_equal(&got.scale, &want.scale, sizeof got.scale);
                assert_int_equal(got.zero_point, want.zero_point);
                assert_int_equal(got.qmax, want.qmax);
            }
            b->release(d, ps);
            b->release(d, pm);
            b->release(d, ends);
        }
}

/* ---- straight-through, at every value where something happens ---- */

static void test_straight_through(void **state)
{
    (void)state;
    for (int zero = 0; zero < 4; zero++)
        for (int relu = 0; relu < 2; relu++) {
            const struct affine map = {0.5f, (uint8_t)zero, 0, 15};
            float v[4 * 40], dy[4 * 40], sum = 0;
            double want = 0;
            int low = relu ? zero : 0;
            for (int i = 0; i < 160; i++) {
                v[i] =
                    (float)(i / 4 - 20) + (float[]){0.5f, nextafterf(0.5f, 0), nextafterf(0.5f, 1), 0.25f}[i % 4];
                dy[i] = (float)(i % 7 + 1);
            }
            void *pv = in(v, sizeof v), *py = in(dy, sizeof dy), *pm = in(&map, sizeof map),
                 *ps = in(&sum, sizeof sum);
            const struct device_straight_through_call call = {pv, 2, 80, relu, pm, DEVICE_F32, py, ps};
            ASSERT_OK(b->straight_through(d, &call, &m), m);
            float got[160];
            out(got, py, sizeof got);
            out(&sum, ps, sizeof sum);
            for (int i = 0; i < 160; i++) {
                int code = (int)rintf(v[i]) + zero, inside = code >= low && code <= 15;
                assert_true(got[i] == (inside ? dy[i] : 0));
                double slope = inside ? (double)(rintf(v[i]) - v[i]) : code < low ? low - zero : 15 - zero;
                want += (double)dy[i] * slope;
            }
            ASSERT_NEAR((double)sum, want / sqrt(80 * 15), 1e-4);
            b->release(d, pv);
            b->release(d, pm);
        }
}

/* ---- loss scaling: halved at once, doubled after 2000 steps without an overflow, within 2^-24 and 2^24 ---- */

static void update(struct device_scale *on_device, struct device_scale *now, int steps, float gradient)
{
    float *g = in(&gradient, sizeof gradient);
    for (int i = 0; i < steps; i++) {
        ASSERT_OK(b->scale_check(d, g, 1, on_device, &m), m);
        ASSERT_OK(b->scale_update(d, on_device, &m), m);
    }
    ASSERT_OK(b->copy_out(d, QUEUE_COMPUTE, now, on_device, sizeof *now, &m), m);
    ASSERT_OK(b->synchronize(d, &m), m);
    b->release(d, g);
}

static void test_loss_scale(void **state)
{
    (void)state;
    struct device_scale now = {.scale = 65536}, *s = in(&now, sizeof now);
    update(s, &now, 1999, 1);
    assert_true(now.scale == 65536 && now.good == 1999 && now.skipped == 0);
    update(s, &now, 1, 1);
    assert_true(now.scale == 131072 && now.good == 0);
    update(s, &now, 100, 1);
    update(s, &now, 2, INFINITY);
    assert_true(now.scale == 32768 && now.good == 0 && now.in_a_row == 2 && now.skipped == 2);
    update(s, &now, 1, 1);
    assert_true(now.scale == 32768 && now.good == 1 && now.in_a_row == 0 && now.skipped == 2);
    update(s, &now, 1, NAN);
    assert_true(now.scale == 16384 && now.in_a_row == 1 && now.skipped == 3);
    update(s, &now, 200, NAN);
    assert_true(now.scale == 0x1p-24f);
    update(s, &now, 2000 * 60, 1);
    assert_true(now.scale == 0x1p24f);
    b->release(d, s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights), cmocka_unit_test(test_maps),
                                       cmocka_unit_test(test_straight_through), cmocka_unit_test(test_loss_scale)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
