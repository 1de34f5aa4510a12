/* The gradient by the weights over blocks: ref against a sum in double, every set against ref, 1 to 5 blocks. */
#include "tests/unit/kernel/blocks.h"

enum { MOST_BLOCKS = 5, GAP = 64 /* values between blocks */ };

struct fixture {
    struct block_conv s;
    int blocks;
    struct tensor x[MOST_BLOCKS], dy[MOST_BLOCKS];
};

/* Maps cut down, so that the full width stays affordable. */
static struct fixture fixture_new(int i, int planes, int blocks)
{
    struct fixture f = {.s = block_case_at(i, planes), .blocks = blocks};
    if (block_weights(&f.s) > 10000) {
        f.s.h = f.s.h > 5 ? f.s.h / 2 : f.s.h;
        f.s.w = f.s.w > 8 ? f.s.w / 4 : f.s.w;
        f.s.out_h = (f.s.h + 2 * f.s.pad - f.s.kernel) / f.s.stride + 1;
        f.s.out_w = (f.s.w + 2 * f.s.pad - f.s.kernel) / f.s.stride + 1;
    }
    for (int b = 0; b < blocks; b++) {
        int images = b + 1 < blocks ? BLOCK_IMAGES : 19; /* the last is not full */
        f.x[b] = tensor_input(&f.s);
        f.dy[b] = tensor_output(&f.s);
        tensor_random(&f.x[b], images, 0, (uint64_t)(100 * i + 2 * b));
        tensor_random(&f.dy[b], images, 0, (uint64_t)(100 * i + 2 * b + 1));
    }
    return f;
}

static void fixture_free(struct fixture *f)
{
    for (int b = 0; b < f->blocks; b++)
        memory_free(f->x[b].p), memory_free(f->dy[b].p);
}

/* The blocks one behind the other, with a gap that is not a number. */
static bf16 *blocks_join(const struct tensor *t, int blocks, int absolute)
{
    size_t step = t[0].values + GAP;
    bf16 *p = bytes_new((size_t)blocks * step, sizeof *p);
    for (int b = 0; b < blocks; b++) {
        memcpy(p + (size_t)b * step, t[b].p, t[b].values * sizeof *p);
        if (absolute)
            values_absolute(p + (size_t)b * step, t[b].values, t[b].planes);
        memset(p + (size_t)b * step + t[b].values, 0xff, GAP * sizeof *p);
    }
    return p;
}

/* Items in order, or backwards, as other threads may take them. */
static float *run(const struct block_kernel *kernel, const struct fixture *f, int absolute, int backwards)
{
    const struct block_conv *s = &f->s;
    bf16 *x = blocks_join(f->x, f->blocks, absolute), *dy = blocks_join(f->dy, f->blocks, absolute);
    float *dw = bytes_new(block_weights(s) + 16, sizeof *dw);
    memset(dw, 0xff, (block_weights(s) + 16) * sizeof *dw);
    size_t shared_bytes = kernel->weight_shared_bytes(s, f->blocks), scratch_bytes = kernel->scratch_bytes(s);
    void *shared = bytes_new(shared_bytes + 1, 1), *scratch = bytes_new(scratch_bytes, 1);
    memset(shared, 0xff, shared_bytes);
    struct block_weight_call call = {.blocks = f->blocks,
                                     .x = x,
                                     .dy = dy,
                                     .x_block = f->x[0].values + GAP,
                                     .dy_block = f->dy[0].values + GAP,
                                     .dw = dw};
    for (int round = 0; round < BLOCK_ROUNDS; round++) {
        int items = kernel->weight_items(s, f->blocks, round);
        for (int i = 0; i < items; i++) {
            memset(scratch, 0xff, scratch_bytes); /* what another item left */
            kernel->weight_gradient(s, &call, round, backwards ? items - 1 - i : i, shared, scratch);
        }
    }
    for (int i = 0; i < 16; i++) /* nothing behind the end */
        assert_true(isnan(dw[block_weights(s) + (size_t)i]));
    memory_free(x), memory_free(dy), memory_free(shared), memory_free(scratch);
    return dw;
}

static double naive(const struct fixture *f, int k, int c, int r, int t, double *absolute)
{
    const struct block_conv *s = &f->s;
    double sum = 0;
    *absolute = 0;
    for (int b = 0; b < f->blocks; b++)
        for (int i = 0; i < s->out_h * s->out_w; i++) {
            int y = i / s->out_w * s->stride - s->pad + r, x = i % s->out_w * s->stride - s->pad + t, at = c;
            if (s->window)
                y = i / s->out_w, x = i % s->out_w, at = (c * s->kernel + r) * s->kernel + t;
            if (y < 0 || y >= f->x[b].h || x < 0 || x >= f->x[b].w)
                continue;
            for (int n = 0; n < BLOCK_IMAGES; n++) {
                double v =
                    tensor_value(&f->x[b], y, x, n, at) * tensor_value(&f->dy[b], i / s->out_w, i % s->out_w, n, k);
                sum += v;
                *absolute += fabs(v);
            }
        }
    return sum;
}

static void test_ref_is_the_formula(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCK_CASES; i++)
        for (int planes = 1; planes <= 3; planes++) {
            struct fixture f = fixture_new(i, planes, 1 + i % 2);
            const struct block_conv *s = &f.s;
            if (block_weights(s) <= 5000) {
                float *dw = run(&table_of("ref")->block, &f, 0, 0);
                for (int at = 0; at < (int)block_weights(s); at += 1 + (int)block_weights(s) / 100) {
                    int t = at % s->kernel, r = at / s->kernel % s->kernel, c = at / s->kernel / s->kernel % s->c;
                    double absolute, want = naive(&f, at / s->kernel / s->kernel / s->c, c, r, t, &absolute);
                    if (!(fabs((double)dw[at] - want) <= 1e-6 * absolute)) {
                        print_error("dw[%d]: %.9g, not %.9g\n", at, (double)dw[at], want);
                        block_print("ref", s, "gradient by the weights");
                        fail();
                    }
                }
                memory_free(dw);
            }
            fixture_free(&f);
        }
}

/* The tolerance of transformed shapes. */
static int tiles_near(const struct fixture *f, int tile, const float *dw, const float *want)
{
    double most = 0, error = 0, square = 0;
    for (int b = 0; b < f->blocks; b++)
        for (int row = 0; row < f->s.out_h; row += tile)
            for (int column = 0; column < f->s.out_w; column += tile)
                for (int n = 0; n < BLOCK_IMAGES; n++)
                    most += tensor_largest(&f->x[b], row - f->s.pad, column - f->s.pad, tile + f->s.kernel - 1, n) *
                            tensor_largest(&f->dy[b], row, column, tile, n);
    for (size_t i = 0; i < block_weights(&f->s); i++) {
        double far = (double)dw[i] - (double)want[i];
        if (!(fabs(far) <= (f->s.planes == 1 ? 2e-2 : 1e-5) * most))
            return print_error("dw[%zu]: %.9g, not %.9g\n", i, (double)dw[i], (double)want[i]), 0;
        error += far * far;
        square += (double)want[i] * (double)want[i];
    }
    if (!(sqrt(error) <= (f->s.planes == 1 ? 3e-3 : 6e-6) * sqrt(square)))
        return print_error("error %.3g of the result\n", sqrt(error / square)), 0;
    return 1;
}

static void check_tiles(const struct kernel_table *table, const struct fixture *f, const float *want)
{
    float *dw = run(&table->block, f, 0, 0), *again = run(&table->block, f, 0, 1);
    if (!tiles_near(f, block_tile(&table->block, &f->s), dw, want)) {
        block_print(table->isa, &f->s, "gradient by the weights");
        fail();
    }
    assert_memory_equal(dw, again, block_weights(&f->s) * sizeof *dw);
    memory_free(dw), memory_free(again);
}

static void check_set(const struct kernel_table *table, const struct fixture *f, const float *want,
                      const float *absolute)
{
    if (block_tile(&table->block, &f->s)) {
        check_tiles(table, f, want);
        return;
    }
    float *dw = run(&table->block, f, 0, 0), *again = run(&table->block, f, 0, 1);
    ptrdiff_t at = first_apart(dw, want, absolute, block_weights(&f->s));
    if (at >= 0) {
        print_error("%d blocks: dw[%td]: %.9g, not %.9g\n", f->blocks, at, (double)dw[at], (double)want[at]);
        block_print(table->isa, &f->s, "gradient by the weights");
        fail();
    }
    size_t far = 0; /* a product of planes that is missing shows where few values are summed */
    for (size_t i = 0; i < block_weights(&f->s); i++)
        far += fabsf(dw[i] - want[i]) > 3e-7f * absolute[i];
    if (far * 20 > block_weights(&f->s)) {
        block_print(table->isa, &f->s, "many far from exact");
        fail();
    }
    assert_memory_equal(dw, again, block_weights(&f->s) * sizeof *dw);
    memory_free(dw), memory_free(again);
}

static void test_sets_agree(void **state)
{
    (void)state;
    if (natives(1) == 0)
        skip(); /* the definition is all this machine has */
    for (int i = 0; i < BLOCK_CASES; i++)
        for (int planes = 1; planes <= 3; planes++) {
            int wide = block_weights(&(struct block_conv){
                           .c = block_cases[i].c, .k = block_cases[i].k, .kernel = block_cases[i].kernel}) > 10000;
            for (int blocks = 1; natives(planes) && blocks <= (wide ? 2 : MOST_BLOCKS);
                 blocks += blocks == 1 ? 1 + i % 2 : 2) {
                struct fixture f = fixture_new(i, planes, blocks);
                float *want = run(&table_of("ref")->block, &f, 0, 0),
                      *absolute = run(&table_of("ref")->block, &f, 1, 0);
                FOR_EACH_NATIVE(table, planes)
                check_set(table, &f, want, absolute);
                memory_free(want), memory_free(absolute);
                fixture_free(&f);
            }
        }
}

/* Blocks `first` and on of another fixture, whose tensors they stay. */
static struct fixture fixture_part(const struct fixture *f, int first, int blocks)
{
    struct fixture part = {.s = f->s, .blocks = blocks};
    for (int b = 0; b < blocks; b++) {
        part.x[b] = f->x[first + b];
        part.dy[b] = f->dy[first + b];
    }
    return part;
}

/* The sum of two subtrees has the bits of the whole: else it would matter which process has which. */
static void check_parts(const struct kernel_table *table, const struct fixture *f, int left)
{
    struct fixture a = fixture_part(f, 0, left), b = fixture_part(f, left, f->blocks - left);
    float *whole = run(&table->block, f, 0, 0), *sum = run(&table->block, &a, 0, 0),
          *more = run(&table->block, &b, 0, 0);
    for (size_t i = 0; i < block_weights(&f->s); i++)
        sum[i] += more[i];
    if (memcmp(whole, sum, block_weights(&f->s) * sizeof *sum) != 0) {
        block_print(table->isa, &f->s, "other bits in two parts than in one");
        fail();
    }
    memory_free(whole), memory_free(sum), memory_free(more);
}

static void test_parts_add_up(void **state)
{
    (void)state;
    for (int i = 0; i < BLOCK_CASES; i++) {
        int planes = 1 + i % 3;
        struct fixture f = fixture_new(i, planes, 3 + i % 2 * 2);
        if (block_weights(&f.s) <= 10000)
            check_parts(table_of("ref"), &f, f.blocks - 1);
        FOR_EACH_NATIVE(table, planes)
        check_parts(table, &f, f.blocks - 1);
        fixture_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ref_is_the_formula),
        cmocka_unit_test(test_sets_agree),
        cmocka_unit_test(test_parts_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
