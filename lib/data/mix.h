/* mix.h: images made of several, whose labels have shares (FORMATS.md, `labels2`, `share`):
 *   cutmix  a box of another image (Yun et al., "CutMix", 2019; its public code): share lambda uniform, the box
 *           sqrt(1 - lambda) of each side, its centre anywhere, clipped; the other label's share is the part that the
 *           clipped box is
 *   mixup   lambda of one and the rest of another (Zhang et al., "mixup", 2017), lambda from Beta(a, a), rounded to
 *           bytes
 *   ricap   four images' pieces around a point (Takahashi et al., "RICAP", 2018), the point by Beta(b, b) of each
 *           side, each piece cut from anywhere in its image; shares are the areas
 * Everything that an image gets is drawn by (seed, kind, epoch, its index) alone, among it how far back in the epoch's
 * order its partners stand: 0 to MIX_WINDOW - 1, or to the epoch's beginning; 0 is the image itself. So nothing
 * depends on batches or threads, and an epoch can begin anywhere that a stream can. Partners are taken as they came
 * in, unmixed. */
#ifndef RESQ_DATA_MIX_H
#define RESQ_DATA_MIX_H

#include "base/random.h"
#include "base/threads.h"
#include "data/batch.h"

enum { MIX_WINDOW = 128, MIX_MOST = 4 /* images in one */ };
enum mix_kind { MIX_NONE, MIX_CUTMIX, MIX_MIXUP, MIX_RICAP };

struct mix_options {
    enum mix_kind kind;
    double strength; /* cutmix: probability, 0..1; mixup, ricap: of Beta, above 0 */
    uint64_t seed;
};

struct mixer {
    struct mix_options options;
    struct image_shape shape;
    uint8_t *images;  /* the last ones, up to MIX_WINDOW - 1, then the batch's, as they came in; owned */
    uint16_t *labels; /* theirs; owned */
    int64_t kept, capacity;
};

/* What one image becomes of. */
struct mixture {
    int count;          /* 2, of ricap 4 */
    int back[MIX_MOST]; /* how far back each stands; the first is 0, the image itself */
    float share[MIX_MOST];
    int box[4];            /* cutmix: left, top, right, bottom of what is the other's */
    double lambda;         /* mixup: the first's part */
    int point[2];          /* ricap: column and row where the four meet */
    int from[MIX_MOST][2]; /* ricap: column and row in each image where its piece begins */
};

/* All-zero but options; images and labels are freed by mixer_close. */
void mixer_close(struct mixer *x);
/* Every image of the batch, in place, over the threads of pool (NULL: serial), and the batch's labels2 and share.
 * Batches come in the stream's order. One whose images are mixed already is STATUS_MISMATCH. */
int mixer_batch(struct mixer *x, struct threads *pool, struct batch *b, struct message *m) RESQ_USE_RESULT;

/* What image `index`, at `position` of its epoch, gets. */
void mixture_draw(const struct mix_options *o, struct image_shape s, uint32_t epoch, uint64_t index,
                  int64_t position, struct mixture *mixture);
/* sources [count]: images of shape s; out: none of them. */
void mixture_make(const struct mix_options *o, struct image_shape s, const struct mixture *mixture,
                  const uint8_t *const *sources, uint8_t *out);

/* The parts, with given draws. */
void cutmix_cut(struct image_shape s, double lambda, int column, int row, struct mixture *mixture);
void mixup_cut(double lambda, struct mixture *mixture);
/* horizontal, vertical: where the pieces meet, as parts of the sides; from: each piece's place is yet to be drawn. */
void ricap_cut(struct image_shape s, double horizontal, double vertical, struct mixture *mixture);
/* Columns and rows of piece k of four. */
void ricap_piece(struct image_shape s, const int point[2], int k, int size[2]);

#endif
