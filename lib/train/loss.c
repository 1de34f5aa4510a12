#include "train/loss.h"
#include "base/scalar.h"

int loss_cross_entropy(const float *logits, const uint16_t *labels, int64_t count, int classes, double smoothing,
                       float *dlogits, struct loss_sums *sums, struct message *m)
{
    const struct targets targets = {.labels = labels};
    return loss_of_targets(logits, &targets, count, classes, smoothing, dlogits, sums, m);
}

int loss_of_targets(const float *logits, const struct targets *targets, int64_t count, int classes,
                    double smoothing, float *dlogits, struct loss_sums *sums, struct message *m)
{
    struct loss_sums new = *sums;
    for (int64_t n = 0; n < count; n++) {
        const float *row = logits + n * classes;
        const struct target target = target_of(targets, (size_t)n);
        struct loss_row r = loss_row_of(row, classes);
        double loss = loss_row_value(&r, row, classes, &target, smoothing);
        if (!isfinite(loss))
            return message_set(m, STATUS_RANGE, "loss is %s", isnan(loss) ? "nan" : "inf");
        new.loss += loss;
        new.correct += r.best == target.best;
        for (int k = 0; dlogits && k < classes; k++)
            dlogits[n * classes + k] = loss_row_gradient(&r, row, classes, &target, k, smoothing, count, 1);
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
