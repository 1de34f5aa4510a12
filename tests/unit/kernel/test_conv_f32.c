/* Forward convolution: ref against a naive sum, every set against ref, rows computed apart, fused forms. */
#include "tests/unit/kernel/shapes.h"

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
        struct conv_f32_call call = {.x = x, .packed = packed, .y = y, .row_end = s.out_h};
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
    float *x, *w, *bias, *residual;
    float *want, *absolute; /* of ref: the result, and the sum of absolute products, bias and residual */
};

/* Runs a table's kernel, rows [0,cut) and [cut,out_h) apart, into y prefilled with a mark. */
static void run(const struct kernel_table *table, const struct fixture *f, const float *x, const float *w,
                const float *bias, const float *residual, int relu, int cut, float *y)
{
    const struct conv_f32_kernel *kernel = &table->conv_f32;
    void *packed = bytes_new(kernel->packed_bytes(&f->s), 1), *scratch = bytes_new(kernel->scratch_bytes(&f->s), 1);
    kernel->pack(&f->s, w, packed);
    for (size_t i = 0; i < outputs_of(&f->s); i++)
        y[i] = NAN;
    struct conv_f32_call call = {.x = x,
                                 .packed = packed,
                                 .bias = bias,
                                 .residual = residual,
                                 .relu = relu,
                                 .y = y,
                                 .row_begin = cut,
                                 .row_end = f->s.out_h};
    kernel->run(&f->s, &call, scratch);
    if (cut > 0) {
        assert_true(isnan(y[0]) &&
                    isnan(y[(size_t)(cut * f->s.out_w) * (size_t)f->s.out - 1])); /* other rows stay */
        call.row_begin = 0;
        call.row_end = cut;
        kernel->run(&f->s, &call, scratch);
    }
    memory_free(packed), memory_free(scratch);
}

static struct fixture fixture_new(int i)
{
    struct fixture f = {.s = shape_at(i)};
    size_t outputs = outputs_of(&f.s), inputs = inputs_of(&f.s), weights = weights_of(&f.s);
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

/* Any cut of the rows gives the same bits. */
static void test_rows_apart(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i);
        size_t outputs = outputs_of(&f.s);
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

/* What is not a number stays visible through a fused ReLU. */
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
    }
    memory_free(y);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref_is_the_formula), cmocka_unit_test(test_sets_agree),
                                       cmocka_unit_test(test_rows_apart), cmocka_unit_test(test_nan_survives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
