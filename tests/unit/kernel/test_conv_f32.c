/* Forward convolution: ref against a naive sum, every set against ref, rows computed apart, fused forms. */
#include "tests/unit/kernel/arrange.h"
#include "kernel/contract/shape.h"

/* The definition, from the formula and from unpacked weights. */
static double naive(const struct conv_shape *s, const float *x, const float *w, int oy, int ox, int k)
{
    double sum = 0;
    for (int c = 0; c < s->c; c++)
        for (int r = 0; r < s->kernel; r++)
            for (int t = 0; t < s->kernel; t++) {
                int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
                if (iy >= 0 && iy < s->h && ix >= 0 && ix < s->w)
                    sum += (double)x[(iy * s->w + ix) * s->c + c] *
                           (double)w[((k * s->c + c) * s->kernel + r) * s->kernel + t];
            }
    return sum;
}

static void test_ref_is_the_formula(void **state)
{
    (void)state;
    const struct kernel_table *ref = table_of("ref");
    for (int i = 0; i < SHAPES; i++) {
        struct conv_shape s = shape_at(i);
        if (weights_of(&s) * outputs_of(&s) / (size_t)s.out > 2000000)
            continue;
        float *x = floats_new(inputs_of(&s), 1), *w = floats_new(weights_of(&s), 2),
              *y = bytes_new(outputs_of(&s), 4);
        void *packed = bytes_new(ref->conv_f32.packed_bytes(&s), 1),
             *scratch = bytes_new(ref->conv_f32.scratch_bytes(&s), 1);
        ref->conv_f32.pack(&s, w, packed);
        struct conv_f32_call call = {.images = 1,
                                     .x = x,
                                     .x_at = layout_dense(s.h, s.w, s.c),
                                     .packed = packed,
                                     .y = y,
                                     .y_at = layout_dense(s.out_h, s.out_w, s.out),
                                     .row_end = s.out_h};
        ref->conv_f32.run(&s, &call, scratch);
        const float *at = y;
        for (int oy = 0; oy < s.out_h; oy++)
            for (int ox = 0; ox < s.out_w; ox++)
                for (int k = 0; k < s.out; k++, at++)
                    assert_true(fabs((double)*at - naive(&s, x, w, oy, ox, k)) <= 1e-6 * (1 + fabs((double)*at)));
        memory_free(x), memory_free(w), memory_free(y), memory_free(packed), memory_free(scratch);
    }
}

struct fixture {
    struct conv_shape s;
    int images;
    float *x, *w, *bias, *residual;
    float *want, *absolute; /* of ref: the result, and the sum of absolute products, bias and residual */
};

/* How a result is asked for: where the rows and the outputs are cut, where the pixels lie. */
struct way {
    int row_cut, out_cut;
    struct arrangement at;
};

static size_t values_of(const struct fixture *f)
{
    return (size_t)f->images * outputs_of(&f->s);
}

/* What is convolved, and how. */
struct operands {
    const float *x, *w, *bias, *residual;
    int relu;
    const float *clip;
};

/* Outputs [first, first + count), rows [row_begin, row_end). */
static void run_range(const struct conv_f32_kernel *kernel, const struct fixture *f, const struct operands *o,
                      struct arranged t[3], const char *packed, int first, int count, int row_begin, int row_end,
                      void *scratch)
{
    struct conv_shape s = f->s, before = f->s;
    before.out = first;
    s.out = count;
    struct conv_f32_call call = {.images = f->images,
                                 .x = arranged_origin(&t[0]),
                                 .x_at = t[0].at,
                                 .packed = packed + (first ? kernel->packed_bytes(&before) : 0),
                                 .bias = o->bias ? o->bias + first : NULL,
                                 .residual = o->residual ? (float *)arranged_origin(&t[1]) + first : NULL,
                                 .residual_at = t[1].at,
                                 .relu = o->relu,
                                 .clip = o->clip,
                                 .y = (float *)arranged_origin(&t[2]) + first,
                                 .y_at = t[2].at,
                                 .row_begin = row_begin,
                                 .row_end = row_end};
    kernel->run(&s, &call, scratch);
}

static void run_kernel(const struct conv_f32_kernel *kernel, const struct fixture *f, const struct operands *o,
                       const struct way *way, float *y)
{
    static const float zero = 0;
    const struct conv_shape *s = &f->s;
    struct arranged t[3] = {arranged_new(&way->at, f->images, s->h, s->w, s->c, sizeof(float)),
                            arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, sizeof(float)),
                            arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, sizeof(float))};
    arranged_fill(&t[0], o->x, &zero);
    if (o->residual)
        arranged_fill(&t[1], o->residual, &zero);
    int grain = kernel->out_grain, cut = way->out_cut && grain && s->out > grain ? (s->out - 1) / grain * grain : 0;
    char *packed = bytes_new(kernel->packed_bytes(s), 1);
    void *scratch = bytes_new(kernel->scratch_bytes(s), 1);
    kernel->pack(s, o->w, packed);
    for (int part = 0; part < (way->row_cut ? 2 : 1); part++) {
        int row_begin = part ? 0 : way->row_cut, row_end = part ? way->row_cut : s->out_h;
        run_range(kernel, f, o, t, packed, cut, s->out - cut, row_begin, row_end, scratch);
        if (cut)
            run_range(kernel, f, o, t, packed, 0, cut, row_begin, row_end, scratch);
    }
    arranged_gather(&t[2], y);
    for (int i = 0; i < 3; i++)
        arranged_free(&t[i]);
    memory_free(packed), memory_free(scratch);
}

/* The direct kernel of a table, one image after another or all at once, dense. */
static void run(const struct kernel_table *table, const struct fixture *f, const float *x, const float *w,
                const float *bias, const float *residual, int relu, int cut, float *y)
{
    const struct operands o = {x, w, bias, residual, relu, NULL};
    run_kernel(&table->conv_f32, f, &o, &(struct way){.row_cut = cut}, y);
}

static struct fixture fixture_many(int i, int images)
{
    struct fixture f = {.s = shape_at(i), .images = images};
    size_t outputs = values_of(&f), inputs = (size_t)images * inputs_of(&f.s), weights = weights_of(&f.s);
    uint64_t seed = 10 * (uint64_t)i;
    f.x = floats_new(inputs, seed);
    f.w = floats_new(weights, seed + 1);
    f.bias = floats_new((size_t)f.s.out, seed + 2);
    f.residual = floats_new(outputs, seed + 3);
    f.want = bytes_new(outputs, sizeof(float));
    f.absolute = bytes_new(outputs, sizeof(float));
    float *x = floats_absolute(f.x, inputs), *w = floats_absolute(f.w, weights);
    float *bias = floats_absolute(f.bias, (size_t)f.s.out), *residual = floats_absolute(f.residual, outputs);
    run(table_of("ref"), &f, x, w, bias, residual, 0, 0, f.absolute);
    memory_free(x), memory_free(w), memory_free(bias), memory_free(residual);
    return f;
}

/* As many images as wanted, one where they would take long. */
static int images_of(int i, int wanted)
{
    struct conv_shape s = shape_at(i);
    return wanted * (double)(inputs_of(&s) + outputs_of(&s)) > 1e5 ? 1 : wanted;
}

static struct fixture fixture_new(int i)
{
    return fixture_many(i, 1);
}

static void fixture_free(struct fixture *f)
{
    memory_free(f->x), memory_free(f->w), memory_free(f->bias), memory_free(f->residual);
    memory_free(f->want), memory_free(f->absolute);
}

static void test_sets_agree(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i);
        size_t outputs = outputs_of(&f.s);
        float *y = bytes_new(outputs, sizeof *y);
        for (int form = 0; form < 8; form++) {
            const float *bias = form & 1 ? f.bias : NULL, *residual = form & 2 ? f.residual : NULL;
            if (form != 0 && form != 7 && outputs > 4000)
                continue;
            run(table_of("ref"), &f, f.x, f.w, bias, residual, form & 4, 0, f.want);
            FOR_EACH_TABLE(table)
            {
                run(table, &f, f.x, f.w, bias, residual, form & 4, 0, y);
                if (first_apart(y, f.want, f.absolute, outputs) >= 0) {
                    shape_print(table->isa, &f.s);
                    fail();
                }
            }
        }
        memory_free(y);
        fixture_free(&f);
    }
}

/* Any cut of the rows gives the same bits, of one image and of several. */
static void test_rows_apart(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_many(i, images_of(i, 7));
        size_t outputs = values_of(&f);
        float *y = bytes_new(outputs, sizeof *y);
        FOR_EACH_TABLE(table)
        {
            run(table, &f, f.x, f.w, f.bias, NULL, 1, 0, f.want);
            for (int cut = 1; cut<f.s.out_h; cut += f.s.out_h> 10 ? f.s.out_h / 3 : 1) {
                run(table, &f, f.x, f.w, f.bias, NULL, 1, cut, y);
                if (memcmp(y, f.want, outputs * sizeof *y) != 0) {
                    shape_print(table->isa, &f.s);
                    fail();
                }
            }
        }
        memory_free(y);
        fixture_free(&f);
    }
}

/* Images in one call, layouts and cuts of the outputs: the bits of the plain form, or for another algorithm its
 * tolerance. */
static void kernel_ways(const char *isa, const struct conv_f32_kernel *kernel, const struct fixture *f)
{
    const struct operands o = {f->x, f->w, f->bias, f->residual, 1, NULL};
    size_t values = values_of(f);
    float *plain = bytes_new(values, sizeof *plain), *y = bytes_new(values, sizeof *y);
    run_kernel(kernel, f, &o, &(struct way){0}, plain);
    ptrdiff_t apart = first_apart(plain, f->want, f->absolute, values);
    for (int i = 0; i < ARRANGEMENTS && apart < 0; i++) {
        run_kernel(kernel, f, &o, &(struct way){.out_cut = i % 2, .at = arrangements[i]}, y);
        apart = memcmp(y, plain, values * sizeof *y) ? i : -1;
    }
    if (apart >= 0) {
        shape_print(isa, &f->s);
        print_error("%s: %d images, difference or layout %td\n", kernel->algorithm, f->images, apart);
        fail();
    }
    memory_free(plain), memory_free(y);
}

/* Every set's direct kernel, and Winograd's where it takes the shape. */
static void each_kernel(const struct fixture *f,
                        void (*check)(const char *isa, const struct conv_f32_kernel *kernel,
                                      const struct fixture *f))
{
    FOR_EACH_TABLE(table)
    {
        const struct conv_f32_kernel *winograd = &table->conv_f32_winograd;
        check(table->isa, &table->conv_f32, f);
        if (winograd->run && (!winograd->supports || winograd->supports(&f->s)))
            check(table->isa, winograd, f);
    }
}

static void test_layouts_and_images(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct conv_shape s = shape_at(i);
        struct fixture f = fixture_many(i, images_of(i, s.h < 5 ? 13 : 1 + i % 5));
        run(table_of("ref"), &f, f.x, f.w, f.bias, f.residual, 1, 0, f.want);
        each_kernel(&f, kernel_ways);
        fixture_free(&f);
    }
}

static const float clip[] = {-0.5f, 0.75f};

/* With a clip, behind a relu and without: the bits of what is clipped afterwards. */
static void kernel_clips(const char *isa, const struct conv_f32_kernel *kernel, const struct fixture *f)
{
    const struct operands o = {f->x, f->w, f->bias, f->residual, f->s.h % 2, NULL};
    struct operands clipped = o;
    size_t values = values_of(f);
    float *want = bytes_new(values, sizeof *want), *y = bytes_new(values, sizeof *y);
    clipped.clip = clip;
    run_kernel(kernel, f, &o, &(struct way){0}, want);
    for (size_t i = 0; i < values; i++)
        want[i] = clip_value(clip, want[i]);
    run_kernel(kernel, f, &clipped, &(struct way){.at = arrangements[2]}, y);
    if (memcmp(y, want, values * sizeof *y) != 0) {
        shape_print(isa, &f->s);
        print_error("%s: clip\n", kernel->algorithm);
        fail();
    }
    memory_free(want), memory_free(y);
}

static void test_clip(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i);
        each_kernel(&f, kernel_clips);
        fixture_free(&f);
    }
}

/* What is not a number stays visible through a fused ReLU and clip. */
static void test_nan_survives(void **state)
{
    (void)state;
    struct fixture f = fixture_new(12);
    float *y = bytes_new(outputs_of(&f.s), sizeof *y);
    f.x[0] = NAN;
    FOR_EACH_TABLE(table)
    {
        run(table, &f, f.x, f.w, f.bias, NULL, 1, 0, y);
        assert_true(isnan(y[0]));
        run_kernel(&table->conv_f32, &f, &(struct operands){f.x, f.w, f.bias, NULL, 1, clip}, &(struct way){0}, y);
        assert_true(isnan(y[0]));
    }
    memory_free(y);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref_is_the_formula),
                                       cmocka_unit_test(test_sets_agree),
                                       cmocka_unit_test(test_rows_apart),
                                       cmocka_unit_test(test_layouts_and_images),
                                       cmocka_unit_test(test_clip),
                                       cmocka_unit_test(test_nan_survives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
