#include "report/metrics.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

enum { CALIBRATION_BINS = 15 };

int argmax(const float *row, int classes)
{
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (row[c] > row[best])
            best = c;
    return best;
}

/* log(sum of exp(row)), shifted by the largest logit so that nothing overflows. */
static double log_sum_exp(const float *row, int classes)
{
    double largest = (double)row[argmax(row, classes)], sum = 0;
    for (int c = 0; c < classes; c++)
        sum += exp((double)row[c] - largest);
    return largest + log(sum);
}

double softmax_probability(const float *row, int classes, int c)
{
    return exp((double)row[c] - log_sum_exp(row, classes));
}

/* How many classes stand before `label` when ordered by logit, equal logits by class: 0 where it is predicted. */
static int label_rank(const float *row, int classes, int label)
{
    int rank = 0;
    for (int c = 0; c < classes; c++)
        rank += row[c] > row[label] || (c < label && row[c] >= row[label]);
    return rank;
}

/* Confidence in (0,1] cut into equal bins, each closed on the right (Guo et al. 2017). */
struct calibration {
    int64_t images[CALIBRATION_BINS], correct[CALIBRATION_BINS];
    double confidence[CALIBRATION_BINS];
};

static void calibration_add(struct calibration *k, double confidence, int is_correct)
{
    int bin = (int)ceil(confidence * CALIBRATION_BINS) - 1;
    bin = bin < 0 ? 0 : bin >= CALIBRATION_BINS ? CALIBRATION_BINS - 1 : bin;
    k->images[bin]++;
    k->correct[bin] += is_correct;
    k->confidence[bin] += confidence;
}

static double calibration_finish(const struct calibration *k, int64_t n)
{
    double sum = 0;
    for (int i = 0; i < CALIBRATION_BINS; i++)
        sum += fabs((double)k->correct[i] - k->confidence[i]);
    return sum / (double)n;
}

static int row_check(const float *row, int classes, int label, int64_t image, struct message *m)
{
    for (int c = 0; c < classes; c++)
        if (!isfinite(row[c]))
            return message_set(m, STATUS_RANGE, "logits: image %lld: class %d is not finite", (long long)image, c);
    if (label >= classes)
        return message_set(m, STATUS_RANGE, "labels: image %lld: label %d of %d classes", (long long)image, label,
                           classes);
    return 0;
}

int metrics_compute(struct metrics *out, const float *logits, const uint16_t *labels, int64_t n, int classes,
                    struct message *m)
{
    memset(out, 0, sizeof *out);
    if (n < 1 || classes < 1)
        return message_set(m, STATUS_FORMAT, "empty input: no predictions");
    struct confusion_cell *cells = memory_new_raw((size_t)n, sizeof *cells, m);
    if (!cells)
        return STATUS_NOMEM;
    struct calibration calibration = {0};
    double loss = 0;
    for (int64_t i = 0; i < n; i++) {
        const float *row = logits + i * classes;
        int status = row_check(row, classes, labels[i], i, m);
        if (status < 0) {
            memory_free(cells);
            return status;
        }
        int predicted = argmax(row, classes), is_correct = predicted == labels[i];
        double normaliser = log_sum_exp(row, classes);
        cells[i] = (struct confusion_cell){labels[i], predicted, 1};
        out->correct += is_correct;
        out->top2 += label_rank(row, classes, labels[i]) < 2;
        loss += normaliser - (double)row[labels[i]];
        calibration_add(&calibration, exp((double)row[predicted] - normaliser), is_correct);
    }
    out->images = n;
    out->classes = classes;
    out->loss = loss / (double)n;
    out->calibration_error = calibration_finish(&calibration, n);
    return metrics_set_confusion(out, cells, n, m);
}

static double share(int64_t part, int64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

struct class_metrics metrics_of_class(const struct metrics *x, int c)
{
    int64_t labelled = x->labelled[c], predicted = x->predicted[c], hits = metrics_confusion(x, c, c);
    return (struct class_metrics){.images = labelled,
                                  .predicted = predicted,
                                  .hits = hits,
                                  .precision = share(hits, predicted),
                                  .recall = share(hits, labelled),
                                  .f1 = share(2 * hits, labelled + predicted)};
}
