/* Convolution in bfloat16: ref against the formula, every set against ref, cuts, layouts and images. */
#include "tests/unit/kernel/arrange.h"

static bf16 *rounded(const float *x, size_t count)
{
    bf16 *y = bytes_new(count, sizeof *y);
    for (size_t i = 0; i < count; i++)
        y[i] = bf16_from_float(x[i]);
    return y;
}

static bf16 *values_new(size_t count, uint64_t seed)
{
    float *x = floats_new(count, seed);
    bf16 *y = rounded(x, count);
    memory_free(x);
    return y;
}

static bf16 *values_absolute(const bf16 *x, size_t count)
{
    bf16 *y = bytes_new(count, sizeof *y);
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] & 0x7fff;
    return y;
}

/* What is convolved. */
struct operands {
    const bf16 *x, *residual;
    const float *w, *bias;
    int relu;
};

struct fixture {
    struct conv_shape s;
    int images;
    bf16 *x, *residual;
    float *w, *bias;
    float *want, *absolute; /* of ref: before rounding, and the sum of absolute products, bias and residual */
};

/* How a result is asked for: where the rows and the outputs are cut, where the pixels lie. */
struct way {
    int row_cut, out_cut;
    struct arrangement at;
};

enum { X, RESIDUAL, Y, SUMS, TENSORS };

static size_t values_of(const struct fixture *f)
{
    return (size_t)f->images * outputs_of(&f->s);
}

/* Outputs [first, first + count), rows [row_begin, row_end); t[Y] or t[SUMS] are written, or both. */
static void run_range(const struct conv_bf16_kernel *kernel, const struct fixture *f, const struct operands *o,
                      struct arranged t[TENSORS], const char *packed, int first, int count, int row_begin,
                      int row_end, void *scratch)
{
    struct conv_shape s = f->s, before = f->s;
    before.out = first;
    s.out = count;
    struct conv_bf16_call call = {.images = f->images,
                                  .x = arranged_origin(&t[X]),
                                  .x_at = t[X].at,
                                  .packed = packed + (first ? kernel->packed_bytes(&before) : 0),
                                  .bias = o->bias ? o->bias + first : NULL,
                                  .residual_at = t[RESIDUAL].at,
                                  .relu = o->relu,
                                  .y_at = t[Y].at,
                                  .sums_at = t[SUMS].at,
                                  .row_begin = row_begin,
                                  .row_end = row_end};
    if (o->residual)
        call.residual = (bf16 *)arranged_origin(&t[RESIDUAL]) + first;
    if (t[Y].base)
        call.y = (bf16 *)arranged_origin(&t[Y]) + first;
    if (t[SUMS].base)
        call.sums = (float *)arranged_origin(&t[SUMS]) + first;
    kernel->run(&s, &call, scratch);
}

/* Scratch as another call may leave it: NaNs. */
static void *dirty_new(size_t bytes)
{
    void *p = bytes_new(bytes, 1);
    memset(p, 0xff, bytes);
    return p;
}

static void run_ranges(const struct conv_bf16_kernel *kernel, const struct fixture *f, const struct operands *o,
                       const struct way *way, struct arranged t[TENSORS])
{
    const struct conv_shape *s = &f->s;
    int grain = kernel->out_grain, cut = way->out_cut && grain && s->out > grain ? (s->out - 1) / grain * grain : 0;
    char *packed = dirty_new(kernel->packed_bytes(s));
    void *scratch = dirty_new(kernel->scratch_bytes(s));
    kernel->pack(s, o->w, packed);
    for (int part = 0; part < (way->row_cut ? 2 : 1); part++) {
        int row_begin = part ? 0 : way->row_cut, row_end = part ? way->row_cut : s->out_h;
        run_range(kernel, f, o, t, packed, cut, s->out - cut, row_begin, row_end, scratch);
        if (cut)
            run_range(kernel, f, o, t, packed, 0, cut, row_begin, row_end, scratch);
    }
    memory_free(packed), memory_free(scratch);
}

/* y or sums may be NULL. */
static void run(const struct conv_bf16_kernel *kernel, const struct fixture *f, const struct operands *o,
                const struct way *way, bf16 *y, float *sums)
{
    static const bf16 zero = 0;
    const struct conv_shape *s = &f->s;
    struct arranged t[TENSORS] = {[X] = arranged_new(&way->at, f->images, s->h, s->w, s->c, sizeof(bf16)),
                                  [RESIDUAL] =
                                      arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, sizeof(bf16))};
    arranged_fill(&t[X], o->x, &zero);
    if (o->residual)
        arranged_fill(&t[RESIDUAL], o->residual, &zero);
    if (y)
        t[Y] = arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, sizeof(bf16));
    if (sums)
        t[SUMS] = arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, sizeof(float));
    run_ranges(kernel, f, o, way, t);
    if (y)
        arranged_gather(&t[Y], y);
    if (sums)
        arranged_gather(&t[SUMS], sums);
    for (int i = 0; i < TENSORS; i++)
        arranged_free(&t[i]);
}

static const struct way plain = {0};

static struct fixture fixture_new(int i, int images)
{
    struct fixture f = {.s = shape_at(i), .images = images};
    size_t outputs = values_of(&f), inputs = (size_t)images * inputs_of(&f.s);
    uint64_t seed = 10 * (uint64_t)i;
    f.x = values_new(inputs, seed);
    f.w = floats_new(weights_of(&f.s), seed + 1);
    f.bias = floats_new((size_t)f.s.out, seed + 2);
    f.residual = values_new(outputs, seed + 3);
    f.want = bytes_new(outputs, sizeof(float));
    f.absolute = bytes_new(outputs, sizeof(float));
    bf16 *x = values_absolute(f.x, inputs), *residual = values_absolute(f.residual, outputs);
    float *w = floats_absolute(f.w, weights_of(&f.s)), *bias = floats_absolute(f.bias, (size_t)f.s.out);
    const struct operands o = {x, residual, w, bias, 0};
    run(&table_of("ref")->conv_bf16, &f, &o, &plain, NULL, f.absolute);
    memory_free(x), memory_free(w), memory_free(bias), memory_free(residual);
    return f;
}

static void fixture_free(struct fixture *f)
{
    memory_free(f->x), memory_free(f->w), memory_free(f->bias), memory_free(f->residual);
    memory_free(f->want), memory_free(f->absolute);
}

/* Index of the first value that is no rounding of something within 1e-5 of the sum of absolute products of `want`,
 * or -1. */
static ptrdiff_t first_unlike(const bf16 *y, const float *want, const float *absolute, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float apart = 1e-5f * absolute[i] + 1e-30f, v = bf16_to_float(y[i]);
        if (!(v >= bf16_to_float(bf16_from_float(want[i] - apart)) &&
              v <= bf16_to_float(bf16_from_float(want[i] + apart))))
            return (ptrdiff_t)i;
    }
    return -1;
}

/* ---- the definition ---- */

static double naive(const struct fixture *f, int oy, int ox, int k)
{
    const struct conv_shape *s = &f->s;
    double sum = (double)f->bias[k];
    for (int c = 0; c < s->c; c++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++) {
                int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
                float w = f->w[((k * s->c + c) * s->kernel + r) * s->kernel + t];
                if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                    sum += (double)bf16_to_float(f->x[(iy * s->w + ix) * s->c + c]) *
                           (double)bf16_to_float(bf16_from_float(w));
            }
    return sum + (double)bf16_to_float(f->residual[(oy * s->out_w + ox) * s->out + k]);
}

static void test_ref_is_the_formula(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i, 1);
        const struct operands o = {f.x, f.residual, f.w, f.bias, 1};
        size_t outputs = outputs_of(&f.s);
        bf16 *y = bytes_new(outputs, sizeof *y), *at = y;
        run(&table_of("ref")->conv_bf16, &f, &o, &plain, y, f.want);
        for (int oy = 0; oy < f.s.out_h; oy++)
            for (int ox = 0; ox < f.s.out_w; ox++)
                for (int k = 0; k < f.s.out; k++, at++) {
                    double want = naive(&f, oy, ox, k);
                    float got = f.want[at - y];
                    assert_true(fabs((double)got - (want > 0 ? want : 0)) <= 1e-6 * (1 + fabs(want)));
                    assert_int_equal(*at, bf16_from_float(got));
                }
        memory_free(y);
        fixture_free(&f);
    }
}

/* ---- the sets ---- */

/* Without and with a bias, a residual and a relu; y and sums. */
static void set_agrees(const struct kernel_table *table, struct fixture *f, const struct operands *o, bf16 *y,
                       float *sums)
{
    size_t outputs = values_of(f);
    run(&table->conv_bf16, f, o, &plain, y, NULL);
    run(&table->conv_bf16, f, o, &plain, NULL, sums);
    if (first_unlike(y, f->want, f->absolute, outputs) >= 0 ||
        first_apart(sums, f->want, f->absolute, outputs) >= 0) {
        shape_print(table->isa, &f->s);
        fail();
    }
    for (size_t i = 0; i < outputs; i++)
        assert_int_equal(y[i], bf16_from_float(sums[i]));
}

static void test_sets_agree(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i, 1);
        size_t outputs = outputs_of(&f.s);
        bf16 *y = bytes_new(outputs, sizeof *y);
        float *sums = bytes_new(outputs, sizeof *sums);
        for (int form = 0; form < 8; form++) {
            const struct operands o = {f.x, form & 2 ? f.residual : NULL, f.w, form & 1 ? f.bias : NULL, form & 4};
            if (form != 0 && form != 7 && outputs > 4000)
                continue;
            run(&table_of("ref")->conv_bf16, &f, &o, &plain, NULL, f.want);
            FOR_EACH_TABLE(table)
            set_agrees(table, &f, &o, y, sums);
        }
        memory_free(y), memory_free(sums);
        fixture_free(&f);
    }
}

/* Any number of images in one call, any cut and any layout: an image's bits are those that it has alone. */
static void kernel_ways(const struct kernel_table *table, const struct fixture *f)
{
    const struct operands o = {f->x, f->residual, f->w, f->bias, 1};
    size_t outputs = outputs_of(&f->s), values = values_of(f);
    bf16 *want = bytes_new(values, sizeof *want), *y = bytes_new(values, sizeof *y);
    for (int n = 0; n < f->images; n++) {
        struct fixture one = *f;
        struct operands alone = o;
        one.images = 1;
        alone.x += (size_t)n * inputs_of(&f->s);
        alone.residual += (size_t)n * outputs;
        run(&table->conv_bf16, &one, &alone, &plain, want + (size_t)n * outputs, NULL);
    }
    for (int i = 0; i < ARRANGEMENTS; i++) {
        const struct way way = {i % 3 == 2 ? f->s.out_h / 2 : 0, i % 2, arrangements[i]};
        run(&table->conv_bf16, f, &o, &way, y, NULL);
        if (memcmp(y, want, values * sizeof *y)) {
            shape_print(table->isa, &f->s);
            print_error("%d images, layout %d\n", f->images, i);
            fail();
        }
    }
    memory_free(want), memory_free(y);
}

static void test_images_layouts_and_cuts(void **state)
{
    (void)state;
    static const int counts[] = {1, 2, 9, 17, 27, 37};
    for (int i = 0; i < SHAPES; i++) {
        struct conv_shape s = shape_at(i);
        int images = counts[i % 6];
        double work = (double)outputs_of(&s) * s.kernel * s.kernel * s.c;
        images = images * work < 2e7 ? images : 1 + (int)(2e7 / work) % 20;
        struct fixture f = fixture_new(i, images);
        FOR_EACH_TABLE(table)
        if (strcmp(table->isa, "ref") != 0)
            kernel_ways(table, &f);
        fixture_free(&f);
    }
}

/* ---- values that are none ---- */

/* What is not a number stays visible through a fused ReLU, and stays in its image. */
static void test_nan_survives(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i, 3);
        const struct operands o = {f.x, NULL, f.w, f.bias, 1};
        size_t outputs = outputs_of(&f.s);
        bf16 *y = bytes_new(3 * outputs, sizeof *y);
        f.x[inputs_of(&f.s)] = 0x7fc0; /* of the second image */
        FOR_EACH_TABLE(table)
        {
            if (outputs * (size_t)f.s.c > 100000)
                continue;
            run(&table->conv_bf16, &f, &o, &plain, y, NULL);
            for (size_t k = 0; k < outputs; k++)
                assert_true(!isnan(bf16_to_float(y[k])) && !isnan(bf16_to_float(y[2 * outputs + k])));
            if (f.s.pad < f.s.kernel)
                assert_true(isnan(bf16_to_float(y[outputs])));
        }
        memory_free(y);
        fixture_free(&f);
    }
}

/* Both ways, by every set: each value of 16 bits widens exactly and comes back; halfway cases go to even. */
static void test_rounding(void **state)
{
    (void)state;
    enum { ALL = 65536 };
    bf16 *values = bytes_new(ALL, sizeof *values), *back = bytes_new(ALL, sizeof *back);
    float *wide = bytes_new(ALL, sizeof *wide);
    for (int i = 0; i < ALL; i++)
        values[i] = (bf16)i;
    FOR_EACH_TABLE(table)
    {
        table->elementwise.widen_bf16(values, ALL, wide);
        for (int i = 0; i < ALL; i++) {
            uint32_t bits;
            memcpy(&bits, &wide[i], sizeof bits);
            assert_int_equal(bits, (uint32_t)i << 16);
            bits |= (uint32_t)i * 40503u & 0xffff; /* something between two */
            memcpy(&wide[i], &bits, sizeof bits);
        }
        wide[7] = 1.00390625f, wide[8] = 1.01171875f; /* halfway: 1 + 2^-8, 1 + 3 * 2^-8 */
        table->elementwise.round_bf16(wide, ALL, back);
        for (int i = 0; i < ALL; i++)
            assert_int_equal(back[i], bf16_from_float(wide[i]));
        assert_int_equal(back[7], 0x3f80);
        assert_int_equal(back[8], 0x3f82);
    }
    memory_free(values), memory_free(back), memory_free(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref_is_the_formula), cmocka_unit_test(test_sets_agree),
                                       cmocka_unit_test(test_images_layouts_and_cuts),
                                       cmocka_unit_test(test_nan_survives), cmocka_unit_test(test_rounding)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
