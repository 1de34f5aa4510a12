/* What stands behind layers: relu and clip. Of codes they are computed as codes. */
#include "onnx/importer.h"
#include <math.h>
#include <string.h>

int import_relu(struct importer *im, const struct call *c, struct message *m)
{
    if (c->in[0]->kind == VALUE_SUM)
        return codes_relu(im, c, m);
    int x = value_node(im, c->in[0], m), i;
    TRY(x);
    TRY(i = node_new(im, c, OP_RELU, NULL, x, -1, m));
    TRY(node_finish(im, c, i, c->in[0]->rank == 2, m));
    return im->model->graph.nodes[i].type == NODE_U8 ? node_repeat_map(im, i, m) : 0;
}

/* Bound k of a Clip: an input since opset 11, an attribute before. */
static int clip_bound(const struct importer *im, const struct call *c, int k, const char *name, double otherwise,
                      double *out, struct message *m)
{
    const struct constant *bound;
    *out = otherwise;
    if (im->opset < 11)
        return call_number(c, name, otherwise, out, m);
    if (!call_input(c, k))
        return 0;
    TRY(call_constant(c, k, name, &bound, m));
    if (bound->count != 1)
        return message_set(m, STATUS_MISMATCH, "%s has %zu elements", name, bound->count);
    *out = constant_number(bound, 0);
    return 0;
}

/* Of a value that is a node already. */
static int clip_node(struct importer *im, const struct call *c, double low, double high, struct message *m)
{
    int x = value_node(im, c->in[0], m), i;
    TRY(x);
    TRY(i = node_new(im, c, OP_CLIP, NULL, x, -1, m));
    im->model->graph.nodes[i].clip = (struct clip){1, (float)low, (float)high};
    TRY(node_finish(im, c, i, c->in[0]->rank == 2, m));
    return im->model->graph.nodes[i].type == NODE_U8 ? node_repeat_map(im, i, m) : 0;
}

int import_clip(struct importer *im, const struct call *c, struct message *m)
{
    enum { NO_BOUND = 1 << 30 };
    double low, high;
    if (c->in[0]->kind == VALUE_CODES)
        return codes_clip(im, c, m);
    TRY(clip_bound(im, c, 1, "min", (double)-INFINITY, &low, m));
    TRY(clip_bound(im, c, 2, "max", (double)INFINITY, &high, m));
    if (low == 0 && high >= NO_BOUND)
        return import_relu(im, c, m);
    if (!isfinite(low) || !isfinite(high))
        return message_set(m, STATUS_UNSUPPORTED, "min %g and max %g: want both, or a min of 0 alone", low, high);
    if (c->in[0]->has_cut || c->in[0]->kind == VALUE_PIXELS || value_is_codes(im, c->in[0]))
        return clip_node(im, c, low, high, m);
    TRY(import_same(im, c, m));
    c->out->has_cut = 1;
    c->out->low = (float)low;
    c->out->high = (float)high;
    node_choose_name(im, c, NULL, c->out->cut_name);
    return 0;
}
