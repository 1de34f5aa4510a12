/* Kernels, strides and pads: what convolutions and pools have in common. */
#include "onnx/importer.h"
#include "graph/attribute.h"
#include <string.h>

static int check_square(const char *what, int count, const int64_t *v, int64_t *out, struct message *m)
{
    for (int k = 1; k < count; k++)
        if (v[k] != v[0])
            return message_set(m, STATUS_UNSUPPORTED, "%s %lld and %lld differ between sides%s", what,
                               (long long)v[0], (long long)v[k],
                               strcmp(what, "pads") == 0 ? ": asymmetric pads are not known here" : "");
    if (count > 0)
        *out = v[0];
    if (*out < 0 || *out > GRAPH_MAX_SIDE)
        return message_set(m, STATUS_RANGE, "%s %lld", what, (long long)*out);
    return 0;
}

/* The pad of auto_pad SAME for a side of this size, as ONNX computes it; odd ones lie on
 * one side more than on the other. */
static int same_pad(int64_t side, int64_t kernel, int64_t stride, int64_t *pad, struct message *m)
{
    int64_t all = ((side + stride - 1) / stride - 1) * stride + kernel - side;
    all = all > 0 ? all : 0;
    if (all % 2)
        return message_set(m, STATUS_UNSUPPORTED,
                           "auto_pad puts %lld pixels on one side and %lld on the other: asymmetric "
                           "pads are not known here",
                           (long long)(all / 2), (long long)(all - all / 2));
    *pad = all / 2;
    return 0;
}

int window_attributes(const struct call *c, int64_t *kernel, int64_t *stride, int64_t *pad, struct message *m)
{
    int64_t numbers[4] = {0}, dilation = 1, own = *kernel;
    char automatic[32];
    int count = call_integers(c, "kernel_shape", 2, numbers, m);
    TRY(count);
    TRY(check_square("kernel_shape", count, numbers, &own, m));
    if (own < 1 || (*kernel && own != *kernel))
        return message_set(m, STATUS_MISMATCH, "kernel_shape %lld, its weights have %lld", (long long)own,
                           (long long)*kernel);
    *kernel = own;
    *stride = 1;
    TRY(count = call_integers(c, "strides", 2, numbers, m));
    TRY(check_square("strides", count, numbers, stride, m));
    TRY(count = call_integers(c, "dilations", 2, numbers, m));
    TRY(check_square("dilations", count, numbers, &dilation, m));
    if (dilation != 1 || *stride < 1)
        return message_set(m, STATUS_UNSUPPORTED, "dilation %lld, stride %lld: want 1, and 1 or more",
                           (long long)dilation, (long long)*stride);
    *pad = 0;
    TRY(call_text(c, "auto_pad", automatic, m));
    if (strncmp(automatic, "SAME", 4) == 0)
        return same_pad(c->in[0]->dims[2], own, *stride, pad, m);
    TRY(count = call_integers(c, "pads", 4, numbers, m));
    return check_square("pads", strcmp(automatic, "VALID") == 0 ? 0 : count, numbers, pad, m);
}

int convolution_attributes(const struct call *c, const struct constant *w, struct node *n, struct message *m)
{
    int64_t kernel, stride, pad, groups;
    if (w->rank != 4 || w->dims[2] != w->dims[3] || w->dims[2] < 1 || w->dims[0] < 1 ||
        w->dims[0] > GRAPH_MAX_CHANNELS)
        return message_set(m, STATUS_UNSUPPORTED,
                           "weights of %d dimensions, %lld outputs, kernel %lldx%lld: want 4, and a square",
                           w->rank, (long long)w->dims[0], (long long)w->dims[2], (long long)w->dims[3]);
    kernel = w->dims[2];
    TRY(window_attributes(c, &kernel, &stride, &pad, m));
    TRY(call_integer(c, "group", 1, &groups, m));
    TRY(integer_check("group", (int)(groups < 1 || groups > GRAPH_MAX_CHANNELS ? 0 : groups), 1, GRAPH_MAX_CHANNELS,
                      m));
    n->out = (int)w->dims[0];
    n->kernel = (int)kernel;
    n->stride = (int)stride;
    n->pad = (int)pad;
    n->groups = (int)groups;
    return 0;
}
