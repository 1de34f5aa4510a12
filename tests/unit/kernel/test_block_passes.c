/* The passes over blocks, of every set that has its own and of ref, each against the formula in double. */
#include "tests/unit/kernel/passings.h"

/* ---- input ---- */

static float pixel_value(const struct block_conv *s, const uint8_t *image, const float *table, int y, int x, int c)
{
    return y < 0 || y >= s->h || x < 0 || x >= s->w ? 0 : table[c * 256 + image[(y * s->w + x) * s->c + c]];
}

static void check_input(const struct kernel_table *table, const struct block_conv *s, int count, int row)
{
    uint8_t *images[BLOCK_IMAGES];
    for (int n = 0; n < count; n++)
        images[n] = codes_new((size_t)(s->h * s->w * s->c), (uint64_t)n);
    float *values = floats_new((size_t)s->c * 256, 9);
    struct tensor all = tensor_input(s), y = tensor_new(1, all.w, all.c, s->planes);
    memset(y.p, 0xff, y.values * sizeof(bf16));
    table->block.input(s, (const uint8_t *const *)images, count, values, row, y.p);
    for (int x = 0; x < y.w; x++)
        for (int n = 0; n < BLOCK_IMAGES; n++)
            for (int i = 0; i < block_channels(y.c); i++) {
                int side = s->window ? s->kernel : 1, c = i / side / side, r = i / side % side, t = i % side;
                float v = 0;
                if (n < count && i < y.c)
                    v = s->window ? pixel_value(s, images[n], values, row * s->stride - s->pad + r,
                                                x * s->stride - s->pad + t, c)
                                  : pixel_value(s, images[n], values, row, x, c);
                bf16 want[3];
                planes_store(v, want, 1, s->planes);
                for (int p = 0; p < s->planes; p++)
                    if (tensor_at(&y, 0, x, n, i)[(size_t)p * tensor_step(&y)] != want[p]) {
                        print_error("row %d column %d image %d channel %d plane %d\n", row, x, n, i, p);
                        block_print(table->isa, s, "input");
                        fail();
                    }
            }
    for (int n = 0; n < count; n++)
        memory_free(images[n]);
    memory_free(values), memory_free(all.p), memory_free(y.p);
}

static void test_input(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCK_CASES; i++)
        for (int planes = 1; planes <= 3 && block_cases[i].c <= 40; planes++) {
            struct block_conv s = block_case_at(i, planes);
            int rows = s.window ? s.out_h : s.h;
            FOR_EACH_TABLE(table)
            {
                if (!takes(table, planes))
                    continue;
                check_input(table, &s, 32, 0);
                check_input(table, &s, 1, rows - 1);
                check_input(table, &s, 31, rows / 2);
            }
        }
}

/* ---- batch norm ---- */

/* Forms: 1 scale, 2 shift, 4 other, 8 relu, 16 bits (with relu alone), 32 in place of x (or of other). */
static void check_norm(const struct kernel_table *table, const struct passing *p)
{
    struct tensor x = tensor_copy(&p->x), other = tensor_copy(&p->other), fresh = tensor_copy(&p->x);
    size_t words = (size_t)p->pixels * (size_t)p->c;
    uint32_t *positive = bytes_new(words, sizeof *positive);
    memset(positive, 0xff, words * sizeof *positive);
    memset(fresh.p, 0xff, fresh.values * sizeof(bf16));
    const float *scale = p->form & 1 ? p->constants[0] : NULL, *shift = p->form & 2 ? p->constants[1] : NULL;
    struct tensor y = !(p->form & 32) ? fresh : p->form & 4 ? other : x;
    table->block.norm(&(struct block_norm_call){.map = map_of(p),
                                                .x = x.p,
                                                .scale = scale,
                                                .shift = shift,
                                                .other = p->form & 4 ? other.p : NULL,
                                                .relu = (p->form & 8) != 0,
                                                .y = y.p,
                                                .positive = p->form & 16 ? positive : NULL});
    FOR_EACH_VALUE(p, i, n, c)
    {
        double a = tensor_value(&p->x, 0, i, n, c) * (scale ? (double)scale[c] : 1);
        double b = shift ? (double)shift[c] : 0, o = p->form & 4 ? tensor_value(&p->other, 0, i, n, c) : 0;
        double want = n < p->images ? a + b + o : 0, tiny = 1e-6 * (fabs(a) + fabs(b) + fabs(o));
        int bit = want > 0;
        if (p->form & 8 && want < 0)
            want = 0;
        double got = tensor_value(&y, 0, i, n, c);
        if (n >= p->images ? got != 0 : !(fabs(got - want) <= tiny + planes_error(want, p->planes)))
            wrong(table, p, "norm", i, n, c);
        if (p->form & 16 && bit_of(p, positive, i, n, c) != bit && (n >= p->images || fabs(a + b + o) > tiny))
            wrong(table, p, "norm: positive", i, n, c);
    }
    memory_free(x.p), memory_free(other.p), memory_free(fresh.p), memory_free(positive);
}

static void test_norm(void **state)
{
    (void)state;
    FOR_EACH_PASSING(p, 64)
    {
        FOR_EACH_TABLE(table)
        if (takes(table, planes) && (form & 8 || !(form & 16)) && (size < 2 || size == FIRST_HALF || form % 5 == 0))
            check_norm(table, &p);
    }
}

/* What is not a number passes, and nothing else becomes so. */
static void test_nan_passes(void **state)
{
    (void)state;
    FOR_EACH_PASSING(p, 2)
    {
        FOR_EACH_TABLE(table)
        {
            if (!takes(table, planes))
                continue;
            struct tensor x = tensor_copy(&p.x);
            planes_store(NAN, tensor_at(&x, 0, 0, 3, 7), 1024, planes);
            p.positive[3] |= 1 << 7;
            table->block.norm(&(struct block_norm_call){.map = map_of(&p),
                                                        .x = x.p,
                                                        .scale = p.constants[0],
                                                        .shift = p.constants[1],
                                                        .other = form ? p.other.p : NULL,
                                                        .relu = 1,
                                                        .y = x.p,
                                                        .positive = p.positive});
            FOR_EACH_VALUE(&p, i, n, c)
            assert_int_equal(isnan(tensor_value(&x, 0, i, n, c)) != 0, i == 0 && n == 3 && c == 7);
            assert_int_equal(bit_of(&p, p.positive, 0, 3, 7), 0);
            memory_free(x.p);
        }
    }
}

/* Nor does rounding make a number of one whose bits are all set. */
static void test_nan_of_any_bits(void **state)
{
    (void)state;
    const uint32_t bits[2] = {0x7fffffff, 0xffffffff};
    for (int planes = 1; planes <= 3; planes++) {
        struct passing p = passing_new(1, planes, BLOCK_IMAGES);
        memcpy(&p.constants[0][7], &bits[0], sizeof bits[0]);
        memcpy(&p.constants[0][40], &bits[1], sizeof bits[1]);
        FOR_EACH_TABLE(table)
        {
            if (!takes(table, planes))
                continue;
            struct tensor y = tensor_copy(&p.x);
            table->block.norm(
                &(struct block_norm_call){.map = map_of(&p), .x = p.x.p, .scale = p.constants[0], .y = y.p});
            FOR_EACH_VALUE(&p, i, n, c)
            assert_int_equal(isnan(tensor_value(&y, 0, i, n, c)) != 0, c == 7 || c == 40);
            memory_free(y.p);
        }
        passing_free(&p);
    }
}

/* bfloat16 has no subnormals: what arithmetic makes one of is zero, and afterwards the processor makes them again. */
static void test_subnormals_become_zeros(void **state)
{
    (void)state;
    volatile float tiny = 1e-20f;
    struct passing p = passing_new(FIRST_HALF, 1, BLOCK_IMAGES);
    FOR_EACH_VALUE(&p, i, n, c)
    planes_store(c < p.real ? 1e-20f : 0, tensor_at(&p.x, 0, i, n, c), 1, 1);
    for (int c = 0; c < p.c; c++)
        p.constants[0][c] = c < p.real ? 1e-20f : 0, p.constants[1][c] = 0;
    FOR_EACH_TABLE(table)
    {
        if (!takes(table, 1))
            continue;
        struct tensor y = tensor_copy(&p.x), dx = tensor_copy(&p.x);
        table->block.norm(
            &(struct block_norm_call){.map = map_of(&p), .x = p.x.p, .scale = p.constants[0], .y = y.p});
        table->block.norm_backward(&(struct block_norm_backward_call){.map = map_of(&p),
                                                                      .x = p.x.p,
                                                                      .dy = p.x.p,
                                                                      .a = p.constants[0],
                                                                      .b = p.constants[0],
                                                                      .d = p.constants[1],
                                                                      .dx = dx.p});
        FOR_EACH_VALUE(&p, i, n, c)
        assert_true(*tensor_at(&y, 0, i, n, c) == 0 && *tensor_at(&dx, 0, i, n, c) == 0);
        assert_true(tiny * tiny > 0);
        memory_free(y.p), memory_free(dx.p);
    }
    passing_free(&p);
}

static double gradient_value(const struct passing *p, const uint32_t *positive, int i, int n, int c)
{
    if (n >= p->images || (positive && !bit_of(p, positive, i, n, c)))
        return 0;
    return tensor_value(&p->dy, 0, i, n, c);
}

static void check_backward_sums(const struct kernel_table *table, const struct passing *p)
{
    const uint32_t *positive = p->form ? p->positive : NULL;
    const float *mean = p->constants[1], *inv_std = p->constants[0];
    double *sums = bytes_new(2 * (size_t)p->c, sizeof *sums);
    memset(sums, 0xff, 2 * (size_t)p->c * sizeof *sums);
    table->block.norm_backward_sums(&(struct block_norm_backward_call){.map = map_of(p),
                                                                       .x = p->x.p,
                                                                       .dy = p->dy.p,
                                                                       .positive = positive,
                                                                       .mean = mean,
                                                                       .inv_std = inv_std,
                                                                       .sums = sums});
    for (int c = 0; c < p->c; c++) {
        double sum = 0, products = 0, absolute = 0, both = 0;
        for (int i = 0; i < p->pixels; i++)
            for (int n = 0; n < p->images; n++) {
                double g = gradient_value(p, positive, i, n, c), x = tensor_value(&p->x, 0, i, n, c);
                sum += g, absolute += fabs(g);
                products += g * (x - (double)mean[c]) * (double)inv_std[c];
                both += fabs(g) * (fabs(x) + fabs((double)mean[c])) * (double)inv_std[c];
            }
        if (!(fabs(sums[c] - sum) <= 1e-5 * absolute) || !(fabs(sums[p->c + c] - products) <= 1e-5 * both)) {
            print_error("%g %g, not %g %g\n", sums[c], sums[p->c + c], sum, products);
            wrong(table, p, "norm_backward_sums", 0, 0, c);
        }
    }
    memory_free(sums);
}

static void test_backward_sums(void **state)
{
    (void)state;
    FOR_EACH_PASSING(p, 2)
    {
        FOR_EACH_TABLE(table)
        if (takes(table, planes))
            check_backward_sums(table, &p);
    }
}

/* One tensor of the result: value, or value before + value. */
static int near_sum(const struct passing *p, double got, double before, int accumulate, double value,
                    double absolute)
{
    double want = accumulate ? before + value : value;
    return fabs(got - want) <= 1e-6 * (absolute + fabs(before)) + planes_error(want, p->planes);
}

enum { AFFINE = 1, MASKED = 2, ADD = 4, OTHER = 8, ADD_OTHER = 16, NO_DX = 32, DX_IS_DY = 64, OTHER_IS_DY = 128 };

static int makes_sense(int form)
{
    return !(form & NO_DX && form & (ADD | DX_IS_DY)) && !(form & DX_IS_DY && form & (ADD | OTHER_IS_DY)) &&
           !(form & OTHER_IS_DY && form & ADD_OTHER) && !(form & (ADD_OTHER | OTHER_IS_DY) && !(form & OTHER));
}

static void check_backward(const struct kernel_table *table, const struct passing *p)
{
    int form = p->form;
    const uint32_t *positive = form & MASKED ? p->positive : NULL;
    const float *a = form & AFFINE ? p->constants[0] : NULL, *b = p->constants[1], *d = p->constants[2];
    struct tensor dy = tensor_copy(&p->dy), dx = tensor_copy(&p->other), other = tensor_copy(&p->x);
    if (!(form & ADD)) /* overwritten, whatever it was */
        memset(dx.p, 0xff, dx.values * sizeof(bf16));
    struct tensor to = form & DX_IS_DY ? dy : dx, pass = form & OTHER_IS_DY ? dy : other;
    table->block.norm_backward(&(struct block_norm_backward_call){.map = map_of(p),
                                                                  .x = a ? p->x.p : NULL,
                                                                  .dy = dy.p,
                                                                  .positive = positive,
                                                                  .a = a,
                                                                  .b = a ? b : NULL,
                                                                  .d = a ? d : NULL,
                                                                  .dx = form & NO_DX ? NULL : to.p,
                                                                  .other = form & OTHER ? pass.p : NULL,
                                                                  .accumulate = (form & ADD) != 0,
                                                                  .accumulate_other = (form & ADD_OTHER) != 0});
    FOR_EACH_VALUE(p, i, n, c)
    {
        double g = gradient_value(p, positive, i, n, c), v = g, absolute = fabs(g),
               x = tensor_value(&p->x, 0, i, n, c);
        if (a && n < p->images) {
            v = (double)a[c] * g + (double)b[c] * x + (double)d[c];
            absolute = fabs((double)a[c] * g) + fabs((double)b[c] * x) + fabs((double)d[c]);
        }
        if (!(form & NO_DX) && !near_sum(p, tensor_value(&to, 0, i, n, c), tensor_value(&p->other, 0, i, n, c),
                                         form & ADD, v, absolute))
            wrong(table, p, "norm_backward", i, n, c);
        if (form & OTHER && !near_sum(p, tensor_value(&pass, 0, i, n, c), x, form & ADD_OTHER, g, fabs(g)))
            wrong(table, p, "norm_backward: other", i, n, c);
    }
    memory_free(dy.p), memory_free(dx.p), memory_free(other.p);
}

static void test_backward(void **state)
{
    (void)state;
    FOR_EACH_PASSING(p, 256)
    {
        FOR_EACH_TABLE(table)
        if (takes(table, planes) && makes_sense(form) &&
            (size == 1 || size == FIRST_HALF || (size != 2 && size != 3 && form % 3 == 0)))
            check_backward(table, &p);
    }
}

/* ---- pool ---- */

static void check_pool(const struct kernel_table *table, const struct passing *p, int real)
{
    struct block_map map = {p->pixels, real, p->planes, p->images};
    int stride = real + 3;
    size_t count = (size_t)(BLOCK_IMAGES * stride);
    float *y = bytes_new(count, sizeof *y);
    memset(y, 0xff, count * sizeof *y);
    struct tensor x = tensor_new(1, p->pixels, real, p->planes);
    tensor_random(&x, p->images, 0, 4);
    table->block.pool(&map, x.p, y, stride);
    for (int n = 0; n < BLOCK_IMAGES; n++)
        for (int c = 0; c < stride; c++) {
            double sum = 0, absolute = 0;
            for (int i = 0; i < p->pixels && c < real; i++) {
                double v = tensor_value(&x, 0, i, n, c);
                sum += v, absolute += fabs(v);
            }
            float got = y[n * stride + c];
            if (n < p->images && c < real ? !(fabs((double)got * p->pixels - sum) <= 1e-5 * absolute) : !isnan(got))
                wrong(table, p, "pool", 0, n, c);
        }
    memory_free(y), memory_free(x.p);
}

static void check_pool_backward(const struct kernel_table *table, const struct passing *p, int real)
{
    struct block_map map = {p->pixels, real, p->planes, p->images};
    int stride = real + 3;
    float *dy = floats_new((size_t)(BLOCK_IMAGES * stride), 8);
    struct tensor before = tensor_new(1, p->pixels, real, p->planes);
    tensor_random(&before, p->images, 0, 4);
    struct tensor dx = tensor_copy(&before);
    if (!p->form)
        memset(dx.p, 0xff, dx.values * sizeof(bf16));
    table->block.pool_backward(&map, dy, stride, dx.p, p->form);
    for (int i = 0; i < p->pixels; i++)
        for (int n = 0; n < BLOCK_IMAGES; n++)
            for (int c = 0; c < block_channels(real); c++) {
                double v = n < p->images && c < real ? (double)dy[n * stride + c] / p->pixels : 0;
                double b = tensor_value(&before, 0, i, n, c);
                if (!near_sum(p, tensor_value(&dx, 0, i, n, c), b, p->form, v, fabs(v)))
                    wrong(table, p, "pool_backward", i, n, c);
            }
    memory_free(dy), memory_free(before.p), memory_free(dx.p);
}

static void test_pool(void **state)
{
    (void)state;
    static const int channels[] = {1, 10, 16, 17, 32, 40, 64};
    FOR_EACH_PASSING(p, 2)
    {
        FOR_EACH_TABLE(table)
        for (int i = 0; takes(table, planes) && i < 7; i++) {
            check_pool(table, &p, channels[i]);
            check_pool_backward(table, &p, channels[i]);
        }
    }
}

/* ---- codes ---- */

static void check_dequantize(const struct kernel_table *table, const struct passing *p, int real)
{
    struct block_map map = {p->pixels, real, p->planes, p->images};
    size_t image = (size_t)(p->pixels * real + 7);
    uint8_t *q = codes_new(image * BLOCK_IMAGES, 11);
    struct tensor y = tensor_new(1, p->pixels, real, p->planes);
    float scale = p->form ? 0.0371f : 1.5e-4f;
    uint8_t zero = p->form ? 131 : 0;
    memset(y.p, 0xff, y.values * sizeof(bf16));
    table->block.dequantize(&map, q, image, scale, zero, y.p);
    for (int i = 0; i < p->pixels; i++)
        for (int n = 0; n < BLOCK_IMAGES; n++)
            for (int c = 0; c < block_channels(real); c++) {
                int code = n < p->images && c < real ? q[(size_t)n * image + (size_t)(i * real + c)] : zero;
                bf16 want[BLOCK_PLANES];
                planes_store(scale * (float)(code - zero), want, 1, p->planes);
                for (int k = 0; k < p->planes; k++)
                    if ((tensor_at(&y, 0, i, n, c)[(size_t)k * tensor_step(&y)] ^ want[k]) &
                        (want[k] & 0x7fff ? 0xffff : 0x7fff))
                        wrong(table, p, "dequantize", i, n, c);
            }
    memory_free(q), memory_free(y.p);
}

static void check_within(const struct kernel_table *table, const struct passing *p, int real)
{
    struct block_map map = {p->pixels, real, p->planes, p->images};
    size_t image = (size_t)(p->pixels * real + 7);
    float *v = floats_new(image * BLOCK_IMAGES, 12);
    float low = p->form ? -0.5f : -INFINITY, high = p->form ? 0.25f : 0;
    size_t words = (size_t)(p->pixels * block_channels(real));
    uint32_t *bits = bytes_new(words, sizeof *bits);
    v[0] = low, v[1 % image] = high, v[image] = NAN;
    v[2 * image] = nextafterf(low, -INFINITY), v[3 * image] = nextafterf(high, INFINITY);
    memset(bits, 0xff, words * sizeof *bits);
    table->block.within(&map, v, image, low, high, bits);
    int cells = block_channels(real) / BLOCK_CHANNELS;
    for (int i = 0; i < p->pixels; i++)
        for (int n = 0; n < p->images; n++)
            for (int c = 0; c < real; c++) {
                float at = v[(size_t)n * image + (size_t)(i * real + c)];
                uint32_t word = bits[(i * cells + c / 32) * BLOCK_IMAGES + n];
                if ((int)(word >> c % 32 & 1) != (at >= low && at <= high))
                    wrong(table, p, "within", i, n, c);
            }
    memory_free(v), memory_free(bits);
}

static void test_codes(void **state)
{
    (void)state;
    static const int channels[] = {1, 10, 16, 17, 32, 40, 64};
    FOR_EACH_PASSING(p, 2)
    {
        FOR_EACH_TABLE(table)
        for (int i = 0; takes(table, planes) && i < 7; i++) {
            check_dequantize(table, &p, channels[i]);
            check_within(table, &p, channels[i]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_input),
                                       cmocka_unit_test(test_norm),
                                       cmocka_unit_test(test_nan_passes),
                                       cmocka_unit_test(test_nan_of_any_bits),
                                       cmocka_unit_test(test_subnormals_become_zeros),
                                       cmocka_unit_test(test_backward_sums),
                                       cmocka_unit_test(test_backward),
                                       cmocka_unit_test(test_pool),
                                       cmocka_unit_test(test_codes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
