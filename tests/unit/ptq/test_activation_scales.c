/* Scales of activations that are learned with a reconstruction's rounding: their gradients, their way into the
 * network, what they are worth. */
#include "reconstruct_bench.h"

/* d value / d scale, straight through rounding, of what is v before it: relu, then codes low..high, or a clip. */
static double slope_of(const struct unit_value *v, const struct node *n, double x)
{
    const double s = (double)v->map.scale, low = v->map.qmin - v->map.zero_point,
                 high = v->map.qmax - v->map.zero_point, q = rint(x / s);
    if (n->clip.on && q > rint((double)n->clip.high / s) && rint((double)n->clip.high / s) < high)
        return rint((double)n->clip.high / s) - (double)n->clip.high / s;
    if (n->has_relu && q < 0)
        return 0;
    return q < low ? low : q > high ? high : q - x / s;
}

static void compare_gradient_by_scale(const char *layer, struct bench_options o, struct clip clip, int relu)
{
    struct message m;
    struct bench b = bench_open_with(layer, 3, 2, 256, 0.5, o);
    struct unit_pass *p = &b.pass;
    struct unit_value *v = unit_output(p);
    struct node plain = *v->giver, ended = plain;
    const size_t count = BATCH * v->elements;
    double *x = memory_new(count, sizeof *x, &m), want = 0, least = 0, most = 0;
    p->reduce = &b.reduce; /* b came by value */
    assert_non_null(x);
    assert_true(v->is_learned && p->unit->count == 1);
    v->start *= 0.3f; /* so that both ends are reached */
    unit_scale_set(v);
    plain.has_relu = 0;
    plain.clip.on = 0;
    v->giver = &plain; /* nothing is rounded or clamped */
    unit_set_clamp(v);
    unit_begin(p, BATCH);
    unit_forward(p, b.target);
    for (size_t i = 0; i < count; i++) {
        x[i] = (double)v->at[i];
        least = fmin(least, x[i] / (double)v->map.scale);
        most = fmax(most, x[i] / (double)v->map.scale);
    }
    assert_true(most > v->map.qmax - v->map.zero_point);
    assert_true(relu || least < v->map.qmin - v->map.zero_point);
    ended.has_relu = relu;
    ended.clip = clip;
    v->giver = &ended;
    unit_set_clamp(v);
    p->keep = 0;
    unit_begin(p, BATCH);
    unit_forward(p, b.target);
    for (size_t i = 0; i < count; i++)
        want += 2.0 * ended.c / ((double)count) * (double)(v->at[i] - b.target[i]) * slope_of(v, &ended, x[i]);
    ASSERT_OK(unit_backward(p, 0, 2, &m), m);
    if (!(fabs(v->gradient_by_scale - want) < 1e-5 + 1e-4 * fabs(want)))
        fail_msg("%s, %d bits: %g, want %g", layer, o.activation_bits, v->gradient_by_scale, want);
    const float start = v->map.scale;
    unit_step(p, 1, 0.01, 0.02); /* Adam's first step is the rate */
    assert_true(fabs((double)v->variable[0] + (want > 0 ? 0.02 : -0.02)) < 1e-5);
    assert_true(fabs((double)v->map.scale / (double)start - exp(want > 0 ? -0.02 : 0.02)) < 1e-6);
    memory_free(x);
    bench_close(&b);
}

static void test_gradients_by_scales(void **state)
{
    const struct clip none = {.on = 0};
    (void)state;
    for (int bits = 2; bits <= 4; bits++) {
        const struct bench_options o = {bits, 0};
        compare_gradient_by_scale("side", o, none, 0);
        compare_gradient_by_scale("a", o, none, 1);
        compare_gradient_by_scale("a", o, (struct clip){.on = 1, .low = 0, .high = 0.4f}, 1);
    }
}

/* Nothing is learned of what is left, nor of 8 bits, nor where it is not asked. */
static void test_scales_that_stay(void **state)
{
    (void)state;
    struct message m;
    struct bench b = bench_open_with("a", 3, 1, 256, 0.5, (struct bench_options){2, 0});
    struct bench c = bench_open("a", 3, 1, 0, 0.5);
    b.pass.reduce = &b.reduce;
    unit_begin(&b.pass, BATCH);
    unit_forward(&b.pass, b.target);
    ASSERT_OK(unit_backward(&b.pass, 0, 2, &m), m);
    assert_true(unit_output(&b.pass)->gradient_by_scale == 0);
    for (int k = 0; k < UNIT_VALUES; k++)
        assert_true(!c.pass.values[k].is_learned && !c.pass.values[k].slope);
    bench_close(&b);
    bench_close(&c);
}

static float scale_at(const struct model *model, const char *name)
{
    return *(const float *)model_tensor(model, graph_find(&model->graph, name), "scale")->data;
}

/* What layer `name`'s biases stand for, its input being node `x`. */
static void biases_of(const struct model *model, const char *name, const char *x, double to[16], double *unit)
{
    const int at = graph_find(&model->graph, name);
    const float *scale = model_tensor(model, at, "weight_scale")->data;
    const struct tensor *bias = model_tensor(model, at, "bias");
    assert_true(bias->count <= 16);
    *unit = 0;
    for (size_t c = 0; c < bias->count; c++) {
        double product = (double)scale_at(model, x) * (double)scale[c];
        to[c] = product * (double)((const int32_t *)bias->data)[c];
        *unit = fmax(*unit, product);
    }
}

/* Biases of layers in the unit stand for what they did once scales are taken, those behind it once they are settled;
 * what gives its input's codes has their map. */
static void test_scales_go_into_the_network(void **state)
{
    static const struct {
        const char *first, *value, *reader;
        int inside;
    } cases[] = {{"a", "a", "b", 1}, {"a", "b", "c", 0}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct message m;
        const struct bench_options by = {3, 1};
        struct bench b = bench_open_with(cases[i].first, 3, 1, 0, 0, by);
        struct reconstruction r = {.int8 = &b.int8, .fused = &fused, .unit = b.pass.unit, .pass = b.pass};
        float *before = reconstruct_scales(&r, &m);
        double want[16], taken[16], got[16], unit;
        const char *names[2] = {cases[i].reader, cases[i].value};
        assert_non_null(before);
        const float at = scale_at(&b.int8, cases[i].value);
        for (int k = 0; k < UNIT_LAYERS; k++) {
            struct unit_value *v = &r.pass.values[r.unit->input_count + k];
            if (k < r.unit->count && strcmp(v->giver->name, cases[i].value) == 0)
                v->map.scale *= 1.37f;
        }
        const int reader = graph_find(&b.int8.graph, names[0]);
        struct tensor *bias = model_tensor(&b.int8, reader, "bias");
        for (size_t c = 0; c < bias->count; c++)
            ((int32_t *)bias->data)[c] = 50 * (int32_t)(c + 1);
        biases_of(&b.int8, names[0], names[1], want, &unit);
        reconstruct_take_scales(&r, before);
        ASSERT_OK(model_verify(&b.int8, &m), m);
        assert_true(fabs((double)(scale_at(&b.int8, cases[i].value) / at) - 1.37) < 1e-6);
        biases_of(&b.int8, names[0], names[1], taken, &unit);
        for (int turn = !cases[i].inside; turn < 2; turn++) {
            if (turn == 1)
                reconstruct_settle_scales(&r, before);
            biases_of(&b.int8, names[0], names[1], got, &unit);
            double off = 0;
            for (size_t c = 0; c < bias->count; c++) {
                assert_true(fabs(got[c] - want[c]) <= 0.5001 * unit);
                off = fmax(off, fabs(taken[c] - want[c]) / unit);
            }
            assert_true(cases[i].inside ? off <= 0.5001 : off > 1); /* it had something to mend */
        }
        reconstruct_put_back_scales(&r, before);
        for (int k = 0; k < b.int8.graph.count; k++)
            if (model_tensor(&b.int8, k, "scale"))
                assert_true(*(const float *)model_tensor(&b.int8, k, "scale")->data == before[k]);
        memory_free(before);
        bench_close(&b);
    }
}

/* What gives its input's codes has their map. */
static void test_scales_are_handed_on(void **state)
{
    struct message m;
    struct bench b = bench_open_with("c", 3, 1, 0, 0, (struct bench_options){3, 1});
    struct reconstruction r = {.int8 = &b.int8, .fused = &fused, .unit = b.pass.unit, .pass = b.pass};
    float *before = reconstruct_scales(&r, &m);
    const float at = scale_at(&b.int8, "c"), behind = scale_at(&b.int8, "p");
    (void)state;
    assert_non_null(before);
    unit_output(&r.pass)->map.scale *= 1.37f;
    reconstruct_take_scales(&r, before);
    assert_true(scale_at(&b.int8, "c") > at && scale_at(&b.int8, "m") == scale_at(&b.int8, "c"));
    assert_true(scale_at(&b.int8, "p") == behind);
    ASSERT_OK(model_verify(&b.int8, &m), m);
    memory_free(before);
    bench_close(&b);
}

/* A bias that could not be coded: the scale stays. */
static void test_scales_that_cannot_be_read(void **state)
{
    struct message m;
    struct bench b = bench_open_with("a", 3, 1, 0, 0, (struct bench_options){3, 1});
    struct reconstruction r = {.int8 = &b.int8, .fused = &fused, .unit = b.pass.unit, .pass = b.pass};
    float *before = reconstruct_scales(&r, &m);
    const float at = scale_at(&b.int8, "b");
    (void)state;
    assert_non_null(before);
    ((int32_t *)model_tensor(&b.int8, graph_find(&b.int8.graph, "c"), "bias")->data)[2] = 1 << 30;
    unit_output(&r.pass)->map.scale *= 0.9f;
    reconstruct_take_scales(&r, before);
    assert_true(scale_at(&b.int8, "b") == at);
    unit_output(&r.pass)->map.scale *= 1.2f;
    reconstruct_take_scales(&r, before);
    assert_true(scale_at(&b.int8, "b") > at);
    memory_free(before);
    bench_close(&b);
}

/* ---- all of it ---- */

static int scales_that_differ(const struct model *a, const struct model *b)
{
    int count = 0;
    for (int i = 0; i < a->graph.count; i++) {
        const struct tensor *s = model_tensor(a, i, "scale"), *t = model_tensor(b, i, "scale");
        count += s && memcmp(s->data, t->data, sizeof(float)) != 0;
    }
    return count;
}

/* Every scale is three times what it should be. */
static struct model widened(int bits)
{
    struct message m;
    struct affine maps[32];
    struct model good = lowered_to(&fused, &ranges, bits, bits, 0), copy;
    const struct lower_options how = {
        .weight_bits = bits, .activation_bits = bits, .weight_observer = WEIGHT_BY_BITS};
    for (int i = 0; i < fused.graph.count; i++) {
        const int at = walk_node(&good, &fused, i);
        maps[i] = (struct affine){0.1f, 0, 0, 3};
        if (at >= 0 && model_tensor(&good, at, "scale")) {
            const uint8_t *range = model_tensor(&good, at, "range")->data;
            const float scale = *(const float *)model_tensor(&good, at, "scale")->data;
            const uint8_t zero = *(const uint8_t *)model_tensor(&good, at, "zero_point")->data;
            maps[i] = (struct affine){3 * scale, zero, range[0], range[1]};
        }
    }
    ASSERT_OK(model_copy(&copy, &fused, &m), m);
    ASSERT_OK(pass_lower_int8_with(&copy, maps, &how, NULL, &m), m);
    model_free(&good);
    return copy;
}

/* With biases that go with them, where nothing is matched too. */
static void test_scales_are_learned(void **state)
{
    double better = 0; /* logarithm */
    (void)state;
    for (int match = 0; match < 2; match++)
        for (int bits = 2; bits <= 4; bits++) {
            struct reconstruct_options how = {.steps = 120, .match = match ? MATCH_ALL : MATCH_OFF};
            struct model plain = widened(bits), a = reconstructed_from(widened(bits), 0, how), b, c;
            how.scale_rate = 0.03;
            b = reconstructed_from(widened(bits), 0, how);
            how.threads = 3;
            c = reconstructed_from(widened(bits), 0, how);
            assert_int_equal(scales_that_differ(&a, &plain), 0);
            assert_in_range(scales_that_differ(&b, &plain), 3, 6);
            assert_same(&b, &c);
            better += log(error_of(&b) / error_of(&a));
            if (error_of(&b) > error_of(&a))
                fail_msg("%d bits: %g, learned %g", bits, error_of(&a), error_of(&b));
            model_free(&plain);
            model_free(&a);
            model_free(&b);
            model_free(&c);
        }
    if (better > -1)
        fail_msg("%g", better);
}

/* Far too fast: no block is any better for it, and their scales stay as they were. */
static void test_what_is_worse_is_put_back(void **state)
{
    const struct reconstruct_options how = {.steps = 1, .scale_rate = 3, .match = MATCH_ALL};
    struct model plain = lowered_to(&fused, &ranges, 3, 3, 0);
    struct model worse = reconstructed_from(lowered_to(&fused, &ranges, 3, 3, 0), 0, how);
    (void)state;
    assert_int_equal(scales_that_differ(&worse, &plain), 0);
    model_free(&plain);
    model_free(&worse);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_by_scales),        cmocka_unit_test(test_scales_that_stay),
        cmocka_unit_test(test_scales_go_into_the_network), cmocka_unit_test(test_scales_are_handed_on),
        cmocka_unit_test(test_scales_that_cannot_be_read), cmocka_unit_test(test_scales_are_learned),
        cmocka_unit_test(test_what_is_worse_is_put_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
