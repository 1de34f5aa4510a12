/* growth.h: a run whose first epochs see their pictures smaller, at a fraction of the work: features are learned on
 * few pixels first, and the last epochs, at the pictures' own size, bring the rest (Howard 2018, "Training Imagenet
 * in 3 hours", progressive resizing; Touvron et al. 2019, arXiv:1906.06423, on why the last ones are needed).
 * Networks that take pictures of any size, by averaging over the last map, have the same parameters at all of them. */
#ifndef RESQ_TRAIN_GROWTH_H
#define RESQ_TRAIN_GROWTH_H

#include "base/text.h"
#include "base/threads.h"
#include "data/image.h"
#include <stdint.h>

enum { GROWTH_MAX_STAGES = 8 };

struct growth_stage {
    int height, width; /* IMAGE_LEAST_SIDE..IMAGE_MOST_SIDE */
    int64_t until;     /* percents of the run's epochs, those of the stages before among them: 1..99 */
};

/* All-zero: every epoch sees them whole. */
struct growth {
    int count;
    struct growth_stage stages[GROWTH_MAX_STAGES];
};

/* "16:45,20x24:33": 45 percent of the epochs at 16x16, then 33 at 20x24, whole epochs of both rounded down, all
 * others whole: at least the last. STATUS_RANGE: it says something else. */
int growth_parse(const char *text, struct growth *g, struct message *m) RESQ_USE_RESULT;
/* The same text. */
int growth_print(const struct growth *g, struct text *t, struct message *m) RESQ_USE_RESULT;
/* STATUS_RANGE where a stage is not smaller than the pictures are. */
int growth_check(const struct growth *g, struct image_shape whole, struct message *m) RESQ_USE_RESULT;
/* The epochs before stage i of a run of so many; i == count: before those that see them whole. */
int64_t growth_begin(const struct growth *g, int i, int64_t epochs);
/* The shape in this epoch, 0-based, of so many. */
struct image_shape growth_shape(const struct growth *g, int64_t epoch, int64_t epochs, struct image_shape whole);
/* What the epochs before this one cost, in epochs at the whole size: their pixels. */
double growth_cost(const struct growth *g, int64_t epoch, int64_t epochs, struct image_shape whole);
/* Images u8 [count,H,W,C] of shape `from`, averaged over boxes to shape `to`, as `cifar-load --filter box` does it;
 * over the threads of pool (NULL: serial). */
int growth_shrink(struct threads *pool, const uint8_t *images, int count, struct image_shape from, uint8_t *out,
                  struct image_shape to, struct message *m) RESQ_USE_RESULT;

#endif
