/* Training steps, and where their buffers lie: the one planner for every engine. */
#include "base/memory.h"
#include "exec/train/gradient_engine.h"
#include "graph/op.h"

/* ---- steps ---- */

static int check_steps(const struct gradient *g, struct message *m)
{
    static const unsigned char has_gradient[STEP_KINDS] = {
        [STEP_NORMALIZE] = 1, [STEP_CONV] = 1,    [STEP_NORM] = 1,   [STEP_RELU] = 1,
        [STEP_CLIP] = 1,      [STEP_ADD] = 1,     [STEP_CONCAT] = 1, [STEP_WINDOW] = 1,
        [STEP_MAX] = 1,       [STEP_FLATTEN] = 1, [STEP_POOL] = 1};
    for (int i = 0; i < g->steps.count; i++) {
        const struct node *n = gradient_node(g, g->steps.at[i].node);
        if (!has_gradient[g->steps.at[i].kind])
            return message_set(m, STATUS_UNSUPPORTED, "%s: %s has no gradient", n->name, graph_op_name(n->op));
    }
    return 0;
}

/* The first user met in backward order writes an operand's gradient, the others add. Within a step, the last operand
 * goes first. */
static void plan_accumulation(struct gradient *g, unsigned char *begun)
{
    for (int i = g->steps.count - 1; i >= 0; i--) {
        const struct step *s = &g->steps.at[i];
        for (int k = s->more_count - 1; k >= 0; k--) {
            g->train[i].accumulate_more |= (uint64_t)begun[s->more[k]] << k;
            begun[s->more[k]] = 1;
        }
        if (s->other >= 0) {
            g->train[i].accumulate_other = begun[s->other];
            begun[s->other] = 1;
        }
        g->train[i].accumulate_x = begun[s->x];
        begun[s->x] = 1;
    }
}

static void plan_values(struct gradient *g)
{
    for (int i = 0; i < g->graph.count; i++)
        g->values[i].elements = node_elements(gradient_node(g, i));
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        int wants = s->kind == STEP_CONV || s->kind == STEP_NORM;
        for (int k = 0; k < step_operands(s); k++)
            wants |= gradient_wants(g, step_operand(s, k));
        g->values[s->output].wants_gradient = wants;
    }
}

int gradient_plan_steps(struct gradient *g, struct message *m)
{
    size_t nodes = (size_t)g->graph.count;
    TRY(steps_plan(&g->steps, &g->graph, FUSE_INTO_NORM, m));
    TRY(check_steps(g, m));
    g->train = memory_new((size_t)g->steps.count, sizeof *g->train, m);
    g->values = memory_new(nodes, sizeof *g->values, m);
    unsigned char *begun = memory_new(nodes, 1, m);
    if (g->train && g->values && begun) {
        plan_accumulation(g, begun);
        plan_values(g);
    }
    memory_free(begun);
    return g->train && g->values && begun ? 0 : STATUS_NOMEM;
}

/* ---- buffers ---- */

int gradient_keeps_map(const struct gradient *g, int step)
{
    const struct step *s = &g->steps.at[step];
    return op_of(gradient_node(g, s->output))->integer == INTEGER_INPUT_MAP && !gradient_is_last(g, s->output);
}

int gradient_has_before(const struct gradient *g, int node, int step)
{
    return gradient_quantized(g) && step >= 0 && !gradient_is_last(g, node) &&
           g->steps.at[step].kind != STEP_NORMALIZE && !gradient_keeps_map(g, step);
}

int gradient_plan_buffers(struct gradient *g, buffer_rule *bytes, struct lifetime *others, int count, size_t *total,
                          struct message *m)
{
    int nodes = g->graph.count, all = 3 * nodes + count;
    struct lifetime *value = memory_new((size_t)all, sizeof *value, m);
    if (!value)
        return STATUS_NOMEM;
    struct lifetime *before = value + nodes, *gradient = before + nodes, *own = gradient + nodes;
    lives_of_training(&g->steps, nodes, value, gradient);
    for (int i = 0; i < nodes; i++) {
        int step = steps_maker(&g->steps, i, g->steps.count);
        struct buffer_bytes b = i == 0 || step >= 0 ? bytes(g, i, step) : (struct buffer_bytes){0};
        before[i] = value[i];
        value[i].bytes = b.value;
        before[i].bytes = b.before;
        gradient[i].bytes = g->values[i].wants_gradient ? b.gradient : 0;
        gradient[i].end += b.longer;
    }
    for (int i = 0; i < count; i++)
        own[i] = others[i];
    int status = lifetimes_place(value, all, total, m);
    for (int i = 0; i < nodes; i++) {
        g->values[i].value = value[i].offset;
        g->values[i].before = before[i].offset;
        g->values[i].gradient = gradient[i].offset;
    }
    for (int i = 0; i < count; i++)
        others[i] = own[i];
    memory_free(value);
    return status;
}
