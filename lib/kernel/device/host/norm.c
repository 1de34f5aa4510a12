/* Batch norm in training, in double. */
#include "base/memory.h"
#include "kernel/device/host/values.h"
#include "kernel/contract/shape.h"
#include <math.h>
#include <stdlib.h>

static size_t rows(const struct device_plan *p)
{
    return (size_t)p->norm.n * (size_t)p->norm.h * (size_t)p->norm.w;
}

static size_t elements(const struct device_plan *p)
{
    return rows(p) * (size_t)p->norm.c;
}

static int norm_plan(struct device *d, const struct device_norm *n, struct device_plan **out, struct message *m)
{
    (void)d;
    TRY(host_enter("norm_plan", m));
    struct device_plan *p = memory_new(1, sizeof *p, m);
    if (!p)
        return STATUS_NOMEM;
    host_record.plans++;
    host_record.plans_held++;
    p->is_norm = 1;
    p->norm = *n;
    p->workspace = 64 * (size_t)n->c;
    p->reserve = n->relu ? elements(p) : 0; /* which passed, a byte an element */
    *out = p;
    return 0;
}

/* ---- forward: p = {plan, x, other, gamma, beta, running mean, variance, saved mean, inv_std, y, reserve,
 * workspace} */

struct moments {
    double mean, variance;
};

static struct moments moments_of(const struct device_plan *p, const float *x, int c)
{
    size_t count = rows(p), stride = (size_t)p->norm.c;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i * stride + (size_t)c];
    double mean = sum / (double)count;
    for (size_t i = 0; i < count; i++) {
        double v = (double)x[i * stride + (size_t)c] - mean;
        squares += v * v;
    }
    return (struct moments){mean, squares / (double)count};
}

static void move_running(const struct device_plan *p, struct moments now, float *mean, float *variance)
{
    double count = (double)rows(p), momentum = p->norm.momentum;
    double unbiased = count > 1 ? now.variance * count / (count - 1) : now.variance;
    *mean = (float)((1 - momentum) * (double)*mean + momentum * now.mean);
    *variance = (float)((1 - momentum) * (double)*variance + momentum * unbiased);
}

static void forward_channel(const struct device_plan *p, const struct host_call *call, int c, const float *x,
                            const float *other, float *y)
{
    const float *gamma = call->p[3], *beta = call->p[4];
    float *mean = host_written(call->p[5]), *variance = host_written(call->p[6]);
    float *saved_mean = host_written(call->p[7]), *saved_inv_std = host_written(call->p[8]);
    unsigned char *passed = host_written(call->p[10]);
    struct moments now = moments_of(p, x, c);
    double inv_std = 1 / sqrt(now.variance + p->norm.eps), scale = (double)gamma[c] * inv_std;
    double shift = (double)beta[c] - now.mean * scale;
    move_running(p, now, &mean[c], &variance[c]);
    saved_mean[c] = (float)now.mean;
    saved_inv_std[c] = (float)inv_std;
    for (size_t i = 0; i < rows(p); i++) {
        size_t at = i * (size_t)p->norm.c + (size_t)c;
        float v = x[at] * (float)scale + (float)shift + (other ? other[at] : 0);
        y[at] = p->norm.relu ? relu_value(v) : v;
        if (p->norm.relu)
            passed[at] = y[at] > 0;
    }
}

static void run_forward(struct device *d, const struct host_call *call)
{
    const struct device_plan *p = call->p[0];
    size_t count = elements(p), bytes = (size_t)p->norm.c * sizeof(float);
    float *x = host_widen(call->p[1], p->norm.type, count, "norm x");
    float *other = call->p[2] ? host_widen(call->p[2], p->norm.type, count, "norm other") : NULL;
    float *y = host_new(count, sizeof *y);
    (void)d;
    for (int i = 3; i < 9; i++)
        host_check(call->p[i], bytes, "norm parameters");
    host_check(call->p[10], p->reserve, "reserve");
    host_check(call->p[11], p->workspace, "workspace");
    for (int c = 0; c < p->norm.c; c++)
        forward_channel(p, call, c, x, other, y);
    host_narrow(y, p->norm.type, host_written(call->p[9]), count, "norm y");
    free(x);
    free(other);
}

static int norm_forward(struct device *d, struct device_plan *p, const void *x, const void *other,
                        const float *gamma, const float *beta, float *running_mean, float *running_variance,
                        float *saved_mean, float *saved_inv_std, void *y, void *reserve, void *workspace,
                        struct message *m)
{
    return HOST_QUEUE(d, "norm_forward", run_forward, m,
                      HOST_P(p, x, other, gamma, beta, running_mean, running_variance, saved_mean, saved_inv_std, y,
                             reserve, workspace));
}

/* ---- backward: p = {plan, x, y, dy, gamma, saved mean, inv_std, reserve, dx, d_other, dgamma, dbeta, workspace}
 */

static void backward_channel(const struct device_plan *p, const struct host_call *call, int c, const float *x,
                             const float *dy, float *dx)
{
    const float *gamma = call->p[4], *mean = call->p[5], *inv_std = call->p[6];
    float *dgamma = host_written(call->p[10]), *dbeta = host_written(call->p[11]);
    size_t stride = (size_t)p->norm.c;
    double sum = 0, sum_xhat = 0, count = (double)rows(p);
    for (size_t i = 0; i < rows(p); i++) {
        size_t at = i * stride + (size_t)c;
        sum += (double)dy[at];
        sum_xhat += (double)dy[at] * ((double)x[at] - (double)mean[c]) * (double)inv_std[c];
    }
    for (size_t i = 0; i < rows(p); i++) {
        size_t at = i * stride + (size_t)c;
        double xhat = ((double)x[at] - (double)mean[c]) * (double)inv_std[c];
        dx[at] = (float)((double)gamma[c] * (double)inv_std[c] *
                         ((double)dy[at] - sum / count - xhat * sum_xhat / count));
    }
    dgamma[c] = (float)sum_xhat;
    dbeta[c] = (float)sum;
}

static void run_backward(struct device *d, const struct host_call *call)
{
    const struct device_plan *p = call->p[0];
    size_t count = elements(p), bytes = (size_t)p->norm.c * sizeof(float);
    float *x = host_widen(call->p[1], p->norm.type, count, "norm x");
    float *dy = host_widen(call->p[3], p->norm.type, count, "norm dy");
    float *dx = host_new(count, sizeof *dx);
    const unsigned char *passed = call->p[7];
    (void)d;
    static const int parameters[] = {4, 5, 6, 10, 11};
    for (int i = 0; i < 5; i++)
        host_check(call->p[parameters[i]], bytes, "norm parameters");
    host_check(passed, p->reserve, "reserve");
    host_check(call->p[12], p->workspace, "workspace");
    for (size_t i = 0; p->norm.relu && i < count; i++)
        dy[i] = passed[i] ? dy[i] : 0;
    for (int c = 0; c < p->norm.c; c++)
        backward_channel(p, call, c, x, dy, dx);
    host_narrow(dx, p->norm.type, host_written(call->p[8]), count, "norm dx");
    if (call->p[9])
        host_narrow(dy, p->norm.type, host_written(call->p[9]), count, "norm d_other");
    else
        free(dy);
    free(x);
}

static int norm_backward(struct device *d, struct device_plan *p, const void *x, const void *y, const void *dy,
                         const float *gamma, const float *beta, const float *saved_mean, const float *saved_inv_std,
                         void *reserve, void *dx, void *d_other, float *dgamma, float *dbeta, void *workspace,
                         struct message *m)
{
    (void)beta;
    return HOST_QUEUE(
        d, "norm_backward", run_backward, m,
        HOST_P(p, x, y, dy, gamma, saved_mean, saved_inv_std, reserve, dx, d_other, dgamma, dbeta, workspace));
}

void host_table_norm(struct device_backend *b)
{
    b->norm_plan = norm_plan;
    b->norm_forward = norm_forward;
    b->norm_backward = norm_backward;
}
