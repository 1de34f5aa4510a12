/* Steps of training whose mini-batch several ranks share: gradients, running statistics, ranges and the loss have the
 * bits that one process gives, for any number of ranks, precision, engine and mode. */
#include "clipping.h"
#include "common.h"
#include "exec/train/gradient.h"
#include "graph/model.h"
#include "graph/resnet.h"
#include "pass/pass.h"
#include "tests/unit/crew.h"
#include "train/loss.h"
#include "train/optimizer.h"

enum { WIDTH = 8, CLASSES = 10, MOST_IMAGES = 136 /* 5 shards, the last one of 8 images */, STEPS = 3 };

static const int counts[STEPS] = {MOST_IMAGES, 20 /* one shard: most ranks have none */, 97};

static struct model plain, fused;
static struct affine maps[MAX_NODES];
static float scales[MAX_NODES][8 * WIDTH]; /* of weights, where they are learned */
static struct weight_codes codes[MAX_NODES];
static uint8_t images[MOST_IMAGES * IMAGE_BYTES];
static uint16_t labels[MOST_IMAGES];

static int setup(void **state)
{
    struct graph graph = {0};
    struct random_stream r = random_open(3, RANDOM_TEST, 1, 1);
    (void)state;
    for (size_t i = 0; i < sizeof images; i++)
        images[i] = (uint8_t)(random_below(&r, 256) / 2 + i / 24 % 128);
    for (int i = 0; i < MOST_IMAGES; i++)
        labels[i] = (uint16_t)random_below(&r, CLASSES);
    ASSERT_OK(resnet18_build(&graph, WIDTH, CLASSES, NULL, NULL, &m));
    ASSERT_OK(model_initialise(&plain, &graph, 1, &m));
    ASSERT_OK(model_copy(&fused, &plain, &m));
    ASSERT_OK(pass_fold_batchnorm(&fused, NULL, &m));
    ASSERT_OK(pass_fuse_epilogue(&fused, NULL, &m));
    ASSERT_OK(clipping_maps(&fused, images, 40, 8, maps, &m));
    for (int i = 0; i < fused.graph.count; i++) {
        codes[i] = (struct weight_codes){.bits = 4, .scale = scales[i]};
        for (int c = 0; c < 8 * WIDTH; c++)
            scales[i][c] = 0.02f;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_free(&plain);
    model_free(&fused);
    return 0;
}

/* What a run leaves, by its first rank; whether another one differs. */
struct run {
    struct gradient_options options;
    int steps;
    float *floats; /* parameters, gradients, state */
    size_t count;
    struct loss_sums sums;
    int status, differs;
    pthread_mutex_t lock;
};

static int steps_make(struct gradient *g, int steps, struct loss_sums *sums, struct message *why)
{
    float logits[MOST_IMAGES * CLASSES], dlogits[MOST_IMAGES * CLASSES];
    const struct slice *slices;
    struct optimizer o;
    int count = gradient_slices(g, &slices), status = 0;
    TRY(optimizer_open(&o, &(struct optimizer_options){0.9, 5e-4, 1, 1, 1, 0, 0, 0}, slices, count,
                       gradient_parameter_count(g), why));
    for (int step = 0; step < steps && status >= 0; step++) {
        int first = gradient_share(g, counts[step]).first;
        status = gradient_forward(g, images + (size_t)first * IMAGE_BYTES, counts[step], logits, why);
        if (status >= 0)
            status = loss_of_batch(gradient_reduce(g), logits, &(struct targets){.labels = labels + first}, CLASSES,
                                   0.1, dlogits, sums, why);
        if (status >= 0)
            status = gradient_backward(g, dlogits, why);
        optimizer_step(&o, gradient_parameters(g), gradient_gradients(g), 0.02);
    }
    optimizer_close(&o);
    return status;
}

/* In a rank: nothing is asserted here. */
static void run_rank(void *context, const struct ranks *ranks)
{
    struct run *run = context;
    struct gradient_options options = run->options;
    struct message why;
    struct gradient *g = NULL;
    struct loss_sums sums = {0};
    options.ranks = ranks;
    int status = gradient_open(&g, options.quantized ? &fused : &plain, &options, &why);
    if (status >= 0)
        status = steps_make(g, run->steps, &sums, &why);
    pthread_mutex_lock(&run->lock);
    if (status < 0) {
        run->status = status;
        if (status != STATUS_UNSUPPORTED)
            print_error("rank %d: %s\n", ranks->rank, why.text);
    } else {
        size_t parameters = gradient_parameter_count(g), states = gradient_state_count(g);
        const float *const parts[] = {gradient_parameters(g), gradient_gradients(g), gradient_state(g)};
        const size_t sizes[] = {parameters, parameters, states};
        if (!run->floats)
            run->floats = calloc(2 * parameters + states, sizeof(float));
        float *at = run->floats;
        for (int i = 0; i < 3; at += sizes[i], i++) {
            run->differs |= run->count > 0 && memcmp(at, parts[i], sizes[i] * sizeof(float)) != 0;
            memcpy(at, parts[i], sizes[i] * sizeof(float));
        }
        run->differs |= run->count > 0 && memcmp(&run->sums, &sums, sizeof sums) != 0;
        run->sums = sums;
        run->count = 2 * parameters + states;
    }
    pthread_mutex_unlock(&run->lock);
    gradient_close(g);
}

static struct run run_of(const struct gradient_options *options, int steps, int ranks)
{
    struct run run = {.options = *options, .steps = steps, .lock = PTHREAD_MUTEX_INITIALIZER};
    crew_run(ranks, run_rank, &run);
    return run;
}

/* thorough: all steps, by every number of ranks; else two, by three. */
static void expect_same_bits(const char *who, const struct gradient_options *options, int thorough)
{
    static const int ranks[] = {3, 2, 4, 8};
    int steps = thorough ? STEPS : 2;
    struct run want = run_of(options, steps, 1);
    if (want.status == STATUS_UNSUPPORTED)
        return; /* no such instruction set here */
    assert_int_equal(want.status, 0);
    assert_true(isfinite(want.sums.loss) && want.sums.images == counts[0] + counts[1] + (thorough ? counts[2] : 0));
    for (size_t i = 0; i < (thorough ? sizeof ranks / sizeof ranks[0] : 1); i++) {
        struct gradient_options more = *options;
        more.threads = 1 + (int)i % 3;
        struct run got = run_of(&more, steps, ranks[i]);
        assert_int_equal(got.status, 0);
        if (got.differs || got.count != want.count || got.sums.loss != want.sums.loss ||
            got.sums.correct != want.sums.correct || got.sums.images != want.sums.images ||
            memcmp(got.floats, want.floats, want.count * sizeof(float)) != 0)
            fail_msg("%s: %d ranks give other bits than one", who, ranks[i]);
        free(got.floats);
    }
    free(want.floats);
}

static void test_float(void **state)
{
    (void)state;
    static const char *const sets[][2] = {{NULL, "fp32"}, {NULL, "bf16"}, {"blas", "fp32"}, {"ref", "fp32"}};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        expect_same_bits(sets[i][0] ? sets[i][0] : sets[i][1],
                         &(struct gradient_options){
                             .threads = 2, .batch = MOST_IMAGES, .isa = sets[i][0], .precision = sets[i][1]},
                         i == 0);
}

static void expect_quantized(const char *who, const char *isa, const char *precision, enum range_mode mode,
                             int learn_weight_scales)
{
    expect_same_bits(who,
                     &(struct gradient_options){.threads = 2,
                                                .batch = MOST_IMAGES,
                                                .isa = isa,
                                                .precision = precision,
                                                .quantized = 1,
                                                .activations = maps,
                                                .weight_bits = 8,
                                                .activation_bits = 8,
                                                .weights = learn_weight_scales ? codes : NULL,
                                                .learn_weight_scales = learn_weight_scales,
                                                .ranges = mode,
                                                .range_averaging = 0.5},
                     0);
}

static void test_quantized(void **state)
{
    (void)state;
    expect_quantized("image by image, moving ranges", "blas", "fp32", RANGE_AVERAGE, 0);
    expect_quantized("image by image, learned scales", "blas", "fp32", RANGE_LEARNED, 1);
    expect_quantized("blocks, fixed ranges", NULL, "fp32", RANGE_FIXED, 0);
    expect_quantized("blocks, learned scales", NULL, "bf16", RANGE_LEARNED, 1);
}

static void check_shares(int count, int shard, int ranks)
{
    int next = 0;
    for (int rank = 0; rank < ranks; rank++) {
        struct share s = share_of(count, shard, rank, ranks);
        assert_true(s.images == 0 || s.first == next);
        assert_true(s.images <= share_most_images(count, shard, ranks));
        assert_true(s.images <= share_most_images(700, shard, ranks));
        assert_int_equal(s.images % shard == 0 || s.end == s.shards, 1);
        next += s.images;
    }
    assert_int_equal(next, count);
}

/* What each owns, over all sizes: all shards once, in order; nobody more than share_most_images says. */
static void test_shares(void **state)
{
    (void)state;
    for (int shard = SHARD_IMAGES; shard <= 128; shard += 48)
        for (int ranks = 1; ranks <= 9; ranks++)
            for (int count = 1; count <= 700; count += count % shard == shard - 1 ? 1 : 10)
                check_shares(count, shard, ranks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_float),
        cmocka_unit_test(test_quantized),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
