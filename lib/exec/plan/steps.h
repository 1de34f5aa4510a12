/* steps.h: a graph made into steps, one way for every engine. Private to lib/exec and lib/emit.
 *
 * A step computes one node, or one node together with those behind it that nothing else reads. Steps stand in an
 * order in which each finds what it reads. An engine keeps what it needs besides in arrays of its own, one entry a
 * step. */
#ifndef RESQ_EXEC_PLAN_STEPS_H
#define RESQ_EXEC_PLAN_STEPS_H

#include "graph/graph.h"
#include "kernel/contract/shape.h"

enum step_kind {
    STEP_NORMALIZE,
    STEP_LOOKUP, /* normalize and quantize as one table of the pixels */
    STEP_CONV,   /* convolution or linear, [+ residual] [relu], perhaps with a batch norm behind it */
    STEP_NORM,   /* batch norm [+ other] [relu] */
    STEP_RELU,
    STEP_CLIP,
    STEP_ADD,
    STEP_CONCAT,
    STEP_POOL,   /* the mean over all pixels */
    STEP_WINDOW, /* the mean over windows */
    STEP_MAX,    /* the largest of windows */
    STEP_FLATTEN,
    STEP_QUANTIZE,
    STEP_DEQUANTIZE,
    STEP_KINDS
};

/* What a step takes in. */
enum step_fusion {
    FUSE_NOTHING,   /* every node's value is there to be looked at */
    FUSE_INTO_CONV, /* inference: the batch norm behind a convolution, then an add whose other operand is already
                     * there, then a relu, then a clip: the pixels are still in the cache */
    FUSE_FOLDED,    /* the same, where the batch norm goes into the convolution's weights and the add becomes its
                     * residual */
    FUSE_INTO_NORM  /* training: the add and the relu behind a batch norm, whose output and sum are never stored */
};

struct step {
    enum step_kind kind;
    int node;         /* what the step is called after: the first node it computes */
    int output;       /* the last node it computes: what later steps read */
    int x, other;     /* nodes read; other: second operand or residual, -1: none */
    int relu;         /* at the end: behind the convolution, or behind norm's scale and shift where norm >= 0 */
    struct clip clip; /* behind that; of STEP_CLIP its own */
    int norm;         /* convolution: the batch norm behind it, -1: none */
    int norm_other;   /* node added behind that batch norm, -1: none */
    int fold;         /* convolution: the batch norm folded into its weights, -1: none */
    int is_integer;   /* computes on codes */
    int is_separate;  /* an add of the other arithmetic (lib/quant/QUANT.md) */
    struct conv_shape shape; /* convolution and linear */
    struct pool_shape pool;  /* windows */
    const int *more;         /* concat: its operands behind x and other, [more_count]; the graph's */
    int more_count;
    double macs; /* an image; of the nodes it computes */
};

/* All-zero is empty. */
struct steps {
    struct step *at; /* [count]; owned */
    int count;
};

/* How many operands a step may have, and the k-th node it reads: x, other, norm_other, then `more`; -1: none. */
static inline int step_operands(const struct step *s)
{
    return 3 + s->more_count;
}

static inline int step_operand(const struct step *s, int k)
{
    return k == 0 ? s->x : k == 1 ? s->other : k == 2 ? s->norm_other : s->more[k - 3];
}

/* The graph is verified, and outlives the steps. STATUS_UNSUPPORTED names a node that nothing computes. What was made
 * is freed by steps_free, after a failure too. */
int steps_plan(struct steps *s, const struct graph *g, enum step_fusion fusion, struct message *m) RESQ_USE_RESULT;
void steps_free(struct steps *s);

/* The step before `before` whose output is this node, or -1. */
int steps_maker(const struct steps *s, int node, int before);
/* How many steps read the node as an operand other than norm_other; *last:
 * the last of them, as it was where there is none. */
int steps_users(const struct steps *s, int node, int *last);

#endif
