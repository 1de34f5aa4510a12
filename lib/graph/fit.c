#include "graph/fit.h"
#include "graph/op.h"
#include <string.h>

static void fit_input(struct node *x, const struct graph_fit *fit)
{
    x->h = fit->h ? fit->h : x->h;
    x->w = fit->w ? fit->w : x->w;
    x->c = fit->c ? fit->c : x->c;
}

static int fit_classes(struct graph *g, int classes, struct message *m)
{
    int last = g->count - 1;
    while (last > 0 && !op_of(&g->nodes[last])->weights)
        last--;
    if (last <= 0)
        return message_set(m, STATUS_MISMATCH, "no layer has weights: the classes cannot be set");
    g->nodes[last].out = classes;
    return 0;
}

int graph_fit(struct graph *g, const struct graph_fit *fit, struct message *m)
{
    int channels = fit->c ? fit->c : g->nodes[0].c;
    TRY(integer_check("channels", channels, 1, 4, m));
    fit_input(&g->nodes[0], fit);
    for (int i = 0; fit->mean && i < g->count; i++) {
        if (g->nodes[i].op != OP_NORMALIZE)
            continue;
        memcpy(g->nodes[i].mean, fit->mean, (size_t)channels * sizeof(float));
        memcpy(g->nodes[i].std, fit->std, (size_t)channels * sizeof(float));
    }
    if (fit->classes)
        TRY(fit_classes(g, fit->classes, m));
    TRY(graph_verify(g, m));
    int got = g->nodes[g->count - 1].c;
    if (fit->classes && got != fit->classes)
        return message_set(m, STATUS_MISMATCH, "gives %d values, not one for each of %d classes", got,
                           fit->classes);
    return 0;
}
