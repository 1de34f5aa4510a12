#include "pass/pass.h"
#include "pass/rewrite.h"
#include "graph/op.h"

/* The layer moves to where node i stood: the other operand stands before that, wherever the layer was. */
static void fuse_operand(struct graph *g, int i, int layer, int input)
{
    const struct node *n = &g->nodes[i];
    int other = n->inputs[0] == layer ? n->inputs[1] : n->inputs[0];
    g->nodes[i] = g->nodes[layer];
    g->nodes[i].inputs[input] = other;
    g->nodes[i].input_count = input + 1;
    graph_remove(g, layer, -1);
}

static void fuse(struct graph *g, int i, int layer)
{
    const struct attribute *step = node_epilogue(&g->nodes[layer], g->nodes[i].op);
    if (step->kind == ATTRIBUTE_INPUT) {
        fuse_operand(g, i, layer, step->input);
        return;
    }
    attribute_absorb(step, &g->nodes[layer], &g->nodes[i]);
    graph_remove(g, i, layer);
}

int pass_fuse_epilogue(struct model *model, struct text *report, struct message *m)
{
    struct graph *g = &model->graph;
    for (int i = 0; i < g->count; i++) {
        int layer = graph_fusable(g, i);
        if (layer < 0)
            continue;
        if (report)
            TRY(text_add(report, m, "%s: now part of %s\n", g->nodes[i].name, g->nodes[layer].name));
        fuse(g, i, layer);
        i--; /* one node less before the next */
    }
    TRY(graph_verify(g, m));
    return model_verify(model, m);
}
