/* Batch norm in training: every type, with and without the addition and the relu, forward, backward and what moves.
 */
#include "tests/cuda/both.h"

struct shape {
    int n, side, c;
};
/* Channels that fill loads and that do not; few and many rows. */
static const struct shape shapes[] = {{2, 1, 8},   {4, 8, 64}, {3, 5, 10}, {2, 4, 512},
                                      {5, 32, 16}, {1, 3, 1},  {7, 4, 24}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* All that one batch norm reads and writes. */
struct fixture {
    struct device_norm n;
    struct device_plan *p[SIDES];
    void *workspace[SIDES], *reserve[SIDES];
    struct both x, other, y, dy, dx, d_other;
    struct both gamma, beta, running_mean, running_variance, saved_mean, saved_inv_std, dgamma, dbeta;
};

static struct fixture fixture_new(struct device_norm n)
{
    size_t count = (size_t)n.n * (size_t)(n.h * n.w * n.c), c = (size_t)n.c;
    struct fixture f = {.n = n};
    ON_BOTH(B->norm_plan(D, &n, &f.p[s], M));
    ON_BOTH(B->allocate(D, B->plan_workspace(f.p[s]) + 1, &f.workspace[s], M));
    ON_BOTH(B->allocate(D, B->plan_reserve(f.p[s]) + 1, &f.reserve[s], M));
    f.x = both_random(n.type, count, 1, 2), f.other = both_random(n.type, count, 2, 1);
    f.dy = both_random(n.type, count, 3, 1);
    f.y = both_new(n.type, count), f.dx = both_new(n.type, count), f.d_other = both_new(n.type, count);
    f.gamma = both_random(DEVICE_F32, c, 4, 1.5f), f.beta = both_random(DEVICE_F32, c, 5, 1);
    f.running_mean = both_random(DEVICE_F32, c, 6, 1), f.running_variance = both_random(DEVICE_F32, c, 7, 1);
    f.saved_mean = both_new(DEVICE_F32, c), f.saved_inv_std = both_new(DEVICE_F32, c);
    f.dgamma = both_new(DEVICE_F32, c), f.dbeta = both_new(DEVICE_F32, c);
    return f;
}

static void fixture_free(struct fixture *f)
{
    struct both *all[] = {&f->x,          &f->other,         &f->y,      &f->dy,           &f->dx,
                          &f->d_other,    &f->gamma,         &f->beta,   &f->running_mean, &f->running_variance,
                          &f->saved_mean, &f->saved_inv_std, &f->dgamma, &f->dbeta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        both_free(all[i]);
    for (int s = 0; s < SIDES; s++) {
        sides[s].b->plan_free(sides[s].d, f->p[s]);
        sides[s].b->release(sides[s].d, f->workspace[s]), sides[s].b->release(sides[s].d, f->reserve[s]);
    }
}

static void forward(struct fixture *f)
{
    ON_BOTH(B->norm_forward(D, f->p[s],
                            &(struct device_norm_call){AT(f->x), f->n.has_other ? AT(f->other) : NULL, AT(f->gamma),
                                                       AT(f->beta), AT(f->running_mean), AT(f->running_variance),
                                                       AT(f->saved_mean), AT(f->saved_inv_std), AT(f->y),
                                                       f->reserve[s], f->workspace[s]},
                            M));
}

static void backward(struct fixture *f)
{
    ON_BOTH(B->norm_backward(D, f->p[s],
                             &(struct device_norm_backward_call){AT(f->x), AT(f->y), AT(f->dy), AT(f->gamma),
                                                                 AT(f->beta), AT(f->saved_mean),
                                                                 AT(f->saved_inv_std), f->reserve[s], AT(f->dx),
                                                                 f->n.has_other ? AT(f->d_other) : NULL,
                                                                 AT(f->dgamma), AT(f->dbeta), f->workspace[s]},
                             M));
}

/* Our y to the host as well: a relu that lets one value pass here and not there is no error of the backward pass.
 */
static void same_y(struct fixture *f)
{
    void *y = both_get(&f->y, OURS);
    ok(sides[HOST].b->copy_in(sides[HOST].d, QUEUE_COMPUTE, f->y.at[HOST], y, f->y.count * bytes_of(f->y.type),
                              &reason));
    ok(sides[HOST].b->synchronize(sides[HOST].d, &reason));
    free(y);
}

static void check(struct device_norm n)
{
    struct fixture f = fixture_new(n);
    double share = n.type == DEVICE_F32 ? 2e-6 : n.type == DEVICE_F16 ? 1e-3 : 8e-3;
    forward(&f);
    both_close(&f.y, share, "y");
    both_close(&f.saved_mean, 1e-5, "mean");
    both_close(&f.saved_inv_std, 1e-5, "1 / standard deviation");
    both_close(&f.running_mean, 1e-5, "running mean");
    both_close(&f.running_variance, 1e-5, "running variance");
    same_y(&f);
    backward(&f);
    both_close(&f.dbeta, 1e-4, "gradient of beta");
    both_close(&f.dgamma, 1e-4, "gradient of gamma");
    both_close(&f.dx, n.type == DEVICE_F32 ? 1e-5 : share, "gradient by the input");
    if (n.has_other)
        both_close(&f.d_other, 0, "gradient by the other input");
    fixture_free(&f);
}

static void check_all(void)
{
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < SHAPES; i++)
            for (int kind = 0; kind < 4; kind++) {
                const struct shape *h = &shapes[i];
                check((struct device_norm){h->n, h->side, h->side, h->c, float_types[t], kind & 1, kind >> 1, 1e-5,
                                           0.1});
            }
}

static void test_every_kind(void **state)
{
    (void)state;
    check_all();
}

/* Channels with a mean far from zero, whose variance is what is left of large numbers. */
static void test_far_from_zero(void **state)
{
    (void)state;
    enum { C = 16, ROWS = 4 * 8 * 8 };
    struct fixture f = fixture_new((struct device_norm){4, 8, 8, C, DEVICE_F32, 0, 0, 1e-5, 0.1});
    float values[C * ROWS];
    for (size_t i = 0; i < C * ROWS; i++)
        values[i] = 30.0f + (float)(mixed(8, i) % 1000) * 0.001f;
    both_free(&f.x);
    f.x = both_floats(DEVICE_F32, C * ROWS, values);
    forward(&f);
    both_close(&f.saved_inv_std, 1e-3, "1 / standard deviation far from zero");
    both_close(&f.y, 1e-3, "y far from zero");
    fixture_free(&f);
}

/* Twice the same: the same bits. */
static void test_repeats(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++) {
        int side = getenv("RESQ_CUDA_EMULATED") ? 8 : 32;
        struct fixture f = fixture_new((struct device_norm){8, side, side, 64, float_types[t], 1, 1, 1e-5, 0.1});
        void *first[3] = {NULL, NULL, NULL};
        for (int turn = 0; turn < 4; turn++) {
            forward(&f);
            backward(&f);
            const struct both *results[] = {&f.y, &f.dx, &f.dgamma};
            for (int i = 0; i < 3; i++) {
                void *now = both_get(results[i], OURS);
                if (turn == 0) {
                    first[i] = now;
                    continue;
                }
                assert_memory_equal(now, first[i], results[i]->count * bytes_of(results[i]->type));
                free(now);
            }
        }
        for (int i = 0; i < 3; i++)
            free(first[i]);
        fixture_free(&f);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct device_plan *p = NULL;
    struct side s = sides[OURS];
    struct device_norm n = {0, 4, 4, 8, DEVICE_F32, 0, 0, 1e-5, 0.1};
    assert_int_equal(s.b->norm_plan(s.d, &n, &p, &reason), STATUS_RANGE);
    n.n = 1 << 20, n.h = n.w = 64;
    assert_int_equal(s.b->norm_plan(s.d, &n, &p, &reason), STATUS_RANGE);
    n.n = 1, n.type = DEVICE_U8;
    assert_int_equal(s.b->norm_plan(s.d, &n, &p, &reason), STATUS_UNSUPPORTED);
    assert_null(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kind),
        cmocka_unit_test(test_far_from_zero),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("norm", tests, sides_open, sides_close);
}
