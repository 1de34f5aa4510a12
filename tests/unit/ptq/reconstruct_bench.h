/* reconstruct_bench.h: a small network, its integer forms, one of its units ready for passes, and reconstructions of
 * it. */
#ifndef RESQ_TESTS_RECONSTRUCT_BENCH_H
#define RESQ_TESTS_RECONSTRUCT_BENCH_H

#include "../pass/interpret.h"
#include "base/memory.h"
#include "exec/infer/exec.h"
#include "pass/pass.h"
#include "ptq/reconstruct.h"
#include "ptq/reconstruction.h"
#include "quant/affine.h"
#include <math.h>
#include <stdio.h>

enum { IMAGES = 24, BYTES = 12 * 12 * 3, BATCH = 5 };

static const char net[] =
    "x = input u8[12,12,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
    "stem = conv2d n out=6 kernel=3 pad=1 bias relu\na = conv2d stem out=7 kernel=3 stride=2 pad=1 bias relu\n"
    "side = conv2d stem out=5 kernel=1 stride=2 bias\nb = conv2d a out=5 kernel=3 pad=1 bias add=side relu\n"
    "c = conv2d b out=9 kernel=3 pad=1 bias relu\nm = maxpool c kernel=2\np = avgpool m\nfc = linear p out=4 bias\n";

static uint8_t images[IMAGES * BYTES];
static struct model fused;
static struct ranges ranges;

static int setup(void **state)
{
    struct message m;
    (void)state;
    fused = sample_model(net, 3);
    ASSERT_OK(model_store(&fused, &m), m);
    for (int i = 0; i < IMAGES; i++)
        sample_image(&fused.graph, (uint64_t)i, images + i * BYTES);
    ranges = sample_ranges(&fused, IMAGES);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_free(&fused);
    ranges_free(&ranges);
    return 0;
}

static struct model lowered_to(const struct model *from, const struct ranges *of, int bits, int activation_bits,
                               int per_tensor)
{
    struct message m;
    struct model copy;
    const struct lower_options how = {.observer = "mse",
                                      .observer_parameter = (double)NAN,
                                      .weight_bits = bits,
                                      .activation_bits = activation_bits,
                                      .per_tensor = per_tensor,
                                      .weight_observer = WEIGHT_BY_BITS};
    ASSERT_OK(model_copy(&copy, from, &m), m);
    ASSERT_OK(pass_lower_int8(&copy, of, &how, NULL, &m), m);
    return copy;
}

static inline struct model lowered(const struct model *from, const struct ranges *of, int bits, int per_tensor)
{
    return lowered_to(from, of, bits, 8, per_tensor);
}

/* ---- a unit ---- */

struct bench {
    struct model int8;
    struct unit *units;
    struct threads *pool;
    struct reduce reduce;
    struct unit_pass pass;
    float *target;
};

struct bench_options {
    int activation_bits; /* 0: 8, and scales stay; else they are learned */
    int by_blocks;       /* then too; else layer by layer */
};

/* Of the layer `first`'s unit, reading numbers of this kind; target: what the pass gives at the start, plus noise. */
static struct bench bench_open_with(const char *first, int bits, int threads, int keep, double noise,
                                    struct bench_options o)
{
    struct message m;
    const int low = o.activation_bits;
    struct bench b = {.int8 = lowered_to(&fused, &ranges, bits, low ? low : 8, 0)};
    struct random_stream r = random_open(5, RANDOM_TEST, 0, 0);
    int count = units_find(&b.units, &fused, &b.int8, low && !o.by_blocks, &m), u = 0;
    ASSERT_OK(count, m);
    while (strcmp(fused.graph.nodes[b.units[u].layers[0]].name, first) != 0)
        u++;
    ASSERT_OK(threads_open(&b.pool, threads, &m), m);
    ASSERT_OK(reduce_open(&b.reduce, NULL, BATCH, SHARD_IMAGES, 1, 1, &m), m);
    const struct unit_pass_options how = {
        .batch = BATCH, .pool = b.pool, .reduce = &b.reduce, .learns_scales = low != 0};
    ASSERT_OK(unit_pass_open(&b.pass, &b.units[u], &fused, &b.int8, &how, &m), m);
    b.pass.seed = 7;
    b.pass.keep = keep;
    unit_begin(&b.pass, BATCH);
    struct unit_value *x = &b.pass.values[0], *y = unit_output(&b.pass);
    b.target = memory_new(BATCH * y->elements, sizeof *b.target, &m);
    assert_non_null(b.target);
    for (int i = 0; i < BATCH; i++) {
        uint8_t codes[2048];
        float reals[2048];
        assert_true(x->elements <= 2048);
        for (size_t k = 0; k < x->elements; k++) {
            reals[k] = (float)fabs(random_normal(&r));
            codes[k] = affine_quantize(&x->map, reals[k]);
        }
        unit_take_input(&b.pass, 0, i, codes, reals);
    }
    unit_forward(&b.pass, b.target);
    for (size_t k = 0; k < BATCH * y->elements; k++)
        b.target[k] = y->at[k] + (float)(noise * random_normal(&r));
    return b;
}

static inline struct bench bench_open(const char *first, int bits, int threads, int keep, double noise)
{
    return bench_open_with(first, bits, threads, keep, noise, (struct bench_options){0});
}

static void bench_close(struct bench *b)
{
    unit_pass_close(&b->pass);
    reduce_close(&b->reduce);
    threads_close(b->pool);
    memory_free(b->units);
    memory_free(b->target);
    model_free(&b->int8);
}

/* ---- all of it ---- */

/* Squared distance of logits from the float network's. */
static double error_of(const struct model *int8)
{
    struct message m;
    struct exec *e, *f;
    const struct exec_options how = {.threads = 1};
    float got[IMAGES * 4], want[IMAGES * 4];
    double sum = 0;
    ASSERT_OK(exec_open(&e, int8, &how, &m), m);
    ASSERT_OK(exec_open(&f, &fused, &how, &m), m);
    ASSERT_OK(exec_run(e, images, IMAGES, got, &m), m);
    ASSERT_OK(exec_run(f, images, IMAGES, want, &m), m);
    for (int i = 0; i < IMAGES * 4; i++)
        sum += (double)((got[i] - want[i]) * (got[i] - want[i]));
    exec_close(e);
    exec_close(f);
    return sum;
}

/* Model, changed and handed on. */
static struct model reconstructed_from(struct model model, int per_tensor, struct reconstruct_options how)
{
    struct message m;
    how.images = images;
    how.count = how.match_count = IMAGES;
    how.batch = 8;
    how.rate = 0.05;
    how.drop = 0.5;
    how.penalty = 0.01;
    how.per_tensor = per_tensor;
    ASSERT_OK(ptq_reconstruct(&model, &fused, &how, &m), m);
    ASSERT_OK(model_verify(&model, &m), m);
    return model;
}

static inline void assert_same(const struct model *a, const struct model *b)
{
    for (size_t i = 0; i < a->record->tensor_count; i++)
        assert_memory_equal(a->record->tensors[i].data, b->record->tensors[i].data, a->record->tensors[i].bytes);
}

#endif
