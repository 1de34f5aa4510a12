#include "pass/pass.h"
#include "pass/rewrite.h"

static void fuse_relu(struct graph *g, int relu, int conv)
{
    g->nodes[conv].has_relu = 1;
    graph_remove(g, relu, conv);
}

/* The convolution moves to where the add stood: the other operand stands before that, wherever the convolution was.
 */
static void fuse_add(struct graph *g, int add, int conv)
{
    const struct node *a = &g->nodes[add];
    int residual = a->inputs[0] == conv ? a->inputs[1] : a->inputs[0];
    g->nodes[add] = g->nodes[conv];
    g->nodes[add].inputs[1] = residual;
    g->nodes[add].input_count = 2;
    graph_remove(g, conv, -1);
}

int pass_fuse_epilogue(struct model *model, struct text *report, struct message *m)
{
    struct graph *g = &model->graph;
    for (int i = 0; i < g->count; i++) {
        int conv = graph_fusable(g, i);
        if (conv < 0)
            continue;
        if (report)
            TRY(text_add(report, m, "%s: now part of %s\n", g->nodes[i].name, g->nodes[conv].name));
        if (g->nodes[i].op == OP_RELU)
            fuse_relu(g, i, conv);
        else
            fuse_add(g, i, conv);
        i--; /* one node less before the next */
    }
    TRY(graph_verify(g, m));
    return model_verify(model, m);
}
