/* walk.h: a network run step by step over images that are kept between two steps. Private to lib/ptq. */
#ifndef RESQ_PTQ_WALK_H
#define RESQ_PTQ_WALK_H

#include "exec/infer/exec.h"

struct walk {
    struct exec *exec; /* keeps its activations; owned */
    const struct model *model;
    const uint8_t *cut; /* `count` cuts before `step` (exec_run_part): the images at first */
    uint8_t *owned;
    int64_t count;
    int step;
};

/* images [count,H,W,C] and model are the caller's, and outlive the walk. walk_close after a failure too. */
int walk_open(struct walk *w, const struct model *model, const uint8_t *images, int64_t count, int threads,
              struct message *m) RESQ_USE_RESULT;
/* On to before `step`, which is not behind. */
int walk_to(struct walk *w, int step, struct message *m) RESQ_USE_RESULT;
void walk_close(struct walk *w);

/* The node that holds as codes, or computes, what node i of the fused graph does. */
int walk_node(const struct model *int8, const struct model *fused, int i);
/* Whether node `layer` of int8 is a layer of codes that reads those of node i, or what repeats its map. */
int walk_reads(const struct model *int8, int layer, int i);

/* The most bytes that a walk over so many images holds at once. */
size_t walk_bytes(const struct exec *e, int64_t count);

/* Signal and noise of what node `got_node` of got gives against node `want_node` of want, which is float: both stand
 * behind the step that computes it (or at their ends). got may have seen more images. */
struct noise {
    double signal, noise;
};
struct noise walk_noise(const struct walk *want, int want_node, const struct walk *got, int got_node);
/* In dB; infinite without noise, NaN without a signal. */
double noise_sqnr(struct noise n);

#endif
