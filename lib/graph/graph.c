#include "graph/graph.h"
#include "graph/op.h"
#include "base/memory.h"
#include <string.h>

const char *graph_stage_name(enum graph_stage s)
{
    static const char *const names[] = {"float", "fused", "int8"};
    return (unsigned)s < 3 ? names[s] : "?";
}

void graph_free(struct graph *g)
{
    memory_free(g->nodes);
    *g = (struct graph){0};
}

int graph_copy(struct graph *to, const struct graph *from, struct message *m)
{
    *to = (struct graph){0};
    to->nodes = memory_new_raw((size_t)from->count, sizeof *to->nodes, m);
    if (!to->nodes)
        return STATUS_NOMEM;
    if (from->count > 0)
        memcpy(to->nodes, from->nodes, (size_t)from->count * sizeof *to->nodes);
    to->count = to->capacity = from->count;
    return 0;
}

static int graph_reserve(struct graph *g, struct message *m)
{
    if (g->count < g->capacity)
        return 0;
    size_t old = (size_t)g->capacity * sizeof *g->nodes;
    int capacity = g->capacity ? 2 * g->capacity : 64;
    struct node *nodes = memory_resize(g->nodes, old, (size_t)capacity, sizeof *nodes, m);
    if (!nodes)
        return STATUS_NOMEM;
    g->nodes = nodes;
    g->capacity = capacity;
    return 0;
}

int graph_append(struct graph *g, enum graph_op op, const char *name, int input0, int input1, struct message *m)
{
    if (strlen(name) >= NODE_NAME_SIZE)
        return message_set(m, STATUS_RANGE, "node name '%s' is longer than %d bytes", name, NODE_NAME_SIZE - 1);
    if (g->count >= GRAPH_MAX_NODES)
        return message_set(m, STATUS_RANGE, "more than %d nodes", GRAPH_MAX_NODES);
    TRY(graph_reserve(g, m));
    struct node *n = &g->nodes[g->count];
    memset(n, 0, sizeof *n);
    strcpy(n->name, name);
    n->op = op;
    n->inputs[0] = input0;
    n->inputs[1] = input1;
    n->input_count = input0 < 0 ? 0 : input1 < 0 ? 1 : 2;
    if (op_at(op))
        attributes_reset(op_at(op)->attributes, n);
    return g->count++;
}

int node_is_integer(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    return op_of(n)->integer != INTEGER_NONE && node_input(g, n, 0)->type == NODE_U8;
}

int node_is_observed(const struct graph *g, int i)
{
    return i > 0 && i < g->count - 1 && g->nodes[i].type == NODE_F32;
}

double node_macs(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    return (double)n->h * n->w * node_weight_count(g, n);
}

int graph_fusable(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    int found = -1;
    for (int k = 0; k < n->input_count && !n->is_separate; k++) {
        int x = n->inputs[k];
        if (x > found && node_epilogue(&g->nodes[x], n->op) && graph_uses(g, x) == 1)
            found = x;
    }
    return found;
}

enum graph_stage graph_stage(const struct graph *g)
{
    for (int i = 1; i < g->count; i++)
        if (g->nodes[i].type == NODE_U8)
            return STAGE_INT8;
    for (int i = 0; i < g->count; i++)
        if (op_of(&g->nodes[i])->folds_away || graph_fusable(g, i) >= 0)
            return STAGE_FLOAT;
    return STAGE_FUSED;
}

int graph_require_stage(const struct graph *g, enum graph_stage want, struct message *m)
{
    enum graph_stage have = graph_stage(g);
    if (have == want)
        return 0;
    const char *advice = have == STAGE_FLOAT && want == STAGE_FUSED  ? ": run fuse first"
                         : have == STAGE_FUSED && want == STAGE_INT8 ? ": run quantize first"
                         : have == STAGE_FLOAT && want == STAGE_INT8 ? ": run fuse, calibrate and quantize first"
                                                                     : "";
    return message_set(m, STATUS_MISMATCH, "is at stage %s, want %s%s", graph_stage_name(have),
                       graph_stage_name(want), advice);
}
