/* histogram.h: an activation's distribution, counted in integers so that merging is exact in any order.
 * Bin j counts values x with floor(x / 2^k) = j - 1024; k is the smallest exponent for which everything seen has a
 * bin, and grows by merging pairs of bins (floor(floor(x/2^k)/2) = floor(x/2^(k+1))). */
#ifndef RESQ_QUANT_HISTOGRAM_H
#define RESQ_QUANT_HISTOGRAM_H

#include "base/status.h"
#include "graph/model.h"
#include "record/record.h"
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BINS = 2048, HISTOGRAM_MIN_EXPONENT = -40 };

struct histogram {
    uint64_t bins[HISTOGRAM_BINS];
    int exponent;
    float min, max; /* +inf, -inf while empty */
    uint64_t count;
};

void histogram_clear(struct histogram *h);
/* Adds values; NaN or Inf is STATUS_RANGE with the index, and h is then unspecified. */
int histogram_add(struct histogram *h, const float *values, size_t count, struct message *m) RESQ_USE_RESULT;
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The smallest exponent for which min and max (finite, min <= max) have bins. */
int histogram_exponent(float min, float max);
/* The bin of x, which must lie between h's min and max. */
int histogram_bin(const struct histogram *h, float x);

/* All activations of one calibration: names as in the graph. */
struct ranges {
    int count;
    char (*names)[64];
    struct histogram *histograms;
};

int ranges_new(struct ranges *r, int count, struct message *m) RESQ_USE_RESULT;
void ranges_free(struct ranges *r);
int ranges_find(const struct ranges *r, const char *name); /* index or -1 */
int ranges_to_record(const struct ranges *r, struct record *record, struct message *m) RESQ_USE_RESULT;
/* Counts, exponents and extremes are checked against each other: a file that passes cannot mislead an observer. */
int ranges_from_record(struct ranges *r, const struct record *record, struct message *m) RESQ_USE_RESULT;
/* Adds other's counts; the names must be the same, in the same order. */
int ranges_merge(struct ranges *into, const struct ranges *from, struct message *m) RESQ_USE_RESULT;

/* Several ranges records -> one: what a single calibration over all their images would have given, whatever their
 * order. Metadata but `images` (added) and `made-by` must agree: the first that differs is named. names: what to
 * call each in messages. `made-by` becomes the union: one block of lines for every distinct way that the inputs
 * were made, sorted; merging leaves no other trace. */
int ranges_join(struct record **out, struct record *const *records, const char *const *names, int count,
                struct message *m) RESQ_USE_RESULT;
/* STATUS_MISMATCH where the ranges record says that it was made with another model or graph. */
int ranges_match_model(const struct record *ranges, const struct model *model, struct message *m) RESQ_USE_RESULT;

#endif
