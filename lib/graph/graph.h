/* graph.h: the network as data: parse, print, verify, infer shapes. The text form is specified in lib/FORMATS.md.
 * A graph is an array of nodes in SSA order (inputs stand before their users); node 0 is the input, the last node
 * the output. Nodes hold only what the text says; passes keep private data in arrays of their own, indexed by node.
 */
#ifndef RESQ_GRAPH_GRAPH_H
#define RESQ_GRAPH_GRAPH_H

#include "base/status.h"
#include "base/text.h"
#include <stddef.h>

enum {
    GRAPH_MAX_NODES = 4096,
    GRAPH_MAX_CHANNELS = 65536,
    GRAPH_MAX_SIDE = 1024,
    GRAPH_MAX_ELEMENTS = 1 << 28, /* of a value, and weights of a node: sizes stay inside an int */
    NODE_MAX_INPUTS = 64,         /* of a concat; others have one or two */
    NODE_NAME_SIZE = 64
};

enum graph_op {
#define OP(enumerator, name) OP_##enumerator,
#include "graph/ops.inc"
#undef OP
    OP_COUNT
};

enum node_type { NODE_U8, NODE_F32 };

enum graph_stage { STAGE_FLOAT, STAGE_FUSED, STAGE_INT8 };

/* A value's clip to [low, high], low < high; `on` 0: none. */
struct clip {
    int on;
    float low, high;
};

struct node {
    char name[NODE_NAME_SIZE];
    enum graph_op op;
    int input_count;
    int inputs[NODE_MAX_INPUTS]; /* node indices; those of attributes (a convolution's add=) stand last */
    /* Attributes. Which an op has and what is legal stands in graph/op/NAME.c; the others are 0. */
    int out, kernel, stride, pad, groups;
    int has_bias, has_relu;
    int requantizes;       /* linear on codes: gives codes, not floats */
    int is_separate;       /* add: never part of a convolution */
    struct clip clip;      /* of the op `clip`, or behind another's relu */
    float mean[4], std[4]; /* as many as channels */
    float eps;
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

void graph_free(struct graph *g); /* g is then the empty graph */
/* to: overwritten; the caller's to free, and empty where memory is out. */
int graph_copy(struct graph *to, const struct graph *from, struct message *m) RESQ_USE_RESULT;
/* Parses and verifies a NUL-terminated text; failure names the line. Types may be left out: they are inferred. g:
 * overwritten; the caller's to free, and empty on failure. */
int graph_parse(struct graph *g, const char *text, struct message *m) RESQ_USE_RESULT;
/* Adds verified g's canonical text to t: columns aligned, defaults left out, every type printed. parse(print(g)) == g.
 */
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
int graph_find(const struct graph *g, const char *name); /* the first node of that name, 0 to count - 1; or -1 */
const char *graph_op_name(enum graph_op op);             /* "?" where it is no enumerator */
/* How often node i is read (a node reading it twice counts twice); the output node counts one more. */
int graph_uses(const struct graph *g, int i);
/* Appends a node with this op and name (copied; shorter than NODE_NAME_SIZE), its attributes as where the text leaves
 * them out. Inputs are node indices, -1: none; more than two are set by the caller. Nothing is verified. Returns its
 * index; pointers to nodes are then stale. STATUS_RANGE where the name is too long or the graph full. */
int graph_append(struct graph *g, enum graph_op op, const char *name, int input0, int input1,
                 struct message *m) RESQ_USE_RESULT;
/* Multiply-accumulates of one image in node i: its weights, for each pixel of the result; 0 where it has none. */
double node_macs(const struct graph *g, int i);
/* 1 where node i computes on codes: its op has an integer form and its first input is u8. */
int node_is_integer(const struct graph *g, int i);

/* The node of whose computation node i could become the last step: an input of i with no other use whose op has that
 * step still free (a convolution, for a relu, a clip or an add); of two that will do the later one; or -1. What
 * pass_fuse_epilogue does and what the stage `fused` has none left of. */
int graph_fusable(const struct graph *g, int i);
/* 1 where node i of a fused graph has an activation that calibration must observe: all but input and logits. */
int node_is_observed(const struct graph *g, int i);
/* "f32[32,32,64]" or "u8[512]", as the text has it. */
void node_describe(const struct node *n, char out[64]);
/* STATUS_MISMATCH, `WHAT of f32[..] and f32[..]`, where a and b differ in type or shape. */
int node_check_same(const struct node *a, const struct node *b, const char *what,
                    struct message *m) RESQ_USE_RESULT;
/* Input k of n, k < n->input_count. */
const struct node *node_input(const struct graph *g, const struct node *n, int k);

#endif
