/* GPTQ's codes against numpy's, and what they are for: outputs nearer to those of the weights. */
#include "../graph/samples.h"
#include "ptq/gptq.h"
#include "quant/weights.h"
#include "record/stream.h"
#include <math.h>

enum { INPUTS = 54, SAMPLES = 700, OUTPUTS = 6 };

static const void *get(const struct record *r, const char *format, int bits)
{
    char name[32];
    snprintf(name, sizeof name, format, bits);
    const struct tensor *t = record_find(r, name);
    assert_non_null(t);
    return t->data;
}

/* Squared errors of the outputs over all samples. */
static double error_of(const int16_t *x, const float *w, const int8_t *codes, const float *scale)
{
    double sum = 0;
    for (int s = 0; s < SAMPLES; s++)
        for (int o = 0; o < OUTPUTS; o++) {
            double y = 0;
            for (int k = 0; k < INPUTS; k++)
                y += ((double)w[o * INPUTS + k] - (double)scale[o] * codes[o * INPUTS + k]) * x[k * SAMPLES + s];
            sum += y * y;
        }
    return sum;
}

/* In two parts and by several threads: the sums are exact. */
static struct gram gram_of(const int16_t *x, int first, struct threads *pool)
{
    struct message m;
    struct gram g;
    ASSERT_OK(gram_open(&g, INPUTS, &m), m);
    for (int part = 0; part < 2; part++) {
        int begin = part ? first : 0, count = part ? SAMPLES - first : first;
        int16_t *values = malloc((size_t)INPUTS * (size_t)count * sizeof *values + 1);
        assert_non_null(values);
        for (int k = 0; k < INPUTS; k++)
            memcpy(values + k * count, x + k * SAMPLES + begin, (size_t)count * sizeof *values);
        gram_add(&g, values, count, pool);
        free(values);
    }
    return g;
}

static void test_codes_are_numpys(void **state)
{
    (void)state;
    struct message m;
    struct record *r;
    struct threads *pool;
    ASSERT_OK(record_load(&r, "tests/reference/gptq.safetensors", &m), m);
    ASSERT_OK(threads_open(&pool, 3, &m), m);
    const int16_t *x = get(r, "x", 0);
    const float *w = get(r, "w", 0);
    for (int bits = 2; bits <= 4; bits++) {
        const float *scale = get(r, "scale%d", bits);
        const struct weight_codes how = {.bits = bits, .scale = scale};
        int8_t codes[OUTPUTS * INPUTS], again[OUTPUTS * INPUTS], nearest[OUTPUTS * INPUTS];
        float same[OUTPUTS];
        struct gram g = gram_of(x, 0, NULL), h = gram_of(x, 333, pool);
        assert_memory_equal(g.sum, h.sum, INPUTS * INPUTS * sizeof *g.sum);
        assert_int_equal(gptq_codes(&g, w, scale, OUTPUTS, weight_qmax(bits), NULL, codes, &m), 0);
        assert_int_equal(gptq_codes(&h, w, scale, OUTPUTS, weight_qmax(bits), pool, again, &m), 0);
        assert_memory_equal(codes, get(r, "codes%d", bits), sizeof codes);
        assert_memory_equal(codes, again, sizeof codes);
        weights_quantize(w, OUTPUTS, INPUTS, &how, nearest, same);
        assert_true(error_of(x, w, codes, scale) < 0.6 * error_of(x, w, nearest, scale));
        gram_close(&g);
        gram_close(&h);
    }
    threads_close(pool);
    record_free(r);
}

static void test_inputs_that_are_all_zero_change_nothing(void **state)
{
    (void)state;
    struct message m;
    struct gram g;
    static const int16_t zeros[4 * 5] = {0};
    int8_t codes[4] = {1, 2, 3, 4};
    ASSERT_OK(gram_open(&g, 4, &m), m);
    gram_add(&g, zeros, 5, NULL);
    assert_int_equal(gptq_codes(&g, (const float[4]){9, 9, 9, 9}, &(float){1}, 1, 7, NULL, codes, &m), 1);
    assert_memory_equal(codes, ((const int8_t[]){1, 2, 3, 4}), 4);
    gram_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codes_are_numpys),
        cmocka_unit_test(test_inputs_that_are_all_zero_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
