/* What can be said of nodes without knowing their ops. */
#include "graph/graph.h"
#include <stdio.h>
#include <string.h>

int graph_find(const struct graph *g, const char *name)
{
    for (int i = 0; i < g->count; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return i;
    return -1;
}

int graph_uses(const struct graph *g, int i)
{
    int uses = i == g->count - 1;
    for (int j = i + 1; j < g->count; j++)
        for (int k = 0; k < g->nodes[j].input_count; k++)
            uses += g->nodes[j].inputs[k] == i;
    return uses;
}

void node_describe(const struct node *n, char out[64])
{
    const char *type = n->type == NODE_U8 ? "u8" : "f32";
    if (n->is_vector)
        snprintf(out, 64, "%s[%d]", type, n->c);
    else
        snprintf(out, 64, "%s[%d,%d,%d]", type, n->h, n->w, n->c);
}

int node_check_same(const struct node *a, const struct node *b, const char *what, struct message *m)
{
    char left[64], right[64];
    if (a->type == b->type && a->h == b->h && a->w == b->w && a->c == b->c && a->is_vector == b->is_vector)
        return 0;
    node_describe(a, left);
    node_describe(b, right);
    return message_set(m, STATUS_MISMATCH, "%s of %s and %s", what, left, right);
}

const struct node *node_input(const struct graph *g, const struct node *n, int k)
{
    return &g->nodes[n->inputs[k]];
}
