/* model.h: a graph together with its tensors, checked against each other. */
#ifndef RESQ_GRAPH_MODEL_H
#define RESQ_GRAPH_MODEL_H

#include "graph/graph.h"
#include "graph/import.h"
#include "record/record.h"

struct model {
    struct graph graph;
    struct record *record; /* parameters and metadata; owned */
};

/* Loads a model file of any stage and verifies it (model_verify). Tensors of a float or fused model that are stored as
 * F16 or BF16 become F32. Without a graph it is a state_dict: see
 * graph/import.h for what is taken and what `given` says (NULL: nothing); something given with a model that has a
 * graph is STATUS_MISMATCH. */
int model_load_given(struct model *model, const char *path, const struct model_given *given,
                     struct message *m) RESQ_USE_RESULT;
/* The same from a record, which the model then owns (also on failure). */
int model_from_record_given(struct model *model, struct record *record, const struct model_given *given,
                            struct message *m) RESQ_USE_RESULT;
/* Both with nothing given. */
int model_load(struct model *model, const char *path, struct message *m) RESQ_USE_RESULT;
int model_from_record(struct model *model, struct record *record, struct message *m) RESQ_USE_RESULT;
/* Every tensor the graph needs is there with the right type and shape, none is left over (first missing or surplus
 * name is said), floats are finite (name and index), batch norm variances >= 0, scales normal and positive, zero
 * points inside their range. Optional tensors: `X.accumulator_bound`. */
int model_verify(const struct model *model, struct message *m) RESQ_USE_RESULT;
/* Writes graph text, stage, kind and format into the record's metadata (before saving it). */
int model_store(struct model *model, struct message *m) RESQ_USE_RESULT;
/* New parameters as torchvision's: convolutions Kaiming normal fan_out, batch norm 1 and 0, linear +-1/sqrt(inputs);
 * without any batch norm as its SqueezeNet's (initialise.c). Draws keyed by (seed, tensor name): adding a layer leaves
 * the others as they were, but for the rule of a last one. Creates record. graph moves into the model. */
int model_initialise(struct model *model, struct graph *graph, uint64_t seed, struct message *m) RESQ_USE_RESULT;
int model_copy(struct model *to, const struct model *from, struct message *m) RESQ_USE_RESULT;
/* The same network and tensors for images of another size; STATUS_MISMATCH where its weights are for one alone. *to
 * is the caller's to free, and empty on failure. */
int model_copy_resized(struct model *to, const struct model *from, int height, int width,
                       struct message *m) RESQ_USE_RESULT;
void model_free(struct model *model);

/* The tensor `NODE.SUFFIX` (e.g. "weight"), or NULL. */
struct tensor *model_tensor(const struct model *model, int node, const char *suffix);
/* Visits the names of all learned tensors (weight, bias of conv, linear, batchnorm) in graph order. Returns how
 * many; names[i] are pointers into the record; names may be NULL to count. */
int model_parameters(const struct model *model, struct tensor **tensors);
/* Elements over all learned tensors. */
int64_t model_parameter_elements(const struct model *model);

enum { MODEL_DIGEST_SIZE = 72 };
/* "sha256:HEX" of the graph's canonical text, and of the record as it stands (just loaded: the file's, see
 * digest_record). */
int model_graph_digest(const struct model *model, char out[MODEL_DIGEST_SIZE], struct message *m) RESQ_USE_RESULT;
int model_digest(const struct model *model, char out[MODEL_DIGEST_SIZE], struct message *m) RESQ_USE_RESULT;

#endif
