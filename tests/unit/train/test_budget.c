/* The rule of train/budget.h on speeds that are made up. */
#include "common.h"
#include "train/budget.h"

/* Two cores with AVX2, about; four widths. */
static struct budget_given machine(double minutes)
{
    return (struct budget_given){
        .seconds = minutes * 60,
        .threads = 2,
        .speeds = {{650, 720, 2400, {0}}, {410, 454, 1500, {0}}, {198, 233, 700, {0}}, {52, 69, 190, {0}}},
        .augment = 9000,
        .train = 45000,
        .held_out = 5000,
        .test = 10000};
}

static struct budget plan(const struct budget_given *g)
{
    struct budget b;
    ASSERT_OK(budget_plan(g, &b, &m));
    return b;
}

static double passes(const struct budget *b)
{
    return (double)b->images * (double)b->epochs;
}

static void test_time_is_used_and_not_exceeded(void **state)
{
    (void)state;
    for (double speed = 0.25; speed < 20; speed *= 1.7)
        for (double minutes = 3; minutes < 400; minutes *= 1.3)
            for (int threads = 1; threads <= 2; threads++) {
                struct budget_given g = machine(minutes);
                g.threads = threads;
                for (int i = 0; i < BUDGET_WIDTHS; i++) {
                    g.speeds[i].fp32 *= speed;
                    g.speeds[i].bf16 *= speed;
                    g.speeds[i].infer *= speed;
                }
                struct budget b = plan(&g);
                double sum = BUDGET_REST;
                for (int k = 0; k < BUDGET_STAGES; k++)
                    sum += b.seconds[k];
                assert_true(fabs(sum - b.total) < 1e-6);
                assert_true(b.total <= g.seconds);
                if (b.epochs < BUDGET_MOST_EPOCHS)
                    assert_true(b.total > 0.85 * g.seconds);
                assert_true(b.images <= g.train && b.images >= 1 && b.held_out <= g.held_out && b.test <= g.test);
                assert_true(b.epochs == 1 || (double)b.images > 0.49 * (double)g.train);
            }
}

static void test_more_minutes_are_a_wider_network_or_more_of_it(void **state)
{
    (void)state;
    struct budget before = {0};
    int widths = 0;
    for (double minutes = 1; minutes < 3000; minutes *= 1.1) {
        struct budget_given g = machine(minutes);
        struct budget b = plan(&g);
        assert_true(b.width >= before.width);
        widths += b.width > before.width;
        if (b.width == before.width)
            assert_true(passes(&b) >= passes(&before) * 0.93); /* where it begins to be timed widely */
        if (b.width == before.width && b.batch == before.batch && b.is_timed_widely == before.is_timed_widely)
            assert_true(b.ema >= before.ema);
        before = b;
    }
    assert_int_equal(widths, BUDGET_WIDTHS);
    assert_int_equal(before.epochs, BUDGET_MOST_EPOCHS);
}

static void test_a_width_is_taken_from_its_least_number_on(void **state)
{
    (void)state;
    for (double minutes = 1; minutes < 1000; minutes *= 1.05) {
        struct budget_given g = machine(minutes);
        struct budget b = plan(&g);
        for (int i = 0; i < BUDGET_WIDTHS; i++)
            if (budget_widths[i].width == b.width)
                assert_true(passes(&b) >= 0.99 * (double)budget_widths[i].least);
        g.speeds[2] = g.speeds[3] = (struct budget_speed){0}; /* not timed: no candidate */
        b = plan(&g);
        assert_true(b.width <= 16);
    }
    struct budget_given g = machine(10);
    assert_int_equal(plan(&g).width, 16);
    g = machine(30);
    assert_int_equal(plan(&g).width, 32);
    g = machine(300);
    assert_int_equal(plan(&g).width, 64);
}

static void test_what_cannot_be_the_one_is_not_timed(void **state)
{
    (void)state;
    struct budget_given g = machine(10);
    assert_true(budget_is_worth_timing(&g, 1));
    assert_false(budget_is_worth_timing(&g, 2));
    g = machine(300);
    assert_true(budget_is_worth_timing(&g, 2) && budget_is_worth_timing(&g, 3));
    g = machine(1);
    assert_false(budget_is_worth_timing(&g, 1));
}

static void test_the_recipe_follows_from_the_passes(void **state)
{
    (void)state;
    struct budget_given g = machine(10);
    struct budget b = plan(&g);
    assert_int_equal(b.batch, 64);
    assert_true(b.rate == 0.14 && b.peak == 0.25 && b.is_bf16 && b.is_timed_widely);
    double steps = ceil((double)b.images / 64) * (double)b.epochs;
    assert_true(fabs((1 - b.ema) * steps - 20) < 0.5);
    assert_int_equal(b.held_out, 5000);
    assert_int_equal(b.test, 10000);
    g = machine(300);
    b = plan(&g);
    assert_int_equal(b.batch, 128);
    assert_true(b.rate == 0.2 && b.peak == 0.2);
    assert_true(ceil((double)b.epochs / b.validate_every) <= 8);
    g = machine(1);
    b = plan(&g);
    assert_int_equal(b.batch, 32);
    assert_true(b.rate == 0.1);
    assert_false(b.is_timed_widely);
    assert_true(b.test < 10000 && b.test >= 1000 && b.held_out < 5000 && b.held_out >= 500);
    for (int i = 0; i < BUDGET_WIDTHS; i++)
        g.speeds[i].bf16 = 1.04 * g.speeds[i].fp32;
    assert_false(plan(&g).is_bf16);
}

static void test_too_few_minutes_say_what_it_would_take(void **state)
{
    (void)state;
    struct budget b;
    struct budget_given g = machine(0.5);
    ASSERT_FAILS(budget_plan(&g, &b, &m), STATUS_RANGE, "the smallest study takes about 0.");
    double needed = strtod(strstr(m.text, "about") + 6, NULL);
    g = machine(needed);
    assert_true(plan(&g).total <= g.seconds);
    g = machine(needed - 0.15);
    assert_true(budget_plan(&g, &b, &m) < 0);
}

/* A set of a few images: a hundred epochs teach as much as there is to learn, and the time is not used. */
static void test_a_small_set_is_seen_a_hundred_times(void **state)
{
    (void)state;
    struct budget_given g = machine(10);
    g.train = 270;
    g.held_out = 30;
    g.test = 50;
    struct budget b = plan(&g);
    assert_int_equal(b.epochs, BUDGET_MOST_EPOCHS);
    assert_int_equal(b.images, 270);
    assert_int_equal(b.held_out, 30);
    assert_int_equal(b.test, 50);
    assert_int_equal(b.qat, 270);
    assert_int_equal(b.calibration, 270);
    assert_true(b.total < g.seconds / 2);
}

static struct budget_given machine_of_sizes(double minutes)
{
    static const double small[BUDGET_WIDTHS][BUDGET_SIZES] = {{2000, 1200}, {1500, 800}, {700, 400}, {180, 110}};
    struct budget_given g = machine(minutes);
    g.image = IMAGE_CIFAR;
    for (int i = 0; i < BUDGET_WIDTHS; i++)
        memcpy(g.speeds[i].small, small[i], sizeof small[i]);
    return g;
}

static void test_sizes_of_small_pictures(void **state)
{
    (void)state;
    static const struct {
        int whole, half, three_quarters;
    } cases[] = {{32, 16, 24}, {28, 16, 20}, {64, 32, 48}, {224, 112, 168}, {16, 8, 12}};
    struct image_shape small;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct image_shape whole = {cases[i].whole, cases[i].whole, 1};
        assert_true(budget_size(whole, 0, &small));
        assert_true(small.height == cases[i].half && small.width == cases[i].half && small.channels == 1);
        assert_true(budget_size(whole, 1, &small));
        assert_true(small.height == cases[i].three_quarters && small.width == cases[i].three_quarters);
    }
    assert_false(budget_size((struct image_shape){8, 8, 1}, 0, &small)); /* too small */
    assert_false(budget_size((struct image_shape){8, 8, 1}, 1, &small)); /* as large */
    assert_false(budget_size((struct image_shape){0}, 0, &small));
}

/* Small pictures first: more epochs in the same time, of the same network, on the same mini-batches. */
static void test_small_pictures_buy_epochs(void **state)
{
    (void)state;
    for (double minutes = 3; minutes < 300; minutes *= 1.3) {
        struct budget_given g = machine_of_sizes(minutes), whole = machine(minutes);
        struct budget b = plan(&g), without = plan(&whole);
        assert_true(b.width == without.width && b.batch == without.batch && without.growth.count == 0);
        assert_true(b.total <= g.seconds && (b.epochs == BUDGET_MOST_EPOCHS || b.total > 0.85 * g.seconds));
        assert_true(passes(&b) >= passes(&without));
        assert_true(b.effort <= (double)b.epochs);
        if (b.epochs == BUDGET_MOST_EPOCHS)
            continue;
        /* What the small ones take is reckoned. */
        double seconds = 0;
        for (int64_t epoch = 0; epoch < b.epochs; epoch++) {
            int i = 0, side = growth_shape(&b.growth, epoch, b.epochs, g.image).height;
            while (budget_widths[i].width != b.width)
                i++;
            const struct budget_speed *s = &g.speeds[i];
            seconds += (double)b.images * (1 / (side == 16   ? s->small[0]
                                                : side == 24 ? s->small[1]
                                                             : s->bf16) +
                                           1 / (g.augment * g.threads));
        }
        assert_true(b.seconds[BUDGET_TRAIN] >= seconds && b.seconds[BUDGET_TRAIN] < seconds + g.seconds / 20);
    }
    struct budget_given g = machine_of_sizes(10);
    struct budget b = plan(&g);
    assert_true(b.epochs == 9 && b.growth.count == 2 && growth_begin(&b.growth, 2, 9) == 7);
    g.speeds[1].small[0] = 0; /* the network does not take them */
    assert_int_equal(plan(&g).growth.count, 0);
    g = machine_of_sizes(10);
    g.speeds[1].small[1] = 400; /* no faster */
    assert_int_equal(plan(&g).growth.count, 0);
    g = machine_of_sizes(1); /* one epoch, which is the last: whole */
    assert_int_equal(plan(&g).growth.count, 0);
}

static void test_the_profile_says_all_of_it(void **state)
{
    (void)state;
    struct text t = {0};
    struct budget_given g = machine(10);
    struct budget b = plan(&g);
    ASSERT_OK(budget_print(&g, &b, "mine", "10", &t, &m));
    static const char *const lines[] = {
        "\nRUN = mine\n",
        "\nPLANNED_MINUTES = 10\n",
        "\nWIDTH = 16\n",
        "\nEPOCHS = 5\n",
        "\nTEST_IMAGES = 0\n",
        "\nBENCH_THREADS = 1,2\n",
        " --batch 64 --learning-rate 0.14 --peak 0.25 --label-smoothing 0.1 --ema 0.99",
        "\nSTAGE_SECONDS = train:"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_non_null(strstr(t.data, lines[i]));
    assert_null(strstr(t.data, "GROW"));
    text_free(&t);
    g = machine_of_sizes(10);
    b = plan(&g);
    ASSERT_OK(budget_print(&g, &b, "mine", "10", &t, &m));
    assert_non_null(strstr(t.data, "\nGROW = 16:45,24:33\n"));
    assert_non_null(strstr(t.data, " $(if $(GROW),--grow $(GROW))\n"));
    text_free(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_is_used_and_not_exceeded),
        cmocka_unit_test(test_more_minutes_are_a_wider_network_or_more_of_it),
        cmocka_unit_test(test_a_width_is_taken_from_its_least_number_on),
        cmocka_unit_test(test_what_cannot_be_the_one_is_not_timed),
        cmocka_unit_test(test_the_recipe_follows_from_the_passes),
        cmocka_unit_test(test_too_few_minutes_say_what_it_would_take),
        cmocka_unit_test(test_a_small_set_is_seen_a_hundred_times),
        cmocka_unit_test(test_sizes_of_small_pictures),
        cmocka_unit_test(test_small_pictures_buy_epochs),
        cmocka_unit_test(test_the_profile_says_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
