/* dialect.h: what other projects call the parts of this network, and what stands in their files beside it. */
#ifndef RESQ_GRAPH_DIALECT_H
#define RESQ_GRAPH_DIALECT_H

#include "graph/graph.h"
#include "record/record.h"

enum { STATE_DICT_EXTRAS_SIZE = 256 };

/* What the user is told of a state_dict that was taken. All-zero: nothing. */
struct state_dict_notes {
    const char *names;                  /* whose names it had: "kuangliu's pytorch-cifar"; NULL: torchvision's */
    int extras;                         /* tensors that are no part of the network, left out */
    char extra[STATE_DICT_EXTRAS_SIZE]; /* the first of them, comma-separated */
};

/* The name that torchvision's ResNet has for this tensor, in new memory; *out NULL where it
 * is none of theirs. *names: whose. */
int dialect_translate(const char *name, char **out, const char **names, struct message *m) RESQ_USE_RESULT;

/* Removes tensors that no node of g wants, and notes them: optimizers' state, projection heads. One that stands
 * inside a part of the network (layer1.0.se.fc1.weight), or is one more of its parts (layer5), is left, for
 * model_verify to refuse: it makes another network. */
void state_dict_drop_extras(struct record *r, const struct graph *g, struct state_dict_notes *notes);

#endif
