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

/* ---- forward ---- */

static void check_parameters(const struct device_plan *p, const float *const *parameters, size_t count)
{
    for (size_t i = 0; i < count; i++)
        host_check(parameters[i], (size_t)p->norm.c * sizeof(float), "norm parameters");
}

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

static void forward_channel(const struct device_plan *p, const struct device_norm_call *call, int c, const float *x,
                            const float *other, float *y)
{
    unsigned char *passed = call->reserve;
    struct moments now = moments_of(p, x, c);
    double inv_std = 1 / sqrt(now.variance + p->norm.eps), scale = (double)call->gamma[c] * inv_std;
    double shift = (double)call->beta[c] - now.mean * scale;
    move_running(p, now, &call->running_mean[c], &call->running_variance[c]);
    call->saved_mean[c] = (float)now.mean;
    call->saved_inv_std[c] = (float)inv_std;
    for (size_t i = 0; i < rows(p); i++) {
        size_t at = i * (size_t)p->norm.c + (size_t)c;
        float v = x[at] * (float)scale + (float)shift + (other ? other[at] : 0);
        y[at] = p->norm.relu ? relu_value(v) : v;
        if (p->norm.relu)
            passed[at] = y[at] > 0;
    }
}

static void run_forward(struct device *d, const struct host_call *queued)
{
    const struct device_plan *p = queued->plan;
    const struct device_norm_call *call = &queued->norm;
    const float *parameters[] = {call->gamma,      call->beta,         call->running_mean, call->running_variance,
                                 call->saved_mean, call->saved_inv_std};
    size_t count = elements(p);
    float *x = host_widen(call->x, p->norm.type, count, "norm x");
    float *other = call->other ? host_widen(call->other, p->norm.type, count, "norm other") : NULL;
    float *y = host_new(count, sizeof *y);
    (void)d;
    check_parameters(p, parameters, sizeof parameters / sizeof *parameters);
    host_check(call->reserve, p->reserve, "reserve");
    host_check(call->workspace, p->workspace, "workspace");
    for (int c = 0; c < p->norm.c; c++)
        forward_channel(p, call, c, x, other, y);
    host_narrow(y, p->norm.type, call->y, count, "norm y");
    free(x);
    free(other);
}

static int norm_forward(struct device *d, struct device_plan *p, const struct device_norm_call *c,
                        struct message *m)
{
    return HOST_QUEUE(d, "norm_forward", run_forward, m, .plan = p, .norm = *c);
}

/* ---- backward ---- */

static void backward_channel(const struct device_plan *p, const struct device_norm_backward_call *call, int c,
                             const float *x, const float *dy, float *dx)
{
    const float *gamma = call->gamma, *mean = call->saved_mean, *inv_std = call->saved_inv_std;
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
    call->dgamma[c] = (float)sum_xhat;
    call->dbeta[c] = (float)sum;
}

static void run_backward(struct device *d, const struct host_call *queued)
{
    const struct device_plan *p = queued->plan;
    const struct device_norm_backward_call *call = &queued->norm_backward;
    const float *parameters[] = {call->gamma, call->saved_mean, call->saved_inv_std, call->dgamma, call->dbeta};
    size_t count = elements(p);
    float *x = host_widen(call->x, p->norm.type, count, "norm x");
    float *dy = host_widen(call->dy, p->norm.type, count, "norm dy");
    float *dx = host_new(count, sizeof *dx);
    const unsigned char *passed = call->reserve;
    (void)d;
    check_parameters(p, parameters, sizeof parameters / sizeof *parameters);
    host_check(passed, p->reserve, "reserve");
    host_check(call->workspace, p->workspace, "workspace");
    for (size_t i = 0; p->norm.relu && i < count; i++)
        dy[i] = passed[i] ? dy[i] : 0;
    for (int c = 0; c < p->norm.c; c++)
        backward_channel(p, call, c, x, dy, dx);
    host_narrow(dx, p->norm.type, call->dx, count, "norm dx");
    if (call->d_other)
        host_narrow(dy, p->norm.type, call->d_other, count, "norm d_other");
    else
        free(dy);
    free(x);
}

static int norm_backward(struct device *d, struct device_plan *p, const struct device_norm_backward_call *c,
                         struct message *m)
{
    return HOST_QUEUE(d, "norm_backward", run_backward, m, .plan = p, .norm_backward = *c);
}

void host_table_norm(struct device_backend *b)
{
    b->norm_plan = norm_plan;
    b->norm_forward = norm_forward;
    b->norm_backward = norm_backward;
}
