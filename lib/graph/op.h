/* op.h: what one operation is. lib/graph/op/NAME.c fills in one `struct op`, graph/ops.inc lists it. Parsing,
 * printing, verifying, a model's tensors and their first values, MACs, fusing and lowering to integers are loops over
 * these. How an op is computed is not said here: that is the kernels' and the engines'.
 *
 * A descriptor is constant and the program's; its functions keep nothing. */
#ifndef RESQ_GRAPH_OP_H
#define RESQ_GRAPH_OP_H

#include "graph/attribute.h"
#include "graph/schema.h"

/* What the first input must be. */
enum input_form { FORM_ANY, FORM_MAP /* [H,W,C] */, FORM_VECTOR /* [C] */ };
enum input_type { TYPE_ANY, TYPE_F32, TYPE_U8 };

/* What becomes of the op in lowering to int8 (pass/lower.c). */
enum integer_form {
    INTEGER_NONE, /* it stays in float */
    INTEGER_LAYER, /* its weights and bias become codes; what it gives has a map of its own, or, a linear layer that is
                    * the last node, is f32. With a last step (relu, clip) that last node stays float */
    INTEGER_OWN_MAP,  /* codes to codes on a map of its own, chosen from what was observed; as last node float */
    INTEGER_INPUT_MAP /* codes to codes on its input's map where its input is computed as codes, or is the normalised
                       * pixels; as last node float */
};

struct op {
    const char *name; /* as the text has it */
    int input_count;  /* names of inputs that stand behind it in the text; attributes may name more */
    int more_inputs;  /* further inputs may stand there, NODE_MAX_INPUTS in all; no attribute names one */
    const struct attribute *attributes; /* in the text's order, closed by one without a name; NULL: none */
    int reads_pixels;                   /* reads the graph's input, and nothing else does */
    enum input_form form;
    enum input_type type;
    /* Sets node n's type and shape and refuses what the above cannot say (STATUS_RANGE, STATUS_MISMATCH, without the
     * node's name). n comes with the type and shape of its first input and checked attributes; the nodes before it
     * are verified. NULL: the result is like the first input. */
    int (*rule)(const struct graph *g, struct node *n, struct message *m);
    /* The shape of the weights of verified node n: outputs, then what each sums over. Returns the rank, 2 to 4. An op
     * with weights has the attribute `bias`. NULL: no weights. */
    int (*weights)(const struct graph *g, const struct node *n, int64_t shape[4]);
    enum tensor_start start; /* of the weights */
    /* Other tensors of verified node n, at most SCHEMA_MAX_TENSORS; returns how many. NULL: none. */
    int (*tensors)(const struct node *n, struct tensor_spec *specs);
    enum integer_form integer;
    int folds_away; /* the stage `fused` has none left: a batch norm, folded into the weights before it */
    int takes_norm; /* a batch norm behind it may be folded into its weights and bias */
};

#define OP(enumerator, name) extern const struct op op_##name;
#include "graph/ops.inc"
#undef OP

enum { WINDOW_MOST_SIDE = 64 };
/* A rule: windows of kernel x kernel every stride pixels (0: becomes the kernel) of a map with `pad` pixels around. */
int node_window_rule(const struct graph *g, struct node *n, struct message *m);

const struct op *op_at(enum graph_op op);     /* NULL where op is no enumerator */
const struct op *op_of(const struct node *n); /* of a node whose op is an enumerator */

/* How many weights verified node n has (0: it has none), as a double: verification bounds it by this. */
double node_weight_count(const struct graph *g, const struct node *n);
/* The attribute by which n would compute `op` as its last step; NULL where it has none, or that step or a later one is
 * taken already. The order of steps is that of the attributes: add=, then relu, then clip=. */
const struct attribute *node_epilogue(const struct node *n, enum graph_op op);
int node_has_epilogue(const struct node *n); /* 1 where any such step is taken */

#endif
