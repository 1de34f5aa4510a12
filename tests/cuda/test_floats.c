/* Elementwise operations, pools and sums of floats. What is not a sum gives the same bits. */
#include "tests/cuda/both.h"

/* Lengths that fill loads, and that do not. */
static const size_t lengths[] = {1, 7, 8, 1000, 70003};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static void test_elementwise(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int l = 0; l < LENGTHS; l++) {
            enum device_type type = float_types[t];
            size_t n = lengths[l];
            struct both a = both_random(type, n, 1, 3), b = both_random(type, n, 2, 3), y = both_new(type, n);
            for (int relu = 0; relu < 2; relu++) {
                ON_BOTH(B->add(D, &(struct device_add_call){type, AT(a), AT(b), n, relu, AT(y)}, M));
                both_equal(&y, "add");
            }
            ON_BOTH(B->relu(D, type, AT(a), n, AT(y), M));
            both_equal(&y, "relu");
            ON_BOTH(B->relu_backward(D, type, AT(y), AT(b), n, AT(b), M));
            both_equal(&b, "relu backward, in place");
            ON_BOTH(B->add(D, &(struct device_add_call){type, AT(a), AT(y), n, 0, AT(a)}, M));
            both_equal(&a, "add, in place");
            both_free(&a), both_free(&b), both_free(&y);
        }
}

static void test_not_finite(void **state)
{
    (void)state;
    const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 65519.0f, 65520.0f, 1e-8f, -6e-8f, 3e38f, 1e-42f};
    enum { N = sizeof odd / sizeof *odd };
    for (int t = 0; t < 3; t++)
        for (int to = 0; to < 3; to++) {
            struct both x = both_floats(float_types[t], N, odd), y = both_new(float_types[to], N);
            struct both z = both_new(float_types[t], N);
            ON_BOTH(B->cast(D, float_types[t], AT(x), float_types[to], AT(y), N, M));
            both_equal(&y, "cast of odd values");
            ON_BOTH(B->relu(D, float_types[t], AT(x), N, AT(z), M));
            both_equal(&z, "relu of odd values");
            both_free(&x), both_free(&y), both_free(&z);
        }
}

static void test_casts(void **state)
{
    (void)state;
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 3; to++)
            for (int l = 0; l < LENGTHS; l++) {
                size_t n = lengths[l];
                struct both x = both_random(float_types[from], n, 3, 70000), y = both_new(float_types[to], n);
                ON_BOTH(B->cast(D, float_types[from], AT(x), float_types[to], AT(y), n, M));
                both_equal(&y, "cast");
                both_free(&x), both_free(&y);
            }
}

static void test_channels(void **state)
{
    (void)state;
    static const int channels[] = {1, 3, 8, 10, 64, 512};
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 6; i++) {
            enum device_type type = float_types[t];
            int c = channels[i];
            size_t rows = 97, n = rows * (size_t)c;
            struct both x = both_random(type, n, 4, 3), other = both_random(type, n, 5, 3), y = both_new(type, n);
            struct both scale = both_random(DEVICE_F32, (size_t)c, 6, 2);
            struct both shift = both_random(DEVICE_F32, (size_t)c, 7, 2);
            ON_BOTH(B->scale_shift(
                D,
                &(struct device_scale_shift_call){type, AT(x), rows, c, AT(scale), AT(shift), AT(other), 1, AT(y)},
                M));
            both_equal(&y, "scale, shift, add and relu");
            ON_BOTH(B->scale_shift(
                D, &(struct device_scale_shift_call){type, AT(x), rows, c, AT(scale), AT(shift), NULL, 0, AT(x)},
                M));
            both_equal(&x, "scale and shift, in place");
            both_free(&x), both_free(&other), both_free(&y), both_free(&scale), both_free(&shift);
        }
}

static void test_normalize(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int c = 1; c <= 4; c++) {
            size_t rows = 1025, n = rows * (size_t)c;
            struct both x = both_integers(DEVICE_U8, n, 8, 0, 255), y = both_new(float_types[t], n);
            ON_BOTH(B->normalize(D,
                                 &(struct device_normalize_call){AT(x),
                                                                 rows,
                                                                 c,
                                                                 {0.4914f, 0.4822f, 0.4465f, 0.5f},
                                                                 {0.247f, 0.2435f, 0.2616f, 0.25f},
                                                                 float_types[t],
                                                                 AT(y)},
                                 M));
            both_equal(&y, "normalize");
            both_free(&x), both_free(&y);
        }
}

static void test_pools(void **state)
{
    (void)state;
    static const int shapes[][3] = {{1, 1, 1}, {5, 16, 10}, {7, 64, 64}, {64, 16, 512}};
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 4; i++) {
            enum device_type type = float_types[t];
            int n = shapes[i][0], pixels = shapes[i][1], c = shapes[i][2];
            size_t values = (size_t)(n * pixels * c), outputs = (size_t)(n * c);
            struct both x = both_random(type, values, 9, 3), y = both_new(type, outputs),
                        dx = both_new(type, values);
            struct device_pool pool = {n, pixels, c, type};
            ON_BOTH(B->average_pool(D, &pool, AT(x), AT(y), M));
            both_close(&y, 1e-6, "average pool");
            struct both dy = both_random(type, outputs, 10, 3);
            ON_BOTH(B->average_pool_backward(D, &pool, AT(dy), AT(dx), M));
            both_close(&dx, 1e-7, "average pool backward");
            both_free(&x), both_free(&y), both_free(&dx), both_free(&dy);
        }
}

static void test_bias_gradient(void **state)
{
    (void)state;
    static const int columns[] = {1, 10, 32, 100};
    static const size_t rows[] = {1, 63, 64, 5000};
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < 4; i++)
            for (int r = 0; r < 4; r++) {
                int k = columns[i];
                struct both dy = both_random(float_types[t], rows[r] * (size_t)k, 11, 1);
                struct both db = both_new(DEVICE_F32, (size_t)k);
                ON_BOTH(B->bias_gradient(D, float_types[t], AT(dy), rows[r], k, AT(db), M));
                both_close(&db, 1e-6, "bias gradient");
                both_free(&dy), both_free(&db);
            }
}

static void linear_check(int n, int c, int k, enum device_type type)
{
    size_t sn = (size_t)n, sc = (size_t)c, sk = (size_t)k;
    struct device_linear l = {n, c, k, type, DEVICE_F32};
    struct both x = both_random(type, sn * sc, 12, 1), w = both_random(type, sk * sc, 13, 1);
    struct both bias = both_random(DEVICE_F32, sk, 14, 1), dy = both_random(type, sn * sk, 15, 1);
    struct both y = both_new(DEVICE_F32, sn * sk), dx = both_new(type, sn * sc);
    struct both dw = both_new(DEVICE_F32, sk * sc), db = both_new(DEVICE_F32, sk);
    ON_BOTH(B->linear_forward(D, &l, AT(x), AT(w), AT(bias), AT(y), M));
    both_close(&y, 1e-5, "linear");
    ON_BOTH(B->linear_forward(D, &l, AT(x), AT(w), NULL, AT(y), M));
    both_close(&y, 1e-5, "linear without bias");
    ON_BOTH(B->linear_backward(
        D, &l, &(struct device_linear_backward_call){AT(x), AT(w), AT(dy), AT(dx), AT(dw), AT(db)}, M));
    both_close(&dx, 1e-5, "linear: gradient by the input");
    both_close(&dw, 1e-5, "linear: gradient by the weights");
    both_close(&db, 1e-5, "linear: gradient by the bias");
    ON_BOTH(B->linear_backward(D, &l,
                               &(struct device_linear_backward_call){AT(x), AT(w), AT(dy), NULL, AT(dw), NULL}, M));
    both_close(&dw, 1e-5, "linear: gradient by the weights alone");
    both_free(&x), both_free(&w), both_free(&bias), both_free(&dy), both_free(&y), both_free(&dx), both_free(&dw),
        both_free(&db);
}

static void test_linear(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++) {
        linear_check(1, 8, 10, float_types[t]);
        linear_check(7, 64, 10, float_types[t]);
        linear_check(128, 512, 10, float_types[t]);
        linear_check(33, 100, 100, float_types[t]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_elementwise),   cmocka_unit_test(test_not_finite), cmocka_unit_test(test_casts),
        cmocka_unit_test(test_channels),      cmocka_unit_test(test_normalize),  cmocka_unit_test(test_pools),
        cmocka_unit_test(test_bias_gradient), cmocka_unit_test(test_linear),
    };
    return cmocka_run_group_tests_name("floats", tests, sides_open, sides_close);
}
