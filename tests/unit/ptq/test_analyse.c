/* What few bits cost, layer by layer: against networks that are lowered whole and run from the images on. */
#include "../pass/interpret.h"
#include "exec/infer/exec.h"
#include "graph/codes.h"
#include "ptq/analyse_part.h"

enum { IMAGES = 150, BYTES = 12 * 12 * 3, CLASSES = 4 };

static const char net[] =
    "x = input u8[12,12,3]\nn = normalize x mean=0.5,0.5,0.5 std=0.25,0.25,0.25\n"
    "stem = conv2d n out=6 kernel=3 pad=1 bias relu\npool = maxpool stem kernel=2\n"
    "a = conv2d pool out=7 kernel=3 pad=1 bias relu\nside = conv2d pool out=5 kernel=1 bias\n"
    "b = conv2d a out=5 kernel=3 pad=1 bias add=side relu\np = avgpool b\nfc = linear p out=4 bias\n";

static uint8_t images[IMAGES * BYTES];
static uint16_t labels[IMAGES];
static struct model fused;
static struct ranges ranges;
static float wanted[IMAGES * CLASSES];

static const struct lower_options eight = {.observer = "mse",
                                           .observer_parameter = (double)NAN,
                                           .weight_bits = 8,
                                           .activation_bits = 8,
                                           .weight_observer = WEIGHT_BY_BITS};

static void run(const struct model *model, float *logits)
{
    struct message m;
    struct exec *e;
    ASSERT_OK(exec_open(&e, model, NULL, &m), m);
    ASSERT_OK(exec_run(e, images, IMAGES, logits, &m), m);
    exec_close(e);
}

static int setup(void **state)
{
    struct message m;
    struct graph g;
    (void)state;
    ASSERT_OK(graph_parse(&g, net, &m), m);
    ASSERT_OK(model_initialise(&fused, &g, 3, &m), m);
    ASSERT_OK(model_store(&fused, &m), m);
    for (int i = 0; i < IMAGES; i++) {
        sample_image(&fused.graph, (uint64_t)i, images + i * BYTES);
        labels[i] = (uint16_t)(i % CLASSES);
    }
    ranges = sample_ranges(&fused, 20);
    run(&fused, wanted);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    model_free(&fused);
    ranges_free(&ranges);
    return 0;
}

static struct analysis analysed(enum match_mode match, int threads)
{
    struct message m;
    struct analysis a;
    const struct analyse_options how = {.lower = &eight,
                                        .ranges = &ranges,
                                        .widths = {8, 3, 2},
                                        .width_count = 3,
                                        .images = images,
                                        .labels = labels,
                                        .count = IMAGES,
                                        .match = match,
                                        .match_count = 30,
                                        .threads = threads};
    ASSERT_OK(ptq_analyse(&a, &fused, &how, &m), m);
    return a;
}

static struct model planned(const struct analyse_row *row)
{
    struct message m;
    struct model model;
    struct bit_plan plan;
    struct lower_options how = eight;
    ASSERT_OK(bit_plan_open(&plan, &fused.graph, &m), m);
    *(row->is_weights ? &plan.rows[row->node].weights : &plan.rows[row->node].activations) = row->bits;
    how.plan = &plan;
    ASSERT_OK(model_copy(&model, &fused, &m), m);
    ASSERT_OK(pass_lower_int8(&model, &ranges, &how, NULL, &m), m);
    bit_plan_free(&plan);
    return model;
}

static int best(const float *row)
{
    int k = 0;
    for (int c = 1; c < CLASSES; c++)
        k = row[c] > row[k] ? c : k;
    return k;
}

static double probability(const float *row, int c)
{
    double sum = 0;
    for (int k = 0; k < CLASSES; k++)
        sum += exp((double)row[k]);
    return exp((double)row[c]) / sum;
}

static void expect(const struct analyse_row *row, const float *logits)
{
    double kl = 0, error = 0;
    int64_t correct = 0, agreed = 0;
    for (int i = 0; i < IMAGES; i++) {
        const float *want = wanted + i * CLASSES, *got = logits + i * CLASSES;
        for (int k = 0; k < CLASSES; k++) {
            double p = probability(want, k), d = (double)want[k] - (double)got[k];
            kl += p * log(p / probability(got, k)) / IMAGES;
            error += d * d / (IMAGES * CLASSES);
        }
        correct += best(got) == labels[i];
        agreed += best(got) == best(want);
    }
    assert_true(fabs(row->kl - kl) <= 1e-9 + 1e-6 * kl);
    assert_true(fabs(row->logit_error - error) <= 1e-9 * error);
    assert_int_equal(row->correct, correct);
    assert_int_equal(row->agreed, agreed);
}

static void test_rows_are_the_networks_with_one_change(void **state)
{
    (void)state;
    struct analysis a = analysed(MATCH_OFF, 1);
    int weights = 0;
    for (int i = 0; i < a.count; i++) {
        static float logits[IMAGES * CLASSES];
        struct model model = planned(&a.rows[i]);
        run(&model, logits);
        expect(&a.rows[i], logits);
        const struct tensor *w =
            model_tensor(&model, graph_find(&model.graph, fused.graph.nodes[a.rows[i].node].name), "weight");
        if (a.rows[i].is_weights)
            assert_int_equal(a.rows[i].bytes, w->count);
        weights += a.rows[i].is_weights;
        model_free(&model);
    }
    assert_int_equal(weights, 3 * 5);           /* stem, a, side, b, fc */
    assert_int_equal(a.count, weights + 3 * 6); /* n, stem, a, side, b, p: the pool repeats its input's map */
    analysis_free(&a);
}

/* What the float network gives at a node, of the first ANALYSE_SHOWN images. */
struct seen {
    int node;
    float values[ANALYSE_SHOWN * 12 * 12 * 6];
    size_t count;
};

static int see(void *context, int node, const float *values, size_t count, struct message *m)
{
    struct seen *s = context;
    (void)m;
    if (node == s->node) {
        memcpy(s->values + s->count, values, count * sizeof *values);
        s->count += count;
    }
    return 0;
}

static double sqnr_of(const struct model *model, int node)
{
    static struct seen s;
    struct message m;
    struct exec *e;
    const struct exec_options keep = {.keep_activations = 1};
    s = (struct seen){.node = node};
    ASSERT_OK(exec_open(&e, &fused, &keep, &m), m);
    ASSERT_OK(exec_observe(e, images, ANALYSE_SHOWN, see, &s, &m), m);
    exec_close(e);
    int now = graph_find(&model->graph, fused.graph.nodes[node].name);
    ASSERT_OK(exec_open(&e, model, &keep, &m), m);
    int step = exec_step_of(e, now) + 1;
    size_t bytes = exec_cut_bytes(e, step), each = s.count / ANALYSE_SHOWN;
    uint8_t *cut = malloc(bytes * ANALYSE_SHOWN);
    ASSERT_OK(exec_run_part(e, 0, step, images, ANALYSE_SHOWN, cut, &m), m);
    double signal = 0, noise = 0, scale = (double)*(const float *)model_tensor(model, now, "scale")->data;
    int zero = *(const uint8_t *)model_tensor(model, now, "zero_point")->data;
    for (size_t i = 0; i < s.count; i++) {
        const uint8_t *code = cut + i / each * bytes + (size_t)exec_cut_offset(e, step, now) + i % each;
        double want = (double)s.values[i], got = scale * (*code - zero);
        signal += want * want;
        noise += (want - got) * (want - got);
    }
    free(cut);
    exec_close(e);
    return 10 * log10(signal / noise);
}

static void test_noise_alone_and_accumulated(void **state)
{
    (void)state;
    struct message m;
    struct analysis a = analysed(MATCH_OFF, 2);
    struct lower_options how = eight;
    struct model uniform;
    int node = graph_find(&fused.graph, "b");
    how.weight_bits = 2;
    ASSERT_OK(model_copy(&uniform, &fused, &m), m);
    ASSERT_OK(pass_lower_int8(&uniform, &ranges, &how, NULL, &m), m);
    double together = sqnr_of(&uniform, node);
    for (int i = 0; i < a.count; i++) {
        const struct analyse_row *r = &a.rows[i];
        if (r->node != node || !r->is_weights)
            continue;
        struct model model = planned(r);
        assert_true(fabs(r->sqnr - sqnr_of(&model, node)) < 1e-6);
        model_free(&model);
        if (r->bits == 2)
            assert_true(fabs(r->sqnr_accumulated - together) < 1e-6 && together < r->sqnr);
    }
    model_free(&uniform);
    analysis_free(&a);
}

static double total(const struct analysis *a, int bits)
{
    double sum = 0;
    for (int i = 0; i < a->count; i++)
        sum += a->rows[i].is_weights && a->rows[i].bits == bits ? a->rows[i].kl : 0;
    return sum;
}

static void test_matching_what_changes_helps_and_threads_change_nothing(void **state)
{
    (void)state;
    struct analysis plain = analysed(MATCH_OFF, 1), one = analysed(MATCH_ALL, 1), three = analysed(MATCH_ALL, 3);
    assert_true(total(&one, 2) < total(&plain, 2));
    assert_true(total(&one, 8) == total(&plain, 8));
    assert_int_equal(one.count, three.count);
    assert_memory_equal(one.rows, three.rows, (size_t)one.count * sizeof *one.rows);
    analysis_free(&plain);
    analysis_free(&one);
    analysis_free(&three);
}

/* ---- parts ---- */

static struct record *part_of(enum match_mode match, int64_t first, int64_t count)
{
    static uint8_t held[IMAGES * BYTES];
    static uint16_t held_labels[IMAGES];
    struct message m;
    struct analysis a;
    struct record *record = record_new(&m);
    struct analyse_options how = {.lower = &eight,
                                  .ranges = &ranges,
                                  .widths = {8, 3, 2},
                                  .width_count = 3,
                                  .count = IMAGES,
                                  .match = match,
                                  .match_count = 30,
                                  .threads = 1};
    memcpy(held, images, sizeof held);
    memcpy(held_labels, labels, sizeof held_labels);
    analyse_part_choose(&how, held, held_labels, BYTES, first, count);
    ASSERT_OK(ptq_analyse(&a, &fused, &how, &m), m);
    ASSERT_OK(analysis_to_record(&a, held_labels + how.first, first, IMAGES, record, &m), m);
    analysis_free(&a);
    return record;
}

static int same_number(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static const char *const part_names[] = {"one", "two", "three", "four"};

/* In another order than that of the images; cuts within and behind what is matched by. */
static void test_parts_together_are_the_whole(void **state)
{
    static const int64_t cuts[][2] = {{60, 85}, {0, 20}, {145, 0}, {20, 40}};
    (void)state;
    for (enum match_mode match = MATCH_OFF; match <= MATCH_ALL; match++) {
        struct message m;
        struct record *parts[4];
        struct analysis whole = analysed(match, 2), joined;
        for (int i = 0; i < 4; i++)
            parts[i] = part_of(match, cuts[i][0], cuts[i][1]);
        ASSERT_OK(analysis_join(&joined, parts, part_names, 4, &m), m);
        assert_int_equal(joined.count, whole.count);
        assert_int_equal(joined.judged, IMAGES);
        assert_int_equal(joined.correct, whole.correct);
        for (int i = 0; i < whole.count; i++) {
            const struct analyse_row *got = &joined.rows[i], *want = &whole.rows[i];
            assert_string_equal(got->name, want->name);
            assert_int_equal(got->is_weights, want->is_weights);
            assert_int_equal(got->bits, want->bits);
            assert_int_equal(got->bytes, want->bytes);
            assert_int_equal(got->correct, want->correct);
            assert_int_equal(got->agreed, want->agreed);
            assert_true(same_number(got->kl, want->kl));
            assert_true(same_number(got->logit_error, want->logit_error));
            assert_true(same_number(got->sqnr, want->sqnr));
            assert_true(same_number(got->sqnr_accumulated, want->sqnr_accumulated));
        }
        analysis_free(&joined);
        analysis_free(&whole);
        for (int i = 0; i < 4; i++)
            record_free(parts[i]);
    }
}

static void assert_refused(struct record *const *parts, int count, const char *want)
{
    struct message m;
    struct analysis joined;
    int status = analysis_join(&joined, parts, part_names, count, &m);
    analysis_free(&joined);
    assert_true(status < 0);
    if (!strstr(m.text, want))
        fail_msg("'%s', want '%s'", m.text, want);
}

static void *data_of(const struct record *r, const char *name)
{
    return record_find(r, name)->data;
}

static void test_parts_that_are_not_one_stream(void **state)
{
    struct message m;
    (void)state;
    struct record *a = part_of(MATCH_OFF, 0, 100), *b = part_of(MATCH_OFF, 100, 0), *c = part_of(MATCH_OFF, 90, 0);
    assert_refused((struct record *[]){a}, 1,
                   "one: the last image is 99, but the stream has 150: a part is missing");
    assert_refused((struct record *[]){b}, 1, "one: first: begins at image 100, want 0: a part is missing");
    assert_refused((struct record *[]){a, c}, 2, "two: first: begins at image 90, want 100: some are there twice");
    ASSERT_OK(record_set(b, "made-by", "analyse of yore", &m), m);
    assert_refused((struct record *[]){a, b}, 2, "two: made-by: differs from that of one");
    ASSERT_OK(record_set(a, "made-by", "analyse of yore", &m), m);
    ASSERT_OK(record_set(b, "observer", "minmax", &m), m);
    assert_refused((struct record *[]){a, b}, 2, "two: observer: differs from that of one");
    record_unset(b, "observer");
    ((int64_t *)data_of(b, "bytes"))[1]++;
    assert_refused((struct record *[]){a, b}, 2, "two: n.activations.3: of other bytes");
    ((int64_t *)data_of(b, "bytes"))[1]--;
    ((uint16_t *)data_of(b, "labels"))[7] = CLASSES;
    assert_refused((struct record *[]){a, b}, 2, "two: labels: image 7: label 4 of 4 classes");
    ((uint16_t *)data_of(b, "labels"))[7] = 0;
    ((float *)data_of(b, "fc.weights.2"))[3] = NAN;
    assert_refused((struct record *[]){a, b}, 2, "two: fc.weights.2: value 3 is not finite");
    *(int64_t *)data_of(a, "first") = -1;
    assert_refused((struct record *[]){a, b}, 2, "one: first: images -1 on are not of a stream of 150");
    *(int64_t *)data_of(a, "first") = 0;
    record_remove(a, "sqnr");
    assert_refused((struct record *[]){a}, 1, "one: sqnr: missing tensor");
    record_free(a);
    record_free(b);
    record_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_the_networks_with_one_change),
        cmocka_unit_test(test_noise_alone_and_accumulated),
        cmocka_unit_test(test_matching_what_changes_helps_and_threads_change_nothing),
        cmocka_unit_test(test_parts_together_are_the_whole),
        cmocka_unit_test(test_parts_that_are_not_one_stream),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
