#include "train/loss.h"
#include <math.h>
#include <stddef.h>

/* What one row needs twice. */
struct row {
    double maximum, log_sum; /* log p[k] = logit[k] - maximum - log_sum */
    int best;
};

static struct row row_read(const float *logits, int classes)
{
    struct row r = {.maximum = logits[0]};
    for (int k = 1; k < classes; k++) {
        if (logits[k] > logits[r.best])
            r.best = k;
    }
    r.maximum = logits[r.best];
    double sum = 0;
    for (int k = 0; k < classes; k++)
        sum += exp((double)logits[k] - r.maximum);
    r.log_sum = log(sum);
    return r;
}

static double row_loss(const struct row *r, const float *logits, int classes, int label, double smoothing)
{
    double loss = -(1 - smoothing) * ((double)logits[label] - r->maximum - r->log_sum);
    if (smoothing > 0) {
        double all = 0;
        for (int k = 0; k < classes; k++)
            all += (double)logits[k] - r->maximum - r->log_sum;
        loss -= smoothing / classes * all;
    }
    return loss;
}

static void row_gradient(const struct row *r, const float *logits, int classes, int label, double smoothing,
                         int64_t count, float *dlogits)
{
    for (int k = 0; k < classes; k++) {
        double p = exp((double)logits[k] - r->maximum - r->log_sum);
        double q = smoothing / classes + (k == label ? 1 - smoothing : 0);
        dlogits[k] = (float)((p - q) / (double)count);
    }
}

int loss_cross_entropy(const float *logits, const uint8_t *labels, int64_t count, int classes, double smoothing,
                       float *dlogits, struct loss_sums *sums, struct message *m)
{
    struct loss_sums new = *sums;
    for (int64_t n = 0; n < count; n++) {
        const float *row = logits + n * classes;
        struct row r = row_read(row, classes);
        double loss = row_loss(&r, row, classes, labels[n], smoothing);
        if (!isfinite(loss))
            return message_set(m, STATUS_RANGE, "loss is %s", isnan(loss) ? "nan" : "inf");
        new.loss += loss;
        new.correct += r.best == labels[n];
        if (dlogits)
            row_gradient(&r, row, classes, labels[n], smoothing, count, dlogits + n * classes);
    }
    new.images += count;
    *sums = new;
    return STATUS_OK;
}

double loss_mean(const struct loss_sums *sums)
{
    return sums->images ? sums->loss / (double)sums->images : 0;
}

double loss_accuracy(const struct loss_sums *sums)
{
    return sums->images ? 100.0 * (double)sums->correct / (double)sums->images : 0;
}
