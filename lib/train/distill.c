#include "train/distill.h"
#include <math.h>

/* log softmax(logits / T) at k is logits[k] / T - shift. */
static double softened_shift(const float *logits, int classes, double temperature)
{
    double most = (double)logits[0] / temperature, sum = 0;
    for (int k = 1; k < classes; k++)
        most = fmax(most, (double)logits[k] / temperature);
    for (int k = 0; k < classes; k++)
        sum += exp((double)logits[k] / temperature - most);
    return most + log(sum);
}

/* One row: its divergence; the gradient is mixed in. */
static double row_distill(const float *logits, const float *teacher, int classes, const struct distillation *how,
                          int64_t count, float *dlogits)
{
    const double t = how->temperature, own = softened_shift(logits, classes, t),
                 theirs = softened_shift(teacher, classes, t);
    double divergence = 0;
    for (int k = 0; k < classes; k++) {
        double log_p = (double)logits[k] / t - own, log_q = (double)teacher[k] / t - theirs, q = exp(log_q);
        divergence += q * (log_q - log_p);
        dlogits[k] =
            (float)((1 - how->share) * (double)dlogits[k] + how->share * t * (exp(log_p) - q) / (double)count);
    }
    return divergence;
}

int distill(const float *logits, const float *teacher, int64_t count, int classes, const struct distillation *how,
            double before, float *dlogits, struct loss_sums *sums, struct message *m)
{
    double divergence = 0;
    for (int64_t n = 0; n < count; n++)
        divergence +=
            row_distill(logits + n * classes, teacher + n * classes, classes, how, count, dlogits + n * classes);
    double loss = before + (1 - how->share) * (sums->loss - before) +
                  how->share * how->temperature * how->temperature * divergence;
    if (!isfinite(loss))
        return message_set(m, STATUS_RANGE, "loss is %s", isnan(loss) ? "nan" : "inf");
    sums->loss = loss;
    return STATUS_OK;
}
