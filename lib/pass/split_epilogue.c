/* Convolutions without a last step of their own. */
#include "graph/op.h"
#include "pass/pass.h"
#include <stdio.h>
#include <string.h>

/* Two points begin the names, so that they are nobody else's. */
static int append(struct graph *to, enum graph_op op, int behind, int first, int second, struct message *m)
{
    char name[NODE_NAME_SIZE];
    snprintf(name, sizeof name, "..%s%d", graph_op_name(op), behind);
    int i = graph_append(to, op, name, first, second, m);
    TRY(i);
    TRY(graph_verify_last(to, m));
    return i;
}

/* Node i of `from` in `to`, its inputs by `now`; returns the index of what gives its value. */
static int split_node(struct graph *to, const struct graph *from, int i, const int *now, struct message *m)
{
    const struct node *n = &from->nodes[i];
    int inputs[NODE_MAX_INPUTS] = {-1, -1}, is_split = node_has_epilogue(n), added = -1;
    for (int k = 0; k < n->input_count; k++)
        inputs[k] = now[n->inputs[k]];
    int at = graph_append(to, n->op, n->name, inputs[0], inputs[1], m);
    TRY(at);
    struct node *copy = &to->nodes[at];
    *copy = *n;
    if (is_split && n->input_count > op_of(n)->input_count) {
        added = inputs[1];
        inputs[1] = -1;
        copy->input_count = 1;
    }
    copy->has_relu = 0;
    memcpy(copy->inputs, inputs, sizeof inputs);
    TRY(graph_verify_last(to, m));
    if (added >= 0)
        TRY(at = append(to, OP_ADD, i, at, added, m));
    if (is_split && n->has_relu)
        TRY(at = append(to, OP_RELU, i, at, -1, m));
    return at;
}

static int split_all(struct graph *to, const struct graph *from, int *now, struct message *m)
{
    for (int i = 0; i < from->count; i++)
        TRY(now[i] = split_node(to, from, i, now, m));
    return graph_verify(to, m);
}

int pass_split_epilogue(struct model *model, struct message *m)
{
    struct graph to = {0};
    int *now = memory_new((size_t)model->graph.count, sizeof *now, m);
    int status = now ? split_all(&to, &model->graph, now, m) : STATUS_NOMEM;
    memory_free(now);
    if (status < 0) {
        graph_free(&to);
        return status;
    }
    graph_free(&model->graph);
    model->graph = to;
    return 0;
}
