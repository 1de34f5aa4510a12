/* Reconstruction: which layers belong together, a unit's loss and gradients,
 * and codes that are better than the nearest. */
#include "quant/rounding.h"
#include "reconstruct_bench.h"
#include "record/stream.h"
#include "tests/unit/crew.h"
#include <unistd.h>

/* ---- units ---- */

/* "stem | a side b | .." */
static void assert_units(const struct model *of, int single, const char *want)
{
    struct message m;
    const struct lower_options how = {.weight_bits = 3, .activation_bits = 8, .weight_observer = WEIGHT_BY_BITS};
    struct affine maps[32];
    struct model int8;
    for (int i = 0; i < 32; i++)
        maps[i] = (struct affine){0.1f, 10, 0, 255};
    ASSERT_OK(model_copy(&int8, of, &m), m);
    ASSERT_OK(pass_lower_int8_with(&int8, maps, &how, NULL, &m), m);
    struct unit *units;
    struct text t = {0};
    int count = units_find(&units, of, &int8, single, &m);
    ASSERT_OK(count, m);
    for (int u = 0; u < count; u++)
        for (int l = 0; l < units[u].count; l++)
            ASSERT_OK(text_add(&t, &m, "%s%s",
                               l   ? " "
                               : u ? " | "
                                   : "",
                               of->graph.nodes[units[u].layers[l]].name),
                      m);
    assert_string_equal(t.data, want);
    text_free(&t);
    memory_free(units);
    model_free(&int8);
}

static void test_layers_between_two_single_values_are_a_unit(void **state)
{
    struct message m;
    (void)state;
    assert_units(&fused, 0, "stem | a side b | c | fc");
    assert_units(&fused, 1, "stem | a | side | b | c | fc");
    static const char *const others[][2] = {
        /* a concat among them: layer by layer */
        {"x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nc = conv2d n out=4 kernel=3 pad=1 bias relu\n"
         "d = conv2d c out=4 kernel=1 bias relu\ne = concat c d\nf = conv2d e out=4 kernel=1 bias relu\np = avgpool f\n"
         "fc = linear p out=3 bias\n",
         "c | d | f | fc"},
        /* the image is read twice */
        {"x = input u8[6,6,3]\nn = normalize x mean=0,0,0 std=1,1,1\nc = conv2d n out=4 kernel=3 pad=1 bias relu\n"
         "s = conv2d n out=4 kernel=1 bias\nd = conv2d c out=4 kernel=3 pad=1 add=s relu bias\np = avgpool d\n"
         "fc = linear p out=3 bias\n",
         "c s d | fc"}};
    for (int i = 0; i < 2; i++) {
        struct graph g;
        struct model model;
        ASSERT_OK(graph_parse(&g, others[i][0], &m), m);
        ASSERT_OK(model_initialise(&model, &g, 3, &m), m);
        ASSERT_OK(model_store(&model, &m), m);
        assert_units(&model, 0, others[i][1]);
        model_free(&model);
    }
}

/* Where nothing is rounded, the loss is smooth but at relus and at the ends of codes. */
static void test_gradients_by_central_differences(void **state)
{
    (void)state;
    struct bench b = bench_open("a", 3, 2, 256, 0.5);
    struct unit_pass *p = &b.pass;
    const float lambda = 0.003f, beta = 3;
    struct message m;
    p->reduce = &b.reduce; /* b came by value */
    unit_begin(p, BATCH);
    unit_forward(p, b.target);
    ASSERT_OK(unit_backward(p, lambda, beta, &m), m);
    int compared = 0;
    for (int l = 0; l < 3; l++) {
        struct unit_layer *y = &p->layers[l];
        for (size_t i = 0; i < y->count; i += 3) {
            const float at = y->variables[i], step = 0.01f, h = rounding_value(at);
            if (h < 0.01f || h > 0.99f) /* not smooth there */
                continue;
            double sides[2];
            for (int k = 0; k < 2; k++) {
                y->variables[i] = at + (k ? step : -step);
                sides[k] = unit_forward(p, b.target) + (double)lambda * rounding_penalty(y->variables + i, 1, beta);
            }
            y->variables[i] = at;
            double want = (sides[1] - sides[0]) / (2 * (double)step), got = (double)y->gradients[i];
            if (fabs(got - want) > 2e-4 + 0.03 * fabs(want))
                fail_msg("layer %d, weight %zu: %g, want %g", l, i, got, want);
            compared += fabs(want) > 1e-3;
        }
    }
    assert_true(compared > 50);
    bench_close(&b);
}

/* The float weights are the start: on the same numbers the float network's values come out,
 * but for what biases are rounded by. */
static void test_the_start_computes_the_float_network(void **state)
{
    (void)state;
    struct bench b = bench_open("a", 8, 1, 256, 0);
    struct unit_pass *p = &b.pass;
    for (int l = 0; l < 3; l++) {
        const float *w = model_tensor(&fused, p->unit->layers[l], "weight")->data;
        for (size_t i = 0; i < p->layers[l].count; i++)
            assert_true(fabs((double)(p->layers[l].weight[i] - w[i])) < 1e-5);
    }
    assert_true(unit_forward(p, b.target) == 0);
    bench_close(&b);
}

/* Of 256 elements so many are left; which ones depends on seed, step and place alone. */
static void test_elements_are_left_as_often_as_asked(void **state)
{
    (void)state;
    for (int keep = 0; keep <= 256; keep += 64) {
        struct bench b = bench_open("a", 4, 1, keep, 0), c = bench_open("a", 4, 3, keep, 0);
        const struct unit_value *x = &b.pass.values[0], *mid = &b.pass.values[1];
        int left = 0, rounded = 0, all = 0;
        for (size_t i = 0; i < BATCH * x->elements; i++) {
            float v = x->at[i] / x->map.scale;
            rounded += fabsf(v - rintf(v)) < 1e-4f;
            all++;
        }
        left = all - rounded;
        assert_true(abs(left - all * keep / 256) < all / 20 + 1);
        assert_memory_equal(x->at, c.pass.values[0].at, BATCH * x->elements * sizeof(float));
        assert_memory_equal(mid->at, c.pass.values[1].at, BATCH * mid->elements * sizeof(float));
        b.pass.step = 1;
        unit_forward(&b.pass, b.target);
        assert_true((keep == 0 || keep == 256) ==
                    (memcmp(mid->at, c.pass.values[1].at, BATCH * mid->elements * sizeof(float)) == 0));
        bench_close(&b);
        bench_close(&c);
    }
}

/* Twelve steps of a linear layer of 3 bits. */
static void test_steps_are_pytorchs(void **state)
{
    enum { ROWS = 20, IN = 9, OUT = 4 };
    struct message m;
    struct record *r;
    struct unit unit = {.count = 1, .input_count = 1};
    struct model from, int8;
    struct reduce reduce;
    struct unit_pass p;
    (void)state;
    ASSERT_OK(record_load(&r, "tests/reference/reconstruct.safetensors", &m), m);
    ASSERT_OK(model_copy(&from, &fused, &m), m);
    int fc = from.graph.count - 1;
    memcpy(model_tensor(&from, fc, "weight")->data, record_find(r, "w")->data, OUT * IN * sizeof(float));
    memset(model_tensor(&from, fc, "bias")->data, 0, OUT * sizeof(float));
    int8 = lowered(&from, &ranges, 3, 0);
    memcpy(model_tensor(&int8, unit_layer_in(&int8, &from, fc), "weight_scale")->data,
           record_find(r, "scale")->data, OUT * sizeof(float));
    unit.layers[0] = fc;
    unit.inputs[0] = fc - 1;
    ASSERT_OK(reduce_open(&reduce, NULL, ROWS, SHARD_IMAGES, 1, 1, &m), m);
    const struct unit_pass_options how = {.batch = ROWS, .reduce = &reduce};
    ASSERT_OK(unit_pass_open(&p, &unit, &from, &int8, &how, &m), m);
    p.keep = 256;
    const float *x = record_find(r, "x")->data, *losses = record_find(r, "steps.loss")->data;
    const float *target = record_find(r, "target")->data, *want = record_find(r, "steps.v")->data;
    for (int step = 0; step < 12; step++) {
        uint8_t unused[IN] = {0};
        unit_begin(&p, ROWS);
        for (int i = 0; i < ROWS; i++)
            unit_take_input(&p, 0, i, unused, x + i * IN);
        double loss = unit_forward(&p, target);
        if (!(fabs(loss - (double)losses[step]) < 1e-5 * (1 + loss)))
            fail_msg("step %d: loss %g, want %g", step, loss, (double)losses[step]);
        ASSERT_OK(unit_backward(&p, step < 3 ? 0 : 0.01f, (float)(20 - 2 * (step - 3)), &m), m);
        unit_step(&p, step + 1, 0.05, 0);
    }
    for (int i = 0; i < OUT * IN; i++)
        assert_true(fabs((double)(p.layers[0].variables[i] - want[i])) < 1e-4);
    unit_pass_close(&p);
    reduce_close(&reduce);
    model_free(&int8);
    model_free(&from);
    record_free(r);
}

/* ---- all of it ---- */

static struct model reconstructed(int bits, int per_tensor, struct reconstruct_options how)
{
    return reconstructed_from(lowered(&fused, &ranges, bits, per_tensor), per_tensor, how);
}

static void test_codes_are_better_than_the_nearest(void **state)
{
    double better = 0; /* logarithm */
    (void)state;
    for (int bits = 2; bits <= 4; bits++)
        for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
            struct model nearest = lowered(&fused, &ranges, bits, per_tensor);
            double plain = error_of(&nearest), matched, learned;
            struct model start =
                reconstructed(bits, per_tensor, (struct reconstruct_options){.steps = 0, .match = MATCH_ALL});
            struct model one =
                reconstructed(bits, per_tensor, (struct reconstruct_options){.steps = 120, .match = MATCH_ALL});
            struct model three = reconstructed(
                bits, per_tensor, (struct reconstruct_options){.steps = 120, .match = MATCH_ALL, .threads = 3});
            struct model alone =
                reconstructed(bits, per_tensor, (struct reconstruct_options){.steps = 120, .single = 1});
            matched = error_of(&start);
            learned = error_of(&one);
            better += log(learned / matched);
            if (error_of(&alone) > 0.75 * plain)
                fail_msg("%d bits: %g by nearest codes, %g learned", bits, plain, error_of(&alone));
            assert_same(&one, &three);
            model_free(&nearest);
            model_free(&start);
            model_free(&one);
            model_free(&three);
            model_free(&alone);
        }
    if (better > -0.2)
        fail_msg("%g", better);
}

/* ---- ranks ---- */

enum { MANY = 72 /* 3 shards, the last one of 8 images */ };

struct shared_run {
    struct reconstruct_options how;
    struct model models[CREW_MOST];
    int status[CREW_MOST];
};

static void reconstruct_shared(void *context, const struct ranks *ranks)
{
    struct message m;
    struct shared_run *run = context;
    struct reconstruct_options how = run->how;
    how.ranks = ranks;
    run->status[ranks->rank] = ptq_reconstruct(&run->models[ranks->rank], &fused, &how, &m);
}

static uint8_t many[MANY * BYTES];

static struct shared_run run_of(int batch)
{
    struct shared_run run = {.how = {.images = many,
                                     .count = MANY,
                                     .match_count = MANY,
                                     .match = MATCH_ALL,
                                     .steps = 8,
                                     .batch = batch,
                                     .seed = 3,
                                     .rate = 0.3,
                                     .scale_rate = 0.05,
                                     .drop = 0.5,
                                     .penalty = 0.01}};
    for (int i = 0; i < MANY; i++)
        sample_image(&fused.graph, (uint64_t)i, many + i * BYTES);
    return run;
}

/* Of so many ranks; all end alike. The first one's model, the caller's. */
static struct model shared(struct shared_run *run, int ranks, int want)
{
    for (int i = 0; i < ranks; i++)
        run->models[i] = lowered_to(&fused, &ranges, 3, 4, 0);
    crew_run(ranks, reconstruct_shared, run);
    for (int i = 0; i < ranks; i++) {
        assert_int_equal(run->status[i], want);
        assert_same(&run->models[0], &run->models[i]);
        if (i > 0)
            model_free(&run->models[i]);
    }
    return run->models[0];
}

static void test_ranks_learn_what_one_process_does(void **state)
{
    (void)state;
    for (int batch = 8; batch <= MANY; batch += 32) { /* of 1, 2 and 3 shards */
        struct message m;
        struct shared_run run = run_of(batch);
        struct model alone = lowered_to(&fused, &ranges, 3, 4, 0);
        ASSERT_OK(ptq_reconstruct(&alone, &fused, &run.how, &m), m);
        for (int ranks = 2; ranks <= 4; ranks++) {
            struct model model = shared(&run, ranks, 0);
            assert_same(&alone, &model);
            model_free(&model);
        }
        model_free(&alone);
    }
}

static volatile sig_atomic_t stop_now;

/* In the middle of the second block. */
static void stop_there(void *context, int64_t done, int64_t steps, const char *unit)
{
    (void)context;
    (void)steps;
    (void)unit;
    if (done == 8 + 5)
        stop_now = 1;
}

static void test_stopped_and_gone_on_with_by_others(void **state)
{
    static const int counts[][2] = {{3, 1}, {1, 2}, {2, 4}};
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "/tmp/resq-reconstruct-%ld", (long)getpid());
    struct shared_run run = run_of(MANY);
    struct model whole = shared(&run, 1, 0);
    run.how.checkpoint = path;
    run.how.recipe = "a=1";
    for (int i = 0; i < 3; i++) {
        run.how.resume = 0;
        run.how.progress = stop_there;
        run.how.stop = &stop_now;
        stop_now = 0;
        struct model part = shared(&run, counts[i][0], STATUS_INTERRUPTED);
        run.how.resume = 1;
        run.how.progress = NULL;
        run.how.stop = NULL;
        struct model model = shared(&run, counts[i][1], 0);
        assert_same(&whole, &model);
        model_free(&part);
        model_free(&model);
        assert_int_equal(unlink(path), 0);
    }
    model_free(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_between_two_single_values_are_a_unit),
        cmocka_unit_test(test_gradients_by_central_differences),
        cmocka_unit_test(test_the_start_computes_the_float_network),
        cmocka_unit_test(test_elements_are_left_as_often_as_asked),
        cmocka_unit_test(test_steps_are_pytorchs),
        cmocka_unit_test(test_codes_are_better_than_the_nearest),
        cmocka_unit_test(test_ranks_learn_what_one_process_does),
        cmocka_unit_test(test_stopped_and_gone_on_with_by_others),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
