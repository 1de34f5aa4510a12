#include "ptq/gptq.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

#define DAMPING 0.01 /* of the mean of the diagonal, added to it */

int gram_open(struct gram *g, int inputs, struct message *m)
{
    size_t count;
    *g = (struct gram){.inputs = inputs};
    if (size_multiply((size_t)inputs, (size_t)inputs, &count))
        return message_set(m, STATUS_NOMEM, "memory exhausted: %d inputs are too many to be multiplied", inputs);
    g->sum = memory_new(count, sizeof *g->sum, m);
    return g->sum ? 0 : STATUS_NOMEM;
}

void gram_close(struct gram *g)
{
    memory_free(g->sum);
    g->sum = NULL;
}

/* ---- sums ---- */

struct adding {
    struct gram *g;
    const int16_t *values;
    int samples;
};

static int32_t dot_codes(const int16_t *a, const int16_t *b, int count)
{
    int32_t sum = 0;
    for (int i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

static void add_row(void *context, int i, int worker)
{
    const struct adding *a = context;
    int n = a->g->inputs;
    const int16_t *own = a->values + (size_t)i * (size_t)a->samples;
    (void)worker;
    for (int j = i; j < n; j++)
        a->g->sum[(size_t)i * (size_t)n + (size_t)j] +=
            dot_codes(own, a->values + (size_t)j * (size_t)a->samples, a->samples);
}

void gram_add(struct gram *g, const int16_t *values, int samples, struct threads *pool)
{
    struct adding a = {g, values, samples};
    threads_run(pool, add_row, &a, g->inputs);
}

/* ---- the factor ---- */

/* Eight sums side by side, then together: one order, in vectors. */
static double dot(const double *a, const double *b, size_t count)
{
    double lane[8] = {0}, rest = 0;
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++)
            lane[k] += a[i + (size_t)k] * b[i + (size_t)k];
    for (; i < count; i++)
        rest += a[i] * b[i];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7])) + rest;
}

/* H = R * R^T, R upper triangular, in H's place; from the last row up. 0 where H is not positive definite. */
static int factor(double *h, size_t n)
{
    for (size_t j = n; j-- > 0;) {
        double *own = h + j * n, rest = own[j] - dot(own + j + 1, own + j + 1, n - j - 1);
        if (!(rest > 0))
            return 0;
        own[j] = sqrt(rest);
        for (size_t i = 0; i < j; i++) {
            double *row = h + i * n;
            row[j] = (row[j] - dot(row + j + 1, own + j + 1, n - j - 1)) / own[j];
        }
    }
    return 1;
}

/* U = R^-1 in R's place: U^T * U = H^-1. row: room for n. */
static void invert(double *r, size_t n, double *row)
{
    for (size_t i = n; i-- > 0;) {
        double *own = r + i * n;
        memcpy(row + i, own + i, (n - i) * sizeof *row);
        memset(own + i, 0, (n - i) * sizeof *row);
        own[i] = 1;
        for (size_t k = i + 1; k < n; k++) {
            const double *below = r + k * n;
            for (size_t j = k; j < n; j++)
                own[j] -= row[k] * below[j];
        }
        for (size_t j = i; j < n; j++)
            own[j] /= row[i];
    }
}

/* ---- codes ---- */

struct rounding {
    const double *u;
    size_t inputs;
    const float *w, *scale;
    int qmax;
    int8_t *codes;
    double *work; /* [outputs, inputs] */
};

static void round_output(void *context, int output, int worker)
{
    const struct rounding *r = context;
    size_t n = r->inputs, at = (size_t)output * n;
    double *w = r->work + at, scale = (double)r->scale[output], top = (double)r->qmax;
    (void)worker;
    for (size_t k = 0; k < n; k++)
        w[k] = (double)r->w[at + k];
    for (size_t k = 0; k < n; k++) {
        const double *row = r->u + k * n;
        double code = fmin(fmax(rint(w[k] / scale), -top), top), error = (w[k] - scale * code) / row[k];
        r->codes[at + k] = (int8_t)code;
        for (size_t j = k + 1; j < n; j++)
            w[j] -= error * row[j];
    }
}

int gptq_codes(struct gram *g, const float *w, const float *scale, int outputs, int qmax, struct threads *pool,
               int8_t *codes, struct message *m)
{
    size_t n = (size_t)g->inputs;
    double mean = 0;
    for (size_t i = 0; i < n; i++)
        mean += g->sum[i * n + i] / (double)n;
    if (!(mean > 0))
        return 1;
    for (size_t i = 0; i < n; i++)
        g->sum[i * n + i] += DAMPING * mean;
    double *work = memory_new((size_t)outputs * n, sizeof *work, m);
    double *row = memory_new(n, sizeof *row, m);
    int status = work && row ? 0 : STATUS_NOMEM;
    if (status >= 0 && !factor(g->sum, n))
        status = 1;
    if (status == 0) {
        struct rounding r = {g->sum, n, w, scale, qmax, codes, work};
        invert(g->sum, n, row);
        threads_run(pool, round_output, &r, outputs);
    }
    memory_free(work);
    memory_free(row);
    return status;
}
