/* Training's convolutions, forward and by the input: ref against a sum in double, every set against ref, any cut.
 */
#include "tests/unit/kernel/blocks.h"

/* One direction's tensors and weights. */
struct fixture {
    struct block_conv s;
    enum block_direction d;
    int row_begin, row_end;
    struct tensor x, y;
    float *weight, *absolute_weight;
};

static struct fixture fixture_new(int i, int planes, enum block_direction d)
{
    struct fixture f = {.s = block_case_at(i, planes), .d = d};
    struct tensor input = tensor_input(&f.s), output = tensor_output(&f.s);
    f.x = d == BLOCK_FORWARD ? input : output;
    f.y = d == BLOCK_FORWARD ? output : input;
    f.row_end = f.y.h;
    if (block_cases[i].rows && block_cases[i].rows < f.y.h) { /* some from the top, as many from the middle */
        f.row_begin = i % 2 ? 0 : f.y.h / 2;
        f.row_end = f.row_begin + block_cases[i].rows;
    }
    f.weight = floats_new(block_weights(&f.s), 77 + (uint64_t)i);
    f.absolute_weight = floats_absolute(f.weight, block_weights(&f.s));
    tensor_random(&f.x, 30, 0, (uint64_t)i);
    return f;
}

static void fixture_free(struct fixture *f)
{
    memory_free(f->x.p), memory_free(f->y.p), memory_free(f->weight), memory_free(f->absolute_weight);
}

/* A packed kernel with its scratch, and calls cut as asked. */
static void run(const struct block_kernel *kernel, const struct fixture *f, const struct tensor *x,
                const float *weight, int accumulate, int row_step, int channel_step, struct tensor *y)
{
    void *packed[2] = {packed_new(kernel, &f->s, BLOCK_FORWARD), packed_new(kernel, &f->s, BLOCK_BACKWARD)};
    void *scratch = bytes_new(kernel->scratch_bytes(&f->s), 1);
    pack_all(kernel, &f->s, weight, packed[0], packed[1]);
    for (int k = block_channels(y->c); k > 0; k -= channel_step)
        for (int row = f->row_begin; row < f->row_end; row += row_step) {
            struct block_conv_call call = {.x = x->p,
                                           .packed = packed[f->d],
                                           .y = y->p,
                                           .accumulate = accumulate,
                                           .k_begin = k > channel_step ? k - channel_step : 0,
                                           .k_end = k,
                                           .row_begin = row,
                                           .row_end = row + row_step < f->row_end ? row + row_step : f->row_end};
            kernel->conv(&f->s, f->d, &call, scratch);
        }
    memory_free(packed[0]), memory_free(packed[1]), memory_free(scratch);
}

static double weight_at(const struct block_conv *s, const float *weight, int k, int c, int r, int t)
{
    float v = weight[((k * s->c + c) * s->kernel + r) * s->kernel + t];
    return (double)(s->planes == 1 ? bf16_to_float(bf16_from_float(v)) : v);
}

/* The formula, for one output: forward, by windows, and backward. */
static double naive(const struct fixture *f, int image, int row, int column, int channel, double *absolute)
{
    const struct block_conv *s = &f->s;
    double sum = 0;
    *absolute = 0;
    int others = f->d == BLOCK_FORWARD ? s->c : s->k;
    for (int r = 0; r < s->kernel; r++)
        for (int t = 0; t < s->kernel; t++)
            for (int i = 0; i < others; i++) {
                int y = row * s->stride - s->pad + r, x = column * s->stride - s->pad + t, at = i;
                int k = f->d == BLOCK_FORWARD ? channel : i, c = f->d == BLOCK_FORWARD ? i : channel;
                if (s->window) {
                    y = row, x = column;
                    at = (c * s->kernel + r) * s->kernel + t;
                } else if (f->d == BLOCK_BACKWARD) { /* the output whose tap (r, t) lies here */
                    y = row + s->pad - r, x = column + s->pad - t;
                    if (y < 0 || x < 0 || y % s->stride || x % s->stride)
                        continue;
                    y /= s->stride, x /= s->stride;
                }
                if (y < 0 || y >= f->x.h || x < 0 || x >= f->x.w)
                    continue;
                double v = tensor_value(&f->x, y, x, image, at) * weight_at(s, f->weight, k, c, r, t);
                sum += v;
                *absolute += fabs(v);
            }
    return sum;
}

static void check_formula(const struct fixture *f)
{
    for (int row = f->row_begin; row < f->row_end; row++)
        for (int column = 0; column < f->y.w; column++)
            for (int n = row * 7 % 5; n < BLOCK_IMAGES; n += 9)
                for (int k = column % 3; k < f->y.c; k += 3) {
                    double absolute, want = naive(f, n, row, column, k, &absolute);
                    double got = tensor_value(&f->y, row, column, n, k);
                    if (!(fabs(got - want) <= 1e-6 * absolute + planes_error(want, f->s.planes))) {
                        print_error("%.9g, not %.9g at %d,%d image %d channel %d\n", got, want, row, column, n, k);
                        block_print("ref", &f->s, f->d ? "backward" : "forward");
                        fail();
                    }
                }
}

static int is_windows_gradient(int i, int d) /* nobody wants the gradient of the images */
{
    return block_cases[i].window && d == BLOCK_BACKWARD;
}

static size_t case_weights(int i)
{
    struct block_conv s = block_case_at(i, 1);
    return block_weights(&s);
}

/* Of the cases for which it holds: their tensors take their time to fill. */
#define FOR_EACH_FIXTURE(f, holds)                                                             \
    for (int i = 0; i < BLOCK_CASES; i++)                                                      \
        for (int planes = 1; planes <= 3; planes++)                                            \
            for (int d = BLOCK_FORWARD; d <= BLOCK_BACKWARD; d++)                              \
                for (struct fixture f = is_windows_gradient(i, d) || !(holds)                  \
                                            ? (struct fixture){.x = {.p = NULL}}               \
                                            : fixture_new(i, planes, (enum block_direction)d); \
                     f.x.p; fixture_free(&f), f.x.p = NULL)

/* Any cut of rows and channels gives the same bits. */
static void check_cuts(const struct kernel_table *table, const struct fixture *f, const struct tensor *whole)
{
    struct tensor cut = tensor_copy(&f->y);
    int all = block_channels(f->y.c);
    for (int form = 0; form < 3; form++) {
        memset(cut.p, 0, cut.values * sizeof(bf16));
        run(&table->block, f, &f->x, f->weight, 0,
            form == 1   ? f->y.h
            : form == 0 ? 1
                        : 3,
            form == 0 ? all : 32 * form, &cut);
        if (!tensor_same(whole, &cut)) {
            block_print(table->isa, &f->s, "cut");
            fail();
        }
    }
    memory_free(cut.p);
}

static void test_ref_is_the_formula(void **state)
{
    (void)state;
    FOR_EACH_FIXTURE(f, case_weights(i) <= 40000)
    {
        run(&table_of("ref")->block, &f, &f.x, f.weight, 0, f.y.h, block_channels(f.y.c), &f.y);
        check_formula(&f);
        check_cuts(table_of("ref"), &f, &f.y);
    }
}

/* Sums of the absolute weights of each channel of the destination. */
static double *weight_sums(const struct fixture *f)
{
    double *sums = bytes_new((size_t)block_channels(f->y.c), sizeof *sums);
    for (int k = 0; k < f->s.k; k++)
        for (int c = 0; c < f->s.c; c++)
            for (int i = 0; i < f->s.kernel * f->s.kernel; i++)
                sums[f->d == BLOCK_FORWARD ? k : c] +=
                    (double)fabsf(f->weight[(k * f->s.c + c) * f->s.kernel * f->s.kernel + i]);
    return sums;
}

/* The tolerance of transformed shapes: of each output by its tile, and of all by their root mean square, which the
 * last rounding of both is added to. */
static int tiles_near(const struct fixture *f, int tile, const struct tensor *got, const struct tensor *want)
{
    double error = 0, square = 0, *sums = weight_sums(f);
    int pad = f->d == BLOCK_FORWARD ? f->s.pad : f->s.kernel - 1 - f->s.pad, near = 1;
    for (int row = f->row_begin; near && row < f->row_end; row++)
        for (int column = 0; near && column < got->w; column++)
            for (int n = 0; near && n < BLOCK_IMAGES; n++) {
                double largest = tensor_largest(&f->x, row / tile * tile - pad, column / tile * tile - pad,
                                                tile + f->s.kernel - 1, n);
                for (int c = 0; near && c < block_channels(got->c); c++) {
                    double a = tensor_value(got, row, column, n, c), b = tensor_value(want, row, column, n, c);
                    near = fabs(a - b) <=
                           (f->s.planes == 1 ? 5e-3 : 2e-6) * largest * sums[c] + 2 * planes_error(b, f->s.planes);
                    if (!near)
                        print_error("%d,%d image %d channel %d: %.9g, not %.9g\n", row, column, n, c, a, b);
                    error += (a - b) * (a - b);
                    square += b * b;
                }
            }
    if (near && !(sqrt(error) <= (f->s.planes == 1 ? 4e-3 : 2e-6) * sqrt(square)))
        near = 0, print_error("error %.3g of the result\n", sqrt(error / square));
    memory_free(sums);
    return near;
}

/* Against ref, and with that the zeros beyond the real channels and images. */
static void check_set(const struct kernel_table *table, const struct fixture *f, const struct tensor *want,
                      const struct tensor *absolute)
{
    struct tensor y = tensor_copy(&f->y);
    int tile = block_tile(&table->block, &f->s);
    float *weight = tile && f->s.planes == 1 ? floats_rounded(f->weight, block_weights(&f->s)) : f->weight;
    run(&table->block, f, &f->x, weight, 0, f->y.h, block_channels(f->y.c), &y);
    if (!(tile ? tiles_near(f, tile, &y, want) : tensor_near(&y, want, absolute))) {
        block_print(table->isa, &f->s, f->d ? "backward" : "forward");
        fail();
    }
    if (weight != f->weight)
        memory_free(weight);
    run(&table->block, f, &f->x, f->weight, 0, f->y.h, block_channels(f->y.c), &y);
    check_cuts(table, f, &y);
    memory_free(y.p);
}

static void test_sets_agree(void **state)
{
    (void)state;
    if (natives(1) == 0)
        skip(); /* the definition is all this machine has */
    const struct block_kernel *ref = &table_of("ref")->block;
    FOR_EACH_FIXTURE(f, natives(planes) > 0)
    {
        struct tensor want = tensor_copy(&f.y), absolute = tensor_copy(&f.y), x = tensor_copy(&f.x);
        values_absolute(x.p, x.values, planes);
        run(ref, &f, &f.x, f.weight, 0, f.y.h, block_channels(f.y.c), &want);
        if (untiled(&f.s))
            run(ref, &f, &x, f.absolute_weight, 0, f.y.h, block_channels(f.y.c), &absolute);
        FOR_EACH_NATIVE(table, planes)
        check_set(table, &f, &want, &absolute);
        memory_free(want.p), memory_free(absolute.p), memory_free(x.p);
    }
}

/* y += conv, rounded once: from the tensor before and from the convolution alone as three planes hold it. */
static void test_accumulate(void **state)
{
    (void)state;
    FOR_EACH_FIXTURE(f, case_weights(i) <= 40000)
    {
        struct tensor before = tensor_copy(&f.y), sum = tensor_copy(&f.y), alone = tensor_copy(&f.y);
        tensor_random(&before, 30, 0, 1234);
        FOR_EACH_TABLE(table)
        {
            if (!takes(table, planes))
                continue;
            memcpy(sum.p, before.p, sum.values * sizeof(bf16));
            run(&table->block, &f, &f.x, f.weight, 0, f.y.h, block_channels(f.y.c), &alone);
            run(&table->block, &f, &f.x, f.weight, 1, f.y.h, block_channels(f.y.c), &sum);
            for (int row = 0; row < f.y.h; row++)
                for (int column = 0; column < f.y.w; column++)
                    for (int n = 0; n < BLOCK_IMAGES; n++)
                        for (int c = 0; c < block_channels(f.y.c); c++) {
                            int inside = row >= f.row_begin && row < f.row_end;
                            double a = inside ? tensor_value(&alone, row, column, n, c) : 0;
                            double b = tensor_value(&before, row, column, n, c);
                            double error = planes_error(a, planes) + (inside ? planes_error(a + b, planes) : 0);
                            if (!(fabs(tensor_value(&sum, row, column, n, c) - a - b) <= 1.01 * error + 1e-7)) {
                                block_print(table->isa, &f.s, "accumulate");
                                fail();
                            }
                        }
        }
        memory_free(before.p), memory_free(sum.p), memory_free(alone.p);
    }
}

/* The sums are those of what was stored; channels that were not asked for keep theirs. */
static void check_sums(const struct kernel_table *table, struct fixture *f)
{
    int all = block_channels(f->y.c), begin = all > 32 ? 32 : 0;
    void *packed = packed_new(&table->block, &f->s, BLOCK_FORWARD);
    void *scratch = bytes_new(table->block.scratch_bytes(&f->s), 1);
    double *sums = bytes_new(2 * (size_t)all, sizeof *sums);
    pack_all(&table->block, &f->s, f->weight, packed, NULL);
    for (int c = 0; c < 2 * all; c++)
        sums[c] = -5;
    struct block_conv_call call = {.x = f->x.p,
                                   .packed = packed,
                                   .y = f->y.p,
                                   .k_begin = begin,
                                   .k_end = all,
                                   .row_begin = f->row_begin,
                                   .row_end = f->row_end,
                                   .sums = sums};
    table->block.conv(&f->s, BLOCK_FORWARD, &call, scratch);
    for (int c = 0; c < all; c++) {
        double sum = 0, squares = 0, absolute = 0;
        for (int i = f->row_begin * f->y.w; i < f->row_end * f->y.w; i++)
            for (int n = 0; n < BLOCK_IMAGES; n++) {
                double v = tensor_value(&f->y, i / f->y.w, i % f->y.w, n, c);
                sum += v, absolute += fabs(v), squares += v * v;
            }
        if (c < begin
                ? sums[c] != -5 || sums[all + c] != -5
                : !(fabs(sums[c] - sum) <= 1e-5 * absolute) || !(fabs(sums[all + c] - squares) <= 1e-5 * squares)) {
            print_error("channel %d: %g %g, not %g %g\n", c, sums[c], sums[all + c], sum, squares);
            block_print(table->isa, &f->s, "sums");
            fail();
        }
    }
    memory_free(packed), memory_free(scratch), memory_free(sums);
}

static void test_sums(void **state)
{
    (void)state;
    FOR_EACH_FIXTURE(f, d == BLOCK_FORWARD && (case_weights(i) < 40000 || natives(planes) > 0))
    {
        FOR_EACH_TABLE(table)
        if (takes(table, planes) && (block_weights(&f.s) < 40000 || kernel_block_is_native(table)))
            check_sums(table, &f);
    }
}

/* Either direction's weights are the same without the other's, and items may come in any order. */
static void check_pack(const struct block_kernel *kernel, const struct block_conv *s, const float *weight)
{
    size_t bytes = kernel->packed_bytes(s, BLOCK_FORWARD), back = kernel->packed_bytes(s, BLOCK_BACKWARD);
    void *p[4];
    for (int v = 0; v < 4; v++)
        p[v] = packed_new(kernel, s, v % 2 ? BLOCK_BACKWARD : BLOCK_FORWARD);
    pack_all(kernel, s, weight, p[0], p[1]);
    for (int item = kernel->pack_items(s) - 1; item >= 0; item--)
        kernel->pack(s, weight, item, p[2], p[3]);
    assert_memory_equal(p[0], p[2], bytes);
    assert_memory_equal(p[1], p[3], back);
    memset(p[2], 0xff, bytes);
    pack_all(kernel, s, weight, p[2], NULL);
    assert_memory_equal(p[0], p[2], bytes);
    memset(p[3], 0xff, back);
    pack_all(kernel, s, weight, NULL, p[3]);
    assert_memory_equal(p[1], p[3], back);
    for (int v = 0; v < 4; v++)
        memory_free(p[v]);
}

static void test_pack(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCK_CASES; i++)
        for (int planes = 1; planes <= 3; planes++) {
            struct block_conv s = block_case_at(i, planes);
            float *weight = floats_new(block_weights(&s), 77 + (uint64_t)i);
            FOR_EACH_TABLE(table)
            if (takes(table, planes))
                check_pack(&table->block, &s, weight);
            memory_free(weight);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref_is_the_formula), cmocka_unit_test(test_sets_agree),
                                       cmocka_unit_test(test_accumulate), cmocka_unit_test(test_sums),
                                       cmocka_unit_test(test_pack)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
