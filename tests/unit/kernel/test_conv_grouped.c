/* Convolution with groups: every set against ref's without groups on the same weights,
 * zeros where groups do not meet. */
#include "kernel/contract/shape.h"
#include "tests/unit/kernel/conv_u8.h"

/* h, w, c, out, kernel, stride, pad, groups */
static const int grouped_list[][8] = {
    /* MobileNetV2's depthwise layers */
    {16, 16, 32, 32, 3, 1, 1, 32},
    {16, 16, 96, 96, 3, 2, 1, 96},
    {4, 4, 160, 160, 3, 1, 1, 160},
    /* odd channels and maps, a border wider than the kernel's half */
    {7, 5, 9, 9, 3, 1, 1, 9},
    {5, 7, 17, 17, 3, 2, 1, 17},
    {6, 6, 33, 33, 3, 1, 2, 33},
    {9, 4, 1, 1, 3, 1, 1, 1},
    {1, 1, 24, 24, 3, 1, 1, 24},
    {2, 1, 40, 40, 3, 2, 1, 40},
    {3, 41, 8, 8, 3, 1, 0, 8},
    /* other kernels: the scale and shift that a batch norm is, 5x5, even */
    {5, 6, 19, 19, 1, 1, 0, 19},
    {5, 6, 19, 19, 1, 2, 0, 19},
    {8, 8, 24, 24, 5, 1, 2, 24},
    {9, 8, 24, 24, 5, 2, 2, 24},
    {7, 7, 16, 16, 2, 2, 0, 16},
    {8, 9, 16, 16, 7, 3, 3, 16},
    /* whole blocks of 16 channels: odd rows, one column, bands, other kernels and strides */
    {6, 7, 48, 48, 3, 1, 1, 48},
    {9, 9, 32, 32, 3, 2, 1, 32},
    {4, 3, 80, 80, 3, 1, 1, 80},
    {5, 1, 32, 32, 3, 1, 1, 32},
    {5, 2, 16, 16, 3, 2, 1, 16},
    {41, 30, 32, 32, 3, 1, 1, 32},
    {21, 43, 48, 48, 3, 2, 1, 48},
    {10, 11, 32, 32, 3, 3, 1, 32},
    {9, 7, 48, 48, 5, 1, 2, 48},
    {9, 7, 32, 32, 5, 2, 2, 32},
    {5, 5, 32, 32, 2, 1, 1, 32},
    {6, 5, 16, 16, 1, 1, 0, 16},
    /* several outputs an input, several inputs an output */
    {6, 5, 6, 18, 3, 1, 1, 6},
    {6, 5, 12, 18, 3, 1, 1, 3},
    {6, 5, 32, 64, 3, 2, 1, 2},
    {4, 4, 40, 20, 1, 1, 0, 5},
};

enum { GROUPED = sizeof grouped_list / sizeof *grouped_list, IMAGES = 2 };

static struct conv_shape grouped_at(int i)
{
    const int *v = grouped_list[i];
    struct conv_shape s = {
        .h = v[0], .w = v[1], .c = v[2], .out = v[3], .kernel = v[4], .stride = v[5], .pad = v[6], .groups = v[7]};
    s.out_h = (s.h + 2 * s.pad - s.kernel) / s.stride + 1;
    s.out_w = (s.w + 2 * s.pad - s.kernel) / s.stride + 1;
    return s;
}

static size_t grouped_weights(const struct conv_shape *s)
{
    return weights_of(s) / (size_t)s->groups;
}

static struct conv_shape without_groups(struct conv_shape s)
{
    s.groups = 0;
    return s;
}

/* Where the value of grouped weight i stands among the weights without groups. */
static size_t expanded_at(const struct conv_shape *s, size_t i)
{
    size_t taps = (size_t)s->kernel * (size_t)s->kernel, inputs = (size_t)(s->c / s->groups);
    size_t tap = i % taps, c = i / taps % inputs, k = i / taps / inputs;
    size_t group = k / (size_t)(s->out / s->groups);
    return (k * (size_t)s->c + group * inputs + c) * taps + tap;
}

static float *expanded(const struct conv_shape *s, const float *w)
{
    float *all = bytes_new(weights_of(s), sizeof *all);
    memset(all, 0, weights_of(s) * sizeof *all);
    for (size_t i = 0; i < grouped_weights(s); i++)
        all[expanded_at(s, i)] = w[i];
    return all;
}

/* ---- forward, floats ---- */

struct forward {
    struct conv_shape s;
    float *x, *w, *bias, *residual;
    int border, cut; /* of x; rows computed apart: [0, cut) and the rest */
    const float *clip;
};

static void forward_run(const struct kernel_table *table, const struct forward *f, const float *w, int relu,
                        const struct conv_shape *s, float *y)
{
    const struct conv_f32_kernel *k = kernel_conv_f32(table, s);
    size_t first;
    struct layout x_at = layout_bordered(s->h, s->w, s->c, f->border, &first);
    float *x = bytes_new(IMAGES * x_at.image, sizeof *x);
    memset(x, 0, IMAGES * x_at.image * sizeof *x);
    for (int image = 0; image < IMAGES; image++)
        for (int row = 0; row < s->h; row++)
            memcpy(x + (ptrdiff_t)first + layout_at(&x_at, image, row, 0),
                   f->x + (size_t)image * inputs_of(s) + (size_t)(row * s->w * s->c),
                   (size_t)(s->w * s->c) * sizeof *x);
    void *packed = bytes_new(k->packed_bytes(s), 1), *scratch = bytes_new(k->scratch_bytes(s) + 64, 1);
    k->pack(s, w, packed);
    struct conv_f32_call call = {.images = IMAGES,
                                 .x = x + first,
                                 .x_at = x_at,
                                 .packed = packed,
                                 .bias = f->bias,
                                 .residual = f->residual,
                                 .residual_at = layout_dense(s->out_h, s->out_w, s->out),
                                 .relu = relu,
                                 .clip = f->clip,
                                 .y = y,
                                 .y_at = layout_dense(s->out_h, s->out_w, s->out),
                                 .row_end = f->cut};
    if (f->cut > 0)
        k->run(s, &call, scratch);
    call.row_begin = f->cut;
    call.row_end = s->out_h;
    k->run(s, &call, scratch);
    memory_free(x), memory_free(packed), memory_free(scratch);
}

static void check_forward(const struct kernel_table *table, struct forward *f, int relu)
{
    const struct conv_shape dense = without_groups(f->s);
    size_t outputs = IMAGES * outputs_of(&f->s);
    float *want = bytes_new(outputs, sizeof *want), *got = bytes_new(outputs, sizeof *got);
    float *absolute = bytes_new(outputs, sizeof *absolute), *all = expanded(&f->s, f->w);
    struct forward a = *f;
    a.x = floats_absolute(f->x, IMAGES * inputs_of(&f->s));
    a.bias = f->bias ? floats_absolute(f->bias, (size_t)f->s.out) : NULL;
    a.residual = f->residual ? floats_absolute(f->residual, outputs) : NULL;
    float *magnitudes = floats_absolute(all, weights_of(&f->s));
    forward_run(table_of("ref"), f, all, relu, &dense, want);
    forward_run(table_of("ref"), &a, magnitudes, 0, &dense, absolute);
    forward_run(table, f, f->w, relu, &f->s, got);
    if (first_apart(got, want, absolute, outputs) >= 0) {
        shape_print(table->isa, &f->s);
        fail();
    }
    static const float clip[] = {-0.5f, 0.75f};
    for (size_t i = 0; i < outputs; i++)
        want[i] = clip_value(clip, got[i]);
    f->clip = clip;
    forward_run(table, f, f->w, relu, &f->s, got);
    f->clip = NULL;
    assert_memory_equal(got, want, outputs * sizeof *got);
    memory_free(want), memory_free(got), memory_free(absolute), memory_free(all), memory_free(magnitudes);
    memory_free(a.x), memory_free(a.bias), memory_free(a.residual);
}

static void test_forward(void **state)
{
    (void)state;
    for (int i = 0; i < GROUPED; i++) {
        struct forward f = {.s = grouped_at(i)};
        float *bias = floats_new((size_t)f.s.out, 3), *residual = floats_new(IMAGES * outputs_of(&f.s), 4);
        f.x = floats_new(IMAGES * inputs_of(&f.s), (uint64_t)i);
        f.w = floats_new(grouped_weights(&f.s), (uint64_t)i + 100);
        FOR_EACH_TABLE(table)
        {
            check_forward(table, &f, 0);
            f = (struct forward){f.s, f.x, f.w, bias, residual, f.s.pad, f.s.out_h / 2, NULL};
            check_forward(table, &f, 1);
            f.bias = f.residual = NULL;
            f.border = f.cut = 0;
        }
        memory_free(f.x), memory_free(f.w), memory_free(bias), memory_free(residual);
    }
}

/* ---- forward, codes: the same bits ---- */

static void check_codes(const struct kernel_table *table, const struct conv_u8_data *d,
                        const struct conv_u8_data *dense)
{
    struct conv_u8_result want = data_run(kernel_conv_u8(table_of("ref"), &dense->s), dense);
    struct conv_u8_result got = data_run(kernel_conv_u8(table, &d->s), d);
    if (memcmp(want.y, got.y, d->y_size) != 0 ||
        memcmp(want.before, got.before, d->y_size * sizeof *want.before) != 0 ||
        memcmp(want.logits, got.logits, d->y_size * sizeof *want.logits) != 0) {
        shape_print(table->isa, &d->s);
        fail();
    }
    result_release(&want), result_release(&got);
}

static void test_codes(void **state)
{
    (void)state;
    static const struct conv_u8_form forms[] = {
        {.images = IMAGES},
        {.images = 1, .border_x = 1, .border_y = 1, .wider = 3},
        {.images = IMAGES, .border_x = 3, .row_begin = 1},
        {.images = 1, .residual = 1, .before = 1},
        {.images = 1, .border_x = 2, .logits = 1, .no_y = 1},
    };
    static const uint8_t zero_points[] = {0, 255, 97};
    for (int i = 0; i < GROUPED; i++)
        for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
            struct conv_shape s = grouped_at(i);
            struct conv_u8_data dense =
                data_new(without_groups(s), forms[k], (uint64_t)i, zero_points[((size_t)i + k) % 3], 1);
            dense.requantize.low = k % 2 ? 40 : 0; /* a fused clip */
            dense.requantize.high = k % 2 ? 200 : 255;
            struct conv_u8_data d = dense;
            d.s = s;
            d.w = weights_new(grouped_weights(&s), (uint64_t)i + 50);
            memset(dense.w, 0, weights_of(&s));
            for (size_t at = 0; at < grouped_weights(&s); at++)
                dense.w[expanded_at(&s, at)] = d.w[at];
            FOR_EACH_TABLE(table)
            check_codes(table, &d, &dense);
            memory_free(d.w);
            data_free(&dense);
        }
}

/* Codes alone, at the largest products, with biases near 2^30 and multipliers from tiny to infinite: what a clamp
 * would not see any more is saturated on the way. */
static void test_codes_extremes(void **state)
{
    (void)state;
    static const int kinds[][3] = {{255, 127, 0},  {255, -127, 0}, {0, 127, 255},
                                   {0, -127, 255}, {255, 0, 128},  {9, 127, 9}};
    static const int32_t biases[] = {1 << 30, -(1 << 30), (1 << 30) - 1, 0};
    static const float multipliers[] = {1e-9f, 0x1p-24f, 1.0f, 1e9f, 1e-38f, 3e38f, INFINITY};
    static const uint8_t clamps[][3] = {{0, 255, 0}, {0, 255, 255}, {100, 180, 128}, {255, 255, 7}, {0, 0, 130}};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (size_t c = 0; c < sizeof clamps / sizeof *clamps; c++) {
            struct conv_shape s = shape_of(5, 5, 48, 48, 3, 1);
            s.groups = 48;
            struct conv_u8_data d =
                data_new(s, (struct conv_u8_form){.images = 1, .border_x = 1}, 3, (uint8_t)kinds[kind][2], 1);
            for (int y = 0; y < s.h; y++)
                memset(d.x + (ptrdiff_t)d.x_first + layout_at(&d.x_at, 0, y, 0), kinds[kind][0],
                       (size_t)s.w * (size_t)s.c);
            for (size_t i = 0; i < grouped_weights(&s); i++)
                d.w[i] = (int8_t)(kinds[kind][1] ? kinds[kind][1] : i % 2 ? 127 : -127);
            for (int k = 0; k < s.out; k++) {
                d.bias[k] = biases[k % 4];
                d.multiplier[k] = multipliers[k % 7];
            }
            d.requantize.low = clamps[c][0];
            d.requantize.high = clamps[c][1];
            d.requantize.zero_point_y = clamps[c][2];
            FOR_EACH_TABLE(table)
            check_codes(table, &d, &d);
            data_free(&d);
        }
}

/* ---- gradients ---- */

static void data_gradient(const struct kernel_table *table, const struct conv_shape *s, const float *dy,
                          const float *w, int accumulate, float *dx)
{
    const struct conv_f32_backward_data_kernel *k = kernel_conv_f32_backward_data(table, s);
    void *packed = bytes_new(k->packed_bytes(s), 1), *scratch = bytes_new(k->scratch_bytes(s) + 64, 1);
    k->pack(s, w, packed);
    k->run(s, dy, packed, dx, accumulate, scratch);
    memory_free(packed), memory_free(scratch);
}

static void weight_gradient(const struct kernel_table *table, const struct conv_shape *s, const float *x,
                            const float *dy, float *dw)
{
    const struct conv_f32_backward_weight_kernel *k = kernel_conv_f32_backward_weight(table, s);
    void *scratch = bytes_new(k->scratch_bytes(s) + 64, 1);
    for (int item = k->items(s) - 1; item >= 0; item--)
        k->run(s, IMAGES, x, dy, item, dw, scratch);
    memory_free(scratch);
}

struct backward {
    struct conv_shape s;
    float *x, *w, *dy, *all, *x_magnitudes, *magnitudes, *dy_magnitudes;
};

static void check_data(const struct kernel_table *table, const struct backward *b, int accumulate)
{
    const struct conv_shape dense = without_groups(b->s);
    size_t inputs = inputs_of(&b->s);
    float *want = floats_new(inputs, 8), *got = floats_new(inputs, 8);
    float *absolute = floats_absolute(want, inputs);
    data_gradient(table_of("ref"), &dense, b->dy, b->all, accumulate, want);
    data_gradient(table_of("ref"), &dense, b->dy_magnitudes, b->magnitudes, accumulate, absolute);
    data_gradient(table, &b->s, b->dy, b->w, accumulate, got);
    if (first_apart(got, want, absolute, inputs) >= 0) {
        shape_print(table->isa, &b->s);
        fail();
    }
    memory_free(want), memory_free(got), memory_free(absolute);
}

static void check_weight(const struct kernel_table *table, const struct backward *b)
{
    const struct conv_shape dense = without_groups(b->s);
    size_t weights = grouped_weights(&b->s);
    float *all = bytes_new(weights_of(&b->s), sizeof *all), *got = floats_new(weights, 1);
    float *absolute = bytes_new(weights_of(&b->s), sizeof *absolute);
    weight_gradient(table_of("ref"), &dense, b->x, b->dy, all);
    weight_gradient(table_of("ref"), &dense, b->x_magnitudes, b->dy_magnitudes, absolute);
    weight_gradient(table, &b->s, b->x, b->dy, got);
    for (size_t i = 0; i < weights; i++) {
        size_t at = expanded_at(&b->s, i);
        if (first_apart(got + i, all + at, absolute + at, 1) >= 0) {
            shape_print(table->isa, &b->s);
            fail();
        }
    }
    memory_free(all), memory_free(got), memory_free(absolute);
}

static void test_backward(void **state)
{
    (void)state;
    for (int i = 0; i < GROUPED; i++) {
        struct backward b = {.s = grouped_at(i)};
        b.x = floats_new(IMAGES * inputs_of(&b.s), (uint64_t)i);
        b.w = floats_new(grouped_weights(&b.s), (uint64_t)i + 100);
        b.dy = floats_new(IMAGES * outputs_of(&b.s), (uint64_t)i + 200);
        b.all = expanded(&b.s, b.w);
        b.x_magnitudes = floats_absolute(b.x, IMAGES * inputs_of(&b.s));
        b.magnitudes = floats_absolute(b.all, weights_of(&b.s));
        b.dy_magnitudes = floats_absolute(b.dy, IMAGES * outputs_of(&b.s));
        FOR_EACH_TABLE(table)
        {
            check_data(table, &b, 0);
            check_data(table, &b, 1);
            check_weight(table, &b);
        }
        memory_free(b.x), memory_free(b.w), memory_free(b.dy), memory_free(b.all);
        memory_free(b.x_magnitudes), memory_free(b.magnitudes), memory_free(b.dy_magnitudes);
    }
}

/* ---- which kernel ---- */

static void test_others_take_no_groups(void **state)
{
    (void)state;
    FOR_EACH_TABLE(table)
    {
        struct conv_shape s = grouped_at(0);
        assert_null(kernel_conv_f32_winograd(table, &s));
        assert_null(kernel_conv_u8_winograd(table, &s));
        assert_int_equal(kernel_conv_f32(table, &s)->out_grain, 0);
        assert_int_equal(kernel_conv_u8(table, &s)->out_grain, 0);
        assert_int_equal(kernel_conv_bf16(table, &s)->out_grain, 0);
        s.groups = 1; /* and one group is none */
        struct conv_shape none = without_groups(s);
        assert_ptr_equal(kernel_conv_f32(table, &s), kernel_conv_f32(table, &none));
        assert_ptr_equal(kernel_conv_u8(table, &s), kernel_conv_u8(table, &none));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_codes),
        cmocka_unit_test(test_codes_extremes),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_others_take_no_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
