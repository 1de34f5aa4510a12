/* Every gradient of a half-trained network against double, in both precisions, over blocks and image by image. The
 * engine's private headers are for what it keeps between forward and backward: every layer's output, and the relus'
 * decisions (see double_net.h). */
#include "difference.h"
#include "double_net.h"
#include "half_trained.h"
#include "base/memory.h"
#include "exec/train/block/block_engine.h"

/* Of a tensor's norm; means: of the channels' deviations, decisions: of the map's root mean square. */
struct tolerance {
    double value, mean, variance; /* of layers' outputs */
    double passed, gradient;      /* by values, by parameters */
    double decision;
};

struct engine {
    const char *name, *isa, *precision;
};

static double bf16_round(double v)
{
    return (double)bf16_to_float(bf16_from_float((float)v));
}

static double float_round(double v)
{
    return (double)(float)v;
}

/* ---- what an engine keeps ---- */

struct kept {
    struct gradient *g;
    unsigned char stored[256], *positive[256];
};

static size_t elements_of(const struct kept *k, int node)
{
    return k->g->values[node].elements;
}

static int is_over_blocks(const struct gradient *g)
{
    return strcmp(gradient_engine(g), "block") == 0;
}

static int is_block(const struct kept *k, int node)
{
    return is_over_blocks(k->g) && block_of(k->g)->values[node].on;
}

/* Element `at` of an image's map among a block's values. */
static size_t block_cell(const struct kept *k, int node, int image, size_t at)
{
    size_t channels = (size_t)k->g->graph.nodes[node].c,
           cells = (size_t)block_channels((int)channels) / BLOCK_CHANNELS;
    size_t cell = at / channels * cells + at % channels / BLOCK_CHANNELS;
    return cell * BLOCK_IMAGES + (size_t)(image % BLOCK_IMAGES);
}

static double kept_at(const struct kept *k, int node, int is_gradient, int image, size_t at)
{
    if (!is_block(k, node))
        return (double)(is_gradient ? value_gradient : value_f32)(k->g, node, image)[at];
    int planes = block_of(k->g)->planes;
    size_t place = block_cell(k, node, image, at), cell = BLOCK_IMAGES * BLOCK_CHANNELS;
    const bf16 *p = (is_gradient ? block_gradient_at : block_value_at)(k->g, node, image / BLOCK_IMAGES) +
                    place / BLOCK_IMAGES * cell * (size_t)planes +
                    cell_offset((int)(place % BLOCK_IMAGES * BLOCK_CHANNELS +
                                      at % (size_t)k->g->graph.nodes[node].c % BLOCK_CHANNELS),
                                planes);
    return (double)planes_load(p, cell, planes);
}

static int positive_kept(const struct kept *k, int step, int image, size_t at)
{
    int node = k->g->steps.at[step].output;
    const struct node *n = &k->g->graph.nodes[node];
    if (!is_block(k, node))
        return value_f32(k->g, node, image)[at] > 0;
    const uint32_t *bits =
        (const uint32_t *)(const void *)(image_of(k->g)->arena + block_of(k->g)->steps[step].positive);
    size_t block = (size_t)(n->h * n->w * block_channels(n->c)) / BLOCK_CHANNELS * BLOCK_IMAGES;
    uint32_t word = bits[(size_t)(image / BLOCK_IMAGES) * block + block_cell(k, node, image, at)];
    return word >> at % (size_t)n->c % BLOCK_CHANNELS & 1;
}

/* After forward. */
static void kept_open(struct kept *k, struct gradient *g)
{
    memset(k, 0, sizeof *k);
    k->g = g;
    assert_true(g->graph.count <= 256);
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        k->stored[s->output] = (unsigned char)is_block(k, s->output);
        if (!s->relu && s->kind != STEP_RELU)
            continue;
        unsigned char *p = k->positive[s->output] = malloc(IMAGES * elements_of(k, s->output));
        for (int image = 0; image < IMAGES; image++)
            for (size_t at = 0; at < elements_of(k, s->output); at++)
                *p++ = (unsigned char)positive_kept(k, i, image, at);
    }
}

static void kept_close(struct kept *k)
{
    for (int i = 0; i < 256; i++)
        free(k->positive[i]);
}

/* ---- comparisons ---- */

/* Outputs of all layers as they are kept. */
static void compare_values(const struct engine *e, const struct kept *k, const struct net *net, double tolerance)
{
    struct difference worst = {0};
    for (int i = 1; i < k->g->steps.count; i++) { /* not the normalised image, which may be laid out as windows */
        int node = k->g->steps.at[i].output;
        struct difference d = {0};
        for (int image = 0; image < IMAGES; image++)
            for (size_t at = 0; at < elements_of(k, node); at++)
                difference_add(&d, kept_at(k, node, 0, image, at),
                               net->values[node][(size_t)image * elements_of(k, node) + at]);
        keep_worst(&worst, &d, k->g->graph.nodes[node].name);
    }
    expect_near(e->name, "output", &worst, tolerance);
}

/* The running statistics are the batch's: momentum is 1. Means are compared as parts of the deviation. */
static void compare_statistics(const struct engine *e, struct gradient *g, const struct net *net,
                               const struct tolerance *t)
{
    struct difference means = {0}, variances = {0};
    const struct slice *slices;
    int count = gradient_state_slices(g, &slices), norms = 0;
    for (int i = 0; i < g->graph.count; i++) {
        const struct node *n = &g->graph.nodes[i];
        char name[2][96];
        double rows = IMAGES * n->h * n->w;
        if (n->op != OP_BATCHNORM)
            continue;
        snprintf(name[0], sizeof name[0], "%s.running_mean", n->name);
        snprintf(name[1], sizeof name[1], "%s.running_var", n->name);
        for (int s = 0; s < count; s++) {
            const float *got = gradient_state(g) + slices[s].offset;
            struct difference d = {0};
            int which = strcmp(slices[s].name, name[1]) == 0;
            if (!which && strcmp(slices[s].name, name[0]) != 0)
                continue;
            norms++;
            for (int c = 0; c < n->c; c++)
                if (which)
                    difference_add(&d, (double)got[c], net->variance[i][c] * rows / (rows - 1));
                else
                    difference_add(&d, ((double)got[c] - net->mean[i][c]) / sqrt(net->variance[i][c]) + 1, 1);
            keep_worst(which ? &variances : &means, &d, slices[s].name);
        }
    }
    assert_int_equal(norms, 40);
    expect_near(e->name, "mean", &means, t->mean);
    expect_near(e->name, "variance", &variances, t->variance);
}

static void compare_gradients(const struct engine *e, struct gradient *g, const struct net *net, double tolerance)
{
    struct difference worst = {0};
    const struct slice *slices;
    int count = gradient_slices(g, &slices);
    assert_int_equal(count, 62);
    for (int i = 0; i < count; i++) {
        const struct tensor *t = record_find(net->model->record, slices[i].name);
        const float *got = gradient_gradients(g) + slices[i].offset;
        struct difference d = {0};
        for (size_t k = 0; k < t->count; k++)
            difference_add(&d, (double)got[k], net->slopes[t - net->model->record->tensors][k]);
        keep_worst(&worst, &d, slices[i].name);
    }
    expect_near(e->name, "gradient", &worst, tolerance);
}

/* Where it differs, an engine's relu has decided a value that is nearly 0. */
static void compare_decisions(const struct engine *e, const struct net *net, double tolerance)
{
    struct difference worst = {.worst = net->flip, .name = "a relu"};
    expect_near(e->name, "decision", &worst, tolerance);
}

/* ---- layer by layer: each from what the engine kept of the one before ---- */

struct follower {
    struct kept *kept;
    struct difference value, gradient;
};

/* Gradients get memory of their own each, and can be read after backward. */
static void keep_gradients_apart(struct gradient *g)
{
    size_t bytes = round_up_64(image_of(g)->arena_bytes);
    for (int i = 0; i < g->graph.count; i++)
        if (g->values[i].wants_gradient) {
            g->values[i].gradient = bytes;
            bytes += round_up_64(IMAGES * g->values[i].elements * sizeof(float) +
                                 block_of(g)->values[i].block * sizeof(bf16) * (size_t)block_count(IMAGES));
        }
    memory_free(image_of(g)->arena);
    image_of(g)->arena = memory_new(bytes, 1, &m);
    assert_non_null(image_of(g)->arena);
}

static void follow(void *context, int node, int is_gradient, double *values)
{
    struct follower *f = context;
    struct difference d = {0};
    size_t elements = elements_of(f->kept, node);
    if (is_gradient ? !f->kept->g->values[node].wants_gradient : node == 1)
        return;
    for (size_t k = 0; k < IMAGES * elements; k++) {
        double kept = kept_at(f->kept, node, is_gradient, (int)(k / elements), k % elements);
        difference_add(&d, kept, values[k]);
        values[k] = kept;
    }
    keep_worst(is_gradient ? &f->gradient : &f->value, &d, f->kept->g->graph.nodes[node].name);
}

/* ---- the two ways ---- */

static struct gradient *open_engine(const struct engine *e)
{
    struct gradient *g;
    struct gradient_options o = {.batch = IMAGES,
                                 .threads = 2,
                                 .isa = e->isa,
                                 .precision = e->precision,
                                 .batchnorm_momentum = 1,
                                 .over_blocks = 1};
    int status = gradient_open(&g, &half_trained, &o, &m);
    if (status == STATUS_UNSUPPORTED)
        return NULL; /* no such instruction set here */
    ASSERT_OK(status);
    if (strcmp(gradient_precision(g), e->precision) == 0)
        return g;
    gradient_close(g);
    return NULL;
}

static void run_forward(struct gradient *g, float *logits, float *dlogits)
{
    struct loss_sums sums = {0};
    ASSERT_OK(gradient_forward(g, fresh_images, IMAGES, logits, &m));
    ASSERT_OK(loss_cross_entropy(logits, fresh_labels, IMAGES, CLASSES, 0, dlogits, &sums, &m));
}

/* gradient.h's promises: the whole step ... */
static const struct tolerance whole_fp32 = {5e-6, 1e-6, 2e-6, 0, 5e-5, 1e-5},
                              whole_bf16 = {3e-2, 1e-2, 1e-2, 0, 5e-2, 0.2};
/* ... and each layer from what is kept of the one before; transformed: by products of fewer bits. */
static const struct tolerance layer_fp32 = {2e-6, 1e-6, 2e-6, 3e-6, 5e-5, 1e-5},
                              layer_bf16 = {5e-4, 1e-6, 1e-5, 1e-3, 5e-5, 1e-5},
                              layer_transformed = {1e-2, 1e-6, 1e-5, 1e-2, 1e-2, 1e-5};

static void compare(const struct engine *e, const struct tolerance *t)
{
    struct net net;
    struct kept kept;
    struct gradient *g = open_engine(e);
    float logits[IMAGES * CLASSES], dlogits[IMAGES * CLASSES];
    struct difference d = {0}, worst = {0};
    if (!g)
        return;
    run_forward(g, logits, dlogits);
    kept_open(&kept, g);
    net_open(&net, &half_trained, IMAGES);
    net.positive = kept.positive;
    const double *want = net_forward(&net, fresh_images);
    for (int k = 0; k < IMAGES * CLASSES; k++)
        difference_add(&d, (double)logits[k], want[k]);
    keep_worst(&worst, &d, "all");
    expect_near(e->name, "logits", &worst, t->value);
    compare_decisions(e, &net, t->decision);
    compare_values(e, &kept, &net, t->value);
    compare_statistics(e, g, &net, t);
    net_backward(&net, dlogits);
    ASSERT_OK(gradient_backward(g, dlogits, &m));
    compare_gradients(e, g, &net, t->gradient);
    net_close(&net);
    kept_close(&kept);
    gradient_close(g);
}

static void compare_layers(const struct engine *e)
{
    int fp32 = strcmp(e->precision, "fp32") == 0;
    const struct tolerance *t = fp32 ? &layer_fp32 : &layer_bf16;
    struct net net;
    struct kept kept;
    struct follower f = {.kept = &kept};
    struct gradient *g = open_engine(e);
    float logits[IMAGES * CLASSES], dlogits[IMAGES * CLASSES];
    if (!g || !is_over_blocks(g)) {
        gradient_close(g);
        return;
    }
    if (!fp32 && strcmp(block_of(g)->kernels->algorithm, "winograd") == 0)
        t = &layer_transformed;
    keep_gradients_apart(g);
    run_forward(g, logits, dlogits);
    kept_open(&kept, g);
    net_open(&net, &half_trained, IMAGES);
    net.positive = kept.positive;
    net.stored = kept.stored;
    net.round = fp32 ? float_round : bf16_round;
    net.finished = follow;
    net.context = &f;
    net_forward(&net, fresh_images);
    compare_decisions(e, &net, t->decision);
    expect_near(e->name, "output", &f.value, t->value);
    compare_statistics(e, g, &net, t);
    ASSERT_OK(gradient_backward(g, dlogits, &m));
    net_backward(&net, dlogits);
    expect_near(e->name, "gradient by values", &f.gradient, t->passed);
    compare_gradients(e, g, &net, t->gradient);
    net_close(&net);
    kept_close(&kept);
    gradient_close(g);
}

static void test_whole_steps(void **state)
{
    static const struct engine engines[] = {{"best fp32", NULL, "fp32"},
                                            {"avx512bf16 fp32", "avx512bf16", "fp32"},
                                            {"avx2 fp32", "avx2", "fp32"},
                                            {"blas fp32", "blas", "fp32"}};
    (void)state;
    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        compare(&engines[i], &whole_fp32);
    compare(&(struct engine){"best bf16", NULL, "bf16"}, &whole_bf16);
}

static void test_layer_by_layer(void **state)
{
    static const struct engine engines[] = {{"best fp32 layers", NULL, "fp32"},
                                            {"avx512bf16 fp32 layers", "avx512bf16", "fp32"},
                                            {"avx2 fp32 layers", "avx2", "fp32"},
                                            {"best bf16 layers", NULL, "bf16"},
                                            {"avx512bf16 bf16 layers", "avx512bf16", "bf16"},
                                            {"avx2 bf16 layers", "avx2", "bf16"}};
    (void)state;
    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        compare_layers(&engines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whole_steps), cmocka_unit_test(test_layer_by_layer)};
    return cmocka_run_group_tests(tests, half_trained_make, half_trained_drop);
}
