/* Histograms: counted against division in double; the same whatever the order, the split and the way of merging. */
#include "fixture.h"
#include <math.h>
#include "quant/histogram.h"

enum { COUNT = 60000 };

/* Values over many magnitudes, with what is hard: zeros of both signs, bin edges, subnormals. kind: how wide. */
static void make_values(float values[COUNT], int kind, uint64_t seed)
{
    struct random_stream r = random_open(seed, RANDOM_TEST, (uint32_t)kind, 0);
    static const float hard[] = {0, -0.0f, 1e-45f, -1e-45f, 1, -1, 0.5f, -0.5f, 1.1754944e-38f, -1.1754944e-38f};
    for (int i = 0; i < COUNT; i++) {
        double x = random_normal(&r);
        if (kind == 1)
            x *= exp2(40 * random_uniform(&r) - 20);
        if (kind == 2)
            x = x < 0 ? 0 : x;
        if (kind == 3)
            x *= 3e37;
        values[i] = (float)x;
    }
    for (int i = 0; i < 400; i++)
        values[random_below(&r, COUNT)] = kind == 2 ? fabsf(hard[i % 10]) : hard[i % 10];
}

static void fill(struct histogram *h, const float *values, size_t count)
{
    struct message m;
    histogram_clear(h);
    ASSERT_OK(histogram_add(h, values, count, &m), m);
}

static void assert_same(const struct histogram *a, const struct histogram *b)
{
    assert_memory_equal(a->bins, b->bins, sizeof a->bins);
    assert_int_equal(a->exponent, b->exponent);
    assert_memory_equal(&a->min, &b->min, sizeof a->min);
    assert_memory_equal(&a->max, &b->max, sizeof a->max);
    assert_true(a->count == b->count);
}

static void test_counts_are_floors(void **state)
{
    (void)state;
    static float values[COUNT];
    for (int kind = 0; kind < 4; kind++) {
        static struct histogram h;
        uint64_t bins[HISTOGRAM_BINS] = {0};
        float min = INFINITY, max = -INFINITY;
        make_values(values, kind, 1);
        fill(&h, values, COUNT);
        for (int i = 0; i < COUNT; i++) {
            double bin = floor(ldexp((double)values[i], -h.exponent)) + 1024;
            assert_true(bin >= 0 && bin < HISTOGRAM_BINS);
            assert_int_equal(histogram_bin(&h, values[i]), (int)bin);
            bins[(int)bin]++;
            min = fminf(min, values[i]);
            max = fmaxf(max, values[i]);
        }
        assert_memory_equal(h.bins, bins, sizeof bins);
        assert_true(h.min == min && h.max == max && h.count == COUNT);
        /* the smallest exponent: one less has no bin for somebody */
        assert_true(ldexp((double)max, 1 - h.exponent) >= 1024 || ldexp((double)min, 1 - h.exponent) < -1024);
    }
}

/* Any permutation, cut anywhere, added or merged in any association: the same histogram, byte for byte. */
static void test_any_order_and_split_gives_the_same(void **state)
{
    (void)state;
    static float values[COUNT];
    static struct histogram whole, parts[5];
    struct message m;
    struct random_stream r = random_open(2, RANDOM_TEST, 0, 0);
    for (int trial = 0; trial < 24; trial++) {
        make_values(values, trial % 4, (uint64_t)trial);
        fill(&whole, values, COUNT);
        for (uint32_t i = COUNT - 1; i > 0; i--) {
            uint32_t j = random_below(&r, i + 1);
            float t = values[i];
            values[i] = values[j];
            values[j] = t;
        }
        for (int p = 0; p < 5; p++)
            histogram_clear(&parts[p]);
        for (size_t at = 0; at < COUNT;) {
            size_t n = 1 + random_below(&r, 30000);
            n = n < COUNT - at ? n : COUNT - at;
            ASSERT_OK(histogram_add(&parts[random_below(&r, 5)], values + at, n, &m), m);
            at += n;
        }
        for (int left = 5; left > 1; left--) {
            uint32_t a = random_below(&r, (uint32_t)left), b = random_below(&r, (uint32_t)left - 1);
            b += b >= a;
            histogram_merge(&parts[a], &parts[b]);
            parts[b] = parts[left - 1];
            if (a == (uint32_t)left - 1)
                parts[a] = parts[b];
        }
        assert_same(&parts[0], &whole);
    }
}

static void test_empty_and_zero(void **state)
{
    (void)state;
    static struct histogram a, b;
    static const float zeros[3] = {-0.0f, 0, -0.0f};
    histogram_clear(&a);
    fill(&b, zeros, 3);
    assert_int_equal(b.exponent, HISTOGRAM_MIN_EXPONENT);
    assert_true(b.bins[1024] == 3 && b.min == 0 && !signbit(b.min) && !signbit(b.max));
    histogram_merge(&a, &b);
    assert_same(&a, &b);
}

static void test_nan_and_inf_are_said_with_their_index(void **state)
{
    (void)state;
    static float values[COUNT];
    static struct histogram h;
    struct message m;
    histogram_clear(&h);
    values[4321] = NAN;
    ASSERT_FAILS(histogram_add(&h, values, COUNT, &m), STATUS_RANGE, "NaN at index 4321", m);
    values[17] = -INFINITY;
    ASSERT_FAILS(histogram_add(&h, values, COUNT, &m), STATUS_RANGE, "Inf at index 17", m);
}

static struct ranges sample_ranges(void)
{
    static float values[COUNT];
    struct message m;
    struct ranges r;
    ASSERT_OK(ranges_new(&r, 2, &m), m);
    strcpy(r.names[0], "norm");
    strcpy(r.names[1], "layer1.0.conv1");
    for (int i = 0; i < 2; i++) {
        make_values(values, i, 9);
        fill(&r.histograms[i], values, COUNT);
    }
    return r;
}

static void test_ranges_travel_as_a_record(void **state)
{
    (void)state;
    struct message m;
    struct ranges r = sample_ranges(), again;
    struct record *record = record_new(&m);
    ASSERT_OK(ranges_to_record(&r, record, &m), m);
    assert_int_equal(record->tensor_count, 8);
    ASSERT_OK(ranges_from_record(&again, record, &m), m);
    assert_int_equal(again.count, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(again.names[i], r.names[i]);
        assert_same(&again.histograms[i], &r.histograms[i]);
    }
    assert_int_equal(ranges_find(&again, "layer1.0.conv1"), 1);
    assert_int_equal(ranges_find(&again, "conv1"), -1);
    ASSERT_OK(ranges_merge(&again, &r, &m), m);
    assert_true(again.histograms[1].count == 2 * COUNT);
    strcpy(again.names[1], "other");
    ASSERT_FAILS(ranges_merge(&again, &r, &m), STATUS_MISMATCH, "activation 'other' and 'layer1.0.conv1'", m);
    again.count = 1;
    ASSERT_FAILS(ranges_merge(&again, &r, &m), STATUS_MISMATCH, "1 activations and 2", m);
    ranges_free(&again);
    ranges_free(&r);
    record_free(record);
}

enum fault { NO_MAX, SURPLUS, EXPONENT, NAN_MIN, SWAPPED, EMPTY, MOVED, OVERFLOW, SHAPE, KIND, FAULTS };

static void spoil(struct record *r, enum fault fault)
{
    struct message m;
    uint64_t *bins = record_find(r, "norm.histogram")->data;
    float *min = record_find(r, "norm.min")->data, *max = record_find(r, "norm.max")->data;
    switch (fault) {
    case NO_MAX:
        record_remove(r, "norm.max");
        ASSERT_OK(record_add(r, "norm.most", DTYPE_F32, 0, NULL, NULL, &m), m);
        break;
    case SURPLUS:
        ASSERT_OK(record_add(r, "norm.most", DTYPE_F32, 0, NULL, NULL, &m), m);
        break;
    case EXPONENT:
        ++*(int32_t *)record_find(r, "norm.exponent")->data;
        break;
    case NAN_MIN:
        *min = NAN;
        break;
    case SWAPPED:
        *min = *max + 1;
        break;
    case EMPTY:
        memset(bins, 0, HISTOGRAM_BINS * sizeof *bins);
        break;
    case MOVED:
        bins[0]++;
        break;
    case OVERFLOW:
        bins[1024] = UINT64_MAX;
        break;
    case SHAPE:
        record_remove(r, "norm.histogram");
        ASSERT_OK(record_add(r, "norm.histogram", DTYPE_U64, 1, (int64_t[]){2047}, NULL, &m), m);
        break;
    default:
        ASSERT_OK(record_set(r, "kind", "model", &m), m);
    }
}

static void test_ranges_that_contradict_themselves_are_refused(void **state)
{
    (void)state;
    static const char *const want[FAULTS] = {"norm.max: missing tensor",
                                             "9 tensors, want histogram",
                                             "norm.exponent: ",
                                             "are no range",
                                             "are no range",
                                             "norm.histogram: empty",
                                             "norm.histogram: its ends",
                                             "norm.histogram: counts overflow",
                                             "norm.histogram: got U64[2047]",
                                             "is a model record"};
    for (int fault = 0; fault < FAULTS; fault++) {
        struct message m = {{0}};
        struct ranges r = sample_ranges(), again;
        struct record *record = record_new(&m);
        ASSERT_OK(ranges_to_record(&r, record, &m), m);
        spoil(record, (enum fault)fault);
        int status = ranges_from_record(&again, record, &m);
        if (status >= 0 || !strstr(m.text, want[fault]))
            print_error("%d: %s, want %s\n", status, m.text, want[fault]);
        assert_true(status < 0 && strstr(m.text, want[fault]) && !again.names);
        ranges_free(&r);
        record_free(record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts_are_floors),
        cmocka_unit_test(test_any_order_and_split_gives_the_same),
        cmocka_unit_test(test_empty_and_zero),
        cmocka_unit_test(test_nan_and_inf_are_said_with_their_index),
        cmocka_unit_test(test_ranges_travel_as_a_record),
        cmocka_unit_test(test_ranges_that_contradict_themselves_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
