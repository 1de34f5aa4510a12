/* Float convolution by Winograd: against ref, on random data and on data made to be hard; the same bits whatever
 * else a call computes. (Layouts, cuts of the outputs and odd shapes: test_conv_f32.c, with the direct kernels.)
 *
 * An output's error comes from its whole tile: with a tile's other inputs large and its own small, no bound by its
 * own products can hold. The tolerance is TOLERANCE times the sum over channels of the largest |x| of the tile's
 * 6x6 inputs times the sum of |w| over the taps. */
#include "tests/unit/kernel/shapes.h"

#define USUAL 1e-6
#define HARD 2e-5

struct problem {
    struct conv_shape s;
    int images;
    float *x, *w, *y, *want;
    double *bound; /* [K] of the tile in hand */
};

static struct conv_shape shape_3x3(int h, int w, int c, int out, int pad)
{
    return (struct conv_shape){.h = h,
                               .w = w,
                               .c = c,
                               .out = out,
                               .kernel = 3,
                               .stride = 1,
                               .pad = pad,
                               .out_h = h + 2 * pad - 2,
                               .out_w = w + 2 * pad - 2};
}

static struct problem problem_new(struct conv_shape s, int images, uint64_t seed)
{
    struct problem p = {.s = s, .images = images};
    p.x = floats_new((size_t)images * inputs_of(&s), seed);
    p.w = floats_new(weights_of(&s), seed + 1);
    p.y = bytes_new((size_t)images * outputs_of(&s), sizeof *p.y);
    p.want = bytes_new((size_t)images * outputs_of(&s), sizeof *p.want);
    p.bound = bytes_new((size_t)s.out, sizeof *p.bound);
    return p;
}

static void problem_free(struct problem *p)
{
    memory_free(p->x), memory_free(p->w), memory_free(p->y), memory_free(p->want), memory_free(p->bound);
}

/* Rows [row_begin, row_end) of images [first, first + count). */
static void run(const struct conv_f32_kernel *kernel, const struct problem *p, int first, int count, int row_begin,
                int row_end, float *y)
{
    const struct conv_shape *s = &p->s;
    void *packed = bytes_new(kernel->packed_bytes(s), 1), *scratch = bytes_new(kernel->scratch_bytes(s), 1);
    memset(scratch, 0xff, kernel->scratch_bytes(s)); /* not numbers */
    kernel->pack(s, p->w, packed);
    struct conv_f32_call call = {.images = count,
                                 .x = p->x + (size_t)first * inputs_of(s),
                                 .x_at = layout_dense(s->h, s->w, s->c),
                                 .packed = packed,
                                 .y = y + (size_t)first * outputs_of(s),
                                 .y_at = layout_dense(s->out_h, s->out_w, s->out),
                                 .row_begin = row_begin,
                                 .row_end = row_end};
    kernel->run(s, &call, scratch);
    memory_free(packed), memory_free(scratch);
}

static double largest_input(const struct problem *p, int image, int row, int col, int c)
{
    const struct conv_shape *s = &p->s;
    const float *x = p->x + (size_t)image * inputs_of(s);
    double largest = 0;
    for (int i = row - s->pad; i < row - s->pad + 6; i++)
        for (int j = col - s->pad; j < col - s->pad + 6; j++)
            if (i >= 0 && i < s->h && j >= 0 && j < s->w)
                largest = fmax(largest, fabs((double)x[(i * s->w + j) * s->c + c]));
    return largest;
}

static void bound_fill(struct problem *p, int image, int row, int col)
{
    const struct conv_shape *s = &p->s;
    for (int k = 0; k < s->out; k++)
        p->bound[k] = 1e-30;
    for (int c = 0; c < s->c; c++) {
        double largest = largest_input(p, image, row, col, c);
        for (int k = 0; k < s->out; k++)
            for (int tap = 0; tap < 9; tap++)
                p->bound[k] +=
                    largest * fabs((double)p->w[((size_t)k * (size_t)s->c + (size_t)c) * 9 + (size_t)tap]);
    }
}

/* The largest error of y, as a share of the bound. */
static double worst(struct problem *p)
{
    const struct conv_shape *s = &p->s;
    double most = 0;
    for (int image = 0; image < p->images; image++)
        for (int row = 0; row < s->out_h; row++)
            for (int col = 0; col < s->out_w; col++) {
                if (row % 4 == 0 || col % 4 == 0)
                    bound_fill(p, image, row / 4 * 4, col / 4 * 4);
                size_t at = (((size_t)image * (size_t)s->out_h + (size_t)row) * (size_t)s->out_w + (size_t)col) *
                            (size_t)s->out;
                for (size_t k = 0; k < (size_t)s->out; k++) {
                    double error = fabs((double)p->y[at + k] - (double)p->want[at + k]) / p->bound[k];
                    most = error <= most ? most : error; /* NaN counts */
                }
            }
    return most;
}

static void agrees(struct problem *p, const char *what, double tolerance)
{
    run(&table_of("ref")->conv_f32, p, 0, p->images, 0, p->s.out_h, p->want);
    FOR_EACH_TABLE(table)
    {
        if (!table->conv_f32_winograd.run)
            continue;
        run(&table->conv_f32_winograd, p, 0, p->images, 0, p->s.out_h, p->y);
        double error = worst(p);
        if (!(error <= tolerance)) {
            shape_print(table->isa, &p->s);
            fail_msg("%s: %.2e of the bound", what, error);
        }
    }
}

static void test_random(void **state)
{
    (void)state;
    static const int shapes[][6] = {/* h, w, c, out, pad, images */
                                    {8, 8, 64, 64, 1, 2},   {4, 4, 200, 70, 1, 5}, {5, 7, 3, 33, 1, 3},
                                    {1, 1, 17, 5, 1, 70},   {6, 6, 16, 16, 0, 1},  {3, 2, 65, 130, 2, 2},
                                    {16, 16, 24, 40, 1, 5}, {4, 4, 130, 96, 1, 13}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *v = shapes[i];
        struct problem p = problem_new(shape_3x3(v[0], v[1], v[2], v[3], v[4]), v[5], 100 + i);
        agrees(&p, "random", USUAL);
        for (size_t j = 0; j < (size_t)p.images * inputs_of(&p.s); j++)
            p.x[j] = fabsf(p.x[j]);
        agrees(&p, "inputs of one sign", USUAL);
        for (size_t j = 0; j < weights_of(&p.s); j++)
            p.w[j] = fabsf(p.w[j]);
        agrees(&p, "sums of one sign", USUAL);
        problem_free(&p);
    }
}

/* Signs of B^T's and G's rows for the points 0, +-5/8, +-3/2 and infinity: inputs and weights with such signs make
 * the transformed values, and what cancels of them, largest. */
static const int input_signs[6][6] = {{1, 0, -1, 0, 1, 0},  {0, -1, -1, 1, 1, 0}, {0, 1, -1, -1, 1, 0},
                                      {0, -1, -1, 1, 1, 0}, {0, 1, -1, -1, 1, 0}, {0, 1, 0, -1, 0, 1}};
static const int weight_signs[6][3] = {{1, 0, 0}, {1, 1, 1}, {1, -1, 1}, {1, 1, 1}, {1, -1, 1}, {0, 0, 1}};

static void test_hard_signs(void **state)
{
    (void)state;
    struct problem p = problem_new(shape_3x3(6, 6, 40, 32, 0), 1, 9);
    for (int point = 0; point < 36; point++) {
        int i = point / 6, j = point % 6;
        for (int at = 0; at < 36; at++)
            for (int c = 0; c < 40; c++)
                p.x[at * 40 + c] = (float)(input_signs[i][at / 6] * input_signs[j][at % 6]) * (1 + (float)c / 64);
        for (int k = 0; k < 32; k++)
            for (int c = 0; c < 40; c++)
                for (int tap = 0; tap < 9; tap++)
                    p.w[(k * 40 + c) * 9 + tap] = (float)(weight_signs[i][tap / 3] * weight_signs[j][tap % 3]) *
                                                  (1 + (float)((k + c) % 7) / 9);
        agrees(&p, "hard signs", HARD);
    }
    problem_free(&p);
}

/* One huge input among small ones, anywhere in a tile; and numbers near the ends of the range. */
static void test_hard_sizes(void **state)
{
    (void)state;
    struct problem p = problem_new(shape_3x3(9, 9, 7, 20, 1), 1, 11);
    for (size_t at = 0; at < 81; at++) {
        float kept = p.x[at * 7 + at % 7];
        p.x[at * 7 + at % 7] = 1e6f;
        agrees(&p, "one huge input", USUAL);
        p.x[at * 7 + at % 7] = kept;
    }
    for (size_t i = 0; i < inputs_of(&p.s); i++)
        p.x[i] *= 1e30f;
    agrees(&p, "large numbers", USUAL);
    for (size_t i = 0; i < inputs_of(&p.s); i++)
        p.x[i] *= 1e-30f;
    for (size_t i = 0; i < weights_of(&p.s); i++)
        p.w[i] *= 1e-25f;
    agrees(&p, "small numbers", USUAL);
    problem_free(&p);
}

/* Whole numbers small enough for direct sums to be exact show any wrong tap, tile or border at once. */
static void test_whole_numbers(void **state)
{
    (void)state;
    struct problem p = problem_new(shape_3x3(10, 13, 20, 36, 1), 3, 12);
    for (size_t i = 0; i < 3 * inputs_of(&p.s); i++)
        p.x[i] = (float)((int)(p.x[i] * 8));
    for (size_t i = 0; i < weights_of(&p.s); i++)
        p.w[i] = (float)((int)(p.w[i] * 8));
    agrees(&p, "whole numbers", USUAL);
    for (size_t i = 0; i < 3 * outputs_of(&p.s); i++)
        assert_true(rintf(p.y[i]) == p.want[i]);
    problem_free(&p);
}

/* An image's bits do not depend on the images beside it, nor a row's on the rows: blocks of tiles are cut wherever
 * the number of tiles says. */
static void test_bits_whatever_the_call(void **state)
{
    (void)state;
    static const int shapes[][5] = {{4, 4, 150, 70, 1}, {9, 6, 20, 30, 1}, {16, 16, 33, 17, 1}, {32, 32, 8, 8, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *v = shapes[i];
        struct problem p = problem_new(shape_3x3(v[0], v[1], v[2], v[3], v[4]), 9, 20 + i);
        size_t outputs = outputs_of(&p.s);
        FOR_EACH_TABLE(table)
        {
            const struct conv_f32_kernel *kernel = &table->conv_f32_winograd;
            if (!kernel->run)
                continue;
            run(kernel, &p, 0, 9, 0, p.s.out_h, p.want);
            for (int image = 0; image < 9; image++)
                run(kernel, &p, image, 1, 0, p.s.out_h, p.y);
            assert_memory_equal(p.y, p.want, 9 * outputs * sizeof *p.y);
            memset(p.y, 0, 9 * outputs * sizeof *p.y);
            for (int row = 0; row < p.s.out_h; row++) {
                run(kernel, &p, 0, 5, row, row + 1, p.y);
                run(kernel, &p, 5, 4, row, row + 1, p.y);
            }
            assert_memory_equal(p.y, p.want, 9 * outputs * sizeof *p.y);
        }
        problem_free(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_hard_signs),
                                       cmocka_unit_test(test_hard_sizes), cmocka_unit_test(test_whole_numbers),
                                       cmocka_unit_test(test_bits_whatever_the_call)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
