/* From graph to steps: which nodes are computed together. */
#include "exec/plan/steps.h"
#include "base/memory.h"
#include "exec/plan/shapes.h"

struct planner {
    const struct graph *g;
    enum step_fusion fusion;
    struct steps *steps;
    int *uses;
    int *norm_of;         /* of a group's last node: its batch norm; else -1 */
    int *other_of;        /* of a group's batch norm: the operand its add takes in; else -1 */
    unsigned char *taken; /* computed by a step that ends with another node */
};

/* ---- what may be taken in ---- */

/* The only node that reads node i, or -1. */
static int only_user(const struct planner *p, int i)
{
    const struct graph *g = p->g;
    for (int u = i + 1; p->uses[i] == 1 && u < g->count; u++)
        for (int k = 0; k < g->nodes[u].input_count; k++)
            if (g->nodes[u].inputs[k] == i)
                return u;
    return -1;
}

/* The add, the relu and the clip behind a node, where nothing else reads what lies between; -1: none. */
struct epilogue {
    int add, other, relu, clip;
};

static struct epilogue epilogue_of(const struct planner *p, int node)
{
    const struct node *nodes = p->g->nodes;
    struct epilogue e = {-1, -1, -1, -1};
    int next = only_user(p, node);
    if (next >= 0 && nodes[next].op == OP_ADD) {
        e.add = next;
        e.other = nodes[next].inputs[nodes[next].inputs[0] == node];
        next = only_user(p, next);
    }
    if (next >= 0 && nodes[next].op == OP_RELU) {
        e.relu = next;
        next = only_user(p, next);
    }
    if (next >= 0 && nodes[next].op == OP_CLIP)
        e.clip = next;
    return e;
}

/* Inference: behind a convolution. */
static void conv_take(struct planner *p, struct step *s)
{
    int norm = only_user(p, s->node), residual_is_taken = p->fusion == FUSE_FOLDED && s->other >= 0;
    if (s->relu || s->clip.on || residual_is_taken || norm < 0 || p->g->nodes[norm].op != OP_BATCHNORM)
        return;
    struct epilogue e = epilogue_of(p, norm);
    s->norm = s->output = norm;
    p->taken[norm] = 1;
    if (e.other > s->node) /* not there yet */
        return;
    if (e.add >= 0) {
        s->norm_other = e.other;
        s->output = e.add;
        p->taken[e.add] = 1;
    }
    if (e.relu >= 0) {
        s->relu = 1;
        s->output = e.relu;
        p->taken[e.relu] = 1;
    }
    if (e.clip >= 0) {
        s->clip = p->g->nodes[e.clip].clip;
        s->output = e.clip;
        p->taken[e.clip] = 1;
    }
}

static void conv_fold(struct step *s)
{
    s->fold = s->norm;
    s->other = s->norm_other;
    s->norm = s->norm_other = -1;
}

/* Training: behind a batch norm. An add that two of them lead to is the first one's. */
static void norm_take(struct planner *p, int norm)
{
    struct epilogue e = epilogue_of(p, norm);
    int last = norm;
    if (e.add >= 0 && (p->norm_of[e.add] >= 0 || p->taken[e.add]))
        e.add = e.relu = e.clip = -1;
    if (e.add >= 0) {
        p->other_of[norm] = e.other;
        p->taken[last] = 1;
        last = e.add;
    }
    if (e.relu >= 0) {
        p->taken[last] = 1;
        last = e.relu;
    }
    if (e.clip >= 0) {
        p->taken[last] = 1;
        last = e.clip;
    }
    p->norm_of[last] = norm;
}

/* In inference a normalize that only quantize reads is never computed: each quantize is a table of the pixels. */
static int needs_normalize(const struct planner *p, int node)
{
    const struct graph *g = p->g;
    if (p->fusion == FUSE_NOTHING || p->fusion == FUSE_INTO_NORM || node == g->count - 1)
        return 1;
    for (int u = node + 1; u < g->count; u++)
        for (int k = 0; k < g->nodes[u].input_count; k++)
            if (g->nodes[u].inputs[k] == node && g->nodes[u].op != OP_QUANTIZE)
                return 1;
    return 0;
}

/* ---- steps ---- */

static struct step *step_add(struct planner *p, enum step_kind kind, int node)
{
    const struct node *n = &p->g->nodes[node];
    struct step *s = &p->steps->at[p->steps->count++];
    *s = (struct step){.kind = kind,
                       .node = node,
                       .output = node,
                       .x = n->inputs[0],
                       .other = n->input_count > 1 ? n->inputs[1] : -1,
                       .relu = n->has_relu,
                       .clip = n->clip,
                       .norm = -1,
                       .norm_other = -1,
                       .fold = -1,
                       .is_integer = node_is_integer(p->g, node),
                       .is_separate = n->is_separate,
                       .pool = node_pool_shape(p->g, node),
                       .more = n->inputs + 2,
                       .more_count = n->input_count > 2 ? n->input_count - 2 : 0,
                       .macs = node_macs(p->g, node)};
    return s;
}

static void plan_conv(struct planner *p, int node)
{
    struct step *s = step_add(p, STEP_CONV, node);
    s->shape = node_conv_shape(p->g, node);
    if (!s->is_integer && (p->fusion == FUSE_INTO_CONV || p->fusion == FUSE_FOLDED))
        conv_take(p, s);
    if (p->fusion == FUSE_FOLDED && s->norm >= 0)
        conv_fold(s);
}

static void plan_norm_group(struct planner *p, int last)
{
    struct step *s = step_add(p, STEP_NORM, p->norm_of[last]);
    s->output = last;
    s->other = p->other_of[s->node];
    const struct node *end = &p->g->nodes[last];
    if (end->op == OP_CLIP) {
        s->clip = end->clip;
        end = node_input(p->g, end, 0);
    }
    s->relu = end->op == OP_RELU;
}

static void plan_quantize(struct planner *p, int node)
{
    const struct node *n = &p->g->nodes[node];
    int is_lookup = p->g->nodes[n->inputs[0]].op == OP_NORMALIZE;
    struct step *s = step_add(p, is_lookup ? STEP_LOOKUP : STEP_QUANTIZE, node);
    if (is_lookup)
        s->x = 0;
}

static int plan_node(struct planner *p, int i, struct message *m)
{
    static const struct {
        int is_simple;
        enum step_kind kind;
    } simple[OP_COUNT] = {
        [OP_BATCHNORM] = {1, STEP_NORM}, [OP_RELU] = {1, STEP_RELU},       [OP_CLIP] = {1, STEP_CLIP},
        [OP_ADD] = {1, STEP_ADD},        [OP_CONCAT] = {1, STEP_CONCAT},   [OP_AVGPOOL] = {1, STEP_POOL},
        [OP_MAXPOOL] = {1, STEP_MAX},    [OP_FLATTEN] = {1, STEP_FLATTEN}, [OP_DEQUANTIZE] = {1, STEP_DEQUANTIZE}};
    const struct node *n = &p->g->nodes[i];
    if (p->norm_of[i] >= 0)
        plan_norm_group(p, i);
    else if (n->op == OP_CONV2D || n->op == OP_LINEAR)
        plan_conv(p, i);
    else if (n->op == OP_QUANTIZE)
        plan_quantize(p, i);
    else if (n->op == OP_NORMALIZE && needs_normalize(p, i))
        step_add(p, STEP_NORMALIZE, i);
    else if (n->op == OP_AVGPOOL && n->kernel > 0)
        step_add(p, STEP_WINDOW, i);
    else if (simple[n->op].is_simple)
        step_add(p, simple[n->op].kind, i);
    else if (n->op != OP_NORMALIZE)
        return message_set(m, STATUS_UNSUPPORTED, "%s: nothing computes %s", n->name, graph_op_name(n->op));
    return 0;
}

static int plan_nodes(struct planner *p, struct message *m)
{
    const struct graph *g = p->g;
    for (int i = 0; i < g->count; i++) {
        p->norm_of[i] = p->other_of[i] = -1;
        p->uses[i] = graph_uses(g, i);
    }
    for (int i = 0; p->fusion == FUSE_INTO_NORM && i < g->count; i++)
        if (g->nodes[i].op == OP_BATCHNORM)
            norm_take(p, i);
    for (int i = 1; i < g->count; i++)
        if (!p->taken[i])
            TRY(plan_node(p, i, m));
    return 0;
}

int steps_plan(struct steps *s, const struct graph *g, enum step_fusion fusion, struct message *m)
{
    size_t nodes = (size_t)g->count;
    struct planner p = {.g = g, .fusion = fusion, .steps = s};
    int status = STATUS_NOMEM;
    *s = (struct steps){.at = memory_new(nodes, sizeof *s->at, m)};
    p.uses = memory_new(nodes, 3 * sizeof *p.uses, m);
    p.taken = memory_new(nodes, 1, m);
    if (s->at && p.uses && p.taken) {
        p.norm_of = p.uses + nodes;
        p.other_of = p.norm_of + nodes;
        status = plan_nodes(&p, m);
    }
    memory_free(p.uses);
    memory_free(p.taken);
    return status;
}

void steps_free(struct steps *s)
{
    memory_free(s->at);
    *s = (struct steps){0};
}

int steps_maker(const struct steps *s, int node, int before)
{
    int i = before - 1;
    while (i >= 0 && s->at[i].output != node)
        i--;
    return i;
}

int steps_users(const struct steps *s, int node, int *last)
{
    int users = 0;
    for (int i = 0; i < s->count; i++) {
        const struct step *step = &s->at[i];
        int reads = step->x == node || step->other == node;
        for (int k = 0; k < step->more_count; k++)
            reads |= step->more[k] == node;
        users += reads;
        *last = reads ? i : *last;
    }
    return users;
}
