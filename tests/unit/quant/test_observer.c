/* Observers: the noise that they minimise against brute force, the ranges they choose against what is known of the
 * data. */
#include "fixture.h"
#include <math.h>
#include "quant/observer.h"

enum { COUNT = 200000 };
static float values[COUNT];
static struct histogram h;

enum shape { NORMAL, RELU, HEAVY, POSITIVE, NEGATIVE, SHAPES };

static void make(enum shape shape)
{
    struct message m;
    struct random_stream r = random_open(11, RANDOM_TEST, (uint32_t)shape, 0);
    for (int i = 0; i < COUNT; i++) {
        double x = random_normal(&r);
        if (shape == RELU)
            x = x < 0 ? 0 : x;
        if (shape == HEAVY)
            x = x * x * x;
        if (shape == POSITIVE)
            x = 5 + 0.2 * x;
        if (shape == NEGATIVE)
            x = -5 + 0.2 * x;
        values[i] = (float)x;
    }
    histogram_clear(&h);
    ASSERT_OK(histogram_add(&h, values, COUNT, &m), m);
}

static double true_noise(const struct affine *a)
{
    double sum = 0;
    for (int i = 0; i < COUNT; i++) {
        double e = (double)(values[i] - affine_dequantize(a, affine_quantize(a, values[i])));
        sum += e * e;
    }
    return sum / COUNT;
}

static struct affine chosen(const char *name, int bits, double parameter)
{
    struct message m;
    struct affine a;
    double low, high;
    const struct observer *o = observer_find(name);
    assert_non_null(o);
    ASSERT_OK(o->range(&h, bits, parameter, &low, &high, &m), m);
    assert_true(low >= (double)h.min && high <= (double)h.max && low <= high);
    ASSERT_OK(affine_from_range(low, high, bits, &a, &m), m);
    return a;
}

static void test_the_table(void **state)
{
    (void)state;
    static const char *const names[] = {"min-max", "percentile", "mse", "entropy"};
    for (int i = 0; i < 4; i++)
        assert_string_equal(observer_at(i)->name, names[i]);
    assert_null(observer_at(4));
    assert_null(observer_at(-1));
    assert_null(observer_find("median"));
    assert_true(observer_find("percentile")->default_parameter == 99.99);
}

/* Integrals over uniform bins are close to the data's own error: within 3 % where the step is several bins, and
 * never wild. */
static void test_noise_is_the_datas(void **state)
{
    (void)state;
    for (int shape = 0; shape < SHAPES; shape++) {
        make((enum shape)shape);
        double power = 0;
        for (int i = 0; i < COUNT; i++)
            power += (double)values[i] * (double)values[i] / COUNT;
        assert_true(fabs(histogram_power(&h) / power - 1) < 0.01);
        for (int bits = 2; bits <= 6; bits++) {
            struct affine a = chosen("percentile", bits, 99.9);
            double want = true_noise(&a), got = histogram_noise(&h, &a);
            double tolerance = shape == RELU ? 0.06 : 0.03;
            if (fabs(got / want - 1) > tolerance)
                print_error("shape %d bits %d: %g, want %g\n", shape, bits, got, want);
            assert_true(fabs(got / want - 1) < tolerance);
            double low = (double)a.scale * (a.qmin - a.zero_point),
                   high = (double)a.scale * (a.qmax - a.zero_point);
            assert_true(fabs(histogram_sqnr(&h, bits, low, high) - 10 * log10(power / want)) < 0.3);
            /* Up to a limit: the same bits below it, and never below where the whole is not. */
            for (int k = 0; k <= 40; k++) {
                double limit = got * k / 20, below = histogram_noise_below(&h, &a, limit);
                assert_true(got < limit ? below == got : below >= limit);
            }
            assert_true(histogram_noise_below(&h, &a, nextafter(got, INFINITY)) == got);
        }
    }
}

/* One bin at a time, by adding up tiny pieces. */
static void test_noise_of_one_bin_is_the_integral(void **state)
{
    (void)state;
    struct random_stream r = random_open(3, RANDOM_TEST, 0, 0);
    for (int trial = 0; trial < 200; trial++) {
        struct message m;
        float ends[2] = {(float)(4 * random_uniform(&r) - 2), (float)(4 * random_uniform(&r) - 2)};
        struct affine a = {(float)exp2(3 * random_uniform(&r) - 8), (uint8_t)random_below(&r, 16), 0, 15};
        histogram_clear(&h);
        ASSERT_OK(histogram_add(&h, ends, 2, &m), m);
        double sum = 0, from, to;
        for (int e = 0; e < 2; e++) {
            enum { PIECES = 4000 };
            histogram_edges(&h, histogram_bin(&h, ends[e]), &from, &to);
            for (int i = 0; i < PIECES; i++) {
                double x = from + (to - from) * (i + 0.5) / PIECES;
                double error = x - (double)affine_dequantize(&a, affine_quantize(&a, (float)x));
                sum += error * error / PIECES / 2;
            }
        }
        assert_true(fabs(histogram_noise(&h, &a) - sum) < 1e-3 * sum + 1e-12);
    }
}

static void test_minmax_is_exact(void **state)
{
    (void)state;
    make(HEAVY);
    struct affine a = chosen("min-max", 8, 0), want;
    struct message m;
    ASSERT_OK(affine_from_range((double)h.min, (double)h.max, 8, &want, &m), m);
    assert_true(a.scale == want.scale && a.zero_point == want.zero_point && a.qmin == want.qmin &&
                a.qmax == want.qmax);
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void test_percentile_leaves_out_the_share_it_says(void **state)
{
    (void)state;
    struct message m;
    double low, high;
    static const double shares[] = {90, 99, 99.9, 99.99, 100};
    make(NORMAL);
    qsort(values, COUNT, sizeof *values, compare);
    for (int i = 0; i < 5; i++) {
        ASSERT_OK(observer_find("percentile")->range(&h, 8, shares[i], &low, &high, &m), m);
        int tail = (int)((1 - shares[i] / 100) * COUNT);
        double width = ldexp(1, h.exponent);
        assert_true(fabs(low - (double)values[tail]) <= width);
        assert_true(fabs(high - (double)values[COUNT - 1 - tail]) <= width);
    }
    assert_true(low == (double)h.min && high == (double)h.max);
    ASSERT_FAILS(observer_find("percentile")->range(&h, 8, 50, &low, &high, &m), STATUS_RANGE, "percentile 50", m);
    ASSERT_FAILS(observer_find("percentile")->range(&h, 8, 100.1, &low, &high, &m), STATUS_RANGE,
                 "percentile 100.1", m);
    ASSERT_FAILS(observer_find("percentile")->range(&h, 8, (double)NAN, &low, &high, &m), STATUS_RANGE,
                 "percentile nan", m);
}

/* Never worse than anything on a grid of ranges five times finer than its own coarse one, but for half a percent.
 */
static void test_mse_is_the_least(void **state)
{
    (void)state;
    enum { GRID = 320 };
    for (int shape = 0; shape < SHAPES; shape++) {
        make((enum shape)shape);
        for (int bits = 2; bits <= 8; bits += 3) {
            struct affine best = chosen("mse", bits, 0), a;
            double least = INFINITY;
            int lows = h.min < 0 && h.max > 0 ? 40 : 1;
            for (int i = 1; i <= (lows > 1 ? 40 : GRID); i++) {
                for (int k = 1; k <= lows; k++) {
                    double low = h.min < 0 ? (double)h.min * (lows > 1 ? k / 40.0 : i / (double)GRID) : 0;
                    double high = h.max > 0 ? (double)h.max * i / (lows > 1 ? 40.0 : GRID) : 0;
                    assert_int_equal(affine_from_range(low, high, bits, &a, NULL), 0);
                    least = fmin(least, histogram_noise(&h, &a));
                }
            }
            double got = histogram_noise(&h, &best);
            if (got > 1.005 * least)
                print_error("shape %d bits %d: %g, grid has %g\n", shape, bits, got, least);
            assert_true(got <= 1.005 * least);
            struct affine whole = chosen("min-max", bits, 0);
            assert_true(got <= histogram_noise(&h, &whole));
        }
    }
}

/* Outliers are clipped, and the more so the fewer codes there are; what has no tail is kept. */
static void test_entropy_clips_tails_only(void **state)
{
    (void)state;
    make(HEAVY);
    float reach[2];
    for (int i = 0; i < 2; i++) {
        struct affine a = chosen("entropy", i ? 4 : 8, 0);
        reach[i] = a.scale * (float)(a.qmax - a.zero_point);
        assert_true(reach[i] < 0.7f * h.max);
    }
    assert_true(reach[1] < reach[0]);
    struct message m;
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)i / COUNT;
    histogram_clear(&h);
    ASSERT_OK(histogram_add(&h, values, COUNT, &m), m);
    struct affine a = chosen("entropy", 8, 0);
    assert_true(a.scale * (float)a.qmax > 0.95f);
}

static void test_constants_and_zeros_are_defined(void **state)
{
    (void)state;
    static const float constants[] = {0, 3, -3, 1e-30f, 1e30f};
    for (int i = 0; i < 5; i++) {
        for (int k = 0; observer_at(k); k++) {
            struct message m;
            struct affine a;
            double low, high;
            histogram_clear(&h);
            ASSERT_OK(histogram_add(&h, (const float[]){constants[i], constants[i]}, 2, &m), m);
            ASSERT_OK(observer_at(k)->range(&h, 8, observer_at(k)->default_parameter, &low, &high, &m), m);
            assert_true(low == (double)constants[i] && high == (double)constants[i]);
            ASSERT_OK(affine_from_range(low, high, 8, &a, &m), m);
            assert_int_equal(a.zero_point, constants[i] < 0 ? 255 : 0);
        }
    }
    assert_true(isinf(histogram_sqnr(&h, 8, 0, 1e30)) || histogram_sqnr(&h, 8, 0, 1e30) > 100);
    assert_true(isnan(histogram_sqnr(&h, 8, 1, 0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table),
        cmocka_unit_test(test_noise_is_the_datas),
        cmocka_unit_test(test_noise_of_one_bin_is_the_integral),
        cmocka_unit_test(test_minmax_is_exact),
        cmocka_unit_test(test_percentile_leaves_out_the_share_it_says),
        cmocka_unit_test(test_mse_is_the_least),
        cmocka_unit_test(test_entropy_clips_tails_only),
        cmocka_unit_test(test_constants_and_zeros_are_defined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
