#include "graph/op.h"
#include "pass/pass.h"
#include <math.h>

enum { MOST_ROUNDS = 20 };

/* Two convolutions and the channels between them. */
struct pair {
    float *first, *bias, *second; /* bias may be NULL */
    int channels, outputs, taps;  /* taps: weights of `second` for one channel and output */
    size_t row;                   /* weights of `first` for one channel */
};

static int plain_conv(const struct node *n)
{
    return n->op == OP_CONV2D && n->groups == 1 && n->type == NODE_F32;
}

/* The convolution that alone reads convolution i, or -1. */
static int second_of(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    if (!plain_conv(n) || n->input_count > 1 || graph_uses(g, i) != 1)
        return -1;
    for (int j = i + 1; j < g->count; j++)
        if (plain_conv(&g->nodes[j]) && g->nodes[j].inputs[0] == i)
            return j;
    return -1;
}

static struct pair pair_of(const struct model *model, int first, int second)
{
    const struct tensor *bias = model_tensor(model, first, "bias");
    const struct node *a = &model->graph.nodes[first], *b = &model->graph.nodes[second];
    const struct tensor *weight = model_tensor(model, first, "weight");
    return (struct pair){.first = weight->data,
                         .bias = bias ? bias->data : NULL,
                         .second = model_tensor(model, second, "weight")->data,
                         .channels = a->c,
                         .outputs = b->c,
                         .taps = b->kernel * b->kernel,
                         .row = weight->count / (size_t)a->c};
}

static float *second_at(const struct pair *p, int output, int channel)
{
    return p->second + ((size_t)output * (size_t)p->channels + (size_t)channel) * (size_t)p->taps;
}

static float largest(const float *w, size_t count, float so_far)
{
    for (size_t i = 0; i < count; i++)
        so_far = fabsf(w[i]) > so_far ? fabsf(w[i]) : so_far;
    return so_far;
}

static void scale_all(float *w, size_t count, double by)
{
    for (size_t i = 0; i < count; i++)
        w[i] = (float)((double)w[i] * by);
}

/* 1 where either side is all zero. */
static double factor_of(const struct pair *p, int c)
{
    float one = largest(p->first + (size_t)c * p->row, p->row, 0), two = 0;
    for (int o = 0; o < p->outputs; o++)
        two = largest(second_at(p, o, c), (size_t)p->taps, two);
    double s = sqrt((double)one / (double)two);
    return one > 0 && two > 0 && isfinite(s) ? s : 1;
}

/* Returns how far from 1 the furthest factor is. */
static double equalize_pair(const struct pair *p)
{
    double furthest = 0;
    for (int c = 0; c < p->channels; c++) {
        double s = factor_of(p, c);
        furthest = fmax(furthest, fabs(s - 1));
        scale_all(p->first + (size_t)c * p->row, p->row, 1 / s);
        if (p->bias)
            scale_all(p->bias + c, 1, 1 / s);
        for (int o = 0; o < p->outputs; o++)
            scale_all(second_at(p, o, c), (size_t)p->taps, s);
    }
    return furthest;
}

int pass_equalize(struct model *model, struct text *report, struct message *m)
{
    const struct graph *g = &model->graph;
    int pairs = 0;
    double furthest = 1;
    for (int round = 0; round < MOST_ROUNDS && furthest > 1e-3; round++) {
        furthest = 0;
        for (int i = 0; i < g->count; i++) {
            int second = second_of(g, i);
            if (second < 0)
                continue;
            struct pair p = pair_of(model, i, second);
            double here = equalize_pair(&p);
            furthest = fmax(furthest, here);
            pairs++;
            if (report && round == 0)
                TRY(text_add(report, m, "%s: channels equalized with %s, factors up to %.3g from 1\n",
                             g->nodes[i].name, g->nodes[second].name, here));
        }
    }
    return pairs ? 0
                 : message_set(m, STATUS_MISMATCH, "no two convolutions to equalize: none is read by one alone");
}
