/* Batch norm in training, in double. */
#include "base/memory.h"
#include "base/tree.h"
#include "kernel/device/host/values.h"
#include "kernel/contract/shape.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- shards of a mini-batch ---- */

static size_t shard_rows(const struct device_norm *n)
{
    return (size_t)n->n * (size_t)n->h * (size_t)n->w;
}

static void run_sums(struct device *d, const struct host_call *queued)
{
    const struct device_norm *n = &queued->shard.norm;
    size_t rows = shard_rows(n), c = (size_t)n->c;
    float *x = host_widen(queued->shard.x, n->type, rows * c, "norm x");
    double *sums = queued->shard.sums;
    (void)d;
    host_check(sums, 2 * c * sizeof *sums, "norm sums");
    memset(sums, 0, 2 * c * sizeof *sums);
    for (size_t i = 0; i < rows * c; i++) {
        double v = (double)x[i];
        sums[2 * (i % c)] += v;
        sums[2 * (i % c) + 1] += v * v;
    }
    free(x);
}

static int norm_sums(struct device *d, const struct device_norm *n, const void *x, double *sums, struct message *m)
{
    return HOST_QUEUE(d, "norm_sums", run_sums, m, .shard = {.norm = *n, .x = x, .sums = sums});
}

/* p = {rows, sums}, i = {shards, values} */
static void run_tree_sums(struct device *d, const struct host_call *queued)
{
    const double *rows = queued->p[0];
    double *sums = host_written(queued->p[1]);
    size_t shards = (size_t)queued->i[0], values = (size_t)queued->i[1];
    double *all = host_new(shards * values, sizeof *all);
    (void)d;
    host_check(rows, shards * values * sizeof *rows, "rows of shards");
    host_check(sums, values * sizeof *sums, "sums of shards");
    memcpy(all, rows, shards * values * sizeof *all);
    for (size_t step = 1; step < shards; step *= 2)
        for (size_t i = 0; i + step < shards; i += 2 * step)
            tree_add_doubles(all + i * values, all + (i + step) * values, values);
    memcpy(sums, all, values * sizeof *sums);
    free(all);
}

static int tree_sums(struct device *d, const double *rows, int shards, int values, double *sums, struct message *m)
{
    return HOST_QUEUE(d, "tree_sums", run_tree_sums, m, HOST_P(rows, sums), HOST_I(shards, values));
}

static void run_statistics(struct device *d, const struct host_call *queued)
{
    const struct device_norm_statistics_call *call = &queued->statistics;
    const float *parameters[] = {call->gamma,      call->beta,          call->running_mean, call->running_variance,
                                 call->saved_mean, call->saved_inv_std, call->scale,        call->shift};
    double rows = call->rows, momentum = call->momentum;
    (void)d;
    host_check(call->sums, 2 * (size_t)call->c * sizeof(double), "norm sums");
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        host_check(parameters[i], (size_t)call->c * sizeof(float), "norm parameters");
    for (int i = 0; i < call->c; i++) {
        double mean = call->sums[2 * i] / rows, variance = fmax(call->sums[2 * i + 1] / rows - mean * mean, 0);
        double unbiased = rows > 1 ? variance * rows / (rows - 1) : variance;
        double inv_std = 1 / sqrt(variance + call->eps), scale = (double)call->gamma[i] * inv_std;
        call->saved_mean[i] = (float)mean;
        call->saved_inv_std[i] = (float)inv_std;
        call->scale[i] = (float)scale;
        call->shift[i] = (float)((double)call->beta[i] - mean * scale);
        call->running_mean[i] = (float)((1 - momentum) * (double)call->running_mean[i] + momentum * mean);
        call->running_variance[i] =
            (float)((1 - momentum) * (double)call->running_variance[i] + momentum * unbiased);
    }
}

static int norm_statistics(struct device *d, const struct device_norm_statistics_call *call, struct message *m)
{
    return HOST_QUEUE(d, "norm_statistics", run_statistics, m, .statistics = *call);
}

/* dy where the relu let it pass. */
static float *passed_gradient(const struct device_norm *n, const struct device_norm_backward_call *call)
{
    size_t count = shard_rows(n) * (size_t)n->c;
    float *dy = host_widen(call->dy, n->type, count, "norm dy");
    if (!n->relu)
        return dy;
    float *y = host_widen(call->y, n->type, count, "norm y");
    for (size_t i = 0; i < count; i++)
        dy[i] = y[i] > 0 ? dy[i] : 0;
    free(y);
    return dy;
}

static void run_backward_sums(struct device *d, const struct host_call *queued)
{
    const struct device_norm *n = &queued->shard.norm;
    const struct device_norm_backward_call *call = &queued->shard.backward;
    size_t c = (size_t)n->c, count = shard_rows(n) * c;
    double *sums = queued->shard.sums;
    float *x = host_widen(call->x, n->type, count, "norm x"), *dy = passed_gradient(n, call);
    (void)d;
    host_check(sums, 2 * c * sizeof *sums, "norm sums");
    host_check(call->dgamma, c * sizeof(float), "dgamma");
    host_check(call->dbeta, c * sizeof(float), "dbeta");
    memset(sums, 0, 2 * c * sizeof *sums);
    for (size_t i = 0; i < count; i++) {
        size_t at = i % c;
        sums[2 * at] += (double)dy[i];
        sums[2 * at + 1] +=
            (double)dy[i] * ((double)x[i] - (double)call->saved_mean[at]) * (double)call->saved_inv_std[at];
    }
    for (size_t i = 0; i < c; i++) {
        call->dbeta[i] = (float)sums[2 * i];
        call->dgamma[i] = (float)sums[2 * i + 1];
    }
    free(x);
    if (call->d_other)
        host_narrow(dy, n->type, call->d_other, count, "norm d_other");
    else
        free(dy);
}

static int norm_backward_sums(struct device *d, const struct device_norm *n,
                              const struct device_norm_backward_call *call, double *sums, struct message *m)
{
    return HOST_QUEUE(d, "norm_backward_sums", run_backward_sums, m,
                      .shard = {.norm = *n, .backward = *call, .sums = sums});
}

static void run_backward_apply(struct device *d, const struct host_call *queued)
{
    const struct device_norm *n = &queued->shard.norm;
    const struct device_norm_backward_call *call = &queued->shard.backward;
    size_t c = (size_t)n->c, count = shard_rows(n) * c;
    const double *sums = queued->shard.sums, rows = queued->shard.rows;
    float *x = host_widen(call->x, n->type, count, "norm x"), *dy = passed_gradient(n, call);
    float *dx = host_new(count, sizeof *dx);
    (void)d;
    host_check(sums, 2 * c * sizeof *sums, "norm sums");
    for (size_t i = 0; i < count; i++) {
        size_t at = i % c;
        double inv_std = (double)call->saved_inv_std[at];
        double xhat = ((double)x[i] - (double)call->saved_mean[at]) * inv_std;
        dx[i] = (float)((double)call->gamma[at] * inv_std *
                        ((double)dy[i] - sums[2 * at] / rows - xhat * sums[2 * at + 1] / rows));
    }
    host_narrow(dx, n->type, call->dx, count, "norm dx");
    free(x);
    free(dy);
}

static int norm_backward_apply(struct device *d, const struct device_norm *n,
                               const struct device_norm_backward_call *call, const double *sums, double rows,
                               struct message *m)
{
    return HOST_QUEUE(d, "norm_backward_apply", run_backward_apply, m,
                      .shard = {.norm = *n, .backward = *call, .sums = (double *)host_written(sums), .rows = rows});
}

void host_table_norm(struct device_backend *b)
{
    b->norm_plan = norm_plan;
    b->norm_forward = norm_forward;
    b->norm_backward = norm_backward;
    b->norm_sums = norm_sums;
    b->tree_sums = tree_sums;
    b->norm_statistics = norm_statistics;
    b->norm_backward_sums = norm_backward_sums;
    b->norm_backward_apply = norm_backward_apply;
}
