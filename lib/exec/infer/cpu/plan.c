/* From graph to steps: which nodes run together. */
#include "base/memory.h"
#include "exec/infer/cpu/plan.h"

static struct step *step_add(struct exec *e, enum step_kind kind, int node)
{
    const struct node *n = &e->model->graph.nodes[node];
    struct step *s = &e->steps[e->step_count++];
    *s = (struct step){.kind = kind,
                       .node = node,
                       .output = node,
                       .x = n->inputs[0],
                       .other = n->input_count > 1 ? n->inputs[1] : -1,
                       .norm = -1,
                       .fold = -1,
                       .norm_other = -1,
                       .algorithm = "elementwise",
                       .macs = node_macs(&e->model->graph, node)};
    return s;
}

/* The only node that reads node i, or -1. */
static int only_user(const struct graph *g, const int *uses, int i)
{
    if (uses[i] != 1)
        return -1;
    for (int u = i + 1; u < g->count; u++)
        for (int k = 0; k < g->nodes[u].input_count; k++)
            if (g->nodes[u].inputs[k] == i)
                return u;
    return -1;
}

/* Takes the batch norm behind a convolution into its step, then an add whose other operand is already there, then a
 * relu: the pixels are still in the cache. */
static void absorb_norm(struct exec *e, struct step *s, const int *uses, unsigned char *done)
{
    const struct graph *g = &e->model->graph;
    int next = only_user(g, uses, s->node);
    if (e->keep || s->relu || (e->is_bf16 && s->other >= 0) || next < 0 || g->nodes[next].op != OP_BATCHNORM)
        return;
    s->norm = s->output = next;
    done[next] = 1;
    next = only_user(g, uses, s->output);
    if (next >= 0 && g->nodes[next].op == OP_ADD) {
        const int *in = g->nodes[next].inputs;
        int other = in[0] == s->output ? in[1] : in[0];
        if (other > s->node)
            return;
        s->norm_other = other;
        s->output = next;
        done[next] = 1;
        next = only_user(g, uses, s->output);
    }
    if (next >= 0 && g->nodes[next].op == OP_RELU) {
        s->relu = 1;
        s->output = next;
        done[next] = 1;
    }
}

/* In bfloat16 the batch norm goes into the weights, and what it was fused with to the convolution. */
static void fold_norm(struct step *s)
{
    s->fold = s->norm;
    s->other = s->norm_other;
    s->norm = s->norm_other = -1;
}

static int plan_conv(struct exec *e, int node, const int *uses, unsigned char *done, struct message *m)
{
    const struct graph *g = &e->model->graph;
    const struct node *n = &g->nodes[node];
    int integer = node_is_integer(g, node);
    struct step *s = step_add(e,
                              !integer             ? (e->is_bf16 ? STEP_CONV_BF16 : STEP_CONV_F32)
                              : n->op == OP_LINEAR ? STEP_LINEAR_U8
                                                   : STEP_CONV_U8,
                              node);
    TRY(node_conv_shape(g, node, &s->shape, m));
    s->relu = n->has_relu;
    if (integer)
        e->integer_layers++;
    else
        e->float_layers++;
    if (!integer)
        absorb_norm(e, s, uses, done);
    if (e->is_bf16 && s->norm >= 0)
        fold_norm(s);
    return 0;
}

/* A normalize that only quantize reads is never computed: each quantize is a table of the pixels. */
static int needs_normalize(const struct exec *e, int node)
{
    const struct graph *g = &e->model->graph;
    if (e->keep || node == g->count - 1)
        return 1;
    for (int u = node + 1; u < g->count; u++)
        for (int k = 0; k < g->nodes[u].input_count; k++)
            if (g->nodes[u].inputs[k] == node && g->nodes[u].op != OP_QUANTIZE)
                return 1;
    return 0;
}

static int plan_node(struct exec *e, int i, const int *uses, unsigned char *done, struct message *m)
{
    const struct graph *g = &e->model->graph;
    const struct node *n = &g->nodes[i];
    int integer = node_is_integer(g, i);
    switch (n->op) {
    case OP_NORMALIZE:
        if (needs_normalize(e, i))
            step_add(e, STEP_NORMALIZE, i);
        return 0;
    case OP_CONV2D:
    case OP_LINEAR:
        return plan_conv(e, i, uses, done, m);
    case OP_BATCHNORM:
        step_add(e, STEP_SCALE_SHIFT, i);
        return 0;
    case OP_RELU:
        step_add(e, integer ? STEP_RELU_U8 : STEP_RELU_F32, i);
        return 0;
    case OP_ADD:
        step_add(e, STEP_ADD, i);
        return 0;
    case OP_AVGPOOL:
        step_add(e, integer ? STEP_POOL_U8 : STEP_POOL_F32, i);
        return 0;
    case OP_QUANTIZE:
        if (g->nodes[n->inputs[0]].op == OP_NORMALIZE) {
            struct step *s = step_add(e, STEP_LOOKUP_INPUT, i);
            s->x = 0;
        } else {
            step_add(e, STEP_QUANTIZE, i);
        }
        return 0;
    case OP_DEQUANTIZE:
        step_add(e, STEP_DEQUANTIZE, i);
        return 0;
    default:
        return message_set(m, STATUS_UNSUPPORTED, "%s: nothing computes %s", n->name, graph_op_name(n->op));
    }
}

int plan_steps(struct exec *e, struct message *m)
{
    const struct graph *g = &e->model->graph;
    int status = 0;
    e->steps = memory_new((size_t)g->count, sizeof *e->steps, m);
    int *uses = memory_new((size_t)g->count, sizeof *uses, m);
    unsigned char *done = memory_new((size_t)g->count, 1, m);
    if (!e->steps || !uses || !done) {
        status = STATUS_NOMEM;
        goto out;
    }
    uses[g->count - 1] = 1;
    for (int i = 0; i < g->count; i++)
        for (int k = 0; k < g->nodes[i].input_count; k++)
            uses[g->nodes[i].inputs[k]]++;
    for (int i = 1; i < g->count && status >= 0; i++)
        if (!done[i])
            status = plan_node(e, i, uses, done, m);
    for (int i = 0; i < e->step_count; i++)
        e->macs += e->steps[i].macs;
out:
    memory_free(uses);
    memory_free(done);
    return status;
}
