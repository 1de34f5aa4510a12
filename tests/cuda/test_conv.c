/* Convolutions of floats: every pass, type and kind of epilogue. */
#include "tests/cuda/both.h"

struct shape {
    int n, side, c, k, kernel, stride, pad;
};

/* The network's kinds: the stem, the blocks, those that halve, and their shortcuts; and shapes that fill nothing.
 */
static const struct shape shapes[] = {
    {4, 32, 3, 16, 3, 1, 1},  {3, 16, 16, 16, 3, 1, 1}, {2, 16, 16, 32, 3, 2, 1},
    {2, 16, 16, 32, 1, 2, 0}, {5, 7, 5, 9, 3, 1, 1},    {1, 4, 64, 64, 3, 1, 1},
};
enum { SHAPES = sizeof shapes / sizeof *shapes, WORKSPACE = 64 << 20 };

static struct device_conv conv_of(const struct shape *s, enum device_type type)
{
    int out = (s->side + 2 * s->pad - s->kernel) / s->stride + 1;
    return (struct device_conv){s->n, s->side, s->side, s->c, out, out, s->k, s->kernel, s->stride, s->pad, type};
}

static size_t inputs_of(const struct device_conv *c)
{
    return (size_t)c->n * (size_t)(c->h * c->w * c->c);
}

static size_t outputs_of(const struct device_conv *c)
{
    return (size_t)c->n * (size_t)(c->out_h * c->out_w * c->k);
}

static size_t weights_of(const struct device_conv *c)
{
    return (size_t)c->k * (size_t)(c->kernel * c->kernel * c->c);
}

/* A plan and its workspace on both sides. */
struct plans {
    struct device_plan *p[SIDES];
    void *workspace[SIDES];
};

static struct plans plans_open(const struct device_conv *c, unsigned passes)
{
    struct plans p = {{NULL, NULL}, {NULL, NULL}};
    ON_BOTH(B->conv_plan(D, c, passes, WORKSPACE, &p.p[s], M));
    ON_BOTH(B->allocate(D, B->plan_workspace(p.p[s]) + 1, &p.workspace[s], M));
    return p;
}

static void plans_close(struct plans *p)
{
    for (int s = 0; s < SIDES; s++) {
        sides[s].b->plan_free(sides[s].d, p->p[s]);
        sides[s].b->release(sides[s].d, p->workspace[s]);
    }
}

#define P (p.p[s])
#define W (p.workspace[s])

static void check_forward(const struct device_conv *c, struct plans p)
{
    enum device_type type = c->type;
    struct both x = both_random(type, inputs_of(c), 1, 1), w = both_random(type, weights_of(c), 2, 0.5f);
    struct both bias = both_random(DEVICE_F32, (size_t)c->k, 3, 1), other = both_random(type, outputs_of(c), 4, 1);
    struct both y = both_new(type, outputs_of(c));
    ON_BOTH(B->conv_forward(D, P, &(struct device_conv_call){AT(x), AT(w), NULL, NULL, 0, AT(y), W}, M));
    both_close(&y, 1e-5, "forward");
    double share = type == DEVICE_F32 ? 1e-5 : type == DEVICE_F16 ? 1e-3 : 8e-3; /* may round before the epilogue */
    ON_BOTH(B->conv_forward(D, P, &(struct device_conv_call){AT(x), AT(w), AT(bias), NULL, 1, AT(y), W}, M));
    both_close(&y, share, "forward with bias and relu");
    ON_BOTH(B->conv_forward(D, P, &(struct device_conv_call){AT(x), AT(w), AT(bias), AT(other), 1, AT(y), W}, M));
    both_close(&y, share, "forward with bias, addition and relu");
    ON_BOTH(B->conv_forward(D, P, &(struct device_conv_call){AT(x), AT(w), NULL, AT(other), 0, AT(y), W}, M));
    both_close(&y, share, "forward with addition");
    ON_BOTH(
        B->conv_forward(D, P, &(struct device_conv_call){AT(x), AT(w), AT(bias), AT(other), 1, AT(other), W}, M));
    both_close(&other, share, "forward with addition in place");
    both_free(&x), both_free(&w), both_free(&bias), both_free(&other), both_free(&y);
}

static void check_backward(const struct device_conv *c, struct plans p)
{
    enum device_type type = c->type;
    struct both x = both_random(type, inputs_of(c), 1, 1), w = both_random(type, weights_of(c), 2, 0.5f);
    struct both dy = both_random(type, outputs_of(c), 5, 1), dx = both_new(type, inputs_of(c));
    struct both dw = both_new(DEVICE_F32, weights_of(c));
    double share = type == DEVICE_F32 ? 1e-5 : type == DEVICE_F16 ? 1e-3 : 8e-3;
    ON_BOTH(B->conv_data(D, P, &(struct device_conv_data_call){AT(dy), AT(w), 0, AT(dx), W}, M));
    both_close(&dx, 1e-5, "gradient by the input");
    ON_BOTH(B->conv_data(D, P, &(struct device_conv_data_call){AT(dy), AT(w), 1, AT(dx), W}, M));
    both_close(&dx, share, "gradient by the input, added");
    ON_BOTH(B->conv_weight(D, P, AT(x), AT(dy), AT(dw), W, M));
    both_close(&dw, share, "gradient by the weights");
    both_free(&x), both_free(&w), both_free(&dy), both_free(&dx), both_free(&dw);
}

static void test_types_and_shapes(void **state)
{
    (void)state;
    for (int t = 0; t < 3; t++)
        for (int i = 0; i < SHAPES; i++) {
            struct device_conv c = conv_of(&shapes[i], float_types[t]);
            struct plans p = plans_open(&c, 1u << DEVICE_FORWARD | 1u << DEVICE_DATA | 1u << DEVICE_WEIGHT);
            check_forward(&c, p);
            check_backward(&c, p);
            plans_close(&p);
        }
}

/* Whole numbers whose sums stay below 2^24 are exact in float32; in TF32 11 bits of them are left. */
static void test_float32_is_not_tf32(void **state)
{
    (void)state;
    struct device_conv c = conv_of(&shapes[1], DEVICE_F32);
    struct plans p = plans_open(&c, 1u << DEVICE_FORWARD);
    float *values = malloc(inputs_of(&c) * sizeof *values);
    for (size_t i = 0; i < inputs_of(&c); i++)
        values[i] = (float)(4097 + mixed(6, i) % 4096);
    struct both x = both_floats(DEVICE_F32, inputs_of(&c), values), y = both_new(DEVICE_F32, outputs_of(&c));
    for (size_t i = 0; i < weights_of(&c); i++)
        values[i] = (float)(mixed(7, i) % 2);
    struct both w = both_floats(DEVICE_F32, weights_of(&c), values);
    ON_BOTH(B->conv_forward(D, P, &(struct device_conv_call){AT(x), AT(w), NULL, NULL, 0, AT(y), W}, M));
    both_equal(&y, "whole numbers");
    both_free(&x), both_free(&y), both_free(&w), plans_close(&p);
    free(values);
}

/* Twice the same: the same bits. */
static void test_repeats(void **state)
{
    (void)state;
    struct side s = sides[OURS];
    for (int t = 0; t < 3; t++) {
        struct shape large = {32, 16, 32, 32, 3, 1, 1};
        if (getenv("RESQ_CUDA_EMULATED"))
            large.n = 2;
        struct device_conv c = conv_of(&large, float_types[t]);
        struct plans p = plans_open(&c, 1u << DEVICE_WEIGHT | 1u << DEVICE_DATA);
        struct both x = both_random(c.type, inputs_of(&c), 1, 1), dy = both_random(c.type, outputs_of(&c), 2, 1);
        struct both w = both_random(c.type, weights_of(&c), 3, 1);
        void *first[2] = {NULL, NULL};
        for (int turn = 0; turn < 4; turn++) {
            struct both results[2] = {both_new(DEVICE_F32, weights_of(&c)), both_new(c.type, inputs_of(&c))};
            ok(s.b->conv_weight(s.d, p.p[OURS], x.at[OURS], dy.at[OURS], results[0].at[OURS], p.workspace[OURS],
                                &reason));
            ok(s.b->conv_data(
                s.d, p.p[OURS],
                &(struct device_conv_data_call){dy.at[OURS], w.at[OURS], 0, results[1].at[OURS], p.workspace[OURS]},
                &reason));
            for (int i = 0; i < 2; i++) {
                void *now = both_get(&results[i], OURS);
                if (first[i])
                    assert_memory_equal(now, first[i], results[i].count * bytes_of(results[i].type));
                free(turn == 0 ? NULL : now);
                first[i] = turn == 0 ? now : first[i];
                both_free(&results[i]);
            }
        }
        free(first[0]), free(first[1]);
        both_free(&x), both_free(&dy), both_free(&w), plans_close(&p);
    }
}

static void refuse(struct device_conv c, unsigned passes, size_t limit, int status)
{
    struct device_plan *p = NULL;
    memset(&reason, 0, sizeof reason);
    assert_int_equal(sides[OURS].b->conv_plan(sides[OURS].d, &c, passes, limit, &p, &reason), status);
    assert_null(p);
    assert_true(strlen(reason.text) > 0);
}

static void test_refusals(void **state)
{
    (void)state;
    struct device_conv good = conv_of(&shapes[1], DEVICE_F32), c;
    c = good, c.n = 1 << 20, c.h = c.w = c.out_h = c.out_w = 64;
    refuse(c, 1u << DEVICE_FORWARD, WORKSPACE, STATUS_RANGE);
    c = good, c.out_h++;
    refuse(c, 1u << DEVICE_FORWARD, WORKSPACE, STATUS_MISMATCH);
    c = good, c.kernel = 0;
    refuse(c, 1u << DEVICE_FORWARD, WORKSPACE, STATUS_RANGE);
    c = good, c.type = DEVICE_S32;
    refuse(c, 1u << DEVICE_FORWARD, WORKSPACE, STATUS_UNSUPPORTED);
    c = good, c.type = DEVICE_U8;
    refuse(c, 1u << DEVICE_DATA, WORKSPACE, STATUS_UNSUPPORTED);
    refuse(c, 1u << DEVICE_FORWARD, 100, STATUS_UNSUPPORTED);
    refuse(good, 0, WORKSPACE, STATUS_RANGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types_and_shapes),
        cmocka_unit_test(test_float32_is_not_tf32),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests_name("conv", tests, sides_open, sides_close);
}
