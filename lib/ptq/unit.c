#include "ptq/unit.h"
#include "base/memory.h"

int unit_layer_in(const struct model *int8, const struct model *fused, int i)
{
    int at = model_tensor(fused, i, "weight") ? graph_find(&int8->graph, fused->graph.nodes[i].name) : -1;
    return at >= 0 && node_is_integer(&int8->graph, at) && model_tensor(int8, at, "weight_scale") ? at : -1;
}

/* Whether what node i or an earlier one gives is read behind node i; -1: of several, or none; else which one. */
static int handed_on(const struct graph *g, int i)
{
    int found = -1;
    for (int k = 0; k <= i; k++) {
        int is_read = 0;
        for (int reader = i + 1; reader < g->count && !is_read; reader++)
            for (int j = 0; j < g->nodes[reader].input_count; j++)
                is_read |= g->nodes[reader].inputs[j] == k;
        if (is_read && found >= 0)
            return -1;
        found = is_read ? k : found;
    }
    return found;
}

static int is_inside(const struct unit *u, int node)
{
    for (int i = 0; i < u->count; i++)
        if (u->layers[i] == node)
            return 1;
    for (int i = 0; i < u->input_count; i++)
        if (u->inputs[i] == node)
            return 1;
    return 0;
}

/* Takes layer i in; 0 where it has no room for what that reads. */
static int take(struct unit *u, const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    for (int k = 0; k < n->input_count; k++) {
        if (is_inside(u, n->inputs[k]))
            continue;
        if (u->input_count == UNIT_INPUTS)
            return 0;
        u->inputs[u->input_count++] = n->inputs[k];
    }
    if (u->count == UNIT_LAYERS)
        return 0;
    u->layers[u->count++] = i;
    return 1;
}

/* Nodes first..last, of which the last alone is read behind, as one unit: 1, or 0 where they cannot be. */
static int take_all(struct unit *u, const struct model *fused, const struct model *int8, int first, int last)
{
    *u = (struct unit){.count = 0};
    for (int i = first; i <= last; i++)
        if (unit_layer_in(int8, fused, i) < 0 || !take(u, &fused->graph, i))
            return 0;
    return u->input_count == 1;
}

int units_find(struct unit **out, const struct model *fused, const struct model *int8, int single,
               struct message *m)
{
    const struct graph *g = &fused->graph;
    struct unit *units = *out = memory_new((size_t)g->count, sizeof *units, m);
    int count = 0, first = 1;
    if (!units)
        return STATUS_NOMEM;
    for (int i = 1; i < g->count; i++) {
        if (i < g->count - 1 && handed_on(g, i) != i)
            continue;
        if (!single && take_all(&units[count], fused, int8, first, i)) {
            count++;
        } else {
            for (int k = first; k <= i; k++) {
                units[count] = (struct unit){.count = 0};
                count += unit_layer_in(int8, fused, k) >= 0 && take(&units[count], g, k);
            }
        }
        first = i + 1;
    }
    return count;
}
