#include "ptq/match.h"
#include "base/memory.h"
#include "exec/infer/exec.h"
#include "graph/codes.h"
#include "ptq/gptq.h"
#include "ptq/match_layer.h"
#include "quant/weights.h"
#include <math.h>

/* A layer's sums over images and pixels, exact: the squares in two parts, high * 2^32 + low. */
struct sum_moments {
    int channels;
    int64_t *sum;         /* [channels] */
    uint64_t *low, *high; /* [channels] */
    double count;
};

static int sums_open(struct sum_moments *s, int channels, struct message *m)
{
    *s = (struct sum_moments){.channels = channels};
    s->sum = memory_new((size_t)channels, sizeof *s->sum, m);
    s->low = memory_new((size_t)channels, sizeof *s->low, m);
    s->high = memory_new((size_t)channels, sizeof *s->high, m);
    return s->sum && s->low && s->high ? 0 : STATUS_NOMEM;
}

static void sums_close(struct sum_moments *s)
{
    memory_free(s->sum);
    memory_free(s->low);
    memory_free(s->high);
}

/* Sums are integers below 2^31 in magnitude: a pixel's square is below 2^62, and goes in two parts at once. */
static int see(void *context, const struct exec_sums *shown, struct message *m)
{
    struct sum_moments *s = context;
    const float *values = shown->sums;
    (void)m;
    for (size_t p = 0; p < (size_t)shown->images * (size_t)shown->pixels; p++, values += s->channels)
        for (int c = 0; c < s->channels; c++) {
            int64_t v = (int64_t)values[c];
            uint64_t square = (uint64_t)(v * v);
            s->sum[c] += v;
            s->low[c] += square & 0xffffffff;
            s->high[c] += square >> 32;
        }
    s->count += (double)shown->images * (double)shown->pixels;
    return 0;
}

/* ---- one layer ---- */

struct layer {
    const char *name;
    int node, outputs, per_output;
    float scale_x;
    float *scale;  /* [outputs], in the model */
    int32_t *bias; /* likewise */
    const struct layer_moments *want;
    struct sum_moments got;
};

static double mean_of(const struct layer *y, int c)
{
    return (double)y->got.sum[c] / y->got.count;
}

/* Variances of a channel's outputs, the integer ones in units of a sum. */
static double variance_got(const struct layer *y, int c)
{
    double mean = mean_of(y, c), squares = (double)y->got.high[c] * 0x1p32 + (double)y->got.low[c];
    return fmax(squares / y->got.count - mean * mean, 0);
}

static double variance_wanted(const struct layer *y, int c)
{
    double mean = y->want->sum[c] / y->want->count;
    return fmax(y->want->squares[c] / y->want->count - mean * mean, 0);
}

/* By what the scale of channel c grows; 1 where either side does not vary. */
static double factor_of(const struct layer *y, int first, int end)
{
    double got = 0, wanted = 0;
    for (int c = first; c < end; c++) {
        double unit = (double)y->scale_x * (double)y->scale[c];
        got += unit * unit * variance_got(y, c);
        wanted += variance_wanted(y, c);
    }
    return got > 0 && wanted > 0 ? sqrt(wanted / got) : 1;
}

/* A scale that cannot be, or a bias that does not fit its code at it, leaves the channel as it was. */
static int can_take(const struct layer *y, float scale, double bias)
{
    float product = y->scale_x * scale;
    return isnormal(product) && isnormal(scale) && fabs(bias / (double)product) <= 0x1p30;
}

static double bias_wanted(const struct layer *y, int c, float scale)
{
    return y->want->sum[c] / y->want->count - (double)(y->scale_x * scale) * mean_of(y, c);
}

static void set_channels(struct layer *y, const struct match_options *o)
{
    double shared = o->mode == MATCH_ALL && o->per_tensor ? factor_of(y, 0, y->outputs) : 1;
    int fits = 1;
    for (int c = 0; c < y->outputs && o->per_tensor; c++) {
        float scale = (float)((double)y->scale[c] * shared);
        fits = fits && can_take(y, scale, bias_wanted(y, c, scale));
    }
    for (int c = 0; c < y->outputs; c++) {
        double factor = o->per_tensor ? shared : o->mode == MATCH_ALL ? factor_of(y, c, c + 1) : 1;
        float scale = (float)((double)y->scale[c] * factor);
        double bias = bias_wanted(y, c, scale);
        if (o->per_tensor ? !fits : !can_take(y, scale, bias))
            continue;
        y->scale[c] = scale;
        y->bias[c] = (int32_t)rint(bias / (double)(y->scale_x * scale));
    }
}

/* ---- the model ---- */

/* The map of what the layer reads: nodes that repeat their input's have it too. */
static const void *of_input(const struct model *model, int node, const char *suffix)
{
    return model_tensor(model, model->graph.nodes[node].inputs[0], suffix)->data;
}

static int set_bound(struct model *model, const struct layer *y, struct message *m)
{
    size_t count;
    int8_t *owned;
    const int8_t *codes = model_weight_codes(model, y->node, &count, &owned, m);
    if (!codes)
        return STATUS_NOMEM;
    const uint8_t *range = of_input(model, y->node, "range");
    int64_t bound = accumulator_bound(codes, y->bias, y->outputs, y->per_output,
                                      *(const uint8_t *)of_input(model, y->node, "zero_point"), range[0], range[1]);
    memory_free(owned);
    if (bound > INT32_MAX)
        return message_set(m, STATUS_RANGE, "%s: accumulator may reach %lld, beyond 32 bits", y->name,
                           (long long)bound);
    struct tensor *stored = model_tensor(model, y->node, "accumulator_bound");
    if (stored)
        *(int64_t *)stored->data = bound;
    return 0;
}

static int look(const struct model *model, struct layer *y, const struct match_options *o, const uint8_t *cut,
                struct message *m)
{
    const struct exec_options how = {.threads = o->threads, .keep_activations = 1};
    struct exec *exec;
    TRY(exec_open(&exec, model, &how, m));
    int status = cut ? exec_observe_part(exec, exec_step_of(exec, y->node), cut, o->count, see, &y->got, m)
                     : exec_observe_sums(exec, o->images, o->count, y->node, see, &y->got, m);
    exec_close(exec);
    return status;
}

int match_layer(struct model *model, int node, const float *weights, const struct layer_moments *want,
                const struct match_options *o, const uint8_t *cut, struct message *m)
{
    const struct node *n = &model->graph.nodes[node];
    struct layer y = {.name = n->name, .node = node, .outputs = n->c, .want = want};
    y.per_output = (int)(model_weight_count(model, node) / (size_t)n->c);
    y.scale_x = *(const float *)of_input(model, node, "scale");
    y.scale = model_tensor(model, node, "weight_scale")->data;
    y.bias = model_tensor(model, node, "bias")->data;
    int status = sums_open(&y.got, n->c, m);
    if (status >= 0 && o->gptq && model_weight_bits(model, node) < 8)
        status = gptq_layer(model, node, weights, o->images, o->count, o->threads, m);
    if (status >= 0)
        status = look(model, &y, o, cut, m);
    if (status >= 0) {
        if (o->mode != MATCH_OFF)
            set_channels(&y, o);
        status = set_bound(model, &y, m);
    }
    sums_close(&y.got);
    return status;
}

static int is_layer(const struct model *model, int i)
{
    return node_is_integer(&model->graph, i) && model_tensor(model, i, "weight_scale");
}

static int match_all(struct model *model, const struct model *fused, const struct layer_moments *moments,
                     const struct match_options *o, struct message *m)
{
    int layers = 0, done = 0;
    for (int i = 0; i < model->graph.count; i++)
        layers += is_layer(model, i);
    for (int i = 0; i < model->graph.count; i++) {
        int of = is_layer(model, i) ? graph_find(&fused->graph, model->graph.nodes[i].name) : -1;
        if (of < 0)
            continue;
        if (o->progress)
            o->progress(o->context, done++, layers);
        TRY(match_layer(model, i, model_tensor(fused, of, "weight")->data, &moments[of], o, NULL, m));
    }
    return 0;
}

int ptq_match(struct model *int8, const struct model *fused, const struct match_options *o, struct message *m)
{
    struct layer_moments *moments = NULL;
    if (o->mode == MATCH_OFF && !o->gptq)
        return 0;
    if (o->count < 1)
        return message_set(m, STATUS_RANGE, "no images to match by");
    int status = float_outputs(&moments, fused, o->images, o->count, o->threads, m);
    if (status >= 0)
        status = match_all(int8, fused, moments, o, m);
    float_outputs_free(moments, fused->graph.count);
    return status;
}
