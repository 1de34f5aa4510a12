/* From graph to training steps, and where their buffers lie. */
#include "base/memory.h"
#include "exec/train/gradient_plan.h"

/* What the planner knows of each node while it groups them. */
struct grouping {
    int *uses;
    int *norm_of;          /* of a group's last node: its batch norm; else -1 */
    int *other_of;         /* of a group's batch norm: the operand its add takes in; else -1 */
    unsigned char *inside; /* computed by the group it belongs to */
};

static int only_user(const struct graph *g, const int *uses, int i)
{
    for (int u = i + 1; uses[i] == 1 && u < g->count; u++)
        for (int k = 0; k < g->nodes[u].input_count; k++)
            if (g->nodes[u].inputs[k] == i)
                return u;
    return -1;
}

/* A batch norm takes in the add and the relu behind it: its output and the sum are never stored. */
static void group_norm(const struct graph *g, struct grouping *p, int norm)
{
    int last = norm, next = only_user(g, p->uses, norm);
    if (next >= 0 && g->nodes[next].op == OP_ADD && p->norm_of[next] < 0 && !p->inside[next]) {
        const int *in = g->nodes[next].inputs;
        p->other_of[norm] = in[0] == norm ? in[1] : in[0];
        p->inside[last] = 1;
        last = next;
        next = only_user(g, p->uses, last);
    }
    if (next >= 0 && g->nodes[next].op == OP_RELU) {
        p->inside[last] = 1;
        last = next;
    }
    p->norm_of[last] = norm;
}

static void plan_group(const struct graph *g, struct grouping *p)
{
    for (int i = 0; i < g->count; i++)
        p->norm_of[i] = p->other_of[i] = -1;
    p->uses[g->count - 1] = 1;
    for (int i = 0; i < g->count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            p->uses[g->nodes[i].inputs[k]]++;
    for (int i = 0; i < g->count; i++)
        if (g->nodes[i].op == OP_BATCHNORM)
            group_norm(g, p, i);
}

static struct train_step *step_add(struct gradient *g, enum train_kind kind, int node, int output)
{
    const struct node *n = &g->graph.nodes[node];
    struct train_step *s = &g->steps[g->step_count++];
    *s = (struct train_step){.kind = kind,
                             .node = node,
                             .output = output,
                             .x = n->inputs[0],
                             .other = n->input_count > 1 ? n->inputs[1] : -1,
                             .relu = n->has_relu,
                             .blocks = 1,
                             .weight = NO_OFFSET,
                             .bias = NO_OFFSET,
                             .mean = NO_OFFSET,
                             .scale = NO_OFFSET,
                             .low = NO_OFFSET};
    return s;
}

static int plan_node(struct gradient *g, const struct grouping *p, int i, struct message *m)
{
    const struct node *n = &g->graph.nodes[i];
    if (p->norm_of[i] >= 0) {
        struct train_step *s = step_add(g, TRAIN_NORM, p->norm_of[i], i);
        s->other = p->other_of[s->node];
        s->relu = n->op == OP_RELU;
        return 0;
    }
    struct train_step *s;
    switch (n->op) {
    case OP_NORMALIZE:
        step_add(g, TRAIN_NORMALIZE, i, i);
        return 0;
    case OP_CONV2D:
    case OP_LINEAR:
        s = step_add(g, TRAIN_CONV, i, i);
        TRY(node_conv_shape(&g->graph, i, &s->shape, m));
        s->rows = conv_item_rows(&s->shape);
        s->blocks = (s->shape.out_h + s->rows - 1) / s->rows;
        return 0;
    case OP_RELU:
        step_add(g, TRAIN_RELU, i, i);
        return 0;
    case OP_ADD:
        step_add(g, TRAIN_ADD, i, i);
        return 0;
    case OP_AVGPOOL:
        step_add(g, TRAIN_POOL, i, i);
        return 0;
    default:
        return message_set(m, STATUS_UNSUPPORTED, "%s: %s has no gradient", n->name, graph_op_name(n->op));
    }
}

/* The first user met in backward order writes an operand's gradient, the others add. Within a step, `other` goes
 * first. */
static void plan_accumulation(struct gradient *g, unsigned char *begun)
{
    for (int i = g->step_count - 1; i >= 0; i--) {
        struct train_step *s = &g->steps[i];
        if (s->other >= 0) {
            s->accumulate_other = begun[s->other];
            begun[s->other] = 1;
        }
        s->accumulate_x = begun[s->x];
        begun[s->x] = 1;
    }
}

static void plan_wants(struct gradient *g)
{
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        g->values[s->output].wants_gradient = s->kind == TRAIN_CONV || s->kind == TRAIN_NORM ||
                                              g->values[s->x].wants_gradient ||
                                              (s->other >= 0 && g->values[s->other].wants_gradient);
    }
}

int gradient_plan_steps(struct gradient *g, struct message *m)
{
    size_t nodes = (size_t)g->graph.count;
    struct grouping p = {0};
    int status = 0;
    g->steps = memory_new(nodes, sizeof *g->steps, m);
    g->values = memory_new(nodes, sizeof *g->values, m);
    p.uses = memory_new(nodes, 3 * sizeof *p.uses, m);
    p.inside = memory_new(nodes, 2, m);
    if (!g->steps || !g->values || !p.uses || !p.inside) {
        status = STATUS_NOMEM;
        goto out;
    }
    p.norm_of = p.uses + nodes;
    p.other_of = p.norm_of + nodes;
    plan_group(&g->graph, &p);
    for (int i = 1; i < g->graph.count && status >= 0; i++)
        if (!p.inside[i])
            status = plan_node(g, &p, i, m);
    plan_accumulation(g, p.inside + nodes);
    plan_wants(g);
out:
    memory_free(p.uses);
    memory_free(p.inside);
    return status;
}

/* ---- buffers ---- */

struct buffers {
    struct lifetime *value, *before, *gradient, *dequantized;
};

static void live(struct lifetime *l, size_t bytes, int begin, int end)
{
    *l = (struct lifetime){.bytes = bytes, .begin = begin, .end = end};
}

/* A value is read by its users' backward, and by its maker's own (the relu's mask): the maker's comes last of all.
 */
static void plan_lifetimes(struct gradient *g, struct buffers *b)
{
    size_t batch = (size_t)g->options.batch;
    int end = 2 * g->step_count - 1;
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        struct train_value *v = &g->values[s->output];
        size_t floats = v->elements * sizeof(float) * batch;
        int codes = gradient_quantized(g) && s->output != g->graph.count - 1;
        live(&b->value[s->output], codes ? round_up_64(v->elements) * batch : floats, i, end - i);
        if (codes && s->kind != TRAIN_NORMALIZE)
            live(&b->before[s->output], floats, i, end - i);
        if (v->wants_gradient) /* begin: found below; the last node's is the caller's, copied before the first
                                  backward */
            live(&b->gradient[s->output], floats, s->output == g->graph.count - 1 ? g->step_count : end - i,
                 end - i);
    }
    for (int i = 0; i < g->step_count; i++) {
        const int operands[2] = {g->steps[i].x, g->steps[i].other};
        for (int k = 0; k < 2; k++)
            if (operands[k] >= 0 && b->gradient[operands[k]].begin > end - i)
                b->gradient[operands[k]].begin = end - i;
    }
}

/* One block for the floats of any convolution's codes, all through backward. */
static void plan_dequantized(struct gradient *g, struct lifetime *l)
{
    size_t largest = 0;
    for (int i = 0; i < g->step_count; i++)
        if (g->steps[i].kind == TRAIN_CONV)
            largest = max_size(largest, g->values[g->steps[i].x].elements);
    live(l, gradient_quantized(g) ? largest * sizeof(float) * (size_t)g->options.batch : 0, g->step_count,
         2 * g->step_count - 1);
}

int gradient_plan_buffers(struct gradient *g, struct message *m)
{
    int nodes = g->graph.count;
    struct lifetime *all = memory_new(3 * (size_t)nodes + 1, sizeof *all, m);
    if (!all)
        return STATUS_NOMEM;
    struct buffers b = {all, all + nodes, all + 2 * nodes, all + 3 * nodes};
    for (int i = 0; i < nodes; i++)
        g->values[i].elements = node_elements(&g->graph.nodes[i]);
    plan_lifetimes(g, &b);
    plan_dequantized(g, b.dequantized);
    live(&b.value[0], round_up_64(g->values[0].elements) * (size_t)g->options.batch, 0, 0);
    int status = lifetimes_place(all, 3 * nodes + 1, &g->arena_bytes, m);
    for (int i = 0; i < nodes; i++) {
        g->values[i].value = b.value[i].offset;
        g->values[i].before = b.before[i].offset;
        g->values[i].gradient = b.gradient[i].offset;
    }
    g->dequantized = b.dequantized->offset;
    memory_free(all);
    return status;
}
