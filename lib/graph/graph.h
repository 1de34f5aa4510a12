/* graph.h: the network as data: parse, print, verify, infer shapes. The text form is specified in lib/FORMATS.md.
 * A graph is an array of nodes in SSA order (inputs stand before their users); node 0 is the input, the last node
 * the output. Nodes hold only what the text says; passes keep private data in arrays of their own, indexed by node.
 */
#ifndef RESQ_GRAPH_GRAPH_H
#define RESQ_GRAPH_GRAPH_H

#include "base/status.h"
#include "base/text.h"
#include <stddef.h>

enum { GRAPH_MAX_NODES = 4096, NODE_NAME_SIZE = 64, GRAPH_MAX_CHANNELS = 65536, GRAPH_MAX_SIDE = 1024 };

enum graph_op {
    OP_INPUT,
    OP_NORMALIZE,
    OP_CONV2D,
    OP_BATCHNORM,
    OP_RELU,
    OP_ADD,
    OP_AVGPOOL,
    OP_LINEAR,
    OP_QUANTIZE,
    OP_DEQUANTIZE,
    OP_COUNT
};

enum node_type { NODE_U8, NODE_F32 };

enum graph_stage { STAGE_FLOAT, STAGE_FUSED, STAGE_INT8 };

struct node {
    char name[NODE_NAME_SIZE];
    enum graph_op op;
    int input_count;
    int inputs[2]; /* node indices; a convolution's second input is its residual (add=) */
    /* conv2d, linear: */
    int out, kernel, stride, pad, groups;
    int has_bias, has_relu;
    float mean[4], std[4]; /* normalize; as many as channels, at most 4 */
    float eps;             /* batchnorm */
    /* result: */
    enum node_type type;
    int h, w, c; /* vectors [C] have h = w = 1 and is_vector = 1 */
    int is_vector;
};

/* All-zero is the empty graph. */
struct graph {
    struct node *nodes;
    int count, capacity;
};

void graph_free(struct graph *g);
int graph_copy(struct graph *to, const struct graph *from, struct message *m) RESQ_USE_RESULT;
/* Parses and verifies; failure names the line. Types may be left out in the text: they are inferred. */
int graph_parse(struct graph *g, const char *text, struct message *m) RESQ_USE_RESULT;
/* The canonical text: columns aligned, defaults left out, every type printed. parse(print(g)) == g. */
int graph_print(const struct graph *g, struct text *t, struct message *m) RESQ_USE_RESULT;
/* Recomputes every type and shape and checks names, order, arity, attribute ranges, types. */
int graph_verify(struct graph *g, struct message *m) RESQ_USE_RESULT;
/* The same for the last node alone, the earlier ones being verified: names the node, not whether the graph is
 * whole. */
int graph_verify_last(struct graph *g, struct message *m) RESQ_USE_RESULT;
enum graph_stage graph_stage(const struct graph *g);
const char *graph_stage_name(enum graph_stage s); /* "float", "fused", "int8" */
/* STATUS_MISMATCH: `is at stage float, want fused: run fuse first`. */
int graph_require_stage(const struct graph *g, enum graph_stage want, struct message *m) RESQ_USE_RESULT;
int graph_find(const struct graph *g, const char *name); /* index or -1 */
const char *graph_op_name(enum graph_op op);
/* How often node i is read (a node reading it twice counts twice); the output node counts one more. */
int graph_uses(const struct graph *g, int i);
/* Appends a zeroed node with this op and name (defaults set: stride 1, groups 1, eps 1e-5); returns its index. */
int graph_append(struct graph *g, enum graph_op op, const char *name, int input0, int input1,
                 struct message *m) RESQ_USE_RESULT;
/* Multiply-accumulates of one image in node i (convolution and linear; 0 for others). */
double node_macs(const struct graph *g, int i);
/* 1 where node i computes on integers (its first input is u8 and it is not input, normalize or dequantize). */
int node_is_integer(const struct graph *g, int i);

/* The convolution that the relu or add in node i could become part of (a single use, nothing after it yet; of an
 * add's two inputs the later one that will do), or -1. What pass_fuse_epilogue does and what the stage `fused` has
 * none left of. */
int graph_fusable(const struct graph *g, int i);
/* 1 where node i of a fused graph has an activation that calibration must observe: all but input and logits. */
int node_is_observed(const struct graph *g, int i);
/* "f32[32,32,64]" or "u8[512]", as the text has it. */
void node_describe(const struct node *n, char out[64]);

#endif
