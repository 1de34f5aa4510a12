/* A mini-batch cut into shards: what shards give, added over the tree, is what the whole mini-batch gives. */
#include "tests/cuda/both.h"

enum { IMAGES = 70, SHARD = 32, SHARDS = 3, C = 24, PIXELS = 9, ROW = PIXELS * C };

static int images_of(int shard)
{
    return shard == SHARDS - 1 ? IMAGES - shard * SHARD : SHARD;
}

static void *byte(void *p, size_t offset)
{
    return (char *)p + offset;
}

/* Rows of doubles, as bytes. */
static struct both doubles_new(size_t count)
{
    return both_new(DEVICE_U8, count * sizeof(double));
}

static void doubles_get(const struct both *x, int side, double *to)
{
    void *from = both_get(x, side);
    memcpy(to, from, x->count);
    free(from);
}

static struct device_norm norm_of(enum device_type type, int images, int relu, int other)
{
    return (struct device_norm){images, 3, 3, C, type, relu, other, 1e-5, 0.1};
}

/* ---- batch norm ---- */

struct fixture {
    struct both x, other, y, dy, dx, d_other, gamma, beta, rows, total, scale, shift;
    struct both mean, variance, saved_mean, saved_inv_std, dgamma, dbeta;
};

static struct fixture fixture_new(enum device_type type)
{
    size_t count = (size_t)IMAGES * ROW;
    struct fixture f = {.x = both_random(type, count, 1, 2),
                        .other = both_random(type, count, 2, 1),
                        .y = both_new(type, count),
                        .dy = both_random(type, count, 3, 1),
                        .dx = both_new(type, count),
                        .d_other = both_new(type, count),
                        .gamma = both_random(DEVICE_F32, C, 4, 1.5f),
                        .beta = both_random(DEVICE_F32, C, 5, 1),
                        .rows = doubles_new(SHARDS * 2 * C),
                        .total = doubles_new(2 * C),
                        .scale = both_new(DEVICE_F32, C),
                        .shift = both_new(DEVICE_F32, C),
                        .mean = both_random(DEVICE_F32, C, 6, 1),
                        .variance = both_random(DEVICE_F32, C, 7, 1),
                        .saved_mean = both_new(DEVICE_F32, C),
                        .saved_inv_std = both_new(DEVICE_F32, C),
                        .dgamma = both_new(DEVICE_F32, SHARDS * C),
                        .dbeta = both_new(DEVICE_F32, SHARDS * C)};
    return f;
}

static void fixture_free(struct fixture *f)
{
    struct both *all = (struct both *)f;
    for (size_t i = 0; i < sizeof *f / sizeof *all; i++)
        both_free(&all[i]);
}

static void forward(struct fixture *f, enum device_type type, int relu, int other)
{
    size_t image = ROW * bytes_of(type), row = 2 * C * sizeof(double);
    for (int i = 0; i < SHARDS; i++) {
        const struct device_norm n = norm_of(type, images_of(i), relu, other);
        size_t at = (size_t)i * SHARD * image;
        ON_BOTH(B->norm_sums(D, &n, byte(AT(f->x), at), byte(AT(f->rows), (size_t)i * row), M));
    }
    ON_BOTH(B->tree_sums(D, AT(f->rows), SHARDS, 2 * C, AT(f->total), M));
    ON_BOTH(B->norm_statistics(
        D,
        &(struct device_norm_statistics_call){C, IMAGES * PIXELS, 1e-5, 0.1, AT(f->total), AT(f->gamma),
                                              AT(f->beta), AT(f->mean), AT(f->variance), AT(f->saved_mean),
                                              AT(f->saved_inv_std), AT(f->scale), AT(f->shift)},
        M));
    ON_BOTH(
        B->scale_shift(D,
                       &(struct device_scale_shift_call){type, AT(f->x), IMAGES * PIXELS, C, AT(f->scale),
                                                         AT(f->shift), other ? AT(f->other) : NULL, relu, AT(f->y)},
                       M));
}

/* One of the two passes, on one side. */
static int backward_shard(const struct fixture *f, int s, const struct device_norm *n, int shard, size_t at,
                          size_t own, int pass)
{
    const struct device_norm_backward_call call = {.x = byte(AT(f->x), at),
                                                   .y = byte(AT(f->y), at),
                                                   .dy = byte(AT(f->dy), at),
                                                   .gamma = AT(f->gamma),
                                                   .beta = AT(f->beta),
                                                   .saved_mean = AT(f->saved_mean),
                                                   .saved_inv_std = AT(f->saved_inv_std),
                                                   .dx = byte(AT(f->dx), at),
                                                   .d_other = n->has_other ? byte(AT(f->d_other), at) : NULL,
                                                   .dgamma = byte(AT(f->dgamma), own),
                                                   .dbeta = byte(AT(f->dbeta), own)};
    const struct device_backend *b = sides[s].b;
    if (pass)
        return b->norm_backward_apply(sides[s].d, n, &call, AT(f->total), IMAGES * PIXELS, &reason);
    return b->norm_backward_sums(sides[s].d, n, &call, byte(AT(f->rows), (size_t)shard * 2 * C * sizeof(double)),
                                 &reason);
}

static void backward(struct fixture *f, enum device_type type, int relu, int other)
{
    size_t image = ROW * bytes_of(type);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < SHARDS; i++) {
            const struct device_norm n = norm_of(type, images_of(i), relu, other);
            size_t at = (size_t)i * SHARD * image, own = (size_t)i * C * sizeof(float);
            ON_BOTH(backward_shard(f, s, &n, i, at, own, pass));
        }
        if (pass == 0)
            ON_BOTH(B->tree_sums(D, AT(f->rows), SHARDS, 2 * C, AT(f->total), M));
    }
}

/* The whole mini-batch in one call, on the device under test, which the shards must be near. */
static void check_whole(struct fixture *f, enum device_type type, int relu, int other, double share)
{
    const struct device_norm n = norm_of(type, IMAGES, relu, other);
    struct fixture w = fixture_new(type);
    struct device_plan *p[SIDES];
    void *reserve[SIDES], *workspace[SIDES];
    ON_BOTH(B->norm_plan(D, &n, &p[s], M));
    ON_BOTH(B->allocate(D, B->plan_workspace(p[s]) + 1, &workspace[s], M));
    ON_BOTH(B->allocate(D, B->plan_reserve(p[s]) + 1, &reserve[s], M));
    ON_BOTH(B->norm_forward(D, p[s],
                            &(struct device_norm_call){AT(w.x), other ? AT(w.other) : NULL, AT(w.gamma), AT(w.beta),
                                                       AT(w.mean), AT(w.variance), AT(w.saved_mean),
                                                       AT(w.saved_inv_std), AT(w.y), reserve[s], workspace[s]},
                            M));
    ON_BOTH(B->norm_backward(D, p[s],
                             &(struct device_norm_backward_call){AT(w.x), AT(w.y), AT(w.dy), AT(w.gamma),
                                                                 AT(w.beta), AT(w.saved_mean), AT(w.saved_inv_std),
                                                                 reserve[s], AT(w.dx), other ? AT(w.d_other) : NULL,
                                                                 AT(w.dgamma), AT(w.dbeta), workspace[s]},
                             M));
    struct both *got[] = {&f->y, &f->dx, &f->mean, &f->variance}, *want[] = {&w.y, &w.dx, &w.mean, &w.variance};
    for (int i = 0; i < 4; i++) {
        void *kept = got[i]->at[HOST];
        got[i]->at[HOST] = want[i]->at[HOST];
        both_close(got[i], share, "of the whole mini-batch");
        got[i]->at[HOST] = kept;
    }
    for (int s = 0; s < SIDES; s++) {
        sides[s].b->plan_free(sides[s].d, p[s]);
        sides[s].b->release(sides[s].d, reserve[s]), sides[s].b->release(sides[s].d, workspace[s]);
    }
    fixture_free(&w);
}

static void test_norm(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int kind = 0; kind < 4; kind++) {
            int relu = kind > 0, other = kind == 2;
            double share = float_types[t] == DEVICE_F32 ? 2e-6 : 2e-2;
            struct fixture f = fixture_new(float_types[t]);
            forward(&f, float_types[t], relu, other);
            both_close(&f.y, share, "y"), both_close(&f.saved_mean, share, "mean");
            both_close(&f.saved_inv_std, share, "deviation"), both_close(&f.variance, share, "running variance");
            /* The same mask on both sides, or a value at the border would differ by all of its gradient. */
            void *y = both_get(&f.y, HOST);
            ok(sides[OURS].b->copy_in(sides[OURS].d, QUEUE_COMPUTE, f.y.at[OURS], y, f.y.count * bytes_of(f.y.type),
                                      &reason));
            ok(sides[OURS].b->synchronize(sides[OURS].d, &reason));
            free(y);
            backward(&f, float_types[t], relu, other);
            both_close(&f.dx, share, "dx"), both_close(&f.dgamma, share, "dgamma");
            both_close(&f.dbeta, share, "dbeta");
            if (other)
                both_equal(&f.d_other, "d_other");
            check_whole(&f, float_types[t], relu, other, 2 * share);
            fixture_free(&f);
        }
}

/* ---- sums over the tree, to the last bit ---- */

static void test_tree(void **state)
{
    (void)state;
    enum { VALUES = 5, MOST = 21 };
    double rows[MOST * VALUES], want[VALUES], got[VALUES];
    for (size_t i = 0; i < MOST * VALUES; i++)
        rows[i] = ldexp((double)(mixed(3, i) >> 12) * 0x1p-52 - 0.5, (int)(mixed(4, i) % 40));
    struct both x = both_raw(DEVICE_U8, sizeof rows, rows), y = doubles_new(VALUES);
    for (int shards = 1; shards <= MOST; shards++) {
        ON_BOTH(B->tree_sums(D, AT(x), shards, VALUES, AT(y), M));
        doubles_get(&y, HOST, want), doubles_get(&y, OURS, got);
        assert_memory_equal(got, want, sizeof got);
    }
    both_free(&x), both_free(&y);
}

/* ---- extremes and ranges ---- */

static void test_extremes(void **state)
{
    (void)state;
    struct both x = both_random(DEVICE_F32, 5000, 8, 3), ends = both_new(DEVICE_F32, 4);
    ON_BOTH(B->extremes(D, AT(x), 5000, AT(ends), M));
    ON_BOTH(B->extremes(D, AT(x), 1, byte(AT(ends), 2 * sizeof(float)), M));
    both_equal(&ends, "extremes");
    float *got = both_get(&ends, OURS);
    assert_true(got[0] < -2.9f && got[1] > 2.9f && got[2] <= 0 && got[3] >= 0 && (got[2] == 0 || got[3] == 0));
    free(got), both_free(&x), both_free(&ends);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_norm), cmocka_unit_test(test_tree),
                                       cmocka_unit_test(test_extremes)};
    return cmocka_run_group_tests(tests, sides_open, sides_close);
}
