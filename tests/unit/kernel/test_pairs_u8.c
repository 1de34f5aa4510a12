/* Integer convolution by pairs of products in 16 bits: the bits of ref's, wherever pairs have room. */
#include "tests/unit/kernel/conv_u8.h"
#include "kernel/contract/pairs.h"

/* for each instruction set with such a kernel */
#define FOR_EACH_PAIRS(table) \
    FOR_EACH_TABLE(table)     \
    if (table->conv_u8_pairs.run)

/* Every set equals ref, and the data leave the room that the kernel asks for. */
static void sets_equal(const struct conv_u8_data *d)
{
    struct conv_u8_result want = data_expected(d);
    assert_true(pairs_room(d->w, weights_of(&d->s), form_high(&d->form)) >= PAIRS_ROOM);
    FOR_EACH_PAIRS(table)
    {
        assert_true(!table->conv_u8_pairs.supports || table->conv_u8_pairs.supports(&d->s));
        same_as(table->isa, &table->conv_u8_pairs, d, &want);
    }
    result_release(&want);
}

/* Widths that have room: the largest code, and what 127 is divided by. */
static const int widths[][2] = {{255, 8}, {255, 18}, {63, 4}, {15, 1}, {15, 18}, {3, 100}, {1, 1}};
enum { WIDTHS = sizeof widths / sizeof *widths };

static void test_shapes(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++)
        for (int border = 0; border < 2; border++) {
            struct conv_shape s = shape_at(i);
            const int *width = widths[(i + border) % WIDTHS];
            struct conv_u8_form form = {.images = 1 + 2 * border,
                                        .border_x = border * s.pad,
                                        .border_y = border,
                                        .residual = i % 2,
                                        .before = i % 3 == 0,
                                        .high = width[0],
                                        .row_begin = i % 4 ? s.out_h / 2 : 0};
            struct conv_u8_data d =
                data_new(s, form, 60 + (uint64_t)i, (uint8_t)(width[0] * (i % 3) / 2), width[1]);
            sets_equal(&d);
            data_free(&d);
        }
}

/* All that a call may ask for; outputs that begin at a grain, from the packed weights of all. */
static void test_everything_that_a_call_gives(void **state)
{
    (void)state;
    for (int bits = 0; bits < 16; bits++) {
        struct conv_u8_form form = {.images = 2,
                                    .border_x = bits % 2,
                                    .wider = 5,
                                    .residual = bits & 1,
                                    .before = bits & 2,
                                    .logits = bits & 4,
                                    .no_y = bits & 8};
        struct conv_u8_data d = data_new(shape_of(6, 5, 24, 49, 3, 2), form, 10, 77, 8);
        sets_equal(&d);
        data_free(&d);
    }
    FOR_EACH_PAIRS(table)
    {
        int grain = table->conv_u8_pairs.out_grain;
        assert_true(grain > 0);
        for (int first = 0; first < 3 * grain; first += grain) {
            struct conv_u8_form form = {.images = 2, .first = first, .wider = 3, .residual = 1};
            struct conv_u8_data d = data_new(shape_of(5, 6, 13, 2 * grain + 11, 3, 2), form, 11, 1, 8);
            struct conv_u8_result want = data_expected(&d);
            same_as(table->isa, &table->conv_u8_pairs, &d, &want);
            result_release(&want);
            data_free(&d);
        }
    }
}

/* Weights of one size. Signs by `sign`: 0 all up, 1 all down, 2 by turns, 3 by pairs, 4 by output; 5: all up, one less
 * in odd channels. */
static void fill_weights(struct conv_u8_data *d, int size, int sign)
{
    size_t taps = (size_t)(d->s.kernel * d->s.kernel), row = weights_of(&d->s) / (size_t)d->s.out;
    for (size_t i = 0; i < weights_of(&d->s); i++) {
        size_t c = i % row / taps;
        size_t flips[] = {0, 1, c % 2, c / 2 % 2, i / row % 2, 0};
        int value = sign == 5 && c % 2 ? size - 1 : size;
        d->w[i] = (int8_t)(flips[sign] ? -value : value);
    }
}

/* Every product at its largest, for as long as there is room: with one more in a segment 16 bits would saturate. */
static void test_sums_at_the_bound(void **state)
{
    (void)state;
    static const int sizes[][2] = {{255, 16}, {255, 11}, {255, 2}, {63, 65},
                                   {32, 127}, {15, 127}, {15, 7},  {1, 127}};
    static const int shapes[][6] = {
        {8, 8, 64, 16, 3, 2}, {7, 5, 33, 24, 1, 2}, {5, 4, 130, 17, 3, 1}, {3, 3, 2000, 8, 1, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
            for (int sign = 0; sign < 6; sign++) {
                const int *v = shapes[k];
                struct conv_u8_form form = {.images = 1, .logits = 1, .before = 1, .high = sizes[i][0]};
                struct conv_u8_data d =
                    data_new(shape_of(v[0], v[1], v[2], v[3], v[4], v[5]), form, 12, sign % 2 ? 0 : 1, 8);
                memset(d.x, sizes[i][0], d.x_size);
                fill_weights(&d, sizes[i][1], sign);
                sets_equal(&d);
                data_free(&d);
            }
}

/* One large weight among small ones cuts a grain's segments shorter, wherever it stands. */
static void test_uneven_weights(void **state)
{
    (void)state;
    for (int c = 0; c < 67; c += 3) {
        struct conv_u8_form form = {.images = 1, .logits = 1};
        struct conv_u8_data d = data_new(shape_of(4, 5, 67, 40, 3, 2), form, 13, 0, 60);
        memset(d.x, 255, d.x_size);
        for (int k = c % 5; k < d.s.out; k += 7)
            for (int tap = 0; tap < 9; tap++)
                d.w[(k * d.s.c + c) * 9 + tap] = (int8_t)(k % 2 ? 16 : -16);
        sets_equal(&d);
        data_free(&d);
    }
}

/* At the bound of a room and one past it. */
static void test_room(void **state)
{
    (void)state;
    int8_t w[9] = {1, -2, 0, 3, 0, 0, 0, 0, 0};
    assert_int_equal(pairs_room(w, 9, 255), 32767 / (2 * 255 * 3));
    w[8] = -16; /* 2 * 255 * 16 * 4 = 32640 */
    assert_int_equal(pairs_room(w, 9, 255), 4);
    w[8] = 17;
    assert_int_equal(pairs_room(w, 9, 255), 3);
    assert_int_equal(pairs_room(w, 8, 255), 32767 / (2 * 255 * 3));
    w[8] = 127;
    assert_int_equal(pairs_room(w, 9, 32), 4);
    assert_int_equal(pairs_room(w, 9, 33), 3);
    assert_int_equal(pairs_room(w, 9, 255), 0);
    w[8] = -7; /* 4 bits */
    assert_int_equal(pairs_room(w, 9, 255), 9);
    assert_int_equal(pairs_room(w, 9, 15), 156);
    assert_int_equal(pairs_room(w, 9, 0), 32767);
    assert_int_equal(pairs_room(w, 0, 255), 32767);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_everything_that_a_call_gives),
        cmocka_unit_test(test_sums_at_the_bound),
        cmocka_unit_test(test_uneven_weights),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
