#include "graph/op.h"

static const struct op *const ops[OP_COUNT] = {
#define OP(enumerator, name) [OP_##enumerator] = &op_##name,
#include "graph/ops.inc"
#undef OP
};

const struct op *op_at(enum graph_op op)
{
    return (unsigned)op < OP_COUNT ? ops[op] : NULL;
}

const struct op *op_of(const struct node *n)
{
    return ops[n->op];
}

const char *graph_op_name(enum graph_op op)
{
    return op_at(op) ? op_at(op)->name : "?";
}

double node_weight_count(const struct graph *g, const struct node *n)
{
    int64_t shape[4];
    int rank = op_of(n)->weights ? op_of(n)->weights(g, n, shape) : 0;
    double count = rank > 0;
    for (int k = 0; k < rank; k++)
        count *= (double)shape[k];
    return count;
}

const struct attribute *node_epilogue(const struct node *n, enum graph_op op)
{
    const struct attribute *found = NULL;
    for (const struct attribute *a = op_of(n)->attributes; a && a->name; a++) {
        if (a->absorbs == OP_INPUT)
            continue;
        found = a->absorbs == op ? a : found;
        if (found && attribute_is_given(a, n))
            return NULL;
    }
    return found;
}

int node_has_epilogue(const struct node *n)
{
    for (const struct attribute *a = op_of(n)->attributes; a && a->name; a++)
        if (a->absorbs != OP_INPUT && attribute_is_given(a, n))
            return 1;
    return 0;
}

int node_window_rule(const struct graph *g, struct node *n, struct message *m)
{
    const struct node *x = node_input(g, n, 0);
    if (n->stride == 0)
        n->stride = n->kernel;
    if (n->pad >= n->kernel)
        return message_set(m, STATUS_RANGE, "pad=%d is not below kernel=%d", n->pad, n->kernel);
    if (x->h + 2 * n->pad < n->kernel || x->w + 2 * n->pad < n->kernel)
        return message_set(m, STATUS_RANGE, "kernel=%d is larger than the padded input", n->kernel);
    n->h = (x->h + 2 * n->pad - n->kernel) / n->stride + 1;
    n->w = (x->w + 2 * n->pad - n->kernel) / n->stride + 1;
    return 0;
}
