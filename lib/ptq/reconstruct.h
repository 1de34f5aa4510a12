/* reconstruct.h: an integer network's codes learned from images, without labels: block by block, each weight is
 * rounded up or down such that the block, reading what the quantized network before it gives, gives what the float
 * network's block gives (AdaRound, BRECQ, QDrop: quant/rounding.h, ptq/unit.h and ptq/unit_pass.h have the rules,
 * lib/quant/QUANT.md the formulas), and with them the scales of activations that have fewer than 8 bits. */
#ifndef RESQ_PTQ_RECONSTRUCT_H
#define RESQ_PTQ_RECONSTRUCT_H

#include "graph/model.h"
#include "ptq/match.h"
#include "ranks/ranks.h"
#include <signal.h>
#include <stdint.h>

struct reconstruct_options {
    const uint8_t *images; /* [count,H,W,C] as the network reads them; the caller's */
    int64_t count;
    int64_t steps; /* for each block, >= 1 */
    int batch;     /* images a step */
    uint64_t seed;
    double rate;           /* of learning, at the first step; it falls to 0 by a cosine */
    double scale_rate;     /* of learning the logarithms of scales of activations below 8 bits, likewise; 0: not */
    double drop;           /* 0..1: share of elements that are left unrounded, in parts of 256 */
    double penalty;        /* lambda of quant/rounding.h */
    int single;            /* every layer by itself */
    enum match_mode match; /* of each layer before and after it is learned, over the first match_count images */
    int64_t match_count;
    int per_tensor;
    int threads;
    /* The processes that share each step's images (exec/train/reduce.h) and do all else alike; NULL: this one alone.
     * The first saves the checkpoint, which all read. */
    const struct ranks *ranks;
    const char *isa;                 /* of the learning: see kernel_table_get */
    const char *checkpoint, *recipe; /* file, NULL: none; what fixes the result: record/recipe.h */
    int64_t checkpoint_every;        /* steps; before each block always */
    int resume;
    const volatile sig_atomic_t
        *stop;           /* set by a signal handler: save and return STATUS_INTERRUPTED. NULL: never */
    void (*ready)(void); /* called once there is something to save. May be NULL */
    /* Both may be NULL. done: steps of all blocks so far, of `steps`. line: what was done, for -v. */
    void (*progress)(void *context, int64_t done, int64_t steps, const char *unit);
    void (*say)(void *context, const char *line);
    void *context;
};

/* int8: what a lowering made of fused, changed in place: codes, scales of both kinds, biases and bounds. The same
 * bytes for any threads and ranks, stopped and resumed wherever; floats are those of the instruction set. STATUS_NOMEM
 * before anything is learned where the machine has not the memory. */
int ptq_reconstruct(struct model *int8, const struct model *fused, const struct reconstruct_options *o,
                    struct message *m) RESQ_USE_RESULT;

#endif
