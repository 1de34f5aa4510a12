/* Integers: every operation gives the host's bits, and so kernel/ref's. */
#include "tests/cuda/both.h"

/* A map on both sides. */
static struct both map_new(float scale, int zero_point, int qmax)
{
    struct affine m = {scale, (uint8_t)zero_point, 0, (uint8_t)qmax};
    return both_raw(DEVICE_U8, sizeof m, &m);
}

static void test_elementwise(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 9, 1000, 30001};
    for (int l = 0; l < 4; l++) {
        size_t n = lengths[l];
        struct both map = map_new(0.0371f, 117, 255), few = map_new(0.5f, 3, 15);
        struct both q = both_integers(DEVICE_U8, n, 1, 0, 255), y = both_new(DEVICE_U8, n);
        struct both x = both_random(DEVICE_F32, n, 2, 8);
        ON_BOTH(B->relu_u8(D, AT(q), n, AT(map), AT(y), M));
        both_equal(&y, "relu of codes");
        ON_BOTH(B->quantize(D, AT(x), n, AT(map), AT(y), M));
        both_equal(&y, "quantize");
        ON_BOTH(B->quantize(D, AT(x), n, AT(few), AT(y), M));
        both_equal(&y, "quantize to 4 bits");
        for (int t = 0; t < 3; t++) {
            struct both back = both_new(float_types[t], n);
            ON_BOTH(B->dequantize(D, AT(q), n, AT(map), float_types[t], AT(back), M));
            both_equal(&back, "dequantize");
            both_free(&back);
        }
        both_free(&map), both_free(&few), both_free(&q), both_free(&y), both_free(&x);
    }
}

/* Values half-way between two codes, and those beyond any code. */
static void test_ties(void **state)
{
    (void)state;
    enum { N = 600 };
    float values[N];
    for (int i = 0; i < N; i++)
        values[i] = (float)(i - 300) * 0.25f;
    values[0] = NAN, values[1] = INFINITY, values[2] = -INFINITY, values[3] = 3e38f, values[4] = -3e38f;
    struct both map = map_new(0.5f, 128, 255), x = both_floats(DEVICE_F32, N, values), q = both_new(DEVICE_U8, N);
    ON_BOTH(B->quantize(D, AT(x), N, AT(map), AT(q), M));
    both_equal(&q, "quantize ties");
    both_free(&map), both_free(&x), both_free(&q);
}

static void test_lookup_and_pool(void **state)
{
    (void)state;
    for (int c = 1; c <= 4; c++) {
        size_t rows = 333;
        struct both table = both_integers(DEVICE_U8, (size_t)c * 256, 3, 0, 255);
        struct both x = both_integers(DEVICE_U8, rows * (size_t)c, 4, 0, 255), q = both_new(DEVICE_U8, x.count);
        ON_BOTH(B->lookup_u8(D, AT(x), rows, c, AT(table), AT(q), M));
        both_equal(&q, "lookup");
        both_free(&table), both_free(&x), both_free(&q);
    }
    struct both in = map_new(0.011f, 77, 255), out = map_new(0.013f, 5, 255);
    static const int shapes[][3] = {{1, 1, 1}, {3, 16, 10}, {64, 16, 64}};
    for (int i = 0; i < 3; i++) {
        int n = shapes[i][0], pixels = shapes[i][1], c = shapes[i][2];
        struct both x = both_integers(DEVICE_U8, (size_t)(n * pixels * c), 5, 0, 255);
        struct both y = both_new(DEVICE_U8, (size_t)(n * c)), before = both_new(DEVICE_F32, (size_t)(n * c));
        struct device_pool pool = {n, pixels, c, DEVICE_U8};
        ON_BOTH(B->average_pool_u8(D, &pool,
                                   &(struct device_pool_u8_call){AT(x), AT(in), AT(out), AT(y), AT(before)}, M));
        both_equal(&y, "average pool of codes"), both_equal(&before, "average pool before rounding");
        ON_BOTH(
            B->average_pool_u8(D, &pool, &(struct device_pool_u8_call){AT(x), AT(in), AT(out), AT(y), NULL}, M));
        both_equal(&y, "average pool of codes alone");
        both_free(&x), both_free(&y), both_free(&before);
    }
    both_free(&in), both_free(&out);
}

/* ---- constants ---- */

static void check_weights(int k, int per, int bits, int per_tensor, float bias_size)
{
    size_t sk = (size_t)k, count = sk * (size_t)per;
    struct both w = both_random(DEVICE_F32, count, 6, 0.7f), x = map_new(0.0123f, 3, 255);
    struct both bias = both_random(DEVICE_F32, sk, 7, bias_size);
    struct both codes = both_new(DEVICE_S8, count), scale = both_new(DEVICE_F32, sk);
    struct both code_bias = both_new(DEVICE_S32, sk), back = both_new(DEVICE_F16, count);
    ON_BOTH(B->quantize_weights(D,
                                &(struct device_quantize_weights_call){AT(w), bias_size > 0 ? AT(bias) : NULL, k,
                                                                       per, bits, per_tensor, AT(x), AT(codes),
                                                                       AT(scale), AT(code_bias)},
                                M));
    both_equal(&codes, "codes of weights"), both_equal(&scale, "their scales"), both_equal(&code_bias, "biases");
    ON_BOTH(B->dequantize_weights(
        D, &(struct device_dequantize_weights_call){AT(codes), AT(scale), k, per, DEVICE_F16, AT(back)}, M));
    both_equal(&back, "weights again");
    both_free(&w), both_free(&x), both_free(&bias), both_free(&codes), both_free(&scale), both_free(&code_bias);
    both_free(&back);
}

static void test_weights(void **state)
{
    (void)state;
    for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
        check_weights(16, 27, 8, per_tensor, 1);
        check_weights(10, 512, 8, per_tensor, 0);
        check_weights(64, 576, 4, per_tensor, 3);
        check_weights(5, 3, 2, per_tensor, 1e7f); /* so large that scales are raised */
    }
}

static void test_zero_weights(void **state)
{
    (void)state;
    float zeros[20] = {0};
    struct both w = both_floats(DEVICE_F32, 20, zeros), bias = both_floats(DEVICE_F32, 2, zeros);
    struct both x = map_new(1, 0, 255), codes = both_new(DEVICE_S8, 20), scale = both_new(DEVICE_F32, 2);
    struct both code_bias = both_new(DEVICE_S32, 2);
    ON_BOTH(B->quantize_weights(D,
                                &(struct device_quantize_weights_call){AT(w), AT(bias), 2, 10, 8, 0, AT(x),
                                                                       AT(codes), AT(scale), AT(code_bias)},
                                M));
    both_equal(&codes, "zeros"), both_equal(&scale, "the smallest scale"), both_equal(&code_bias, "no bias");
    both_free(&w), both_free(&bias), both_free(&x), both_free(&codes), both_free(&scale), both_free(&code_bias);
}

/* Field by field: the byte behind the last is nobody's. */
static void maps_equal(const struct both *x, int count)
{
    struct affine *ours = both_get(x, OURS), *want = both_get(x, HOST);
    for (int i = 0; i < count; i++) {
        assert_memory_equal(&ours[i].scale, &want[i].scale, sizeof ours[i].scale);
        assert_int_equal(ours[i].zero_point, want[i].zero_point);
        assert_int_equal(ours[i].qmin, want[i].qmin);
        assert_int_equal(ours[i].qmax, want[i].qmax);
    }
    free(ours), free(want);
}

/* Sources of every mode; `bad` of them the one that is not finite, -1: none. */
static void check_maps(int bad)
{
    enum { COUNT = 300 };
    struct both values = both_random(DEVICE_F32, 3 * COUNT, 8, 0.5f);
    float *host = both_get(&values, HOST);
    for (int i = 0; i < COUNT; i++) {
        host[3 * i] = fabsf(host[3 * i]) * (i % 7 == 0 ? 1e-8f : 1); /* scales, some too small */
        host[3 * i + 1] -= 0.5f, host[3 * i + 2] += 0.5f;            /* low, high */
        if (i == bad)
            host[3 * i] = NAN, host[3 * i + 2] = INFINITY;
    }
    both_free(&values);
    values = both_floats(DEVICE_F32, 3 * COUNT, host);
    struct both maps = both_new(DEVICE_U8, COUNT * sizeof(struct affine));
    struct both report = both_new(DEVICE_U8, sizeof(struct device_report));
    ON_BOTH(B->zero(D, AT(report), sizeof(struct device_report), M));
    for (int s = 0; s < SIDES; s++) {
        struct device_map_source sources[COUNT];
        memset(sources, 0, sizeof sources);
        for (int i = 0; i < COUNT; i++) {
            float *at = (float *)values.at[s] + 3 * i;
            sources[i].mode = i % 3, sources[i].bits = 8 - i % 5;
            sources[i].given = (struct affine){0.25f * (float)(1 + i), (uint8_t)(i % 256), 0, 255};
            sources[i].scale = at, sources[i].low = at + 1, sources[i].high = at + 2;
        }
        void *there = NULL;
        const struct side *side = &sides[s];
        ok(side->b->allocate(side->d, sizeof sources, &there, &reason));
        ok(side->b->copy_in(side->d, QUEUE_COMPUTE, there, sources, sizeof sources, &reason));
        ok(side->b->maps(side->d, there, COUNT, maps.at[s], report.at[s], &reason));
        ok(side->b->synchronize(side->d, &reason));
        side->b->release(side->d, there);
    }
    maps_equal(&maps, COUNT), both_equal(&values, "scales raised in place"), both_equal(&report, "the bad map");
    struct device_report *r = both_get(&report, OURS);
    assert_int_equal(r->bad_map, bad + 1);
    free(r), free(host);
    both_free(&maps), both_free(&report), both_free(&values);
}

static void test_maps(void **state)
{
    (void)state;
    check_maps(-1);
    check_maps(1);   /* a learned scale */
    check_maps(299); /* a range, in the second turn of the threads */
}

static void test_multipliers(void **state)
{
    (void)state;
    struct both x = map_new(0.0371f, 117, 255), y = map_new(0.05f, 40, 255), r = map_new(0.021f, 9, 255);
    struct both scale = both_random(DEVICE_F32, 300, 9, 0.01f), multiplier = both_new(DEVICE_F32, 300);
    struct both requantize = both_new(DEVICE_U8, sizeof(struct device_requantize));
    for (int kind = 0; kind < 6; kind++) {
        ON_BOTH(B->requantize_prepare(D,
                                      &(struct device_requantize_call){
                                          300, AT(scale), AT(x), kind < 4 ? AT(y) : NULL, kind & 1 ? AT(r) : NULL,
                                          kind >> 1 & 1, AT(multiplier), AT(requantize)},
                                      M));
        both_equal(&multiplier, "multipliers"), both_equal(&requantize, "requantize");
    }
    both_free(&x), both_free(&y), both_free(&r), both_free(&scale), both_free(&multiplier), both_free(&requantize);
}

/* ---- convolutions ---- */

struct conv_case {
    int n, side, c, k, kernel, stride, pad, zero_point;
    size_t limit; /* of workspace: small ones cut the images into chunks */
};
static const struct conv_case convs[] = {
    {4, 32, 3, 16, 3, 1, 1, 128, 1 << 26},  {3, 8, 16, 16, 3, 1, 1, 0, 1 << 26},
    {2, 8, 16, 32, 3, 2, 1, 0, 1 << 26},    {2, 8, 16, 32, 1, 2, 0, 255, 1 << 26},
    {5, 7, 5, 9, 3, 1, 1, 200, 1 << 26},    {9, 1, 64, 10, 1, 1, 0, 3, 1 << 26},
    {7, 8, 32, 17, 3, 1, 1, 77, 100 << 10}, {13, 1, 20, 10, 1, 1, 0, 0, 4096},
    {2, 4, 512, 20, 3, 1, 1, 1, 1 << 26},
};
enum { CONVS = sizeof convs / sizeof *convs };

static void check_conv(const struct conv_case *v)
{
    int out = (v->side + 2 * v->pad - v->kernel) / v->stride + 1;
    struct device_conv c = {v->n, v->side, v->side, v->c, out, out, v->k, v->kernel, v->stride, v->pad, DEVICE_U8};
    size_t inputs = (size_t)(v->n * v->side * v->side * v->c), outputs = (size_t)(v->n * out * out * v->k);
    size_t k = (size_t)v->k, weights = k * (size_t)(v->kernel * v->kernel * v->c);
    struct device_requantize r = {0.73f, v->zero_point, 100, 31, 20, 240};
    struct both x = both_integers(DEVICE_U8, inputs, 10, 0, 255),
                other = both_integers(DEVICE_U8, outputs, 11, 0, 255);
    struct both codes = both_integers(DEVICE_S8, weights, 12, -127, 127);
    struct both bias = both_integers(DEVICE_S32, k, 13, -100000, 100000);
    struct both multiplier = both_random(DEVICE_F32, k, 14, 0.002f), requantize = both_raw(DEVICE_U8, sizeof r, &r);
    struct both y = both_new(DEVICE_U8, outputs), before = both_new(DEVICE_F32, outputs);
    struct both logits = both_new(DEVICE_F32, outputs);
    struct device_plan *p[SIDES];
    void *packed[SIDES], *workspace[SIDES];
    ON_BOTH(B->conv_plan(D, &c, 1u << DEVICE_FORWARD, v->limit, &p[s], M));
    assert_true(sides[OURS].b->plan_workspace(p[OURS]) <= v->limit);
    ON_BOTH(B->allocate(D, B->plan_packed(p[s]) + 1, &packed[s], M));
    ON_BOTH(B->allocate(D, B->plan_workspace(p[s]) + 1, &workspace[s], M));
    ON_BOTH(B->conv_u8_pack(D, p[s], AT(codes), AT(bias), AT(requantize), packed[s], M));
    for (int kind = 0; kind < 4; kind++) {
        for (int s = 0; s < SIDES; s++) {
            struct device_conv_u8_call call = {AT(x),
                                               packed[s],
                                               AT(multiplier),
                                               AT(requantize),
                                               kind & 1 ? AT(other) : NULL,
                                               kind == 3 ? NULL : AT(y),
                                               kind == 1 ? AT(before) : NULL,
                                               kind >= 2 ? AT(logits) : NULL};
            ok(sides[s].b->conv_u8(sides[s].d, p[s], &call, workspace[s], &reason));
        }
        both_equal(&y, "codes"), both_equal(&before, "before rounding"), both_equal(&logits, "logits");
    }
    for (int s = 0; s < SIDES; s++) {
        sides[s].b->plan_free(sides[s].d, p[s]);
        sides[s].b->release(sides[s].d, packed[s]), sides[s].b->release(sides[s].d, workspace[s]);
    }
    struct both *all[] = {&x, &other, &codes, &bias, &multiplier, &requantize, &y, &before, &logits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        both_free(all[i]);
}

static void test_conv(void **state)
{
    (void)state;
    for (int i = 0; i < CONVS; i++)
        check_conv(&convs[i]);
}

/* ---- training ---- */

static void check_straight_through(size_t elements, int relu, enum device_type type, int with_scale)
{
    int n = 3;
    size_t count = (size_t)n * elements;
    struct both map = map_new(0.05f, relu ? 0 : 33, 255), before = both_random(DEVICE_F32, count, 15, 300);
    struct both dy = both_random(type, count, 16, 1), gradient = both_new(DEVICE_F32, 1);
    ON_BOTH(B->straight_through(D,
                                &(struct device_straight_through_call){AT(before), n, elements, relu, AT(map), type,
                                                                       AT(dy), with_scale ? AT(gradient) : NULL},
                                M));
    both_equal(&dy, "masked gradients");
    if (with_scale)
        both_close(&gradient, 1e-5, "gradient of the scale");
    both_free(&map), both_free(&before), both_free(&dy), both_free(&gradient);
}

static void test_straight_through(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 100, 20011};
    for (int l = 0; l < 3; l++)
        for (int relu = 0; relu < 2; relu++)
            for (int t = 0; t < 3; t++) {
                check_straight_through(lengths[l], relu, float_types[t], 1);
                check_straight_through(lengths[l], relu, float_types[t], 0);
            }
}

/* Exactly on the bounds, where a half is rounded to the even neighbour. */
static void test_bounds(void **state)
{
    (void)state;
    float values[2048];
    for (int i = 0; i < 2048; i++)
        values[i] = (float)(i - 1024) * 0.25f;
    for (int zero_point = 0; zero_point < 4; zero_point++)
        for (int relu = 0; relu < 2; relu++) {
            struct both map = map_new(0.1f, zero_point, 254 + relu), v = both_floats(DEVICE_F32, 2048, values);
            struct both dy = both_random(DEVICE_F32, 2048, 17, 1), gradient = both_new(DEVICE_F32, 1);
            ON_BOTH(B->straight_through(D,
                                        &(struct device_straight_through_call){AT(v), 1, 2048, relu, AT(map),
                                                                               DEVICE_F32, AT(dy), AT(gradient)},
                                        M));
            both_equal(&dy, "masked at the bounds");
            both_close(&gradient, 1e-5, "gradient of the scale at the bounds");
            both_free(&map), both_free(&v), both_free(&dy), both_free(&gradient);
        }
}

static void test_ranges(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 1000, 50001};
    for (int l = 0; l < 3; l++)
        for (int relu = 0; relu < 2; relu++) {
            struct both map = map_new(0.031f, 12, 255), v = both_random(DEVICE_F32, lengths[l], 18, 200);
            struct both low = both_random(DEVICE_F32, 1, 19, 3), high = both_random(DEVICE_F32, 1, 20, 3);
            ON_BOTH(B->range_update(
                D, &(struct device_range_call){AT(v), lengths[l], relu, AT(map), 0.01, AT(low), AT(high)}, M));
            both_equal(&low, "low"), both_equal(&high, "high");
            both_free(&map), both_free(&v), both_free(&low), both_free(&high);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise),      cmocka_unit_test(test_ties),
        cmocka_unit_test(test_lookup_and_pool),  cmocka_unit_test(test_weights),
        cmocka_unit_test(test_zero_weights),     cmocka_unit_test(test_maps),
        cmocka_unit_test(test_multipliers),      cmocka_unit_test(test_conv),
        cmocka_unit_test(test_straight_through), cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_ranges),
    };
    return cmocka_run_group_tests_name("integers", tests, sides_open, sides_close);
}
