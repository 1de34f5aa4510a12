/* Elementwise operations: ref against the formulas, every set equal to ref bit for bit, in place where the contract
 * allows it. */
#include "tests/unit/kernel/shapes.h"
#include <float.h>

enum { ROWS = 37 };
static const int channel_counts[] = {1, 3, 7, 8, 10, 16, 17, 24, 33, 64, 67};
enum { COUNTS = sizeof channel_counts / sizeof *channel_counts };

/* One of everything, [rows, c] or [c]. */
struct fixture {
    int c;
    size_t count;
    float *x, *dy, *residual;
    float *mean, *inv_std, *gamma, *mean_dy, *mean_dy_xhat;
    uint8_t *codes, *table;
};

static struct fixture fixture_new(int c)
{
    struct fixture f = {.c = c, .count = (size_t)ROWS * (size_t)c};
    uint64_t seed = 1000 * (uint64_t)c;
    f.x = floats_new(f.count, seed), f.dy = floats_new(f.count, seed + 1),
    f.residual = floats_new(f.count, seed + 2);
    float **constants[] = {&f.mean, &f.inv_std, &f.gamma, &f.mean_dy, &f.mean_dy_xhat};
    for (size_t i = 0; i < 5; i++)
        *constants[i] = floats_new((size_t)c, seed + 3 + i);
    f.codes = codes_new(f.count, seed + 8), f.table = codes_new((size_t)c * 256, seed + 9);
    static const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, FLT_MAX, 1e-42f};
    for (size_t i = 0; i < 6 && 5 * i < f.count; i++)
        f.x[5 * i] = f.dy[f.count - 1 - 5 * i] = odd[i];
    return f;
}

static void fixture_free(struct fixture *f)
{
    memory_free(f->x), memory_free(f->dy), memory_free(f->residual), memory_free(f->mean), memory_free(f->inv_std);
    memory_free(f->gamma), memory_free(f->mean_dy), memory_free(f->mean_dy_xhat), memory_free(f->codes),
        memory_free(f->table);
}

/* Bits, except that one NaN is as good as another. */
static void same_floats(const float *got, const float *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0 && !(isnan(got[i]) && isnan(want[i])))
            fail_msg("value %zu of %zu: %a, want %a", i, count, (double)got[i], (double)want[i]);
}

static void same_doubles(const double *got, const double *want, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&got[i], &want[i], sizeof *got) != 0 && !(isnan(got[i]) && isnan(want[i])))
            fail_msg("value %zu of %zu: %a, want %a", i, count, got[i], want[i]);
}

static void codes_equal(const struct elementwise_kernels *k, const struct elementwise_kernels *ref,
                        const struct fixture *f)
{
    uint8_t *got = bytes_new(f->count, 1), *want = bytes_new(f->count, 1);
    float *before = bytes_new((size_t)f->c, 4), *want_before = bytes_new((size_t)f->c, 4);
    k->lookup_u8(f->codes, ROWS, f->c, f->table, got);
    ref->lookup_u8(f->codes, ROWS, f->c, f->table, want);
    assert_memory_equal(got, want, f->count);
    k->quantize(f->x, f->count, 0.0123f, 77, 5, 250, got);
    ref->quantize(f->x, f->count, 0.0123f, 77, 5, 250, want);
    assert_memory_equal(got, want, f->count);
    struct average_pool_u8_call pool = {.x = f->codes,
                                        .pixels = ROWS,
                                        .c = f->c,
                                        .multiplier = 0.011f,
                                        .zero_point_x = 77,
                                        .zero_point_y = 128,
                                        .low = 3,
                                        .high = 254,
                                        .y = want,
                                        .before = want_before};
    ref->average_pool_u8(&pool);
    pool.y = got, pool.before = before;
    k->average_pool_u8(&pool);
    assert_memory_equal(got, want, (size_t)f->c);
    same_floats(before, want_before, (size_t)f->c);
    pool.before = NULL;
    k->average_pool_u8(&pool);
    assert_memory_equal(got, want, (size_t)f->c);
    memory_free(got), memory_free(want), memory_free(before), memory_free(want_before);
}

static void floats_equal(const struct elementwise_kernels *k, const struct elementwise_kernels *ref,
                         const struct fixture *f)
{
    float *got = bytes_new(f->count, 4), *want = bytes_new(f->count, 4);
    k->normalize(f->codes, ROWS, f->c, f->mean, f->gamma, got);
    ref->normalize(f->codes, ROWS, f->c, f->mean, f->gamma, want);
    same_floats(got, want, f->count);
    for (int form = 0; form < 4; form++) {
        const float *residual = form & 1 ? f->residual : NULL;
        ref->scale_shift(&(struct scale_shift_call){f->x, ROWS, f->c, f->gamma, f->mean, residual, form & 2, want});
        k->scale_shift(&(struct scale_shift_call){f->x, ROWS, f->c, f->gamma, f->mean, residual, form & 2, got});
        same_floats(got, want, f->count);
        memcpy(got, f->x, f->count * sizeof *got);
        k->scale_shift(&(struct scale_shift_call){got, ROWS, f->c, f->gamma, f->mean, residual, form & 2, got});
        same_floats(got, want, f->count);
    }
    for (int relu = 0; relu < 2; relu++) {
        ref->add(f->x, f->dy, f->count, relu, want);
        k->add(f->x, f->dy, f->count, relu, got);
        same_floats(got, want, f->count);
        memcpy(got, f->x, f->count * sizeof *got);
        k->add(got, f->dy, f->count, relu, got);
        same_floats(got, want, f->count);
    }
    ref->relu(f->x, f->count, want);
    k->relu(f->x, f->count, got);
    same_floats(got, want, f->count);
    ref->relu_backward(f->x, f->dy, f->count, want);
    memcpy(got, f->dy, f->count * sizeof *got);
    k->relu_backward(f->x, got, f->count, got);
    same_floats(got, want, f->count);
    ref->average_pool(f->residual, ROWS, f->c, want);
    k->average_pool(f->residual, ROWS, f->c, got);
    same_floats(got, want, (size_t)f->c);
    ref->dequantize(f->codes, f->count, 0.37f, 201, want);
    k->dequantize(f->codes, f->count, 0.37f, 201, got);
    same_floats(got, want, f->count);
    memory_free(got), memory_free(want);
}

static void batchnorm_equal(const struct elementwise_kernels *k, const struct elementwise_kernels *ref,
                            const struct fixture *f)
{
    size_t c = (size_t)f->c;
    double *got = bytes_new(2 * c, sizeof *got), *want = bytes_new(2 * c, sizeof *want);
    float *dx = bytes_new(f->count, 4), *want_dx = bytes_new(f->count, 4);
    for (size_t i = 0; i < 2 * c; i++)
        got[i] = 12345;
    ref->sum_and_squares(f->x, ROWS, f->c, want, want + c);
    k->sum_and_squares(f->x, ROWS, f->c, got, got + c);
    same_doubles(got, want, 2 * c);
    struct batchnorm_backward_call call = {.x = f->x,
                                           .dy = f->dy,
                                           .rows = ROWS,
                                           .c = f->c,
                                           .mean = f->mean,
                                           .inv_std = f->inv_std,
                                           .sum_dy = want,
                                           .sum_dy_xhat = want + c,
                                           .gamma = f->gamma,
                                           .mean_dy = f->mean_dy,
                                           .mean_dy_xhat = f->mean_dy_xhat,
                                           .dx = want_dx};
    ref->batchnorm_backward_sums(&call);
    ref->batchnorm_backward(&call);
    call.sum_dy = got, call.sum_dy_xhat = got + c, call.dx = dx;
    k->batchnorm_backward_sums(&call);
    same_doubles(got, want, 2 * c);
    k->batchnorm_backward(&call);
    same_floats(dx, want_dx, f->count);
    memcpy(dx, f->dy, f->count * sizeof *dx);
    call.dy = dx;
    k->batchnorm_backward(&call);
    same_floats(dx, want_dx, f->count);
    memory_free(got), memory_free(want), memory_free(dx), memory_free(want_dx);
}

static void test_sets_equal_ref(void **state)
{
    (void)state;
    const struct elementwise_kernels *ref = &table_of("ref")->elementwise;
    for (int i = 0; i < COUNTS; i++) {
        struct fixture f = fixture_new(channel_counts[i]);
        FOR_EACH_TABLE(table)
        {
            codes_equal(&table->elementwise, ref, &f);
            floats_equal(&table->elementwise, ref, &f);
            batchnorm_equal(&table->elementwise, ref, &f);
        }
        fixture_free(&f);
    }
}

static void test_plain_ones(void **state)
{
    (void)state;
    static const uint8_t pixels[] = {0, 128, 255, 51};
    static const float mean[] = {0.5f, 0.25f}, deviation[] = {0.25f, 2.0f};
    static const float x[] = {1, -2, 3, -0.0f, NAN, 5}, r[] = {1, 1, -9, 0, 0, 0};
    FOR_EACH_TABLE(table)
    {
        const struct elementwise_kernels *k = &table->elementwise;
        float y[6];
        uint8_t q[4], tables[2][256] = {{0}};
        k->normalize(pixels, 2, 2, mean, deviation, y);
        assert_true(y[0] == -2.0f && y[2] == 2.0f && y[3] == (51 / 255.0f - 0.25f) / 2.0f);
        tables[0][0] = 9, tables[1][128] = 8, tables[0][255] = 7, tables[1][51] = 6;
        k->lookup_u8(pixels, 2, 2, tables[0], q);
        assert_memory_equal(q, ((uint8_t[]){9, 8, 7, 6}), 4);
        k->relu(x, 6, y);
        assert_true(y[0] == 1 && y[1] == 0 && y[2] == 3 && y[3] == 0 && isnan(y[4]) && y[5] == 5);
        k->add(x, r, 6, 1, y);
        assert_true(y[0] == 2 && y[1] == 0 && y[2] == 0 && isnan(y[4]) && y[5] == 5);
        k->relu_backward(x, r, 6, y);
        assert_true(y[0] == 1 && y[1] == 0 && y[2] == -9 && y[3] == 0 && y[4] == 0);
        k->scale_shift(&(struct scale_shift_call){x, 1, 2, mean, deviation, r, 0, y});
        assert_true(y[0] == 1.75f && y[1] == 2.5f);
        k->average_pool(x, 2, 2, y);
        assert_true(y[0] == 2 && y[1] == -1);
        k->quantize((const float[]){0.25f, 0.75f, -1.25f, 1e9f}, 4, 0.5f, 10, 0, 200, q);
        assert_memory_equal(q, ((uint8_t[]){10, 12, 8, 200}),
                            4); /* 0.5, 1.5 and -2.5: ties to even before the zero point */
        k->dequantize(pixels, 4, 0.5f, 128, y);
        assert_true(y[0] == -64 && y[1] == 0 && y[2] == 63.5f && y[3] == -38.5f);
        k->average_pool_u8(
            &(struct average_pool_u8_call){pixels, 2, 2, 0.5f, 1, 3, 0, 150, q, y}); /* sums 253 and 177 */
        assert_true(y[0] == 126.5f && y[1] == 88.5f);
        assert_memory_equal(q, ((uint8_t[]){129, 91}), 2);
    }
}

/* Channels in whole groups and a rest, against the formula. */
static void test_average_pool_u8(void **state)
{
    (void)state;
    enum { PIXELS = 16, CHANNELS = 150 };
    uint8_t *x = codes_new(PIXELS * CHANNELS, 31), y[CHANNELS];
    float before[CHANNELS];
    FOR_EACH_TABLE(table)
    {
        table->elementwise.average_pool_u8(&(struct average_pool_u8_call){.x = x,
                                                                          .pixels = PIXELS,
                                                                          .c = CHANNELS,
                                                                          .multiplier = 0.011f,
                                                                          .zero_point_x = 77,
                                                                          .zero_point_y = 128,
                                                                          .low = 3,
                                                                          .high = 150,
                                                                          .y = y,
                                                                          .before = before});
        for (int j = 0; j < CHANNELS; j++) {
            int sum = 0;
            for (int i = 0; i < PIXELS; i++)
                sum += x[i * CHANNELS + j] - 77;
            volatile float v = (float)sum * 0.011f;
            float q = rintf(v) + 128;
            assert_true(before[j] == v);
            assert_int_equal(y[j], q < 3 ? 3 : q > 150 ? 150 : (int)q);
        }
    }
    memory_free(x);
}

/* d/dx of sum(dy * gamma * (x - mean(x)) / sqrt(var(x) + eps)), by central differences in double. */
static double batchnorm_loss(const double *x, const float *dy, size_t rows, size_t c, const float *gamma)
{
    double loss = 0;
    for (size_t j = 0; j < c; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < rows; i++)
            sum += x[i * c + j];
        for (size_t i = 0; i < rows; i++)
            squares += (x[i * c + j] - sum / (double)rows) * (x[i * c + j] - sum / (double)rows);
        for (size_t i = 0; i < rows; i++)
            loss += (double)dy[i * c + j] * (double)gamma[j] * (x[i * c + j] - sum / (double)rows) /
                    sqrt(squares / (double)rows + 1e-5);
    }
    return loss;
}

static void test_batchnorm_is_the_derivative(void **state)
{
    (void)state;
    enum { C = 5 };
    size_t count = ROWS * C;
    const struct elementwise_kernels *ref = &table_of("ref")->elementwise;
    float *x = floats_new(count, 31), *dy = floats_new(count, 32), *gamma = floats_new(C, 33),
          *dx = bytes_new(count, 4);
    double sum[C], squares[C], sum_dy[C], sum_dy_xhat[C], *moved = bytes_new(count, sizeof *moved);
    float mean[C], inv_std[C], mean_dy[C], mean_dy_xhat[C];
    ref->sum_and_squares(x, ROWS, C, sum, squares);
    for (int j = 0; j < C; j++) {
        mean[j] = (float)(sum[j] / ROWS);
        inv_std[j] = (float)(1 / sqrt(squares[j] / ROWS - sum[j] / ROWS * (sum[j] / ROWS) + 1e-5));
    }
    struct batchnorm_backward_call call = {.x = x,
                                           .dy = dy,
                                           .rows = ROWS,
                                           .c = C,
                                           .mean = mean,
                                           .inv_std = inv_std,
                                           .sum_dy = sum_dy,
                                           .sum_dy_xhat = sum_dy_xhat,
                                           .gamma = gamma,
                                           .mean_dy = mean_dy,
                                           .mean_dy_xhat = mean_dy_xhat,
                                           .dx = dx};
    ref->batchnorm_backward_sums(&call);
    for (int j = 0; j < C; j++) {
        mean_dy[j] = (float)(sum_dy[j] / ROWS);
        mean_dy_xhat[j] = (float)(sum_dy_xhat[j] / ROWS);
    }
    ref->batchnorm_backward(&call);
    for (size_t i = 0; i < count; i++)
        moved[i] = (double)x[i];
    for (size_t i = 0; i < count; i++) {
        const double h = 1e-4;
        moved[i] += h;
        double above = batchnorm_loss(moved, dy, ROWS, C, gamma);
        moved[i] -= 2 * h;
        double below = batchnorm_loss(moved, dy, ROWS, C, gamma);
        moved[i] = (double)x[i];
        assert_true(fabs((double)dx[i] - (above - below) / (2 * h)) < 1e-5);
    }
    memory_free(x), memory_free(dy), memory_free(gamma), memory_free(dx), memory_free(moved);
}

/* Sums over many rows do not drift: 100,000 times 0.1f. */
static void test_long_sums(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    float *x = bytes_new(LONG, sizeof *x);
    for (size_t i = 0; i < LONG; i++)
        x[i] = 0.1f;
    FOR_EACH_TABLE(table)
    {
        double sum, squares;
        table->elementwise.sum_and_squares(x, LONG, 1, &sum, &squares);
        assert_true(fabs(sum - LONG * (double)0.1f) < 1e-6);
        assert_true(fabs(squares - LONG * (double)0.1f * (double)0.1f) < 1e-6);
    }
    memory_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_average_pool_u8), cmocka_unit_test(test_plain_ones),
                                       cmocka_unit_test(test_sets_equal_ref),
                                       cmocka_unit_test(test_batchnorm_is_the_derivative),
                                       cmocka_unit_test(test_long_sums)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
