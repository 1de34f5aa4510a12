/* import.h: a state_dict, a model without a graph. It says nothing of its network's strides and pooling, of the
 * normalisation of its images, or of its batch norms' eps: these are given, or what is usual is taken. */
#ifndef RESQ_GRAPH_IMPORT_H
#define RESQ_GRAPH_IMPORT_H

#include "graph/dialect.h"
#include "graph/graph.h"
#include "record/lineage.h"
#include "record/record.h"

/* All-zero: nothing is given, nobody is told. */
struct model_given {
    const char *graph;          /* the network as text; NULL: ResNet-18 for 32x32 images */
    const char *graph_name;     /* its file, for messages */
    int has_normalize, has_eps; /* only without graph, which has its own */
    float mean[3], std[3], eps; /* of x/255; of every batch norm, 0..1 */
    /* Called once for each model whose network was assumed, with one line that names what was. May be NULL. */
    void (*tell)(void *context, const char *line);
    void *context;
};

#define NORMALIZE_MAX 1e6 /* of a mean's size, and of a deviation */
#define STD_MIN 1e-6

/* "M,M,M:S,S,S" or "M:S", mean and deviation of x/255, every deviation positive. Returns for how many channels they
 * are: 3, or 1 where both are one number, which all three elements get. */
int normalize_parse(const char *text, float mean[3], float std[3], struct message *m) RESQ_USE_RESULT;

/* Prefixes of wrappers are taken off the tensors' names (module., _orig_mod., model., net., backbone., state_dict.,
 * model_state_dict., nested too, and any other that all tensors have), names of other projects (graph/dialect.c) become
 * torchvision's, AveragedModel's n_averaged goes, F16, BF16 and F64 become F32, batch counters I64 [], and missing
 * ones are added. Then the graph is the one given, or ResNet-18 with width and classes read off the shapes; what
 * looks like another network is refused by its name; what stands beside the network is left out. given may be NULL;
 * notes: for state_dict_warn. */
int state_dict_import(struct record *r, struct graph *g, const struct model_given *given,
                      struct state_dict_notes *notes, struct message *m) RESQ_USE_RESULT;
/* Calls given->tell, where there is one, of the ResNet-18 that was taken, and of what was left out. */
void state_dict_warn(const struct graph *g, const struct model_given *given, const struct state_dict_notes *notes);
/* Adds what was given to the lineage of what is made from it: normalize=, eps=, graph-file=sha256:HEX. */
void model_given_lineage(const struct model_given *given, struct lineage *l);

/* look.c: what network a state_dict seems to be, in words ("ResNet-34, ..."), or "" where nothing is known. Its names
 * are ours already; names: whose they were, NULL: torchvision's. */
void state_dict_look(const struct record *r, const char *names, char out[160]);

#endif
