/* schema.h: which tensors a node needs. Everything that walks a model's tensors asks here, so that this is said
 * once. */
#ifndef RESQ_GRAPH_SCHEMA_H
#define RESQ_GRAPH_SCHEMA_H

#include "graph/graph.h"
#include "record/record.h"

enum { SCHEMA_MAX_TENSORS = 8, TENSOR_NAME_SIZE = NODE_NAME_SIZE + 32 };

/* What values are legal, besides being finite. RULE_PACKED: the tensor says that the node's RULE_CODE tensor is packed,
 * as codes.h has it, in how many bits. */
enum tensor_rule { RULE_ANY, RULE_NOT_NEGATIVE, RULE_SCALE, RULE_CODE, RULE_BIAS, RULE_PACKED };

/* The first values of a new model's tensor. START_NORMAL and START_UNIFORM are Kaiming's of a weight's shape: see
 * model_initialise. */
enum tensor_start { START_ZERO, START_ONE, START_NORMAL, START_UNIFORM };

struct tensor_spec {
    const char *suffix; /* "weight" */
    enum dtype dtype;
    int rank; /* 0: a scalar */
    int64_t shape[4];
    enum tensor_rule rule;
    enum tensor_start start;
    double spread;    /* START_NORMAL: standard deviation; START_UNIFORM: bound on either side of 0 */
    int is_parameter; /* learned: weight or bias */
    int is_optional;
};

/* The tensors of node i of a verified graph in file order; returns how many. */
int node_tensors(const struct graph *g, int i, struct tensor_spec specs[SCHEMA_MAX_TENSORS]);
/* 1 where node i gives codes, by the map in its tensors scale, zero_point and range. */
int node_has_map(const struct graph *g, int i);
/* The node whose map i has: i, or where its op gives codes on its input's map, that one's. */
int node_map_source(const struct graph *g, int i);
/* "NODE.SUFFIX". */
void tensor_name(char out[TENSOR_NAME_SIZE], const struct node *n, const char *suffix);

#endif
