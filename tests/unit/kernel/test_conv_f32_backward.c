/* Gradients of the convolution: ref against central differences in double, every set against ref. */
#include "tests/unit/kernel/shapes.h"

enum { IMAGES = 3 };

struct fixture {
    struct conv_shape s;
    float *x, *w, *dy; /* IMAGES of x and dy */
};

static struct fixture fixture_new(int i)
{
    struct fixture f = {.s = shape_at(i)};
    f.x = floats_new(IMAGES * inputs_of(&f.s), 7 * (uint64_t)i);
    f.w = floats_new(weights_of(&f.s), 7 * (uint64_t)i + 1);
    f.dy = floats_new(IMAGES * outputs_of(&f.s), 7 * (uint64_t)i + 2);
    return f;
}

static void fixture_free(struct fixture *f)
{
    memory_free(f->x), memory_free(f->w), memory_free(f->dy);
}

static void run_data(const struct kernel_table *table, const struct conv_shape *s, const float *dy, const float *w,
                     int accumulate, float *dx)
{
    const struct conv_f32_backward_data_kernel *kernel = &table->conv_f32_backward_data;
    void *packed = bytes_new(kernel->packed_bytes(s), 1), *scratch = bytes_new(kernel->scratch_bytes(s), 1);
    kernel->pack(s, w, packed);
    kernel->run(s, dy, packed, dx, accumulate, scratch);
    memory_free(packed), memory_free(scratch);
}

/* Items last to first, each with scratch that the one before has used. */
static void run_weight(const struct kernel_table *table, const struct conv_shape *s, int images, const float *x,
                       const float *dy, float *dw)
{
    const struct conv_f32_backward_weight_kernel *kernel = &table->conv_f32_backward_weight;
    void *scratch = bytes_new(kernel->scratch_bytes(s), 1);
    for (size_t i = 0; i < weights_of(s); i++)
        dw[i] = NAN;
    for (int item = kernel->items(s) - 1; item >= 0; item--)
        kernel->run(s, images, x, dy, item, dw, scratch);
    memory_free(scratch);
}

/* sum over images and outputs of dy * conv(x, w), in double */
static double loss(const struct conv_shape *s, int images, const double *x, const double *w, const float *dy)
{
    double sum = 0;
    for (int n = 0; n < images; n++, x += inputs_of(s))
        for (int oy = 0; oy < s->out_h; oy++)
            for (int ox = 0; ox < s->out_w; ox++)
                for (int k = 0; k < s->out; k++, dy++)
                    for (int r = 0; r < s->kernel; r++)
                        for (int t = 0; t < s->kernel; t++) {
                            int iy = oy * s->stride - s->pad + r, ix = ox * s->stride - s->pad + t;
                            if (iy < 0 || iy >= s->h || ix < 0 || ix >= s->w)
                                continue;
                            for (int c = 0; c < s->c; c++)
                                sum += (double)*dy * x[(iy * s->w + ix) * s->c + c] *
                                       w[((k * s->c + c) * s->kernel + r) * s->kernel + t];
                        }
    return sum;
}

static double *doubles_of(const float *x, size_t count)
{
    double *p = bytes_new(count, sizeof *p);
    for (size_t i = 0; i < count; i++)
        p[i] = (double)x[i];
    return p;
}

/* A sample of the derivatives of loss by each of `count` values, which move with h = 1e-3: the loss is bilinear, so
 * that only rounding is in the way. */
static void check_derivatives(const struct fixture *f, double *values, size_t count, const double *x,
                              const double *w, const float *gradient)
{
    const double h = 1e-3;
    for (size_t i = 0; i < count; i += count / 40 + 1) {
        double kept = values[i];
        values[i] = kept + h;
        double above = loss(&f->s, IMAGES, x, w, f->dy);
        values[i] = kept - h;
        double below = loss(&f->s, IMAGES, x, w, f->dy);
        values[i] = kept;
        double want = (above - below) / (2 * h);
        if (fabs((double)gradient[i] - want) > 1e-6 * (1 + fabs(want))) {
            shape_print("ref", &f->s);
            fail();
        }
    }
}

static void test_ref_is_the_derivative(void **state)
{
    (void)state;
    const struct kernel_table *ref = table_of("ref");
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i);
        if (weights_of(&f.s) * outputs_of(&f.s) / (size_t)f.s.out > 60000) {
            fixture_free(&f);
            continue;
        }
        double *x = doubles_of(f.x, IMAGES * inputs_of(&f.s)), *w = doubles_of(f.w, weights_of(&f.s));
        float *dx = bytes_new(IMAGES * inputs_of(&f.s), sizeof *dx), *dw = bytes_new(weights_of(&f.s), sizeof *dw);
        for (size_t n = 0; n < IMAGES; n++)
            run_data(ref, &f.s, f.dy + n * outputs_of(&f.s), f.w, 0, dx + n * inputs_of(&f.s));
        check_derivatives(&f, x, IMAGES * inputs_of(&f.s), x, w, dx);
        run_weight(ref, &f.s, IMAGES, f.x, f.dy, dw);
        check_derivatives(&f, w, weights_of(&f.s), x, w, dw);
        memory_free(x), memory_free(w), memory_free(dx), memory_free(dw);
        fixture_free(&f);
    }
}

static void test_data_sets_agree(void **state)
{
    (void)state;
    const struct kernel_table *ref = table_of("ref");
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i);
        size_t inputs = inputs_of(&f.s);
        float *dx = bytes_new(inputs, sizeof *dx), *want = bytes_new(inputs, sizeof *want);
        float *absolute = bytes_new(inputs, sizeof *absolute);
        float *w = floats_absolute(f.w, weights_of(&f.s)), *dy = floats_absolute(f.dy, outputs_of(&f.s));
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            memcpy(want, f.x, inputs * sizeof *want); /* x stands for what dx held */
            for (size_t j = 0; j < inputs; j++)
                absolute[j] = fabsf(f.x[j]);
            run_data(ref, &f.s, f.dy, f.w, accumulate, want);
            run_data(ref, &f.s, dy, w, accumulate, absolute);
            FOR_EACH_TABLE(table)
            {
                memcpy(dx, f.x, inputs * sizeof *dx);
                run_data(table, &f.s, f.dy, f.w, accumulate, dx);
                if (first_apart(dx, want, absolute, inputs) >= 0) {
                    shape_print(table->isa, &f.s);
                    fail();
                }
            }
        }
        memory_free(dx), memory_free(want), memory_free(absolute), memory_free(w), memory_free(dy);
        fixture_free(&f);
    }
}

static void weight_agrees(const struct conv_shape *s, int images, const float *x, const float *dy)
{
    size_t weights = weights_of(s);
    float *dw = bytes_new(weights, sizeof *dw), *want = bytes_new(weights, sizeof *want);
    float *absolute = bytes_new(weights, sizeof *absolute);
    float *x_absolute = floats_absolute(x, (size_t)images * inputs_of(s));
    float *dy_absolute = floats_absolute(dy, (size_t)images * outputs_of(s));
    run_weight(table_of("ref"), s, images, x, dy, want);
    run_weight(table_of("ref"), s, images, x_absolute, dy_absolute, absolute);
    FOR_EACH_TABLE(table)
    {
        run_weight(table, s, images, x, dy, dw);
        if (first_apart(dw, want, absolute, weights) >= 0) {
            shape_print(table->isa, s);
            fail();
        }
    }
    memory_free(dw), memory_free(want), memory_free(absolute), memory_free(x_absolute), memory_free(dy_absolute);
}

static void test_weight_sets_agree(void **state)
{
    (void)state;
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(i);
        weight_agrees(&f.s, IMAGES, f.x, f.dy);
        weight_agrees(&f.s, 1, f.x, f.dy);
        fixture_free(&f);
    }
}

/* Numbers of images that are not a multiple of what kernels take at once, and long sums of one sign. */
static void test_weight_many_images(void **state)
{
    (void)state;
    static const int shapes[][8] = {{4, 4, 20, 17, 3, 1, 1, 37},  {2, 2, 70, 80, 3, 1, 1, 131},
                                    {1, 1, 30, 10, 1, 1, 0, 300}, {32, 32, 3, 5, 3, 1, 1, 100},
                                    {5, 5, 37, 90, 1, 1, 0, 70},  {12, 12, 13, 24, 1, 1, 0, 35},
                                    {2, 3, 300, 201, 1, 1, 0, 33}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *v = shapes[i];
        struct conv_shape s = {.h = v[0],
                               .w = v[1],
                               .c = v[2],
                               .out = v[3],
                               .kernel = v[4],
                               .stride = v[5],
                               .pad = v[6],
                               .out_h = v[0],
                               .out_w = v[1]};
        float *x = floats_new((size_t)v[7] * inputs_of(&s), 3), *dy = floats_new((size_t)v[7] * outputs_of(&s), 4);
        weight_agrees(&s, v[7], x, dy);
        for (size_t j = 0; j < (size_t)v[7] * inputs_of(&s); j++)
            x[j] = fabsf(x[j]);
        for (size_t j = 0; j < (size_t)v[7] * outputs_of(&s); j++)
            dy[j] = fabsf(dy[j]);
        weight_agrees(&s, v[7], x, dy);
        memory_free(x), memory_free(dy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ref_is_the_derivative), cmocka_unit_test(test_data_sets_agree),
        cmocka_unit_test(test_weight_sets_agree), cmocka_unit_test(test_weight_many_images)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
