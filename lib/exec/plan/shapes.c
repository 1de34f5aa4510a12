#include "exec/plan/shapes.h"

size_t node_elements(const struct node *n)
{
    return (size_t)n->h * (size_t)n->w * (size_t)n->c;
}

struct conv_shape node_conv_shape(const struct graph *g, int node)
{
    const struct node *n = &g->nodes[node], *x = &g->nodes[n->inputs[0]];
    int is_conv = n->op == OP_CONV2D;
    return (struct conv_shape){.h = x->h,
                               .w = x->w,
                               .c = x->c,
                               .out = n->out,
                               .kernel = is_conv ? n->kernel : 1,
                               .stride = is_conv ? n->stride : 1,
                               .pad = is_conv ? n->pad : 0,
                               .out_h = n->h,
                               .out_w = n->w,
                               .groups = is_conv ? n->groups : 1};
}

struct pool_shape node_pool_shape(const struct graph *g, int node)
{
    const struct node *n = &g->nodes[node], *x = &g->nodes[n->inputs[0]];
    return (struct pool_shape){x->h, x->w, x->c, n->kernel, n->stride, n->pad, n->h, n->w};
}

int conv_item_rows(const struct conv_shape *s)
{
    int rows = (s->out_h + 3) / 4;
    int enough = (32 + s->out_w - 1) / s->out_w;
    if (rows < enough)
        rows = enough;
    return rows < s->out_h ? rows : s->out_h;
}
