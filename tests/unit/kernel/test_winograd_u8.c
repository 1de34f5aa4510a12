/* Integer Winograd: the bits of ref's direct convolution, wherever the bound on the sums holds. */
#include "tests/unit/kernel/conv_u8.h"

/* for each instruction set with a Winograd kernel */
#define FOR_EACH_WINOGRAD(table) \
    FOR_EACH_TABLE(table)        \
    if (table->conv_u8_winograd.run)

/* Every set equals ref, and the data keep the bound. */
static void sets_equal(const struct conv_u8_data *d)
{
    struct conv_u8_result want = data_expected(d);
    FOR_EACH_WINOGRAD(table)
    {
        assert_true(!table->conv_u8_winograd.supports || table->conv_u8_winograd.supports(&d->s));
        same_as(table->isa, &table->conv_u8_winograd, d, &want);
    }
    result_release(&want);
}

static const uint8_t zero_points[] = {0, 1, 77, 128, 255};

/* h, w, c, out: the network at widths 64, 16 and 8, then odd maps, channels and outputs */
static const int shapes[][4] = {
    {32, 32, 64, 64}, {16, 16, 128, 128}, {8, 8, 256, 256}, {4, 4, 512, 512}, {32, 32, 16, 16}, {32, 32, 8, 8},
    {16, 16, 32, 32}, {8, 8, 64, 64},     {4, 4, 128, 128}, {16, 16, 16, 16}, {5, 7, 1, 1},     {5, 7, 17, 10},
    {7, 5, 33, 48},   {9, 6, 65, 33},     {1, 1, 7, 5},     {2, 2, 9, 80},    {3, 41, 3, 20},   {13, 3, 40, 65},
    {150, 2, 4, 5},   {1, 9, 96, 31},     {6, 35, 31, 64},  {4, 4, 2, 16},    {11, 70, 12, 7},
};
enum { WINOGRAD_SHAPES = sizeof shapes / sizeof *shapes };

/* Random weights at full scale keep the bound up to about 400 channels. */
static int share_of(int channels)
{
    return channels > 256 ? 2 : 1;
}

static struct conv_shape winograd_shape(int i)
{
    return shape_of(shapes[i][0], shapes[i][1], shapes[i][2], shapes[i][3], 3, 1);
}

static void test_shapes(void **state)
{
    (void)state;
    for (int i = 0; i < WINOGRAD_SHAPES; i++) {
        struct conv_shape s = winograd_shape(i);
        for (int border = 0; border < 2; border++) {
            struct conv_u8_form form = {.images = 1 + border,
                                        .border_x = border,
                                        .border_y = border,
                                        .residual = i % 2,
                                        .row_begin = i % 3 ? s.out_h / 2 : 0};
            struct conv_u8_data d =
                data_new(s, form, 40 + (uint64_t)i, zero_points[(i + border) % 5], share_of(s.c));
            sets_equal(&d);
            data_free(&d);
        }
    }
}

/* All images of a call share blocks of tiles; small maps fill several. */
static void test_batches(void **state)
{
    (void)state;
    static const int batch_shapes[][4] = {{4, 4, 48, 40}, {5, 7, 19, 33}, {8, 8, 16, 16}, {3, 2, 130, 17}};
    for (int i = 0; i < 4; i++)
        for (int images = 1; images <= 9; images++) {
            const int *v = batch_shapes[i];
            struct conv_u8_form form = {.images = images, .border_x = 1 + images % 2, .border_y = images % 3};
            struct conv_u8_data d =
                data_new(shape_of(v[0], v[1], v[2], v[3], 3, 1), form, 7, zero_points[images % 5], 1);
            sets_equal(&d);
            data_free(&d);
        }
    struct conv_u8_form form = {.images = 150, .border_x = 1, .border_y = 1};
    struct conv_u8_data d = data_new(shape_of(4, 4, 34, 35, 3, 1), form, 8, 77, 1);
    sets_equal(&d);
    data_free(&d);
}

/* Rows may begin and end anywhere, tiles do not show. */
static void test_row_ranges(void **state)
{
    (void)state;
    for (int row = 0; row < 11; row++) {
        struct conv_u8_form form = {
            .images = 2, .border_x = row % 2, .border_y = 1, .row_begin = row, .residual = 1};
        struct conv_u8_data d = data_new(shape_of(11, 9, 20, 24, 3, 1), form, 9, 128, 1);
        sets_equal(&d);
        data_free(&d);
    }
}

static void test_everything_that_a_call_gives(void **state)
{
    (void)state;
    for (int bits = 0; bits < 16; bits++) {
        struct conv_u8_form form = {.images = 2,
                                    .border_x = 1,
                                    .border_y = bits % 2,
                                    .wider = 5,
                                    .residual = bits & 1,
                                    .before = bits & 2,
                                    .logits = bits & 4,
                                    .no_y = bits & 8};
        struct conv_u8_data d = data_new(shape_of(6, 5, 24, 49, 3, 1), form, 10, zero_points[bits % 5], 1);
        sets_equal(&d);
        d.requantize.low = d.requantize.zero_point_y; /* a fused ReLU */
        sets_equal(&d);
        d.requantize.low = 3; /* fewer bits */
        d.requantize.high = 12;
        sets_equal(&d);
        data_free(&d);
    }
}

/* Outputs from a multiple of the grain on, in a tensor of them all, from the packed weights of all. */
static void test_ranges_of_outputs(void **state)
{
    (void)state;
    FOR_EACH_WINOGRAD(table)
    {
        int grain = table->conv_u8_winograd.out_grain;
        assert_true(grain > 0);
        for (int first = 0; first < 3 * grain; first += grain) {
            struct conv_u8_form form = {
                .images = 2, .border_x = 1, .border_y = 1, .first = first, .wider = 3, .residual = 1};
            struct conv_u8_data d = data_new(shape_of(5, 6, 13, 2 * grain + 11, 3, 1), form, 11, 1, 1);
            struct conv_u8_result want = data_expected(&d);
            same_as(table->isa, &table->conv_u8_winograd, &d, &want);
            result_release(&want);
            data_free(&d);
        }
    }
}

/* One output for each sum of weights; what is left of 116 channels is zero. */
static struct conv_u8_data data_with_sums(const int *sums, int count)
{
    struct conv_u8_form form = {.images = 1, .border_x = 1, .logits = 1};
    struct conv_u8_data d = data_new(shape_of(7, 6, 116, count, 3, 1), form, 12, 0, 1);
    for (size_t i = 0; i < d.x_size; i++)
        d.x[i] = d.x[i] ? 255 : 0;
    for (int row = 0; row < d.s.h; row++)
        memset(d.x + (ptrdiff_t)d.x_first + layout_at(&d.x_at, 0, row, 0), 255, (size_t)(d.s.w * d.s.c));
    for (int k = 0; k < count; k++) {
        int8_t *w = d.w + (size_t)k * 116 * 9;
        int rest = sums[k];
        for (int i = 0; i < 116 * 9; i++) {
            w[i] = (int8_t)(rest > 127 ? 127 : rest < -127 ? -127 : rest);
            rest -= w[i];
        }
        assert_int_equal(rest, 0);
        d.multiplier[k] = 1.0f;
        d.bias[k] = -255 * sums[k] + k; /* leaves small numbers, which a float holds exactly */
    }
    return d;
}

/* 255 * 131586 = 2^25 - 2: the largest sum, of either sign. One more weight and the result is another one: the
 * proof that a planner has to give is needed. */
static void test_bound(void **state)
{
    (void)state;
    static const int inside[] = {131586, -131586, 131585, 131000, -131585, 1};
    struct conv_u8_data d = data_with_sums(inside, 6);
    sets_equal(&d);
    data_free(&d);
    for (int sign = -1; sign < 2; sign += 2) {
        int beyond[] = {sign * 131587};
        d = data_with_sums(beyond, 1);
        struct conv_u8_result want = data_expected(&d);
        FOR_EACH_WINOGRAD(table)
        {
            struct conv_u8_result got = data_run(&table->conv_u8_winograd, &d);
            assert_false(results_same(&d, &want, &got));
            result_release(&got);
        }
        result_release(&want);
        data_free(&d);
    }
}

/* Largest inputs and weights, alternating signs, and biases that reach to the end of 32 bits. */
static void test_extremes(void **state)
{
    (void)state;
    static const int kinds[][3] = {{255, 127, 0},  {255, -127, 255}, {0, 127, 255},
                                   {0, -127, 128}, {255, 0, 1},      {-1, 0, 77}};
    static const int32_t biases[] = {1 << 30, -(1 << 30), (1 << 30) - 1, 0};
    static const float multipliers[] = {1e-9f, 0x1p-24f, 1.0f, 1e9f, 1e-38f, 3e38f, -0.5f};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        struct conv_u8_form form = {
            .images = 2, .border_x = 1, .residual = kind % 2 == 0, .logits = 1, .before = 1};
        struct conv_u8_data d = data_new(shape_of(6, 6, 114, 39, 3, 1), form, 13, (uint8_t)kinds[kind][2], 1);
        for (int image = 0; image < 2; image++)
            for (int row = 0; row < 6; row++) {
                uint8_t *to = d.x + (ptrdiff_t)d.x_first + layout_at(&d.x_at, image, row, 0);
                for (int i = 0; i < 6 * 114; i++)
                    to[i] = kinds[kind][0] >= 0 ? (uint8_t)kinds[kind][0] : i % 2 ? 255 : 0;
            }
        for (size_t i = 0; i < weights_of(&d.s); i++)
            d.w[i] = (int8_t)(kinds[kind][1] ? kinds[kind][1] : i % 2 ? 127 : -127);
        for (int k = 0; k < d.s.out; k++) {
            d.bias[k] = biases[k % 4];
            d.multiplier[k] = multipliers[k % 7];
        }
        sets_equal(&d);
        data_free(&d);
    }
}

static void test_support(void **state)
{
    (void)state;
    FOR_EACH_WINOGRAD(table)
    {
        struct conv_shape good = shape_of(8, 8, 16, 16, 3, 1), bad[] = {good, good, good};
        bad[0].stride = 2;
        bad[1].kernel = 1;
        bad[2].pad = 0;
        assert_non_null(table->conv_u8_winograd.supports);
        assert_true(table->conv_u8_winograd.supports(&good));
        for (int i = 0; i < 3; i++)
            assert_false(table->conv_u8_winograd.supports(&bad[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shapes),
                                       cmocka_unit_test(test_batches),
                                       cmocka_unit_test(test_row_ranges),
                                       cmocka_unit_test(test_everything_that_a_call_gives),
                                       cmocka_unit_test(test_ranges_of_outputs),
                                       cmocka_unit_test(test_bound),
                                       cmocka_unit_test(test_extremes),
                                       cmocka_unit_test(test_support)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
