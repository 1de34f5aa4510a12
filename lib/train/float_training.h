/* float_training.h: training a network from its initial or from given weights, in float: what train-fp32 does its
 * own way. */
#ifndef RESQ_TRAIN_FLOAT_TRAINING_H
#define RESQ_TRAIN_FLOAT_TRAINING_H

#include "train/training.h"

struct float_training {
    const char *init; /* a model file at stage float whose network, parameters and batch norm state the run starts
                        * from; it brings what graph, width and normalize say otherwise, and seed has no part in it.
                        * NULL: a network with initial weights */
    const struct model_given *given; /* of init, where that is a state_dict; may be NULL */
    const char *graph;               /* a file with a network as text; NULL: ResNet-18 of `width` */
    const char *network;             /* the same, but made to fit classes and normalize; or NULL */
    const char *network_name;        /* what it is called, for the lineage */
    int64_t width;
    int64_t classes;          /* 0: the stream's; of a network without a stream: the graph's, or 10 */
    struct image_shape image; /* of a network without a stream; all-zero: CIFAR-10's */
    const char *normalize; /* see normalize_parse; NULL: the stream's mean and std where a stage has put them there,
                            * else CIFAR-10's. A graph file has its own */
    uint64_t seed;
    int half; /* weights (tensors of rank 2 and more) are rounded to F16 before they are validated, and stored as such:
               * what was measured is what the file holds. Training itself goes on with what is not rounded */
    /* filled by the run: */
    struct record *sides[1]; /* metadata of init */
};

/* 1 where `network` names a network without any batch norm: which keeps a smaller learning rate than others. */
int float_training_is_bare(const struct float_training *t);
/* The network that a run of t would begin with, of t->image and t->classes: without images of its own. */
int float_training_start(const struct float_training *t, struct model *start, struct message *m) RESQ_USE_RESULT;
/* The kind whose context is t; both must outlive the run. */
struct training_kind float_training_kind(struct float_training *t);
void float_training_close(struct float_training *t);

#endif
