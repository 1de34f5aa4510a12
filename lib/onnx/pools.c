/* Pools: the mean over a map, and means and largest values of windows. */
#include "onnx/importer.h"
#include <string.h>

static int add_mean(struct importer *im, const struct call *c, int is_flat, struct message *m)
{
    if (value_is_codes(im, c->in[0]))
        return codes_average(im, c, is_flat, m);
    int x = value_f32(im, c->in[0], m), i;
    TRY(x);
    TRY(i = node_new(im, c, OP_AVGPOOL, NULL, x, -1, m));
    return node_finish(im, c, i, is_flat, m);
}

int import_global_average(struct importer *im, const struct call *c, struct message *m)
{
    return add_mean(im, c, 0, m);
}

/* ceil_mode, known where it makes no difference: no window begins inside and ends outside. */
static int check_ceil(const struct call *c, const struct node *w, struct message *m)
{
    const struct value *x = c->in[0];
    int64_t up;
    TRY(call_integer(c, "ceil_mode", 0, &up, m));
    for (int k = 2; up && k < 4; k++)
        if ((x->dims[k] + 2 * w->pad - w->kernel) % w->stride != 0)
            return message_set(m, STATUS_UNSUPPORTED,
                               "ceil_mode: a last window would reach beyond the map of %lld pixels",
                               (long long)x->dims[k]);
    return 0;
}

static int take_window(const struct call *c, struct node *window, struct message *m)
{
    int64_t kernel = 0, stride, pad;
    const struct value *x = c->in[0];
    if (x->rank != 4 || x->channels_last)
        return message_set(m, STATUS_UNSUPPORTED, "input '%s' is no map [N,C,H,W]", x->name);
    TRY(window_attributes(c, &kernel, &stride, &pad, m));
    *window = (struct node){.kernel = (int)kernel, .stride = (int)stride, .pad = (int)pad};
    return check_ceil(c, window, m);
}

/* Windows of one pixel, which exporters leave of an adaptive pool: what is read is what is given. */
static int is_nothing(const struct node *w)
{
    return w->kernel == 1 && w->stride == 1 && w->pad == 0;
}

static int add_windows(struct importer *im, const struct call *c, enum graph_op op, int x,
                       const struct node *window, struct message *m)
{
    int i = node_new(im, c, op, NULL, x, -1, m);
    TRY(i);
    struct node *n = &im->model->graph.nodes[i];
    n->kernel = window->kernel;
    n->stride = window->stride;
    n->pad = window->pad;
    TRY(node_finish(im, c, i, 0, m));
    return i;
}

int import_average(struct importer *im, const struct call *c, struct message *m)
{
    struct node window;
    int64_t counts;
    const struct value *x = c->in[0];
    TRY(take_window(c, &window, m));
    if (window.pad == 0 && x->dims[2] == window.kernel && x->dims[3] == window.kernel)
        return add_mean(im, c, 0, m);
    if (is_nothing(&window))
        return import_same(im, c, m);
    TRY(call_integer(c, "count_include_pad", 0, &counts, m));
    if (window.pad > 0 && !counts)
        return message_set(m, STATUS_UNSUPPORTED, "count_include_pad 0: padding counts as zeros in the means here");
    if (value_is_codes(im, x) && !x->has_cut)
        return codes_windows(im, c, &window, m);
    int from = value_f32(im, c->in[0], m);
    TRY(from);
    TRY(add_windows(im, c, OP_AVGPOOL, from, &window, m));
    return 0;
}

int import_max(struct importer *im, const struct call *c, struct message *m)
{
    struct node window;
    int is_codes = c->in[0]->kind == VALUE_CODES, x, i;
    TRY(take_window(c, &window, m));
    if (is_nothing(&window))
        return import_same(im, c, m);
    TRY(x = value_node(im, c->in[0], m));
    TRY(i = add_windows(im, c, OP_MAXPOOL, x, &window, m));
    if (im->model->graph.nodes[i].type == NODE_U8)
        TRY(node_repeat_map(im, i, m));
    if (is_codes)
        c->out->kind = VALUE_CODES;
    return 0;
}

int import_reduce_mean(struct importer *im, const struct call *c, struct message *m)
{
    int64_t axes[ONNX_MAX_RANK], keep;
    const struct value *x = c->in[0];
    int is_there, count = call_list(c, 1, "axes", ONNX_MAX_RANK, axes, &is_there, m), seen = 0;
    TRY(count);
    TRY(call_integer(c, "keepdims", 1, &keep, m));
    for (int k = 0; k < count; k++) {
        int64_t axis = axes[k] < 0 ? axes[k] + x->rank : axes[k];
        seen |= axis >= 0 && axis < x->rank ? 1 << axis : 1 << ONNX_MAX_RANK;
    }
    if (x->rank != 4 || seen != (x->channels_last ? 1 << 1 | 1 << 2 : 1 << 2 | 1 << 3) || value_is_vector(im, x))
        return message_set(m, STATUS_UNSUPPORTED, "a mean over other axes than height and width");
    struct value turned = *x; /* a mean over both sides does not ask where the channels are */
    struct call again = *c;
    turned.channels_last = 0;
    again.in[0] = &turned;
    TRY(add_mean(im, &again, !keep, m));
    if (keep && x->channels_last) {
        c->out->dims[3] = c->out->dims[1];
        c->out->dims[1] = 1;
    }
    return 0;
}
