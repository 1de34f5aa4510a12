/* Windows, clips, sums of codes and order: ref against the formulas, every set equal to ref bit for bit. */
#include "tests/unit/kernel/shapes.h"

/* h, w, c, kernel, stride, pad */
static const int pool_list[][6] = {
    {8, 8, 16, 2, 2, 0}, {9, 7, 17, 3, 2, 1}, {5, 6, 3, 3, 1, 1},   {7, 7, 70, 3, 2, 0},
    {4, 4, 9, 4, 4, 0},  {3, 5, 8, 5, 1, 4},  {6, 6, 130, 2, 1, 0}, {1, 1, 5, 3, 1, 1},
};
enum { POOLS = sizeof pool_list / sizeof *pool_list };

static struct pool_shape pool_at(int i)
{
    const int *v = pool_list[i];
    return (struct pool_shape){v[0],
                               v[1],
                               v[2],
                               v[3],
                               v[4],
                               v[5],
                               (v[0] + 2 * v[5] - v[3]) / v[4] + 1,
                               (v[1] + 2 * v[5] - v[3]) / v[4] + 1};
}

static size_t in_of(const struct pool_shape *s)
{
    return (size_t)(s->h * s->w * s->c);
}

static size_t out_of(const struct pool_shape *s)
{
    return (size_t)(s->out_h * s->out_w * s->c);
}

/* Calls f for each tap of output (oy, ox) that lies on the map. */
#define FOR_EACH_TAP(s, oy, ox, iy, ix)                                                                      \
    for (int iy = (oy) * (s)->stride - (s)->pad; iy < (oy) * (s)->stride - (s)->pad + (s)->kernel; iy++)     \
        for (int ix = (ox) * (s)->stride - (s)->pad; ix < (ox) * (s)->stride - (s)->pad + (s)->kernel; ix++) \
            if (iy >= 0 && iy < (s)->h && ix >= 0 && ix < (s)->w)

#define ROW(s, row) ((size_t)(row) * (size_t)((s)->out_w * (s)->c))

static void check_floats(const struct elementwise_kernels *k, const struct pool_shape *s, const float *x)
{
    float *most = bytes_new(out_of(s), 4), *mean = bytes_new(out_of(s), 4);
    for (int row = 0; row < s->out_h; row++) {
        k->max_pool(s, x, row, most + ROW(s, row));
        k->window_pool(s, x, row, mean + ROW(s, row));
    }
    size_t at = 0;
    for (int oy = 0; oy < s->out_h; oy++)
        for (int ox = 0; ox < s->out_w; ox++)
            for (int c = 0; c < s->c; c++, at++) {
                float best = -INFINITY, sum = 0;
                FOR_EACH_TAP(s, oy, ox, iy, ix)
                {
                    best = fmaxf(best, x[(iy * s->w + ix) * s->c + c]);
                    sum += x[(iy * s->w + ix) * s->c + c];
                }
                assert_true(most[at] == best);
                assert_true(mean[at] == sum / (float)(s->kernel * s->kernel));
            }
    memory_free(most), memory_free(mean);
}

static void check_codes(const struct elementwise_kernels *k, const struct pool_shape *s, const uint8_t *x)
{
    uint8_t *most = bytes_new(out_of(s), 1), *mean = bytes_new(out_of(s), 1);
    float *before = bytes_new(out_of(s), 4);
    struct average_pool_u8_call call = {
        .x = x, .multiplier = 0.21f, .zero_point_x = 77, .zero_point_y = 128, .low = 3, .high = 250};
    for (int row = 0; row < s->out_h; row++) {
        k->max_pool_u8(s, x, row, most + ROW(s, row));
        call.y = mean + ROW(s, row);
        call.before = before + ROW(s, row);
        k->window_pool_u8(s, &call, row);
    }
    size_t at = 0;
    for (int oy = 0; oy < s->out_h; oy++)
        for (int ox = 0; ox < s->out_w; ox++)
            for (int c = 0; c < s->c; c++, at++) {
                int best = -1, sum = 0;
                FOR_EACH_TAP(s, oy, ox, iy, ix)
                {
                    int q = x[(iy * s->w + ix) * s->c + c];
                    best = q > best ? q : best;
                    sum += q - 77;
                }
                volatile float v = (float)sum * 0.21f;
                float q = rintf(v) + 128;
                assert_int_equal(most[at], best);
                assert_true(before[at] == v);
                assert_int_equal(mean[at], q < 3 ? 3 : q > 250 ? 250 : (int)q);
            }
    memory_free(most), memory_free(mean), memory_free(before);
}

/* dx by the formulas: an output's share to each of its pixels, and all of it to the first of the largest. */
static void check_backward(const struct elementwise_kernels *k, const struct pool_shape *s, const float *x,
                           const float *dy)
{
    float *got = floats_new(in_of(s), 1), *want = bytes_new(in_of(s), 4),
          share = 1.0f / (float)(s->kernel * s->kernel);
    for (int is_max = 0; is_max < 2; is_max++) {
        memset(want, 0, in_of(s) * 4);
        for (int oy = 0; oy < s->out_h; oy++)
            for (int ox = 0; ox < s->out_w; ox++)
                for (int c = 0; c < s->c; c++) {
                    float g = dy[(oy * s->out_w + ox) * s->c + c];
                    int best = -1;
                    FOR_EACH_TAP(s, oy, ox, iy, ix)
                    {
                        int at = (iy * s->w + ix) * s->c + c;
                        best = best < 0 || x[at] > x[best] ? at : best;
                        want[at] += is_max ? 0 : g * share;
                    }
                    want[best] += is_max ? g : 0;
                }
        if (is_max)
            k->max_pool_backward(s, x, dy, got);
        else
            k->window_pool_backward(s, dy, got);
        assert_memory_equal(got, want, in_of(s) * 4);
    }
    memory_free(got), memory_free(want);
}

static void test_windows(void **state)
{
    (void)state;
    for (int i = 0; i < POOLS; i++) {
        struct pool_shape s = pool_at(i);
        float *x = floats_new(in_of(&s), 5), *dy = floats_new(out_of(&s), 6);
        uint8_t *codes = codes_new(in_of(&s), 7);
        for (size_t k = 0; k < in_of(&s); k += 3) /* ties */
            x[k] = 0.5f;
        FOR_EACH_TABLE(table)
        {
            check_floats(&table->elementwise, &s, x);
            check_codes(&table->elementwise, &s, codes);
            check_backward(&table->elementwise, &s, x, dy);
        }
        memory_free(x), memory_free(dy), memory_free(codes);
    }
}

/* What is no number must be seen, wherever it stands in its window. */
static void test_nan_stays(void **state)
{
    (void)state;
    const struct pool_shape s = {2, 2, 1, 2, 2, 0, 1, 1};
    FOR_EACH_TABLE(table)
    for (int i = 0; i < 4; i++) {
        float x[4] = {1, 2, 3, 4}, y = 0;
        x[i] = NAN;
        table->elementwise.max_pool(&s, x, 0, &y);
        assert_true(isnan(y));
        table->elementwise.clip(x, 4, 0, 6, x);
        assert_true(isnan(x[i]));
    }
}

static void test_clip(void **state)
{
    (void)state;
    enum { COUNT = 103 };
    float *x = floats_new(COUNT, 8), *dy = floats_new(COUNT, 9), y[COUNT], dx[COUNT];
    x[0] = -0.25f, x[1] = 0.5f, x[2] = INFINITY, x[3] = -INFINITY;
    FOR_EACH_TABLE(table)
    {
        table->elementwise.clip(x, COUNT, -0.25f, 0.5f, y);
        table->elementwise.clip_backward(y, dy, COUNT, -0.25f, 0.5f, dx);
        for (int i = 0; i < COUNT; i++) {
            int inside = x[i] > -0.25f && x[i] < 0.5f; /* the ends do not pass, as in PyTorch's hardtanh */
            assert_true(y[i] == (x[i] < -0.25f ? -0.25f : x[i] > 0.5f ? 0.5f : x[i]));
            assert_true(dx[i] == (inside ? dy[i] : 0));
        }
    }
    memory_free(x), memory_free(dy);
}

static void test_sum_of_codes(void **state)
{
    (void)state;
    enum { COUNT = 4099 };
    uint8_t *a = codes_new(COUNT, 10), *b = codes_new(COUNT, 11), *y = bytes_new(COUNT, 1);
    float *before = bytes_new(COUNT, 4);
    FOR_EACH_TABLE(table)
    {
        table->elementwise.add_u8(
            &(struct add_u8_call){a, b, COUNT, 0.37f, 0.81f, 100, 7, 99, 2, 254, y, before, 0});
        for (int i = 0; i < COUNT; i++) {
            volatile float one = (float)(a[i] - 100) * 0.37f, two = (float)(b[i] - 7) * 0.81f;
            volatile float v = one + two;
            float q = rintf(v) + 99;
            assert_true(before[i] == v);
            assert_int_equal(y[i], q < 2 ? 2 : q > 254 ? 254 : (int)q);
        }
        uint8_t first = y[0];
        y[0] = (uint8_t)~first;
        table->elementwise.add_u8(&(struct add_u8_call){a, b, COUNT, 0.37f, 0.81f, 100, 7, 99, 2, 254, y, NULL, 0});
        assert_int_equal(y[0], first);
    }
    memory_free(a), memory_free(b), memory_free(y), memory_free(before);
}

static void test_transpose(void **state)
{
    (void)state;
    enum { ROWS = 7, COLUMNS = 19 };
    static const size_t sizes[] = {1, 2, 4};
    FOR_EACH_TABLE(table)
    for (int k = 0; k < 3; k++) {
        size_t size = sizes[k];
        uint8_t *x = codes_new(ROWS * COLUMNS * size, 12), *y = bytes_new(ROWS * COLUMNS * size, 1);
        uint8_t *back = bytes_new(ROWS * COLUMNS * size, 1);
        table->elementwise.transpose(x, ROWS, COLUMNS, size, y);
        for (size_t r = 0; r < ROWS; r++)
            for (size_t c = 0; c < COLUMNS; c++)
                assert_memory_equal(y + (c * ROWS + r) * size, x + (r * COLUMNS + c) * size, size);
        table->elementwise.transpose(y, COLUMNS, ROWS, size, back);
        assert_memory_equal(back, x, ROWS * COLUMNS * size);
        memory_free(x), memory_free(y), memory_free(back);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),      cmocka_unit_test(test_nan_stays), cmocka_unit_test(test_clip),
        cmocka_unit_test(test_sum_of_codes), cmocka_unit_test(test_transpose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
