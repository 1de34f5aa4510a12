/* taken_images.h: the first images of a stream of batches on standard input, for what a program measures a model on
 * before it writes one. Of the train split: never what is tested on. */
#ifndef RESQ_TOOLS_TAKEN_IMAGES_H
#define RESQ_TOOLS_TAKEN_IMAGES_H

#include "data/spread.h"
#include "graph/model.h"

/* All-zero is empty. */
struct taken_images {
    uint8_t *images;  /* [count,H,W,C] as the model takes them; owned */
    uint16_t *labels; /* [count]; owned */
    int64_t count;
    struct batch_reader reader; /* its first batch's metadata, for the lineage */
};

/* At most `most` images; the rest of the stream is read and left. STATUS_MISMATCH where they are of the test split,
 * of other data than the model's, or of another size than it takes. */
int images_take(struct taken_images *t, const struct model *model, int64_t most, struct message *m) RESQ_USE_RESULT;
/* What the first rank has taken, but for labels, becomes every rank's (image: bytes of one): there t is all-zero at
 * first. ranks NULL: nothing to do. */
int images_share(struct taken_images *t, const struct ranks *ranks, size_t image,
                 struct message *m) RESQ_USE_RESULT;
void taken_images_free(struct taken_images *t);

#endif
