/* analyse_part.h: an analysis by some images of a stream as a record of kind `analysis` (FORMATS.md), and all parts of
 * a stream put together: to the last bit what one analysis by all its images gives, since values of images are added in
 * their order. */
#ifndef RESQ_PTQ_ANALYSE_PART_H
#define RESQ_PTQ_ANALYSE_PART_H

#include "ptq/analyse.h"
#include "record/record.h"

/* how: of an analysis by all images of a stream, [how->count] of `image` bytes at images and labels, which may be
 * moved about: becomes that of the part by images first .. first + judged - 1 (judged 0, or more than there are: all
 * from `first` on; first < how->count). Of the others the stream's first ones stay, by which all parts are matched
 * alike, and the first part measures noise. */
void analyse_part_choose(struct analyse_options *how, uint8_t *images, uint16_t *labels, size_t image,
                         int64_t first, int64_t judged);
/* Adds kind and tensors to record, copied. a: with its logits kept; labels [a->judged]; first: of its images in the
 * stream, total: images of that. Noise goes in where first is 0. */
int analysis_to_record(const struct analysis *a, const uint16_t *labels, int64_t first, int64_t total,
                       struct record *record, struct message *m) RESQ_USE_RESULT;

/* The parts, in any order, as the analysis by the whole stream: without logits, nodes and isa. names: of the parts, for
 * messages. STATUS_MISMATCH where they are of different runs (metadata and lineage, but for `images`), rows or streams,
 * or where images are missing or there twice. out is freed by analysis_free, after a failure too. */
int analysis_join(struct analysis *out, struct record *const *parts, const char *const *names, int count,
                  struct message *m) RESQ_USE_RESULT;

#endif
