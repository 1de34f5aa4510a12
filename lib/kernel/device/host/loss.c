/* Loss, loss scaling, optimizer and averages. */
#include "kernel/contract/arithmetic.h"
#include "kernel/device/host/values.h"
#include "kernel/contract/number.h"
#include <stdlib.h>

/* ---- loss ---- */

static void run_loss(struct device *d, const struct host_call *queued)
{
    const struct device_loss_call *c = &queued->loss;
    int n = c->n, k = c->k;
    size_t count = (size_t)n * (size_t)k;
    const struct targets *targets = &c->targets;
    const size_t more = (size_t)n * (size_t)targets->more;
    struct device_report *report = c->report;
    float *logits = host_widen(c->logits, DEVICE_F32, count, "logits");
    float *gradient = host_new(count, sizeof *gradient), factor = c->scale ? c->scale->scale : 1;
    (void)d;
    host_check(targets->labels, (size_t)n * sizeof *targets->labels, "labels");
    if (more) {
        host_check(targets->labels2, more * sizeof *targets->labels2, "further labels");
        host_check(targets->share, more * sizeof *targets->share, "shares");
    }
    host_check(report, sizeof *report, "report");
    report->loss = 0;
    report->correct = 0;
    report->images = n;
    for (int i = 0; i < n; i++) {
        const float *row = logits + (size_t)i * (size_t)k;
        const struct target target = target_of(targets, (size_t)i);
        struct loss_row r = loss_row_of(row, k);
        report->loss += loss_row_value(&r, row, k, &target, c->smoothing);
        report->correct += r.best == target.best;
        for (int j = 0; j < k; j++)
            gradient[i * k + j] =
                loss_row_gradient(&r, row, k, &target, j, c->smoothing, c->of ? c->of : n, factor);
    }
    host_narrow(gradient, c->type, c->dlogits, count, "dlogits");
    free(logits);
}

static int loss(struct device *d, const struct device_loss_call *c, struct message *m)
{
    return HOST_QUEUE(d, "loss", run_loss, m, .loss = *c);
}

/* ---- loss scaling: p = {gradients, scale}, i = {count} ---- */

static void run_scale_check(struct device *d, const struct host_call *c)
{
    const float *g = c->p[0];
    struct device_scale *scale = host_written(c->p[1]);
    (void)d;
    host_check(g, (size_t)c->i[0] * sizeof *g, "gradients");
    host_check(scale, sizeof *scale, "scale");
    scale->overflow = 0;
    for (int64_t i = 0; i < c->i[0]; i++)
        scale->overflow |= !(g[i] - g[i] == 0);
    if (host_control.overflows > 0) {
        host_control.overflows--;
        scale->overflow = 1;
    }
}

static int scale_check(struct device *d, const float *gradients, size_t count, struct device_scale *scale,
                       struct message *m)
{
    return HOST_QUEUE(d, "scale_check", run_scale_check, m, HOST_P(gradients, scale), HOST_I((int64_t)count));
}

static void run_scale_update(struct device *d, const struct host_call *c)
{
    (void)d;
    host_check(c->p[0], sizeof(struct device_scale), "scale");
    scale_update_value(host_written(c->p[0]));
}

static int scale_update(struct device *d, struct device_scale *scale, struct message *m)
{
    return HOST_QUEUE(d, "scale_update", run_scale_update, m, HOST_P(scale));
}

/* ---- optimizer and averages ---- */

static void store_copy(const struct device_sgd *s, size_t i, float w)
{
    if (s->copy_type == DEVICE_F16)
        ((struct half16 *)s->copy)[i] = half_round(w);
    else if (s->copy_type == DEVICE_BF16)
        ((struct brain16 *)s->copy)[i] = brain_round(w);
    else
        ((float *)s->copy)[i] = w;
}

static void check_sgd(const struct device_sgd *s)
{
    size_t bytes = s->count * sizeof(float);
    host_check(s->parameters, bytes, "parameters");
    host_check(s->velocity, bytes, "velocity");
    host_check(s->gradients, bytes, "gradients");
    host_check(s->flags, s->count / DEVICE_FLAG_FLOATS, "flags");
    host_check(s->scalars, sizeof *s->scalars, "scalars");
    if (s->average)
        host_check(s->average, bytes, "average");
    if (s->copy)
        host_check(s->copy, s->count * host_type_bytes(s->copy_type), "copy");
}

static void run_sgd(struct device *d, const struct host_call *c)
{
    const struct device_sgd *s = &c->sgd;
    const float own = s->nesterov ? 1 : 0, along = s->nesterov ? s->momentum : 1;
    (void)d;
    check_sgd(s);
    if (s->scale && s->scale->overflow)
        return;
    for (size_t i = 0; i < s->count; i++) {
        uint8_t flag = s->flags[i / DEVICE_FLAG_FLOATS];
        float gradient = s->scale ? s->gradients[i] / s->scale->scale : s->gradients[i];
        float w =
            sgd_value(s->parameters[i], &s->velocity[i], gradient, flag & DEVICE_FLAG_DECAY ? s->weight_decay : 0,
                      s->momentum, flag & DEVICE_FLAG_BIAS ? s->scalars->bias_rate : s->scalars->rate, own, along);
        s->parameters[i] = w;
        if (s->average)
            s->average[i] += s->scalars->share * (w - s->average[i]);
        if (s->copy)
            store_copy(s, i, w);
    }
}

static int sgd(struct device *d, const struct device_sgd *s, struct message *m)
{
    return HOST_QUEUE(d, "sgd", run_sgd, m, .sgd = *s);
}

/* p = {average, values, scalars, scale}, i = {count} */
static void run_blend(struct device *d, const struct host_call *c)
{
    float *average = host_written(c->p[0]);
    const float *values = c->p[1];
    const struct device_scalars *scalars = c->p[2];
    const struct device_scale *scale = c->p[3];
    (void)d;
    host_check(average, (size_t)c->i[0] * sizeof *average, "average");
    host_check(values, (size_t)c->i[0] * sizeof *values, "values");
    for (int64_t i = 0; i < c->i[0] && !(scale && scale->overflow); i++)
        average[i] += scalars->share * (values[i] - average[i]);
}

static int blend(struct device *d, float *average, const float *values, size_t count,
                 const struct device_scalars *scalars, const struct device_scale *scale, struct message *m)
{
    return HOST_QUEUE(d, "blend", run_blend, m, HOST_P(average, values, scalars, scale), HOST_I((int64_t)count));
}

void host_table_loss(struct device_backend *b)
{
    b->loss = loss;
    b->scale_check = scale_check;
    b->scale_update = scale_update;
    b->sgd = sgd;
    b->blend = blend;
}
