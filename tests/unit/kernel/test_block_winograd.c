/* Shapes that a set transforms: data that drives every integer to its bound, what is not finite, images that must
 * not see each other. Random data: test_block_conv, test_block_weight. */
#include "tests/unit/kernel/blocks.h"

static const struct block_conv shape = {
    .h = 8, .w = 8, .c = 64, .out_h = 8, .out_w = 8, .k = 32, .kernel = 3, .stride = 1, .pad = 1, .planes = 1};

/* for each set that transforms the shape */
#define FOR_EACH_TRANSFORM(table) FOR_EACH_TABLE(table) if (block_tile(&table->block, &shape))

static int skip_none(void)
{
    int sets = 0;
    FOR_EACH_TRANSFORM(table)
    sets++;
    if (sets == 0)
        skip();
    return sets;
}

static struct tensor convolve(const struct block_kernel *kernel, enum block_direction d, const struct tensor *x,
                              const float *weight)
{
    void *packed[2] = {packed_new(kernel, &shape, BLOCK_FORWARD), packed_new(kernel, &shape, BLOCK_BACKWARD)};
    void *scratch = bytes_new(kernel->scratch_bytes(&shape), 1);
    struct tensor y = d == BLOCK_FORWARD ? tensor_output(&shape) : tensor_input(&shape);
    struct block_conv_call call = {
        .x = x->p, .packed = packed[d], .y = y.p, .k_end = block_channels(y.c), .row_end = y.h};
    pack_all(kernel, &shape, weight, packed[0], packed[1]);
    kernel->conv(&shape, d, &call, scratch);
    memory_free(packed[0]), memory_free(packed[1]), memory_free(scratch);
    return y;
}

static float *gradient(const struct block_kernel *kernel, const struct tensor *x, const struct tensor *dy)
{
    float *dw = bytes_new(block_weights(&shape), sizeof *dw);
    void *shared = bytes_new(kernel->weight_shared_bytes(&shape, 1) + 1, 1);
    void *scratch = bytes_new(kernel->scratch_bytes(&shape), 1);
    struct block_weight_call call = {.blocks = 1, .x = x->p, .dy = dy->p, .dw = dw};
    for (int round = 0; round < BLOCK_ROUNDS; round++)
        for (int i = 0; i < kernel->weight_items(&shape, 1, round); i++)
            kernel->weight_gradient(&shape, &call, round, i, shared, scratch);
    memory_free(shared), memory_free(scratch);
    return dw;
}

/* The sign of column i of pattern p of 64: every combination of signs in a row of six pixels, and so of B^T's or
 * A's coefficients, whatever the points are. */
static float sign_of(int p, int i)
{
    return p >> i % 6 & 1 ? -1.0f : 1.0f;
}

/* All channels and images alike, rows by one pattern and columns by another: somewhere it adds up to all that a
 * point of a tile can reach; the weights, one sign and one size, leave the sums no way out. */
static void extreme(struct tensor *t, int pad, int rows, int columns)
{
    for (int y = 0; y < t->h; y++)
        for (int x = 0; x < t->w; x++)
            for (int n = 0; n < BLOCK_IMAGES; n++)
                for (int c = 0; c < t->c; c++)
                    *tensor_at(t, y, x, n, c) =
                        bf16_from_float(sign_of(rows, (y + pad) % 4) * sign_of(columns, (x + pad) % 4) * 3.0f);
}

static double magnitude(const struct tensor *t)
{
    double most = 0;
    for (size_t i = 0; i < t->values; i++)
        most = fmax(most, fabs((double)bf16_to_float(t->p[i])));
    return most;
}

static void check_near(const struct tensor *got, const struct tensor *want, double error)
{
    for (size_t i = 0; i < got->values; i++)
        if (!(fabs((double)bf16_to_float(got->p[i]) - (double)bf16_to_float(want->p[i])) <= error)) {
            print_error("value %zu: %g, not %g\n", i, (double)bf16_to_float(got->p[i]),
                        (double)bf16_to_float(want->p[i]));
            fail();
        }
}

static void test_no_sum_wraps(void **state)
{
    (void)state;
    skip_none();
    float *weight = bytes_new(block_weights(&shape), sizeof *weight);
    struct tensor x = tensor_input(&shape), dy = tensor_output(&shape);
    for (int pattern = 0; pattern < 64; pattern++) {
        for (size_t i = 0; i < block_weights(&shape); i++)
            weight[i] = sign_of(pattern * 7, (int)i % 3) * sign_of(pattern * 11, (int)i / 3 % 3);
        extreme(&x, shape.pad, pattern, pattern * 5 % 64);
        extreme(&dy, 0, pattern * 5 % 64, pattern);
        struct tensor y = convolve(&table_of("ref")->block, BLOCK_FORWARD, &x, weight);
        struct tensor dx = convolve(&table_of("ref")->block, BLOCK_BACKWARD, &dy, weight);
        float *dw = gradient(&table_of("ref")->block, &x, &dy);
        FOR_EACH_TRANSFORM(table)
        {
            struct tensor y2 = convolve(&table->block, BLOCK_FORWARD, &x, weight);
            struct tensor dx2 = convolve(&table->block, BLOCK_BACKWARD, &dy, weight);
            float *dw2 = gradient(&table->block, &x, &dy);
            check_near(&y2, &y, 5e-3 * 3 * 9 * shape.c + 0x1p-7 * magnitude(&y));
            check_near(&dx2, &dx, 5e-3 * 3 * 9 * shape.k + 0x1p-7 * magnitude(&dx));
            for (size_t i = 0; i < block_weights(&shape); i++)
                assert_true(fabsf(dw2[i] - dw[i]) <= 2e-2f * 9 * BLOCK_IMAGES * 4 /* tiles */);
            memory_free(y2.p), memory_free(dx2.p), memory_free(dw2);
        }
        memory_free(y.p), memory_free(dx.p), memory_free(dw);
    }
    memory_free(weight), memory_free(x.p), memory_free(dy.p);
}

/* An image's results are the same beside any others; what is not finite spoils its own tiles alone, and every
 * gradient by the weights. */
static void test_images_apart(void **state)
{
    (void)state;
    skip_none();
    static const float bad[] = {1e30f, INFINITY, NAN, 0x1p121f};
    float *weight = floats_new(block_weights(&shape), 5);
    struct tensor x = tensor_input(&shape), dy = tensor_output(&shape);
    tensor_random(&x, 32, 0, 6);
    tensor_random(&dy, 32, 0, 7);
    FOR_EACH_TRANSFORM(table)
    {
        struct tensor y = convolve(&table->block, BLOCK_FORWARD, &x, weight);
        for (int i = 0; i < 4; i++) {
            bf16 *at = tensor_at(&x, 1, 1, 9, 40), before = *at;
            *at = bf16_from_float(bad[i]);
            struct tensor other = convolve(&table->block, BLOCK_FORWARD, &x, weight);
            float *dw = gradient(&table->block, &x, &dy);
            for (int p = 0; p < shape.h * shape.w; p++)
                for (int n = 0; n < BLOCK_IMAGES; n++)
                    for (int k = 0; k < shape.k; k++) {
                        int row = p / shape.w, column = p % shape.w;
                        double v = tensor_value(&other, row, column, n, k);
                        if (n != 9 || row >= 4 || column >= 4)
                            assert_true(*tensor_at(&other, row, column, n, k) == *tensor_at(&y, row, column, n, k));
                        else
                            assert_true(i == 0 ? isfinite(v) : isnan(v));
                    }
            assert_true(i == 0 ? isfinite(dw[0]) : isnan(dw[0]));
            memory_free(dw), memory_free(other.p);
            *at = before;
        }
        weight[100] = INFINITY; /* of one output */
        struct tensor other = convolve(&table->block, BLOCK_FORWARD, &x, weight);
        for (int k = 0; k < shape.k; k++)
            assert_true(k == 100 / (9 * shape.c)
                            ? isnan(tensor_value(&other, 3, 3, 3, k))
                            : tensor_value(&other, 3, 3, 3, k) == tensor_value(&y, 3, 3, 3, k));
        weight[100] = 0;
        memory_free(y.p), memory_free(other.p);
    }
    memory_free(weight), memory_free(x.p), memory_free(dy.p);
}

/* Scales go with the values: by a power of two everything follows exactly, down to what all but vanishes. */
static void test_any_size(void **state)
{
    (void)state;
    skip_none();
    float *weight = floats_new(block_weights(&shape), 8);
    struct tensor x = tensor_input(&shape), small = tensor_input(&shape), dy = tensor_output(&shape);
    tensor_random(&x, 32, 0, 9);
    tensor_random(&dy, 32, 0, 10);
    for (size_t i = 0; i < x.values; i++)
        small.p[i] = bf16_from_float(bf16_to_float(x.p[i]) * 0x1p-60f);
    FOR_EACH_TRANSFORM(table)
    {
        struct tensor y = convolve(&table->block, BLOCK_FORWARD, &x, weight);
        struct tensor y2 = convolve(&table->block, BLOCK_FORWARD, &small, weight);
        float *dw = gradient(&table->block, &x, &dy), *dw2 = gradient(&table->block, &small, &dy);
        for (size_t i = 0; i < y.values; i++)
            assert_true(bf16_to_float(y.p[i]) * 0x1p-60f == bf16_to_float(y2.p[i]));
        for (size_t i = 0; i < block_weights(&shape); i++)
            assert_true(dw[i] * 0x1p-60f == dw2[i]);
        memset(small.p, 0, small.values * sizeof(bf16));
        struct tensor zero = convolve(&table->block, BLOCK_FORWARD, &small, weight);
        for (size_t i = 0; i < zero.values; i++)
            assert_true(bf16_to_float(zero.p[i]) == 0);
        memory_free(y.p), memory_free(y2.p), memory_free(zero.p), memory_free(dw), memory_free(dw2);
    }
    memory_free(weight), memory_free(x.p), memory_free(small.p), memory_free(dy.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_no_sum_wraps), cmocka_unit_test(test_images_apart),
                                       cmocka_unit_test(test_any_size)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
