/* Quantized training: its logits are those of the integer network,
 * its gradients those of the surrogate of surrogate.h. */
#include "surrogate.h"

static void compare_slice(struct surrogate *s, const struct bench *b, const struct slice *slice,
                          const float *gradients)
{
    double norm = 0;
    const float *got = gradients + slice->offset;
    for (size_t k = 0; k < slice->count; k++)
        norm = fmax(norm, fabs((double)got[k]));
    if (slice->role != SLICE_SCALE) /* a learned scale may have next to none */
        assert_true(norm > 1e-3);
    for (size_t k = 0; k < slice->count; k += slice->count / 10 + 1) {
        double want;
        if (slice->role == SLICE_SCALE) {
            char name[NODE_NAME_SIZE];
            snprintf(name, sizeof name, "%.*s", (int)(strlen(slice->name) - strlen(".scale")), slice->name);
            int i = graph_find(&b->fused.graph, name);
            double levels = b->maps[i].qmax - b->maps[i].qmin;
            want = difference(s, b, &s->scale[i]) / sqrt((double)node_count(&b->fused.graph.nodes[i]) * levels);
        } else {
            const struct tensor *t = record_find(s->linear.record, slice->name);
            want = difference(s, b, &s->net.tensors[t - s->linear.record->tensors][k]);
        }
        if (!(fabs((double)got[k] - want) <= 2e-5 * norm + 2e-5 * fabs(want) + 1e-6))
            fail_msg("%s[%zu]: gradient %g, want %g", slice->name, k, (double)got[k], want);
    }
}

static void compare(uint64_t seed, int bits, int per_tensor, enum range_mode ranges, const char *isa)
{
    struct message m;
    struct bench b;
    struct surrogate s;
    struct gradient *g;
    float logits[IMAGES * CLASSES];
    bench_open(&b, seed, bits, per_tensor, ranges);
    b.options.isa = isa;
    int status = gradient_open(&g, &b.fused, &b.options, &m);
    if (status == STATUS_UNSUPPORTED) {
        bench_close(&b);
        return;
    }
    ASSERT_OK(status, m);
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    expect_integer_logits(&b, logits);
    ASSERT_OK(gradient_backward(g, b.dlogits, &m), m);
    surrogate_open(&s, &b);
    assert_true(s.clamped > 50);
    const struct slice *slices;
    int count = gradient_slices(g, &slices), scales = 0;
    for (int i = 0; i < count; i++) {
        compare_slice(&s, &b, &slices[i], gradient_gradients(g));
        scales += slices[i].role == SLICE_SCALE;
    }
    assert_int_equal(scales, ranges == RANGE_LEARNED ? 6 : 0);
    assert_int_equal(count, 12 + scales);
    surrogate_close(&s);
    gradient_close(g);
    bench_close(&b);
}

static void test_straight_through(void **state)
{
    (void)state;
    compare(61, 8, 0, RANGE_FIXED, "ref");
    compare(62, 8, 0, RANGE_FIXED, "blas");
    compare(63, 8, 0, RANGE_FIXED, "avx2");
    compare(64, 4, 1, RANGE_FIXED, NULL);
}

static void test_learned_scales(void **state)
{
    (void)state;
    compare(71, 8, 0, RANGE_LEARNED, "ref");
    compare(72, 5, 1, RANGE_LEARNED, NULL);
}

/* A stepped scale is the map of the next pass, of gradient_activations and of the integer model; never zero or
 * negative. */
static void test_learned_scales_are_used(void **state)
{
    (void)state;
    struct message m;
    struct bench b;
    struct gradient *g;
    struct affine maps[MAX_NODES];
    float logits[IMAGES * CLASSES];
    bench_open(&b, 73, 8, 0, RANGE_LEARNED);
    ASSERT_OK(gradient_open(&g, &b.fused, &b.options, &m), m);
    const struct slice *slices;
    int count = gradient_slices(g, &slices);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c2.scale") == 0)
            gradient_parameters(g)[slices[i].offset] *= 1.25f;
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    assert_true(maps[3].scale == b.maps[3].scale * 1.25f && maps[2].scale == b.maps[2].scale);
    assert_true(maps[0].scale == 0 && maps[b.fused.graph.count - 1].scale == 0);
    lower_by_hand(&b, maps);
    expect_integer_logits(&b, logits);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c2.scale") == 0)
            gradient_parameters(g)[slices[i].offset] = -1;
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    assert_true(maps[3].scale == ZERO_SCALE);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c2.scale") == 0)
            gradient_parameters(g)[slices[i].offset] = NAN;
    assert_int_equal(gradient_forward(g, b.images, IMAGES, logits, &m), STATUS_RANGE);
    assert_string_equal(m.text, "c2.scale: the learned scale is not finite");
    gradient_close(g);
    bench_close(&b);
}

/* A moving range follows the values before rounding, by the averaging constant. */
static void test_moving_ranges(void **state)
{
    (void)state;
    struct message m;
    struct bench b;
    struct gradient *g;
    struct integers t;
    struct affine maps[MAX_NODES];
    float logits[IMAGES * CLASSES];
    bench_open(&b, 81, 8, 0, RANGE_AVERAGE);
    b.options.range_averaging = 0.25;
    ASSERT_OK(gradient_open(&g, &b.fused, &b.options, &m), m);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    for (int i = 1; i < b.fused.graph.count - 1; i++) { /* begins where it was calibrated */
        ASSERT_NEAR((double)maps[i].scale, (double)b.maps[i].scale, 1e-6 * (double)b.maps[i].scale);
        assert_int_equal(maps[i].zero_point, b.maps[i].zero_point);
    }
    lower_by_hand(&b, maps);
    int c4 = graph_find(&b.fused.graph, "c4");
    struct map y = map_of(&b.integer, lowered(c4));
    double low = 0, high = 0;
    integers_open(&t, &b.integer);
    for (int i = 0; i < IMAGES; i++) {
        integers_run(&t, b.images + (size_t)i * node_count(&b.fused.graph.nodes[0]));
        for (size_t k = 0; k < node_count(&b.fused.graph.nodes[c4]); k++) {
            low = fmin(low, (double)(t.before[lowered(c4)][k] * y.scale));
            high = fmax(high, (double)(t.before[lowered(c4)][k] * y.scale));
        }
    }
    const struct slice *slices;
    int count = gradient_state_slices(g, &slices), at = -1;
    assert_int_equal(count, 12);
    for (int i = 0; i < count; i++)
        if (strcmp(slices[i].name, "c4.low") == 0)
            at = i;
    assert_true(at >= 0 && strcmp(slices[at + 1].name, "c4.high") == 0);
    float *state_low = &gradient_state(g)[slices[at].offset],
          *state_high = &gradient_state(g)[slices[at + 1].offset];
    double before_low = (double)*state_low, before_high = (double)*state_high;
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    expect_integer_logits(&b, logits); /* with the ranges as they were */
    ASSERT_NEAR((double)*state_low, before_low + 0.25 * (low - before_low), 1e-5);
    ASSERT_NEAR((double)*state_high, before_high + 0.25 * (high - before_high), 1e-5);
    assert_true((double)*state_low < before_low);
    assert_true((double)*state_high > before_high);
    for (int i = 0; i < count; i++) /* behind a relu no range reaches below zero */
        if (strcmp(slices[i].name, "c2.low") == 0)
            assert_true(gradient_state(g)[slices[i].offset] == 0);
    ASSERT_OK(gradient_activations(g, NULL, NULL, maps, &m), m);
    struct affine want;
    ASSERT_OK(affine_from_range((double)*state_low, (double)*state_high, 8, &want, &m), m);
    assert_memory_equal(&maps[c4].scale, &want.scale, sizeof want.scale);
    assert_int_equal(maps[c4].zero_point, want.zero_point);
    lower_by_hand(&b, maps);
    ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
    expect_integer_logits(&b, logits); /* the next pass uses the moved ranges */
    *state_high = INFINITY;
    assert_int_equal(gradient_forward(g, b.images, IMAGES, logits, &m), STATUS_RANGE);
    integers_close(&t);
    gradient_close(g);
    bench_close(&b);
}

static void test_same_bits_for_any_threads(void **state)
{
    (void)state;
    struct message m;
    struct bench b;
    float logits[IMAGES * CLASSES], *want = NULL;
    bench_open(&b, 91, 8, 0, RANGE_LEARNED);
    for (int threads = 1; threads <= 3; threads++) {
        struct gradient *g;
        b.options.threads = threads;
        ASSERT_OK(gradient_open(&g, &b.fused, &b.options, &m), m);
        size_t bytes = gradient_parameter_count(g) * sizeof(float);
        for (int step = 0; step < 2; step++) {
            ASSERT_OK(gradient_forward(g, b.images, IMAGES, logits, &m), m);
            ASSERT_OK(gradient_backward(g, b.dlogits, &m), m);
        }
        if (threads == 1)
            want = memcpy(malloc(bytes), gradient_gradients(g), bytes);
        assert_memory_equal(gradient_gradients(g), want, bytes);
        gradient_close(g);
    }
    free(want);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_straight_through),          cmocka_unit_test(test_learned_scales),
        cmocka_unit_test(test_learned_scales_are_used),   cmocka_unit_test(test_moving_ranges),
        cmocka_unit_test(test_same_bits_for_any_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
