/* conv_u8.h: integer convolutions with layouts, for the tests: tensors with borders and wide pixels, one run of a
 * kernel on them, and a comparison with ref that also sees every byte that should not have been written. */
#ifndef RESQ_TESTS_KERNEL_CONV_U8_H
#define RESQ_TESTS_KERNEL_CONV_U8_H

#include "tests/unit/kernel/shapes.h"

/* How a case lies in memory and what it asks for. */
struct conv_u8_form {
    int images;
    int border_x, border_y;
    int wider;     /* channels of a pixel of the results beyond those of the shape */
    int row_begin; /* rows [row_begin, out_h) are asked for first, then [0, row_begin) */
    int first;     /* outputs from here on only, with packed weights of all; else 0 */
    int residual, before, logits, no_y;
    int high; /* the largest code of x, zero point included; 0: 255 */
};

static inline uint8_t form_high(const struct conv_u8_form *f)
{
    return (uint8_t)(f->high ? f->high : 255);
}

struct conv_u8_data {
    struct conv_shape s;
    struct conv_u8_form form;
    uint8_t *x, *residual;
    int8_t *w;
    int32_t *bias;
    float *multiplier;
    struct requantize requantize;
    struct layout x_at, y_at; /* y_at serves residual, before and logits too */
    size_t x_first, y_first, x_size, y_size;
};

struct conv_u8_result {
    uint8_t *y;
    float *before, *logits;
};

static inline struct layout layout_bordered(int h, int w, int pixel, int border, size_t *first)
{
    size_t row = (size_t)(w + 2 * border) * (size_t)pixel;
    *first = (size_t)border * (row + (size_t)pixel);
    return (struct layout){
        .image = (size_t)(h + 2 * border) * row, .row = row, .pixel = (size_t)pixel, .border = border};
}

static inline struct conv_shape shape_of(int h, int w, int c, int out, int kernel, int stride)
{
    struct conv_shape s = {
        .h = h, .w = w, .c = c, .out = out, .kernel = kernel, .stride = stride, .pad = kernel / 2};
    s.out_h = (h + 2 * s.pad - kernel) / stride + 1;
    s.out_w = (w + 2 * s.pad - kernel) / stride + 1;
    return s;
}

static inline void data_inputs(struct conv_u8_data *d, uint64_t seed, uint8_t zero_point)
{
    struct random_stream random = random_open(seed, RANDOM_TEST, 11, 0);
    const struct conv_shape *s = &d->s;
    d->x = bytes_new(d->x_size, 1);
    memset(d->x, zero_point, d->x_size);
    for (int image = 0; image < d->form.images; image++)
        for (int row = 0; row < s->h; row++) {
            uint8_t *to = d->x + (ptrdiff_t)d->x_first + layout_at(&d->x_at, image, row, 0);
            for (int i = 0; i < s->w * s->c; i++)
                to[i] = (uint8_t)random_below(&random, 1 + (uint32_t)form_high(&d->form));
        }
}

/* `share`: weights lie in [-127/share, 127/share]. */
static inline struct conv_u8_data data_new(struct conv_shape s, struct conv_u8_form form, uint64_t seed,
                                           uint8_t zero_point, int share)
{
    struct random_stream random = random_open(seed, RANDOM_TEST, 12, 0);
    struct conv_u8_data d = {.s = s, .form = form};
    d.x_at = layout_bordered(s.h, s.w, s.c, form.border_x, &d.x_first);
    d.y_at = layout_bordered(s.out_h, s.out_w, s.out + form.wider, form.border_y, &d.y_first);
    d.x_size = (size_t)form.images * d.x_at.image;
    d.y_size = (size_t)form.images * d.y_at.image;
    data_inputs(&d, seed, zero_point);
    d.residual = codes_new(d.y_size, seed + 1);
    d.w = weights_new(weights_of(&s), seed + 2);
    for (size_t i = 0; i < weights_of(&s); i++)
        d.w[i] = (int8_t)(d.w[i] / share);
    d.bias = bytes_new((size_t)s.out, sizeof *d.bias);
    d.multiplier = bytes_new((size_t)s.out, sizeof *d.multiplier);
    for (int k = 0; k < s.out; k++) {
        d.bias[k] = (int32_t)random_below(&random, 20001) - 10000;
        d.multiplier[k] =
            (float)((0.5 + random_uniform(&random)) * share / (70 * sqrt((double)(s.c * s.kernel * s.kernel))));
    }
    d.requantize = (struct requantize){.multiplier = d.multiplier,
                                       .bias = d.bias,
                                       .residual_multiplier = 0.37f,
                                       .zero_point_x = zero_point,
                                       .zero_point_y = (uint8_t)(255 - zero_point / 2),
                                       .residual_zero_point = (uint8_t)(zero_point ^ 77),
                                       .low = 0,
                                       .high = 255};
    return d;
}

static inline void data_free(struct conv_u8_data *d)
{
    memory_free(d->x), memory_free(d->residual), memory_free(d->w), memory_free(d->bias),
        memory_free(d->multiplier);
}

static inline struct conv_u8_result result_of(const struct conv_u8_data *d)
{
    struct conv_u8_result r = {bytes_new(d->y_size, 1), bytes_new(d->y_size, sizeof(float)),
                               bytes_new(d->y_size, sizeof(float))};
    memset(r.y, 0xA5, d->y_size);
    memset(r.before, 0xA5, d->y_size * sizeof(float));
    memset(r.logits, 0xA5, d->y_size * sizeof(float));
    return r;
}

static inline void result_release(struct conv_u8_result *r)
{
    memory_free(r->y), memory_free(r->before), memory_free(r->logits);
}

static inline struct conv_u8_result data_run(const struct conv_u8_kernel *kernel, const struct conv_u8_data *d)
{
    const struct conv_u8_form *f = &d->form;
    struct conv_u8_result r = result_of(d);
    struct conv_shape part = d->s, before = d->s;
    part.out -= f->first;
    before.out = f->first;
    char *packed = bytes_new(kernel->packed_bytes(&d->s), 1), *scratch = bytes_new(kernel->scratch_bytes(&part), 1);
    kernel->pack(&d->s, d->w, d->requantize.zero_point_x, form_high(f), packed);
    struct requantize requantize = d->requantize;
    requantize.bias += f->first;
    requantize.multiplier += f->first;
    size_t at = d->y_first + (size_t)f->first;
    struct conv_u8_call call = {.images = f->images,
                                .x = d->x + d->x_first,
                                .x_at = d->x_at,
                                .packed = f->first ? packed + kernel->packed_bytes(&before) : packed,
                                .requantize = &requantize,
                                .residual = f->residual ? d->residual + at : NULL,
                                .residual_at = d->y_at,
                                .y = f->no_y ? NULL : r.y + at,
                                .y_at = d->y_at,
                                .before = f->before ? r.before + at : NULL,
                                .before_at = d->y_at,
                                .logits = f->logits ? r.logits + at : NULL,
                                .logits_at = d->y_at,
                                .row_begin = f->row_begin,
                                .row_end = d->s.out_h};
    kernel->run(&part, &call, scratch);
    if (f->row_begin > 0) {
        call.row_begin = 0;
        call.row_end = f->row_begin;
        kernel->run(&part, &call, scratch);
    }
    memory_free(packed), memory_free(scratch);
    return r;
}

static inline int results_same(const struct conv_u8_data *d, const struct conv_u8_result *a,
                               const struct conv_u8_result *b)
{
    return memcmp(a->y, b->y, d->y_size) == 0 && memcmp(a->before, b->before, d->y_size * sizeof(float)) == 0 &&
           memcmp(a->logits, b->logits, d->y_size * sizeof(float)) == 0;
}

/* What ref gives. A range of outputs that starts elsewhere than 0 is computed from weights of its own. */
static inline struct conv_u8_result data_expected(const struct conv_u8_data *d)
{
    struct conv_u8_data own = *d;
    own.s.out -= d->form.first;
    own.form.first = 0;
    own.w += (size_t)d->form.first * weights_of(&d->s) / (size_t)d->s.out;
    own.y_first += (size_t)d->form.first;
    own.requantize.bias += d->form.first;
    own.requantize.multiplier += d->form.first;
    return data_run(&table_of("ref")->conv_u8, &own);
}

static inline void same_as(const char *isa, const struct conv_u8_kernel *kernel, const struct conv_u8_data *d,
                           const struct conv_u8_result *want)
{
    struct conv_u8_result got = data_run(kernel, d);
    if (!results_same(d, want, &got)) {
        const struct conv_u8_form *f = &d->form;
        shape_print(isa, &d->s);
        print_error("%d images, borders %d and %d, wider by %d, rows from %d, outputs from %d, zero point %d\n",
                    f->images, f->border_x, f->border_y, f->wider, f->row_begin, f->first,
                    d->requantize.zero_point_x);
        fail();
    }
    result_release(&got);
}

#endif
