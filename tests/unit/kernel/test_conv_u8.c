/* Integer convolution: ref against the formula and against ONNX Runtime, every set equal to ref bit for bit. */
#include "tests/unit/kernel/arrange.h"
#include "kernel/contract/requantize.h"
#include "tests/reference/qlinearconv.h"
#include <stdlib.h>

/* Everything that one call can give, dense. */
struct result {
    uint8_t *y;
    float *before, *logits;
};

struct fixture {
    struct conv_shape s;
    int images;
    uint8_t *x, *residual;
    int8_t *w;
    int32_t *bias;
    float *multiplier;
    struct requantize requantize;
};

static size_t values_of(const struct fixture *f)
{
    return (size_t)f->images * outputs_of(&f->s);
}

static struct result result_new(const struct fixture *f)
{
    size_t values = values_of(f);
    struct result r = {bytes_new(values, 1), bytes_new(values, sizeof(float)), bytes_new(values, sizeof(float))};
    return r;
}

static void result_free(struct result *r)
{
    memory_free(r->y), memory_free(r->before), memory_free(r->logits);
}

/* Multipliers that spread the sums of random codes over and beyond 8 bits. */
static struct fixture fixture_many(struct conv_shape s, uint64_t seed, uint8_t zero_point, int images)
{
    struct random_stream random = random_open(seed, RANDOM_TEST, 9, 0);
    struct fixture f = {.s = s, .images = images};
    f.x = codes_new((size_t)images * inputs_of(&s), seed);
    f.residual = codes_new((size_t)images * outputs_of(&s), seed + 1);
    f.w = weights_new(weights_of(&s), seed + 2);
    f.bias = bytes_new((size_t)s.out, sizeof *f.bias);
    f.multiplier = bytes_new((size_t)s.out, sizeof *f.multiplier);
    for (int k = 0; k < s.out; k++) {
        f.bias[k] = (int32_t)random_below(&random, 20001) - 10000;
        f.multiplier[k] =
            (float)((0.5 + random_uniform(&random)) / (70 * sqrt((double)(s.c * s.kernel * s.kernel))));
    }
    f.requantize = (struct requantize){.multiplier = f.multiplier,
                                       .bias = f.bias,
                                       .residual_multiplier = 0.37f,
                                       .zero_point_x = zero_point,
                                       .zero_point_y = (uint8_t)(255 - zero_point / 2),
                                       .residual_zero_point = (uint8_t)(zero_point ^ 77),
                                       .low = 0,
                                       .high = 255};
    return f;
}

static struct fixture fixture_new(struct conv_shape s, uint64_t seed, uint8_t zero_point)
{
    return fixture_many(s, seed, zero_point, 1);
}

static void fixture_free(struct fixture *f)
{
    memory_free(f->x), memory_free(f->residual), memory_free(f->w), memory_free(f->bias),
        memory_free(f->multiplier);
}

enum form { WITH_RESIDUAL = 1, WITH_BEFORE = 2, WITH_LOGITS = 4, WITHOUT_Y = 8 };

/* How a result is asked for: which tensors, where the rows and the outputs are cut, where the pixels lie. */
struct way {
    int form, row_cut, out_cut;
    struct arrangement at;
};

/* The tensors of one call. */
struct tensors {
    struct arranged x, residual, y, before, logits;
};

static struct tensors tensors_new(const struct fixture *f, const struct way *way)
{
    const struct conv_shape *s = &f->s;
    struct tensors t = {
        .x = arranged_new(&way->at, f->images, s->h, s->w, s->c, 1),
        .residual = arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, 1),
        .y = arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, 1),
        .before = arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, sizeof(float)),
        .logits = arranged_new(&way->at, f->images, s->out_h, s->out_w, s->out, sizeof(float)),
    };
    arranged_fill(&t.x, f->x, &f->requantize.zero_point_x);
    arranged_fill(&t.residual, f->residual, "");
    return t;
}

static void tensors_free(struct tensors *t)
{
    arranged_free(&t->x), arranged_free(&t->residual), arranged_free(&t->y), arranged_free(&t->before),
        arranged_free(&t->logits);
}

/* What is offered to be brought ahead: two ranges, and room for less than both. */
enum { AHEAD_FIRST = 3 * AHEAD_LINE, AHEAD_SECOND = 500 * AHEAD_LINE, AHEAD_ROOM = 400 * AHEAD_LINE };
static char lines[AHEAD_FIRST + AHEAD_SECOND];
static const struct ahead_range ranges[] = {{lines + AHEAD_SECOND, lines + AHEAD_SECOND + AHEAD_FIRST},
                                            {lines, lines + AHEAD_SECOND}};

static struct ahead ahead_offer(void)
{
    return (struct ahead){.range = ranges, .last = ranges + 2, .room = AHEAD_ROOM};
}

/* Bytes taken, in order, none of them twice and not more than there was room for. */
static size_t ahead_taken(const struct ahead *a)
{
    size_t taken = 0;
    assert_true(a->range >= ranges && a->range <= ranges + 2 && a->last == ranges + 2);
    if (a->range > ranges) {
        const struct ahead_range *now = a->range - 1;
        assert_ptr_equal(a->end, now->end);
        assert_true(a->next >= now->begin && a->next <= now->end);
        taken = (size_t)(a->next - now->begin) + (now > ranges ? AHEAD_FIRST : 0);
    }
    assert_int_equal(taken + a->room, AHEAD_ROOM);
    return taken;
}

/* Outputs [first, first + count), rows [row_begin, row_end). */
static void run_range(const struct conv_u8_kernel *kernel, const struct fixture *f, const struct way *way,
                      struct tensors *t, const char *packed, int first, int count, int row_begin, int row_end,
                      void *scratch)
{
    struct conv_shape s = f->s, before = f->s;
    struct requantize rq = f->requantize;
    before.out = first;
    s.out = count;
    rq.multiplier += first;
    rq.bias += first;
    struct ahead ahead = ahead_offer();
    struct conv_u8_call call = {.images = f->images,
                                .ahead = row_begin == 0 ? &ahead : NULL,
                                .x = arranged_origin(&t->x),
                                .x_at = t->x.at,
                                .packed = packed + (first ? kernel->packed_bytes(&before) : 0),
                                .requantize = &rq,
                                .residual_at = t->residual.at,
                                .y_at = t->y.at,
                                .before_at = t->before.at,
                                .logits_at = t->logits.at,
                                .row_begin = row_begin,
                                .row_end = row_end};
    if (way->form & WITH_RESIDUAL)
        call.residual = (uint8_t *)arranged_origin(&t->residual) + first;
    if (!(way->form & WITHOUT_Y))
        call.y = (uint8_t *)arranged_origin(&t->y) + first;
    if (way->form & WITH_BEFORE)
        call.before = (float *)arranged_origin(&t->before) + first;
    if (way->form & WITH_LOGITS)
        call.logits = (float *)arranged_origin(&t->logits) + first;
    kernel->run(&s, &call, scratch);
    ahead_taken(&ahead);
}

static void run_way(const struct conv_u8_kernel *kernel, const struct fixture *f, const struct way *way,
                    struct result *to)
{
    struct tensors t = tensors_new(f, way);
    int grain = kernel->out_grain, out = f->s.out;
    int cut = way->out_cut && grain && out > grain ? (out - 1) / grain * grain : 0;
    char *packed = bytes_new(kernel->packed_bytes(&f->s), 1);
    void *scratch = bytes_new(kernel->scratch_bytes(&f->s), 1);
    kernel->pack(&f->s, f->w, f->requantize.zero_point_x, UINT8_MAX, packed);
    for (int part = 0; part < (way->row_cut ? 2 : 1); part++) {
        int row_begin = part ? 0 : way->row_cut, row_end = part ? way->row_cut : f->s.out_h;
        run_range(kernel, f, way, &t, packed, cut, out - cut, row_begin, row_end, scratch);
        if (cut)
            run_range(kernel, f, way, &t, packed, 0, cut, row_begin, row_end, scratch);
    }
    arranged_gather(&t.y, to->y);
    arranged_gather(&t.before, to->before);
    arranged_gather(&t.logits, to->logits);
    memory_free(packed), memory_free(scratch);
    tensors_free(&t);
}

static int same(const struct fixture *f, const struct result *a, const struct result *b)
{
    size_t values = values_of(f);
    return memcmp(a->y, b->y, values) == 0 && memcmp(a->before, b->before, values * sizeof(float)) == 0 &&
           memcmp(a->logits, b->logits, values * sizeof(float)) == 0;
}

static void expect(const char *isa, const struct conv_u8_kernel *kernel, const struct fixture *f,
                   const struct way *way, const struct result *want)
{
    struct result got = result_new(f);
    run_way(kernel, f, way, &got);
    if (!same(f, want, &got)) {
        shape_print(isa, &f->s);
        print_error(
            "%s: form %d, %d images, rows cut at %d, outputs cut: %d, zero point %d, border %d, between %zu %zu "
            "%zu\n",
            kernel->algorithm, way->form, f->images, way->row_cut, way->out_cut, f->requantize.zero_point_x,
            way->at.border, way->at.image, way->at.row, way->at.pixel);
        fail();
    }
    result_free(&got);
}

/* What Winograd kernels ask for, see kernel.h: proved from the weights. */
static int sums_are_small(const struct fixture *f)
{
    size_t row = weights_of(&f->s) / (size_t)f->s.out;
    for (size_t k = 0; k < (size_t)f->s.out; k++) {
        int64_t positive = 0, negative = 0;
        for (size_t i = 0; i < row; i++)
            *(f->w[k * row + i] > 0 ? &positive : &negative) += abs(f->w[k * row + i]);
        if (255 * (positive > negative ? positive : negative) >= 1 << 25)
            return 0;
    }
    return 1;
}

/* Every kernel of every set that may compute f, in the given way. */
static void kernels_equal(const struct fixture *f, const struct way *way, const struct result *want)
{
    FOR_EACH_TABLE(table)
    {
        const struct conv_u8_kernel *winograd = &table->conv_u8_winograd;
        expect(table->isa, &table->conv_u8, f, way, want);
        if (winograd->run && sums_are_small(f) && (!winograd->supports || winograd->supports(&f->s)))
            expect(table->isa, winograd, f, way, want);
    }
}

/* Cuts of the rows, cuts of the outputs, layouts. */
static void sets_equal(const struct fixture *f, int form)
{
    struct way plain = {.form = form};
    struct result want = result_new(f);
    run_way(&table_of("ref")->conv_u8, f, &plain, &want);
    int step = f->s.out_h > 10 ? f->s.out_h / 2 : f->s.out_h > 4 ? 3 : 1;
    for (int cut = 0; cut < f->s.out_h; cut += step)
        kernels_equal(f, &(struct way){.form = form, .row_cut = cut, .out_cut = cut % 2}, &want);
    for (int i = 0; i < ARRANGEMENTS; i++)
        kernels_equal(f, &(struct way){.form = form, .out_cut = i % 2, .at = arrangements[i]}, &want);
    result_free(&want);
}

static void test_sets_equal_ref(void **state)
{
    (void)state;
    static const uint8_t zero_points[] = {0, 1, 77, 128, 255};
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = fixture_new(shape_at(i), 100 + (uint64_t)i, zero_points[i % 5]);
        sets_equal(&f, 0);
        sets_equal(&f, WITH_RESIDUAL | WITH_BEFORE);
        sets_equal(&f, WITH_BEFORE);
        sets_equal(&f, WITH_LOGITS | WITHOUT_Y);
        f.requantize.low = f.requantize.zero_point_y; /* a fused ReLU */
        sets_equal(&f, WITH_RESIDUAL);
        f.requantize.low = 3; /* fewer bits */
        f.requantize.high = 12;
        sets_equal(&f, WITH_RESIDUAL);
        fixture_free(&f);
    }
}

/* A kernel with time to spare takes all that there is room for, whichever way it finds its pixels. */
static void test_ahead_is_taken(void **state)
{
    (void)state;
    static const struct conv_shape shapes[] = {{32, 32, 64, 64, 3, 1, 1, 32, 32, 1},
                                               {8, 8, 256, 256, 3, 1, 1, 8, 8, 1},
                                               {4, 4, 512, 256, 3, 1, 1, 4, 4, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct fixture f = fixture_new(shapes[i], 50 + i, 77);
        struct way way = {.at = {.border = 1}};
        struct tensors t = tensors_new(&f, &way);
        FOR_EACH_TABLE(table)
        {
            const struct conv_u8_kernel *kernel = &table->conv_u8;
            char *packed = bytes_new(kernel->packed_bytes(&f.s), 1);
            void *scratch = bytes_new(kernel->scratch_bytes(&f.s), 1);
            struct ahead ahead = ahead_offer();
            struct conv_u8_call call = {.images = 1,
                                        .x = arranged_origin(&t.x),
                                        .x_at = t.x.at,
                                        .packed = packed,
                                        .requantize = &f.requantize,
                                        .y = arranged_origin(&t.y),
                                        .y_at = t.y.at,
                                        .row_end = f.s.out_h,
                                        .ahead = &ahead};
            kernel->pack(&f.s, f.w, f.requantize.zero_point_x, UINT8_MAX, packed);
            kernel->run(&f.s, &call, scratch);
            assert_int_equal(ahead_taken(&ahead), strcmp(table->isa, "amx") == 0 ? AHEAD_ROOM : 0);
            memory_free(packed), memory_free(scratch);
        }
        tensors_free(&t);
        fixture_free(&f);
    }
}

/* Several images in one call, beyond what kernels take at once, and every zero point with every border. */
static void test_images(void **state)
{
    (void)state;
    static const uint8_t zero_points[] = {0, 1, 77, 128, 255};
    static const int counts[] = {2, 3, 4, 5, 6, 7, 8, 9, 17, 33};
    for (int i = 0; i < SHAPES; i++)
        for (size_t k = (size_t)i % 3; k < sizeof counts / sizeof *counts; k += 3) {
            struct conv_shape s = shape_at(i);
            if (counts[k] * (double)(inputs_of(&s) + outputs_of(&s)) > 2e5)
                continue;
            uint8_t zero_point = zero_points[(size_t)i % 5];
            struct fixture f = fixture_many(s, 400 + (uint64_t)i, zero_point, counts[k]);
            sets_equal(&f, WITH_RESIDUAL);
            sets_equal(&f, WITH_LOGITS | WITH_BEFORE);
            fixture_free(&f);
        }
}

/* Every product at its largest, of one sign and of both, with biases near 2^30 and multipliers from tiny to huge.
 */
static void test_extremes(void **state)
{
    (void)state;
    static const int kinds[][3] = {{255, 127, 0},  {255, -127, 0}, {0, 127, 255},
                                   {0, -127, 255}, {255, 0, 1},    {255, 0, 128}};
    static const int32_t biases[] = {1 << 30, -(1 << 30), (1 << 30) - 1, 0};
    static const float multipliers[] = {1e-9f, 0x1p-24f, 1.0f, 1e9f, 1e-38f, 3e38f};
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
        struct conv_shape s = {
            .h = 4, .w = 4, .c = 130, .out = 24, .kernel = 3, .stride = 1, .pad = 1, .out_h = 4, .out_w = 4};
        struct fixture f = fixture_new(s, 5, (uint8_t)kinds[kind][2]);
        memset(f.x, kinds[kind][0], inputs_of(&s));
        for (size_t i = 0; i < weights_of(&s); i++)
            f.w[i] = (int8_t)(kinds[kind][1] ? kinds[kind][1] : i % 2 ? 127 : -127);
        for (int k = 0; k < s.out; k++) {
            f.bias[k] = biases[k % 4];
            f.multiplier[k] = multipliers[k % 6];
        }
        sets_equal(&f, WITH_BEFORE | WITH_LOGITS);
        sets_equal(&f, WITH_BEFORE | WITH_RESIDUAL);
        sets_equal(&f, 0); /* codes alone, which are clamped on another way */
        sets_equal(&f, WITH_RESIDUAL);
        f.requantize.low = 100;
        f.requantize.high = 180;
        sets_equal(&f, 0);
        fixture_free(&f);
    }
}

/* Sums of one sign beyond 2^24, of products that differ in their last bits: a sum carried in floats would show. */
static void test_large_sums(void **state)
{
    (void)state;
    struct random_stream random = random_open(3, RANDOM_TEST, 8, 0);
    struct conv_shape s = {
        .h = 5, .w = 4, .c = 301, .out = 17, .kernel = 3, .stride = 1, .pad = 1, .out_h = 5, .out_w = 4};
    for (int zero_point = 0; zero_point < 256; zero_point += 255) {
        struct fixture f = fixture_new(s, 6, (uint8_t)zero_point);
        for (size_t i = 0; i < inputs_of(&s); i++)
            f.x[i] = (uint8_t)(255 - zero_point + (int)random_below(&random, 9) * (zero_point ? 1 : -1));
        for (size_t i = 0; i < weights_of(&s); i++)
            f.w[i] = (int8_t)(i / (weights_of(&s) / 17) % 2 ? 127 - (int)random_below(&random, 9)
                                                            : -127 + (int)random_below(&random, 9));
        for (int k = 0; k < s.out; k++)
            f.multiplier[k] = 1.0f;
        f.requantize.residual_multiplier = 1.0f;
        sets_equal(&f, WITH_LOGITS);
        for (int k = 0; k < s.out; k++) /* so that the small part of the sum is all that is left */
            f.bias[k] = (k % 2 ? -1 : 1) * (zero_point ? -1 : 1) * 301 * 9 * 251 * 123;
        sets_equal(&f, WITH_LOGITS);
        fixture_free(&f);
    }
}

/* The formula of kernel.h in 64-bit integers, from unpacked weights. */
static void test_ref_is_the_formula(void **state)
{
    (void)state;
    struct conv_shape s = shape_at(14);
    struct fixture f = fixture_new(s, 77, 77);
    struct result got = result_new(&f);
    run_way(&table_of("ref")->conv_u8, &f, &(struct way){.form = WITH_RESIDUAL | WITH_BEFORE}, &got);
    size_t at = 0;
    for (int oy = 0; oy < s.out_h; oy++)
        for (int ox = 0; ox < s.out_w; ox++)
            for (int k = 0; k < s.out; k++, at++) {
                int64_t acc = f.bias[k];
                for (int c = 0; c < s.c; c++)
                    for (int r = 0; r < s.kernel; r++)
                        for (int t = 0; t < s.kernel; t++) {
                            int iy = oy * s.stride - s.pad + r, ix = ox * s.stride - s.pad + t;
                            int inside = iy >= 0 && iy < s.h && ix >= 0 && ix < s.w;
                            int x = inside ? f.x[(iy * s.w + ix) * s.c + c] : f.requantize.zero_point_x;
                            acc += (x - f.requantize.zero_point_x) *
                                   (int64_t)f.w[((k * s.c + c) * s.kernel + r) * s.kernel + t];
                        }
                volatile float a = (float)acc * f.multiplier[k];
                volatile float b = (float)(f.residual[at] - f.requantize.residual_zero_point) * 0.37f;
                volatile float v = a + b;
                float q = rintf(v) + f.requantize.zero_point_y;
                assert_true(got.before[at] == v);
                assert_int_equal(got.y[at], q < 0 ? 0 : q > 255 ? 255 : (int)q);
            }
    result_free(&got);
    fixture_free(&f);
}

/* ONNX Runtime's QLinearConv, and numpy for the form with a residual: 0 differing codes, in every set. */
static void test_qlinearconv(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof qlinearconv_cases / sizeof *qlinearconv_cases; i++) {
        const struct qlinearconv_case *q = &qlinearconv_cases[i];
        struct fixture f = {.s = q->shape, .images = 1};
        struct result got = result_new(&f);
        size_t outputs = outputs_of(&f.s), outs = (size_t)f.s.out;
        /* copies: kernels are given aligned tensors of exact size */
        f.x = memcpy(bytes_new(inputs_of(&f.s), 1), q->x, inputs_of(&f.s));
        f.residual = memcpy(bytes_new(outputs, 1), q->residual, outputs);
        f.w = memcpy(bytes_new(weights_of(&f.s), 1), q->w, weights_of(&f.s));
        f.bias = memcpy(bytes_new(outs, sizeof *f.bias), q->bias, outs * sizeof *f.bias);
        f.multiplier = memcpy(bytes_new(outs, sizeof *f.multiplier), q->multiplier, outs * sizeof *f.multiplier);
        f.requantize = (struct requantize){f.multiplier,
                                           f.bias,
                                           q->residual_multiplier,
                                           q->zero_point_x,
                                           q->zero_point_y,
                                           q->residual_zero_point,
                                           0,
                                           255};
        FOR_EACH_TABLE(table)
        {
            f.requantize.low = 0;
            run_way(&table->conv_u8, &f, &(struct way){0}, &got);
            assert_memory_equal(got.y, q->y, outputs);
            f.requantize.low = q->zero_point_y;
            run_way(&table->conv_u8, &f, &(struct way){.form = WITH_RESIDUAL}, &got);
            assert_memory_equal(got.y, q->y_residual, outputs);
        }
        result_free(&got);
        fixture_free(&f);
    }
}

/* Ties through a whole kernel: acc odd, multiplier 1/2. */
static void test_ties_in_every_set(void **state)
{
    (void)state;
    struct conv_shape s = {
        .h = 1, .w = 64, .c = 1, .out = 17, .kernel = 1, .stride = 1, .pad = 0, .out_h = 1, .out_w = 64};
    struct fixture f = fixture_new(s, 1, 32);
    struct result got = result_new(&f);
    for (int i = 0; i < 64; i++)
        f.x[i] = (uint8_t)i;
    for (int k = 0; k < s.out; k++) {
        f.w[k] = 1;
        f.bias[k] = 0;
        f.multiplier[k] = 0.5f;
    }
    f.requantize.zero_point_y = 101;
    FOR_EACH_TABLE(table)
    {
        run_way(&table->conv_u8, &f, &(struct way){0}, &got);
        for (int i = 0; i < 64; i++) {
            int acc = i - 32, even = acc % 2 == 0             ? acc / 2
                                     : (acc - 1) / 2 % 2 == 0 ? (acc - 1) / 2
                                                              : (acc + 1) / 2;
            for (int k = 0; k < s.out; k++)
                assert_int_equal(got.y[i * s.out + k], even + 101);
        }
    }
    result_free(&got);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ref_is_the_formula),
                                       cmocka_unit_test(test_qlinearconv),
                                       cmocka_unit_test(test_sets_equal_ref),
                                       cmocka_unit_test(test_ahead_is_taken),
                                       cmocka_unit_test(test_images),
                                       cmocka_unit_test(test_extremes),
                                       cmocka_unit_test(test_large_sums),
                                       cmocka_unit_test(test_ties_in_every_set)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
