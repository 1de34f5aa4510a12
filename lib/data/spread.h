/* spread.h: a stream of batches whose images several ranks (ranks/ranks.h) share: the first of them reads it and hands
 * each its part, a round at a time; what they make of their images comes back to it in the images' order. A process
 * alone has all of each batch.
 *
 * Ranks make these calls together. What fails on the first rank fails there alone: the others wait until it ends
 * them. */
#ifndef RESQ_DATA_SPREAD_H
#define RESQ_DATA_SPREAD_H

#include "data/batch.h"
#include "ranks/ranks.h"

/* Called on the first rank with each batch as it is read: how many of its images, from its first on, are to be worked
 * on (0: none), or a negative status. Messages should name the stream. */
typedef int64_t spread_visitor(void *context, const struct batch *b, struct message *m);

/* All-zero is closed. */
struct spread {
    const struct ranks *ranks;  /* NULL: one process */
    struct batch_reader reader; /* of the first rank: what the stream says of its data; elsewhere closed */
    size_t image;               /* bytes of one */
    int64_t most;               /* images of a round, all ranks together */
    spread_visitor *visit;
    void *context;
    struct batch batch;  /* at hand, of the first rank */
    int64_t at, visited; /* of its images: handed out, to be handed out */
    uint8_t *images;     /* of a round: all of them on the first rank, the own ones elsewhere */
};

struct round {
    int64_t count;      /* images of all ranks, at least 1 */
    int64_t first, own; /* the own ones: the first's number in the round, how many (there may be none) */
    uint8_t *images;    /* [own,H,W,C]; valid until the next call, and may be written to */
};

/* path: as batch_reader_open. image: bytes of one, H*W*C, which the visitor must hold the batches to; each: a rank's
 * images in a round, at most (fewer where a round would be very large). */
int spread_open(struct spread *s, const struct ranks *ranks, const char *path, size_t image, int each,
                spread_visitor *visit, void *context, struct message *m) RESQ_USE_RESULT;
/* 1: a round; 0: the stream was read to its end (see batch_reader_next). */
int spread_next(struct spread *s, struct round *r, struct message *m) RESQ_USE_RESULT;
/* `bytes` bytes of each own image come to the first rank's all [count of the round]. Elsewhere all is not heeded. */
int spread_collect(const struct spread *s, const struct round *r, const void *own, size_t bytes, void *all,
                   struct message *m) RESQ_USE_RESULT;
void spread_close(struct spread *s);

/* The first rank's metadata to all: elsewhere *stream, NULL at first, becomes a record of them, the caller's. */
int spread_metadata(const struct ranks *ranks, struct record **stream, struct message *m) RESQ_USE_RESULT;
/* Its `bytes` bytes at *data to all: elsewhere *data, NULL at first, becomes a block of them (memory_free). */
int spread_bytes(const struct ranks *ranks, void **data, size_t bytes, struct message *m) RESQ_USE_RESULT;

#endif
