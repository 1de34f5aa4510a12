#include "graph/graph.h"
#include <string.h>

static int print_list(struct text *t, const char *key, const float *values, int count, struct message *m)
{
    TRY(text_add(t, m, " %s=", key));
    for (int i = 0; i < count; i++) {
        char number[32];
        format_number_f32(number, values[i]);
        TRY(text_add(t, m, "%s%s", i ? "," : "", number));
    }
    return 0;
}

static int print_conv(const struct graph *g, const struct node *n, struct text *t, struct message *m)
{
    TRY(text_add(t, m, " out=%d kernel=%d", n->out, n->kernel));
    if (n->stride != 1)
        TRY(text_add(t, m, " stride=%d", n->stride));
    if (n->pad != 0)
        TRY(text_add(t, m, " pad=%d", n->pad));
    if (n->groups != 1)
        TRY(text_add(t, m, " groups=%d", n->groups));
    if (n->has_bias)
        TRY(text_add(t, m, " bias"));
    if (n->input_count > 1)
        TRY(text_add(t, m, " add=%s", g->nodes[n->inputs[1]].name));
    return n->has_relu ? text_add(t, m, " relu") : 0;
}

/* "OP INPUTS options", all defaults left out. */
static int print_body(const struct graph *g, const struct node *n, struct text *t, struct message *m)
{
    TRY(text_add(t, m, "%s", graph_op_name(n->op)));
    for (int k = 0; k < (n->op == OP_CONV2D ? 1 : n->input_count); k++)
        TRY(text_add(t, m, " %s", g->nodes[n->inputs[k]].name));
    switch (n->op) {
    case OP_NORMALIZE:
        TRY(print_list(t, "mean", n->mean, n->c, m));
        return print_list(t, "std", n->std, n->c, m);
    case OP_CONV2D:
        return print_conv(g, n, t, m);
    case OP_LINEAR:
        return text_add(t, m, " out=%d%s", n->out, n->has_bias ? " bias" : "");
    case OP_BATCHNORM:
        return n->eps != 1e-5f ? print_list(t, "eps", &n->eps, 1, m) : 0;
    default:
        return 0;
    }
}

static int print_lines(const struct graph *g, struct text *t, struct text *body, struct message *m)
{
    int name_width = 0, body_width = 0;
    for (int i = 0; i < g->count; i++) {
        int width = (int)strlen(g->nodes[i].name);
        text_clear(body);
        TRY(print_body(g, &g->nodes[i], body, m));
        name_width = width > name_width ? width : name_width;
        body_width = (int)body->length > body_width ? (int)body->length : body_width;
    }
    for (int i = 0; i < g->count; i++) {
        char type[64];
        text_clear(body);
        TRY(print_body(g, &g->nodes[i], body, m));
        node_describe(&g->nodes[i], type);
        TRY(text_add(t, m, "%-*s = %-*s  %s\n", name_width, g->nodes[i].name, body_width, body->data, type));
    }
    return 0;
}

int graph_print(const struct graph *g, struct text *t, struct message *m)
{
    struct text body = {0};
    int status = print_lines(g, t, &body, m);
    text_free(&body);
    return status;
}
