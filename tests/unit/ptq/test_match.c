/* Output matching: sums against loops over the codes, moments against a network run in double. */
#include "../pass/interpret.h"
#include "exec/infer/exec.h"
#include "graph/codes.h"
#include "pass/pass.h"
#include "ptq/match.h"

enum { IMAGES = 20, BYTES = 12 * 12 * 3, MOST = 16 };

static const char net[] =
    "x = input u8[12,12,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
    "stem = conv2d n out=6 kernel=3 pad=1 bias relu\na = conv2d stem out=7 kernel=3 stride=2 pad=1 bias relu\n"
    "side = conv2d stem out=5 kernel=1 stride=2 bias\nb = conv2d a out=5 kernel=3 pad=1 bias add=side relu\n"
    "c = conv2d b out=9 kernel=3 pad=1 bias relu\np = avgpool c\nfc = linear p out=4 bias\n";

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

static struct model lowered(int bits, int per_tensor)
{
    struct message m;
    struct model copy;
    const struct lower_options how = {.observer = "mse",
                                      .observer_parameter = (double)NAN,
                                      .weight_bits = bits,
                                      .activation_bits = 8,
                                      .end_bits = 8,
                                      .per_tensor = per_tensor,
                                      .weight_observer = WEIGHT_BY_BITS};
    ASSERT_OK(model_copy(&copy, &fused, &m), m);
    ASSERT_OK(pass_lower_int8(&copy, &ranges, &how, NULL, &m), m);
    return copy;
}

static struct model matched(int bits, int per_tensor, enum match_mode mode, int threads)
{
    struct message m;
    struct model model = lowered(bits, per_tensor);
    const struct match_options how = {
        .mode = mode, .images = images, .count = IMAGES, .per_tensor = per_tensor, .threads = threads};
    ASSERT_OK(ptq_match(&model, &fused, &how, &m), m);
    ASSERT_OK(model_verify(&model, &m), m);
    return model;
}

/* ---- moments, found plainly ---- */

struct moments {
    double sum[MOST], squares[MOST], count;
};

static double mean_of(const struct moments *s, int c)
{
    return s->sum[c] / s->count;
}

static double variance_of(const struct moments *s, int c)
{
    return s->squares[c] / s->count - mean_of(s, c) * mean_of(s, c);
}

static void add(struct moments *s, int c, double value)
{
    s->sum[c] += value;
    s->squares[c] += value * value;
}

/* What layer `name` of the float network gives before add and relu. */
static struct moments float_moments(const char *name)
{
    struct message m;
    struct model split;
    struct moments s = {.count = 0};
    double *values[64];
    ASSERT_OK(model_copy(&split, &fused, &m), m);
    ASSERT_OK(pass_split_epilogue(&split, &m), m);
    assert_true(split.graph.count < 64);
    int i = graph_find(&split.graph, name);
    const struct node *n = &split.graph.nodes[i];
    for (int k = 0; k < IMAGES; k++) {
        interpret(&split, images + k * BYTES, values);
        for (int at = 0; at < n->h * n->w * n->c; at++)
            add(&s, at % n->c, values[i][at]);
        s.count += n->h * n->w;
        values_free(values, split.graph.count);
    }
    model_free(&split);
    return s;
}

struct seen {
    const struct model *model;
    int node;
    struct moments moments;
};

static int32_t sum_at(const struct seen *s, const int8_t *codes, const uint8_t *x, int at)
{
    const struct node *n = &s->model->graph.nodes[s->node], *in = &s->model->graph.nodes[n->inputs[0]];
    int kernel = n->op == OP_CONV2D ? n->kernel : 1, stride = n->op == OP_CONV2D ? n->stride : 1;
    int o = at % n->c, column = at / n->c % n->w, row = at / n->c / n->w;
    int zero = *(const uint8_t *)model_tensor(s->model, n->inputs[0], "zero_point")->data;
    int32_t sum = 0;
    for (int k = 0; k < in->c * kernel * kernel; k++) {
        int c = k / (kernel * kernel), r = row * stride + k / kernel % kernel - n->pad;
        int t = column * stride + k % kernel - n->pad;
        if (r >= 0 && t >= 0 && r < in->h && t < in->w)
            sum += codes[o * in->c * kernel * kernel + k] * (x[(r * in->w + t) * in->c + c] - zero);
    }
    return sum;
}

static int see(void *context, const struct exec_sums *shown, struct message *m)
{
    struct seen *s = context;
    const struct node *n = &s->model->graph.nodes[s->node];
    const float *scale = model_tensor(s->model, s->node, "weight_scale")->data;
    const int32_t *bias = model_tensor(s->model, s->node, "bias")->data;
    float scale_x = *(const float *)model_tensor(s->model, n->inputs[0], "scale")->data;
    int8_t *owned;
    size_t count;
    const int8_t *codes = model_weight_codes(s->model, s->node, &count, &owned, m);
    assert_int_equal(shown->outputs, n->c);
    for (int i = 0; i < shown->images; i++)
        for (int at = 0; at < shown->pixels * n->c; at++) {
            float sum = shown->sums[i * shown->pixels * n->c + at];
            assert_true(sum == (float)sum_at(s, codes, shown->x + (size_t)i * shown->x_image, at));
            add(&s->moments, at % n->c, ((double)sum + bias[at % n->c]) * (double)(scale_x * scale[at % n->c]));
        }
    s->moments.count += shown->images * shown->pixels;
    memory_free(owned);
    return 0;
}

static struct moments integer_moments(const struct model *model, int node, const char *isa)
{
    struct message m;
    struct exec *e;
    struct seen s = {.model = model, .node = node};
    const struct exec_options how = {.threads = 2, .batch = 3, .keep_activations = 1, .isa = isa};
    ASSERT_OK(exec_open(&e, model, &how, &m), m);
    ASSERT_OK(exec_observe_sums(e, images, IMAGES, node, see, &s, &m), m);
    exec_close(e);
    return s.moments;
}

/* Largest distances over all layers: of means in units of a bias' code, of deviations as a share. */
static void distances(const struct model *model, double *mean, double *deviation)
{
    *mean = *deviation = 0;
    for (int i = 0; i < model->graph.count; i++) {
        const struct node *n = &model->graph.nodes[i];
        if (!model_tensor(model, i, "weight_scale"))
            continue;
        struct moments got = integer_moments(model, i, NULL), want = float_moments(n->name);
        const float *scale = model_tensor(model, i, "weight_scale")->data;
        float scale_x = *(const float *)model_tensor(model, n->inputs[0], "scale")->data;
        for (int c = 0; c < n->c; c++) {
            double off = fabs(mean_of(&got, c) - mean_of(&want, c)) / (double)(scale_x * scale[c]);
            double share = fabs(sqrt(variance_of(&got, c) / variance_of(&want, c)) - 1);
            *mean = off > *mean ? off : *mean;
            *deviation = share > *deviation ? share : *deviation;
        }
    }
}

/* ---- tests ---- */

static void test_means_and_deviations_are_the_float_networks(void **state)
{
    (void)state;
    double mean, deviation;
    for (int bits = 2; bits <= 4; bits++) {
        struct model plain = lowered(bits, 0), both = matched(bits, 0, MATCH_ALL, 1),
                     bias = matched(bits, 0, MATCH_BIAS, 1);
        distances(&plain, &mean, &deviation);
        assert_true(mean > 2 && deviation > 0.05);
        distances(&both, &mean, &deviation);
        assert_true(mean < 0.6 && deviation < 1e-4);
        distances(&bias, &mean, &deviation);
        assert_true(mean < 0.6 && deviation > 0.05);
        for (int i = 0; i < plain.graph.count; i++) {
            const struct tensor *scale = model_tensor(&plain, i, "weight_scale"),
                                *weight = model_tensor(&plain, i, "weight");
            if (!scale)
                continue;
            assert_memory_equal(scale->data, model_tensor(&bias, i, "weight_scale")->data, scale->bytes);
            assert_memory_not_equal(scale->data, model_tensor(&both, i, "weight_scale")->data, scale->bytes);
            assert_memory_equal(weight->data, model_tensor(&both, i, "weight")->data, weight->bytes);
        }
        model_free(&plain);
        model_free(&both);
        model_free(&bias);
    }
}

static void test_one_scale_a_layer_stays_one(void **state)
{
    (void)state;
    struct model model = matched(3, 1, MATCH_ALL, 1), plain = lowered(3, 1);
    for (int i = 0; i < model.graph.count; i++) {
        const struct tensor *scale = model_tensor(&model, i, "weight_scale");
        const struct node *n = &model.graph.nodes[i];
        double got = 0, want = 0;
        if (!scale)
            continue;
        struct moments q = integer_moments(&model, i, NULL), f = float_moments(n->name);
        for (int c = 0; c < n->c; c++) {
            assert_true(((const float *)scale->data)[c] == *(const float *)scale->data);
            got += variance_of(&q, c);
            want += variance_of(&f, c);
        }
        assert_true(fabs(got / want - 1) < 1e-4);
    }
    assert_memory_not_equal(model_tensor(&model, 4, "weight_scale")->data,
                            model_tensor(&plain, 4, "weight_scale")->data, 4);
    model_free(&model);
    model_free(&plain);
}

static void assert_same(const struct model *a, const struct model *b)
{
    assert_int_equal(a->record->tensor_count, b->record->tensor_count);
    for (size_t i = 0; i < a->record->tensor_count; i++)
        assert_memory_equal(a->record->tensors[i].data, b->record->tensors[i].data, a->record->tensors[i].bytes);
}

static void test_threads_change_nothing(void **state)
{
    (void)state;
    struct model one = matched(2, 0, MATCH_ALL, 1), three = matched(2, 0, MATCH_ALL, 3);
    struct model off = matched(2, 0, MATCH_OFF, 1), plain = lowered(2, 0);
    assert_same(&one, &three);
    assert_same(&off, &plain);
    model_free(&one);
    model_free(&three);
    model_free(&off);
    model_free(&plain);
}

/* Every instruction set shows the same sums; those at hand are tried. */
static void test_sums_are_those_of_any_kernel(void **state)
{
    (void)state;
    struct model model = lowered(4, 0);
    for (int i = 0; i < model.graph.count; i++) {
        if (!model_tensor(&model, i, "weight_scale"))
            continue;
        struct moments ref = integer_moments(&model, i, "ref"), best = integer_moments(&model, i, NULL);
        assert_memory_equal(&ref, &best, sizeof ref);
    }
    model_free(&model);
}

static void test_refusals(void **state)
{
    (void)state;
    struct message m;
    struct exec *e;
    struct model model = lowered(4, 0);
    struct seen s = {.model = &model};
    ASSERT_FAILS(ptq_match(&model, &fused, &(struct match_options){.mode = MATCH_ALL}, &m), STATUS_RANGE,
                 "no images", m);
    ASSERT_OK(exec_open(&e, &model, &(struct exec_options){.keep_activations = 1}, &m), m);
    ASSERT_FAILS(exec_observe_sums(e, images, 1, 2, see, &s, &m), STATUS_MISMATCH, "no integer layer", m);
    exec_close(e);
    ASSERT_OK(exec_open(&e, &model, NULL, &m), m);
    ASSERT_FAILS(exec_observe_sums(e, images, 1, 3, see, &s, &m), STATUS_MISMATCH, "no integer layer", m);
    exec_close(e);
    model_free(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_means_and_deviations_are_the_float_networks),
        cmocka_unit_test(test_one_scale_a_layer_stays_one),
        cmocka_unit_test(test_threads_change_nothing),
        cmocka_unit_test(test_sums_are_those_of_any_kernel),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
