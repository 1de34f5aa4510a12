/* analyse.h: what few bits cost, layer by layer, measured: the network with one layer's weights, or what one node
 * gives, at fewer bits and all else at 8, against the float network over some images.
 * What stands before the change is computed once. */
#ifndef RESQ_PTQ_ANALYSE_H
#define RESQ_PTQ_ANALYSE_H

#include "pass/pass.h"
#include "ptq/match.h"
#include <stdint.h>

enum {
    ANALYSE_WIDTHS = 7,
    ANALYSE_SHOWN = 128 /* images, the first ones, by which noise in a layer's outputs is measured */
};

struct analyse_options {
    const struct lower_options
        *lower; /* bits and plan are not heeded; end_bits of the networks of which sqnr_accumulated is */
    const struct ranges *ranges;
    int widths[ANALYSE_WIDTHS], width_count; /* 2..8, none twice */
    const uint8_t *images;                   /* [count,H,W,C]; the caller's */
    const uint16_t *labels;                  /* [count] */
    int64_t count;
    /* Networks are judged by images first .. first + judged - 1 (judged 0: all from `first` on); the others are there
     * to be matched by, and noise to be measured by. */
    int64_t first, judged;
    int is_blind; /* no noise is measured: sqnr and sqnr_accumulated are NaN */
    int keep;     /* the logits of all networks, for analyse_part.h */
    /* What changes is matched to the float network over the first match_count images, as below 8 bits `quantize`
     * does: the layer whose weights have few bits, or those that read what has. */
    enum match_mode match;
    int64_t match_count;
    int threads;
    /* May be NULL: rows done of all. */
    void (*progress)(void *context, int64_t done, int64_t rows);
    void *context;
};

/* Of a network that differs from the one of 8 bits in one thing. */
struct analyse_row {
    int node; /* of the fused graph */
    char name[NODE_NAME_SIZE];
    int is_weights, bits;
    double kl;          /* mean over images of KL(float || this), natural logarithm */
    double logit_error; /* mean over images and classes of the squared difference from the float network's logits */
    double sqnr;        /* dB, of what the node gives, all before it at 8 bits; NaN where it is always 0 */
    /* the same where the weights, or the values, of all layers have so many bits (and end_bits) */
    double sqnr_accumulated;
    int64_t correct, agreed; /* images classified rightly; as by the float network */
    int64_t bytes;           /* of the layer's weights as a file holds them; of values 0 */
};

struct analysis {
    struct analyse_row *rows; /* in graph order, weights before values, widths as given; owned */
    int count;
    int64_t judged;    /* images */
    int64_t correct;   /* by the float network */
    size_t bytes_held; /* of values between layers, at most */
    const char *isa;   /* of the float network: static */
    int classes;       /* K */
    float *wanted;     /* [judged,K]: the float network's logits; with keep, owned */
    float *logits;     /* [count,judged,K]: each row's; likewise */
};

/* a is freed by analysis_free, after a failure too. Sums are in the order of the images: the same for any threads.
 * STATUS_NOMEM before anything is measured where the machine has not the memory. */
int ptq_analyse(struct analysis *a, const struct model *fused, const struct analyse_options *o,
                struct message *m) RESQ_USE_RESULT;
void analysis_free(struct analysis *a);

/* Adds what `count` images say of a row: logits [count,K] of the float network and of the row's. The values of all
 * images are sums until analyse_row_finish makes them means. */
void analyse_row_add(struct analyse_row *row, const float *wanted, const float *logits, const uint16_t *labels,
                     int64_t count, int classes);
void analyse_row_finish(struct analyse_row *row, int64_t images, int classes);
/* How many of `count` images logits [count,K] classify rightly. */
int64_t analyse_correct(const float *logits, const uint16_t *labels, int64_t count, int classes);
/* KL(want || got) of two rows of logits [classes], natural logarithm. */
double analyse_divergence(const float *want, const float *got, int classes);

#endif
