/* Elementwise operations on floats of any type. */
#include "kernel/device/host/values.h"
#include "kernel/contract/shape.h"
#include <stdlib.h>
#include <string.h>

static enum device_type type_of(const struct host_call *c)
{
    return (enum device_type)c->i[0];
}

/* ---- normalize ---- */

static void run_normalize(struct device *d, const struct host_call *queued)
{
    const struct device_normalize_call *c = &queued->normalize;
    size_t count = c->rows * (size_t)c->c;
    float *y = host_new(count, sizeof *y);
    host_check(c->pixels, count, "pixels");
    d->kernels->elementwise.normalize(c->pixels, (int)c->rows, c->c, c->mean, c->std, y);
    host_narrow(y, c->type, c->y, count, "normalized");
}

static int normalize(struct device *d, const struct device_normalize_call *c, struct message *m)
{
    return HOST_QUEUE(d, "normalize", run_normalize, m, .normalize = *c);
}

/* ---- scale_shift ---- */

static void run_scale_shift(struct device *d, const struct host_call *queued)
{
    const struct device_scale_shift_call *c = &queued->scale_shift;
    size_t count = c->rows * (size_t)c->c;
    float *x = host_widen(c->x, c->type, count, "scale_shift x");
    float *other = c->other ? host_widen(c->other, c->type, count, "scale_shift other") : NULL;
    d->kernels->elementwise.scale_shift(
        &(struct scale_shift_call){x, (int)c->rows, c->c, c->scale, c->shift, other, c->relu, x});
    host_narrow(x, c->type, c->y, count, "scale_shift y");
    free(other);
}

static int scale_shift(struct device *d, const struct device_scale_shift_call *c, struct message *m)
{
    return HOST_QUEUE(d, "scale_shift", run_scale_shift, m, .scale_shift = *c);
}

/* ---- add; relu: p = {x, y}, backward: p = {y, dy, dx}, i = {type, count} ---- */

static void run_add(struct device *d, const struct host_call *queued)
{
    const struct device_add_call *c = &queued->add;
    float *a = host_widen(c->a, c->type, c->count, "add"), *b = host_widen(c->b, c->type, c->count, "add");
    d->kernels->elementwise.add(a, b, c->count, c->relu, a);
    host_narrow(a, c->type, c->y, c->count, "add");
    free(b);
}

static int add(struct device *d, const struct device_add_call *c, struct message *m)
{
    return HOST_QUEUE(d, "add", run_add, m, .add = *c);
}

static void run_relu(struct device *d, const struct host_call *c)
{
    size_t count = (size_t)c->i[1];
    float *x = host_widen(c->p[0], type_of(c), count, "relu");
    d->kernels->elementwise.relu(x, count, x);
    host_narrow(x, type_of(c), host_written(c->p[1]), count, "relu");
}

static int relu(struct device *d, enum device_type type, const void *x, size_t count, void *y, struct message *m)
{
    return HOST_QUEUE(d, "relu", run_relu, m, HOST_P(x, y), HOST_I(type, (int64_t)count));
}

static void run_relu_backward(struct device *d, const struct host_call *c)
{
    size_t count = (size_t)c->i[1];
    float *y = host_widen(c->p[0], type_of(c), count, "relu y");
    float *dy = host_widen(c->p[1], type_of(c), count, "relu dy");
    d->kernels->elementwise.relu_backward(y, dy, count, dy);
    host_narrow(dy, type_of(c), host_written(c->p[2]), count, "relu dx");
    free(y);
}

static int relu_backward(struct device *d, enum device_type type, const void *y, const void *dy, size_t count,
                         void *dx, struct message *m)
{
    return HOST_QUEUE(d, "relu_backward", run_relu_backward, m, HOST_P(y, dy, dx), HOST_I(type, (int64_t)count));
}

/* ---- pool: p = {x, y}, i = {type, n, pixels, c} ---- */

static void run_pool(struct device *d, const struct host_call *c)
{
    size_t n = (size_t)c->i[1], pixels = (size_t)c->i[2], channels = (size_t)c->i[3];
    float *x = host_widen(c->p[0], type_of(c), n * pixels * channels, "pool x");
    float *y = host_new(n * channels, sizeof *y);
    for (size_t i = 0; i < n; i++)
        d->kernels->elementwise.average_pool(x + i * pixels * channels, (int)pixels, (int)channels,
                                             y + i * channels);
    host_narrow(y, type_of(c), host_written(c->p[1]), n * channels, "pool y");
    free(x);
}

static int average_pool(struct device *d, const struct device_pool *p, const void *x, void *y, struct message *m)
{
    return HOST_QUEUE(d, "average_pool", run_pool, m, HOST_P(x, y), HOST_I(p->type, p->n, p->pixels, p->c));
}

static void run_pool_backward(struct device *d, const struct host_call *c)
{
    size_t n = (size_t)c->i[1], pixels = (size_t)c->i[2], channels = (size_t)c->i[3];
    float *dy = host_widen(c->p[0], type_of(c), n * channels, "pool dy"), share = 1.0f / (float)pixels;
    float *dx = host_new(n * pixels * channels, sizeof *dx), *to = dx;
    (void)d;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < pixels; k++)
            for (size_t j = 0; j < channels; j++)
                *to++ = dy[i * channels + j] * share;
    host_narrow(dx, type_of(c), host_written(c->p[1]), n * pixels * channels, "pool dx");
    free(dy);
}

static int average_pool_backward(struct device *d, const struct device_pool *p, const void *dy, void *dx,
                                 struct message *m)
{
    return HOST_QUEUE(d, "average_pool_backward", run_pool_backward, m, HOST_P(dy, dx),
                      HOST_I(p->type, p->n, p->pixels, p->c));
}

/* ---- bias gradient: p = {dy, db}, i = {type, rows, k}; cast: p = {from, to}, i = {from type, to type, count} ----
 */

static void run_bias_gradient(struct device *d, const struct host_call *c)
{
    size_t rows = (size_t)c->i[1], k = (size_t)c->i[2];
    float *dy = host_widen(c->p[0], type_of(c), rows * k, "bias dy"), *db = host_new(k, sizeof *db);
    (void)d;
    for (size_t j = 0; j < k; j++) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++)
            sum += (double)dy[i * k + j];
        db[j] = (float)sum;
    }
    host_narrow(db, DEVICE_F32, host_written(c->p[1]), k, "db");
    free(dy);
}

static int bias_gradient(struct device *d, enum device_type type, const void *dy, size_t rows, int k, float *db,
                         struct message *m)
{
    return HOST_QUEUE(d, "bias_gradient", run_bias_gradient, m, HOST_P(dy, db), HOST_I(type, (int64_t)rows, k));
}

static void run_cast(struct device *d, const struct host_call *c)
{
    size_t count = (size_t)c->i[2];
    (void)d;
    host_narrow(host_widen(c->p[0], type_of(c), count, "cast"), (enum device_type)c->i[1], host_written(c->p[1]),
                count, "cast");
}

static int cast(struct device *d, enum device_type from_type, const void *from, enum device_type to_type, void *to,
                size_t count, struct message *m)
{
    return HOST_QUEUE(d, "cast", run_cast, m, HOST_P(from, to), HOST_I(from_type, to_type, (int64_t)count));
}

void host_table_floats(struct device_backend *b)
{
    b->normalize = normalize;
    b->scale_shift = scale_shift;
    b->add = add;
    b->relu = relu;
    b->relu_backward = relu_backward;
    b->average_pool = average_pool;
    b->average_pool_backward = average_pool_backward;
    b->bias_gradient = bias_gradient;
    b->cast = cast;
}
