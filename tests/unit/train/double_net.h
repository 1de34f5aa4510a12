/* double_net.h: a float network's training step in double, forward with batch statistics and backward, from the
 * graph alone: it shares no code with lib/exec and knows nothing of its kernels.
 *
 * Two things may be given to it. What `round` does to every value that the engine keeps - outputs and gradients of
 * the nodes `stored`, and convolutions' weights -: with an engine's own rounding the comparison leaves only what is
 * summed in another order. And the decisions of the relus: where a value is nearer to 0 than the engine's error,
 * which side it falls on is chance, and one such flip outweighs all errors of float32 together. net_flips says how
 * far from 0 the decisions were that double would have made otherwise. */
#ifndef RESQ_TEST_DOUBLE_NET_H
#define RESQ_TEST_DOUBLE_NET_H

#include "graph/model.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct net {
    const struct model *model;
    int images;
    double (*round)(double);     /* NULL: none */
    const unsigned char *stored; /* [node] */
    /* Called with the finished values or gradients of a stored node, which it may replace. NULL: none. */
    void (*finished)(void *context, int node, int is_gradient, double *values);
    void *context;
    unsigned char **positive;     /* [node][images, h, w, c], of relus; NULL: its own decisions */
    double **values, **gradients; /* [node][images, h, w, c] */
    double **mean, **variance;    /* [node][c], of batch norms */
    double **slopes;              /* one a tensor of the record: its gradient, as the tensor lies */
    double flip;                  /* largest |value| that a given decision contradicts, over its map's rms */
    long flips, decisions;
};

static inline size_t net_elements(const struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i];
    return (size_t)net->images * (size_t)n->h * (size_t)n->w * (size_t)n->c;
}

static inline double *doubles(size_t count)
{
    return calloc(count + 1, sizeof(double));
}

static inline void net_open(struct net *net, const struct model *model, int images)
{
    const struct record *r = model->record;
    size_t nodes = (size_t)model->graph.count;
    *net = (struct net){.model = model, .images = images};
    net->values = calloc(nodes, sizeof *net->values);
    net->gradients = calloc(nodes, sizeof *net->gradients);
    net->mean = calloc(nodes, sizeof *net->mean);
    net->variance = calloc(nodes, sizeof *net->variance);
    net->slopes = calloc(r->tensor_count, sizeof *net->slopes);
    for (int i = 0; i < model->graph.count; i++) {
        net->values[i] = doubles(net_elements(net, i));
        net->gradients[i] = doubles(net_elements(net, i));
        net->mean[i] = doubles((size_t)model->graph.nodes[i].c);
        net->variance[i] = doubles((size_t)model->graph.nodes[i].c);
    }
    for (size_t k = 0; k < r->tensor_count; k++)
        net->slopes[k] = doubles(r->tensors[k].count);
}

static inline void net_close(struct net *net)
{
    for (int i = 0; i < net->model->graph.count; i++) {
        free(net->values[i]);
        free(net->gradients[i]);
        free(net->mean[i]);
        free(net->variance[i]);
    }
    for (size_t k = 0; k < net->model->record->tensor_count; k++)
        free(net->slopes[k]);
    free(net->values);
    free(net->gradients);
    free(net->mean);
    free(net->variance);
    free(net->slopes);
}

static inline const float *net_parameter(const struct net *net, int i, const char *suffix)
{
    const struct tensor *t = model_tensor(net->model, i, suffix);
    return t ? t->data : NULL;
}

static inline double *net_slope(const struct net *net, int i, const char *suffix)
{
    const struct tensor *t = model_tensor(net->model, i, suffix);
    return t ? net->slopes[t - net->model->record->tensors] : NULL;
}

static inline double net_rounded(const struct net *net, int i, double v)
{
    return net->round && net->stored[i] ? net->round(v) : v;
}

static inline void net_finish(struct net *net, int i, int is_gradient)
{
    if (net->finished && net->stored[i])
        net->finished(net->context, i, is_gradient, is_gradient ? net->gradients[i] : net->values[i]);
}

/* ---- convolution ---- */

struct conv {
    const struct node *n, *x;
    int side, stride, pad;
};

static inline struct conv conv_of(const struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i];
    const struct node *x = &net->model->graph.nodes[n->inputs[0]];
    int is_conv = n->op == OP_CONV2D;
    return (struct conv){n, x, is_conv ? n->kernel : 1, is_conv ? n->stride : 1, is_conv ? n->pad : 0};
}

/* Weights [K][C][R][R] as [R][R][C][K]; transposed: [R][R][K][C]. A linear layer's stay as they are. */
static inline double *conv_weights(const struct net *net, int i, const struct conv *s, int transposed)
{
    const float *w = net_parameter(net, i, "weight");
    int out = s->n->c, in = s->x->c, taps = s->side * s->side;
    double *to = doubles((size_t)taps * (size_t)(out * in));
    for (int k = 0; k < out; k++)
        for (int c = 0; c < in; c++)
            for (int t = 0; t < taps; t++) {
                double v = (double)w[(k * in + c) * taps + t];
                to[(size_t)t * (size_t)(out * in) + (size_t)(transposed ? k * in + c : c * out + k)] =
                    net->round && s->n->op == OP_CONV2D ? net->round(v) : v;
            }
    return to;
}

/* to[outs] += from[ins] * w[ins][outs]; in eights, which compilers make vectors of. */
static inline void add_product(const double *restrict from, int ins, const double *restrict w, int outs,
                               double *restrict to)
{
    for (int c = 0; c < ins; c++, w += outs) {
        double v = from[c];
        if (v == 0) /* half of what comes out of a relu */
            continue;
        int k = 0;
        for (; k + 8 <= outs; k += 8)
            for (int j = 0; j < 8; j++)
                to[k + j] += v * w[k + j];
        for (; k < outs; k++)
            to[k] += v * w[k];
    }
}

enum conv_pass { CONV_FORWARD, CONV_DATA, CONV_WEIGHT };

/* All taps of all pixels: y += x w, dx += dy w' or dw += x dy. w: [R][R] matrices, as the pass wants them. */
static inline void conv_run(const struct net *net, const struct conv *s, enum conv_pass pass, double *x, double *y,
                            double *w)
{
    int in = s->x->c, out = s->n->c;
    for (int b = 0; b < net->images; b++)
        for (int oy = 0; oy < s->n->h; oy++)
            for (int ox = 0; ox < s->n->w; ox++)
                for (int tap = 0; tap < s->side * s->side; tap++) {
                    int iy = oy * s->stride + tap / s->side - s->pad, ix = ox * s->stride + tap % s->side - s->pad;
                    if (iy < 0 || iy >= s->x->h || ix < 0 || ix >= s->x->w)
                        continue;
                    double *xp = x + ((size_t)(b * s->x->h + iy) * (size_t)s->x->w + (size_t)ix) * (size_t)in;
                    double *yp = y + ((size_t)(b * s->n->h + oy) * (size_t)s->n->w + (size_t)ox) * (size_t)out;
                    double *wp = w + (size_t)tap * (size_t)(in * out);
                    if (pass == CONV_FORWARD)
                        add_product(xp, in, wp, out, yp);
                    else if (pass == CONV_DATA)
                        add_product(yp, out, wp, in, xp);
                    else
                        for (int c = 0; c < in; c++)
                            add_product(&xp[c], 1, yp, out, wp + c * out);
                }
}

static inline void net_conv(struct net *net, int i)
{
    struct conv s = conv_of(net, i);
    const float *bias = net_parameter(net, i, "bias");
    double *w = conv_weights(net, i, &s, 0), *y = net->values[i];
    for (size_t k = 0; k < net_elements(net, i); k++)
        y[k] = bias ? (double)bias[k % (size_t)s.n->c] : 0;
    conv_run(net, &s, CONV_FORWARD, net->values[s.n->inputs[0]], y, w);
    free(w);
}

/* ---- forward ---- */

static inline void net_norm(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i];
    const double *x = net->values[n->inputs[0]];
    const float *gamma = net_parameter(net, i, "weight"), *beta = net_parameter(net, i, "bias");
    size_t channels = (size_t)n->c, count = net_elements(net, i);
    double *mean = net->mean[i], *variance = net->variance[i], rows = (double)(count / channels);
    memset(mean, 0, channels * sizeof *mean);
    memset(variance, 0, channels * sizeof *variance);
    for (size_t k = 0; k < count; k++)
        mean[k % channels] += x[k] / rows;
    for (size_t k = 0; k < count; k++)
        variance[k % channels] += (x[k] - mean[k % channels]) * (x[k] - mean[k % channels]) / rows;
    for (size_t k = 0; k < count; k++) {
        size_t c = k % channels;
        net->values[i][k] =
            (x[k] - mean[c]) / sqrt(variance[c] + (double)n->eps) * (double)gamma[c] + (double)beta[c];
    }
}

static inline void net_relu(struct net *net, int i)
{
    const double *x = net->values[net->model->graph.nodes[i].inputs[0]];
    size_t count = net_elements(net, i);
    double squares = 0, largest = 0;
    for (size_t k = 0; k < count; k++) {
        int own = x[k] > 0, positive = net->positive ? net->positive[i][k] : own;
        squares += x[k] * x[k] / (double)count;
        if (positive != own) {
            net->flips++;
            largest = fmax(largest, fabs(x[k]));
        }
        net->values[i][k] = positive ? x[k] : 0;
    }
    net->decisions += (long)count;
    net->flip = fmax(net->flip, largest / sqrt(squares));
}

static inline void net_simple(struct net *net, int i)
{
    const struct node *n = &net->model->graph.nodes[i], *x = &net->model->graph.nodes[n->inputs[0]];
    const double *a = net->values[n->inputs[0]], *b = n->input_count > 1 ? net->values[n->inputs[1]] : NULL;
    size_t channels = (size_t)n->c, count = net_elements(net, i), pixels = (size_t)(x->h * x->w);
    double *y = net->values[i];
    memset(y, 0, count * sizeof *y);
    if (n->op == OP_AVGPOOL)
        for (size_t k = 0; k < count * pixels; k++)
            y[k / (pixels * channels) * channels + k % channels] += a[k] / (double)pixels;
    for (size_t k = 0; k < count && n->op == OP_NORMALIZE; k++)
        y[k] = (a[k] / 255 - (double)n->mean[k % channels]) / (double)n->std[k % channels];
    for (size_t k = 0; k < count && n->op == OP_ADD; k++)
        y[k] = a[k] + b[k];
}

/* Returns the logits. */
static inline const double *net_forward(struct net *net, const uint8_t *images)
{
    const struct graph *g = &net->model->graph;
    net->flips = net->decisions = 0;
    net->flip = 0;
    for (size_t k = 0; k < net_elements(net, 0); k++)
        net->values[0][k] = images[k];
    for (int i = 1; i < g->count; i++) {
        enum graph_op op = g->nodes[i].op;
        if (op == OP_CONV2D || op == OP_LINEAR)
            net_conv(net, i);
        else if (op == OP_BATCHNORM)
            net_norm(net, i);
        else if (op == OP_RELU)
            net_relu(net, i);
        else
            net_simple(net, i);
        for (size_t k = 0; k < net_elements(net, i); k++)
            net->values[i][k] = net_rounded(net, i, net->values[i][k]);
        net_finish(net, i, 0);
    }
    return net->values[g->count - 1];
}

/* ---- backward ---- */

/* An operand's gradient gets one more part. */
static inline void give(struct net *net, int operand, const double *part)
{
    double *to = net->gradients[operand];
    for (size_t k = 0; k < net_elements(net, operand); k++)
        to[k] = net_rounded(net, operand, to[k] + part[k]);
}

static inline void back_conv(struct net *net, int i, double *dx)
{
    struct conv s = conv_of(net, i);
    int taps = s.side * s.side, in = s.x->c, out = s.n->c;
    double *dy = net->gradients[i], *bias = net_slope(net, i, "bias"), *dw = net_slope(net, i, "weight");
    double *w = conv_weights(net, i, &s, 1), *sums = doubles((size_t)taps * (size_t)(in * out));
    conv_run(net, &s, CONV_WEIGHT, net->values[s.n->inputs[0]], dy, sums);
    for (int k = 0; k < out; k++)
        for (int c = 0; c < in; c++)
            for (int t = 0; t < taps; t++)
                dw[(k * in + c) * taps + t] = sums[((size_t)t * (size_t)in + (size_t)c) * (size_t)out + (size_t)k];
    for (size_t k = 0; bias && k < net_elements(net, i); k++)
        bias[k % (size_t)out] += dy[k];
    if (s.n->inputs[0] > 1) /* the pixels want none */
        conv_run(net, &s, CONV_DATA, dx, dy, w);
    free(w);
    free(sums);
}

/* dx = gamma / deviation * (dy - mean(dy) - xhat * mean(dy * xhat)) */
static inline void back_norm(struct net *net, int i, double *dx)
{
    const struct node *n = &net->model->graph.nodes[i];
    const double *x = net->values[n->inputs[0]], *dy = net->gradients[i];
    const float *gamma = net_parameter(net, i, "weight");
    double *slope = net_slope(net, i, "weight"), *shift = net_slope(net, i, "bias");
    size_t channels = (size_t)n->c, count = net_elements(net, i);
    double rows = (double)(count / channels);
    for (int pass = 0; pass < 2; pass++)
        for (size_t k = 0; k < count; k++) {
            size_t c = k % channels;
            double deviation = sqrt(net->variance[i][c] + (double)n->eps),
                   xhat = (x[k] - net->mean[i][c]) / deviation;
            if (pass == 0) {
                slope[c] += dy[k] * xhat;
                shift[c] += dy[k];
            } else {
                dx[k] = (double)gamma[c] / deviation * (dy[k] - shift[c] / rows - xhat * slope[c] / rows);
            }
        }
}

static inline void back_simple(struct net *net, int i, double *dx)
{
    const struct node *n = &net->model->graph.nodes[i], *x = &net->model->graph.nodes[n->inputs[0]];
    const double *dy = net->gradients[i];
    size_t channels = (size_t)n->c, count = net_elements(net, n->inputs[0]), pixels = (size_t)(x->h * x->w);
    for (size_t k = 0; k < count; k++) {
        if (n->op == OP_AVGPOOL)
            dx[k] = dy[k / (pixels * channels) * channels + k % channels] / (double)pixels;
        else if (n->op == OP_RELU)
            dx[k] = (net->positive ? net->positive[i][k] : net->values[i][k] > 0) ? dy[k] : 0;
        else
            dx[k] = dy[k];
    }
}

/* After net_forward: slopes of all parameters. */
static inline void net_backward(struct net *net, const float *dlogits)
{
    const struct graph *g = &net->model->graph;
    for (int i = 0; i < g->count; i++)
        memset(net->gradients[i], 0, net_elements(net, i) * sizeof(double));
    for (size_t k = 0; k < net_elements(net, g->count - 1); k++)
        net->gradients[g->count - 1][k] = (double)dlogits[k];
    for (int i = g->count - 1; i > 1; i--) {
        const struct node *n = &g->nodes[i];
        double *dx = doubles(net_elements(net, n->inputs[0]));
        net_finish(net, i, 1);
        if (n->op == OP_CONV2D || n->op == OP_LINEAR)
            back_conv(net, i, dx);
        else if (n->op == OP_BATCHNORM)
            back_norm(net, i, dx);
        else
            back_simple(net, i, dx);
        for (int k = n->input_count - 1; k >= 0; k--)
            give(net, n->inputs[k], dx);
        free(dx);
    }
}

#endif
