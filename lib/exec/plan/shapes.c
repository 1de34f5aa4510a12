#include "exec/plan/shapes.h"

size_t node_elements(const struct node *n)
{
    return (size_t)n->h * (size_t)n->w * (size_t)n->c;
}

int node_conv_shape(const struct graph *g, int node, struct conv_shape *s, struct message *m)
{
    const struct node *n = &g->nodes[node], *x = &g->nodes[n->inputs[0]];
    if (n->op == OP_CONV2D && n->groups != 1)
        return message_set(m, STATUS_UNSUPPORTED, "%s: groups=%d: there are only kernels for groups=1", n->name,
                           n->groups);
    int is_conv = n->op == OP_CONV2D;
    *s = (struct conv_shape){.h = x->h,
                             .w = x->w,
                             .c = x->c,
                             .out = n->out,
                             .kernel = is_conv ? n->kernel : 1,
                             .stride = is_conv ? n->stride : 1,
                             .pad = is_conv ? n->pad : 0,
                             .out_h = n->h,
                             .out_w = n->w};
    return 0;
}

int conv_item_rows(const struct conv_shape *s)
{
    int rows = (s->out_h + 3) / 4;
    int enough = (32 + s->out_w - 1) / s->out_w;
    if (rows < enough)
        rows = enough;
    return rows < s->out_h ? rows : s->out_h;
}
