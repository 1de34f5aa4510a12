#include "train/loss.h"
#include "base/scalar.h"

/* Rows [first, first + count) of what targets says, of a mini-batch of `all` images;
 * logits and dlogits are those rows'. */
static struct loss_sums rows_add(const float *logits, const struct targets *targets, int64_t first, int64_t count,
                                 int64_t all, int classes, double smoothing, float *dlogits)
{
    struct loss_sums sums = {.images = count};
    for (int64_t n = 0; n < count; n++) {
        const float *row = logits + n * classes;
        const struct target target = target_of(targets, (size_t)(first + n));
        struct loss_row r = loss_row_of(row, classes);
        sums.loss += loss_row_value(&r, row, classes, &target, smoothing);
        sums.correct += r.best == target.best;
        for (int k = 0; dlogits && k < classes; k++)
            dlogits[n * classes + k] = loss_row_gradient(&r, row, classes, &target, k, smoothing, all, 1);
    }
    return sums;
}

static int sums_add(struct loss_sums *sums, const struct loss_sums *more, struct message *m)
{
    if (!isfinite(more->loss))
        return message_set(m, STATUS_RANGE, "loss is %s", isnan(more->loss) ? "nan" : "inf");
    sums->loss += more->loss;
    sums->images += more->images;
    sums->correct += more->correct;
    return STATUS_OK;
}

int loss_cross_entropy(const float *logits, const uint16_t *labels, int64_t count, int classes, double smoothing,
                       float *dlogits, struct loss_sums *sums, struct message *m)
{
    const struct targets targets = {.labels = labels};
    return loss_of_targets(logits, &targets, count, classes, smoothing, dlogits, sums, m);
}

int loss_of_targets(const float *logits, const struct targets *targets, int64_t count, int classes,
                    double smoothing, float *dlogits, struct loss_sums *sums, struct message *m)
{
    const struct loss_sums more = rows_add(logits, targets, 0, count, count, classes, smoothing, dlogits);
    return sums_add(sums, &more, m);
}

int loss_of_batch(struct reduce *r, const float *logits, const struct targets *targets, int classes,
                  double smoothing, float *dlogits, struct loss_sums *sums, struct message *m)
{
    enum { VALUES = 2 };
    double shards[TREE_SHARDS][VALUES];
    int count = 0;
    for (int at = 0; at < r->share.images; at += r->shard, count++) {
        size_t first = (size_t)at * (size_t)classes;
        int left = r->share.images - at;
        struct loss_sums s = rows_add(logits + first, targets, at, left < r->shard ? left : r->shard, r->images,
                                      classes, smoothing, dlogits + first);
        shards[count][0] = s.loss;
        shards[count][1] = (double)s.correct;
    }
    const struct parts parts = {shards[0], VALUES, count, 1};
    const double *all = reduce_sums(r, &parts, VALUES);
    TRY(reduce_end(r, m));
    return sums_add(sums, &(struct loss_sums){.loss = all[0], .images = r->images, .correct = (int64_t)all[1]}, m);
}

double loss_mean(const struct loss_sums *sums)
{
    return sums->images ? sums->loss / (double)sums->images : 0;
}

double loss_accuracy(const struct loss_sums *sums)
{
    return sums->images ? 100.0 * (double)sums->correct / (double)sums->images : 0;
}
