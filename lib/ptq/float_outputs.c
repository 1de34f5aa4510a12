#include "ptq/float_outputs.h"
#include "base/memory.h"
#include "exec/infer/exec.h"
#include "pass/pass.h"

struct watching {
    struct model split; /* fused, its convolutions' outputs bare */
    const struct graph *fused;
    struct layer_moments *moments; /* [nodes of fused] */
    int *node;                     /* [nodes of split]: the layer of fused that gives this, or -1 */
    int *reader; /* [nodes of split]: the layer of fused whose outputs are found from this, or -1 */
    struct exec *exec;
};

static int moments_open(struct layer_moments *l, int channels, struct message *m)
{
    l->channels = channels;
    l->sum = memory_new((size_t)channels, sizeof *l->sum, m);
    l->squares = memory_new((size_t)channels, sizeof *l->squares, m);
    return l->sum && l->squares ? 0 : STATUS_NOMEM;
}

static void moments_add(struct layer_moments *l, const float *values, size_t pixels)
{
    for (size_t p = 0; p < pixels; p++, values += l->channels)
        for (int c = 0; c < l->channels; c++) {
            double v = (double)values[c];
            l->sum[c] += v;
            l->squares[c] += v * v;
        }
    l->count += (double)pixels;
}

/* The last layer's outputs, logits, are not shown: they are computed from what it reads, [images, inputs]. */
static void linear_add(const struct watching *w, int layer, const float *x, size_t images)
{
    const struct tensor *weight =
        model_tensor(&w->split, graph_find(&w->split.graph, w->fused->nodes[layer].name), "weight");
    const struct tensor *bias = model_tensor(&w->split, w->split.graph.count - 1, "bias");
    struct layer_moments *l = &w->moments[layer];
    size_t inputs = weight->count / (size_t)l->channels;
    for (size_t i = 0; i < images; i++, x += inputs)
        for (int k = 0; k < l->channels; k++) {
            const float *row = (const float *)weight->data + (size_t)k * inputs;
            double y = bias ? (double)((const float *)bias->data)[k] : 0;
            for (size_t c = 0; c < inputs; c++)
                y += (double)row[c] * (double)x[c];
            l->sum[k] += y;
            l->squares[k] += y * y;
        }
    l->count += (double)images;
}

static int see(void *context, int node, const float *values, size_t count, struct message *m)
{
    const struct watching *w = context;
    const struct node *n = &w->split.graph.nodes[node];
    (void)m;
    if (w->node[node] >= 0)
        moments_add(&w->moments[w->node[node]], values, count / (size_t)n->c);
    if (w->reader[node] >= 0)
        linear_add(w, w->reader[node], values, count / (size_t)n->c);
    return 0;
}

/* Which nodes of split show which layer of fused. */
static int find_layers(struct watching *w, struct message *m)
{
    const struct graph *g = &w->split.graph;
    w->node = memory_new((size_t)g->count, sizeof *w->node, m);
    w->reader = memory_new((size_t)g->count, sizeof *w->reader, m);
    if (!w->node || !w->reader)
        return STATUS_NOMEM;
    for (int i = 0; i < g->count; i++)
        w->node[i] = w->reader[i] = -1;
    for (int i = 0; i < g->count; i++) {
        int layer = graph_find(w->fused, g->nodes[i].name);
        if (layer < 0 || !model_tensor(&w->split, i, "weight"))
            continue;
        TRY(moments_open(&w->moments[layer], g->nodes[i].c, m));
        if (i == g->count - 1)
            w->reader[g->nodes[i].inputs[0]] = layer;
        else
            w->node[i] = layer;
    }
    return 0;
}

static int watch(struct watching *w, const struct model *fused, const uint8_t *images, int64_t count, int threads,
                 struct message *m)
{
    const struct exec_options how = {.threads = threads, .keep_activations = 1};
    TRY(model_copy(&w->split, fused, m));
    TRY(pass_split_epilogue(&w->split, m));
    TRY(find_layers(w, m));
    TRY(exec_open(&w->exec, &w->split, &how, m));
    return exec_observe(w->exec, images, count, see, w, m);
}

int float_outputs(struct layer_moments **out, const struct model *fused, const uint8_t *images, int64_t count,
                  int threads, struct message *m)
{
    struct watching w = {.fused = &fused->graph};
    w.moments = *out = memory_new((size_t)fused->graph.count, sizeof *w.moments, m);
    int status = w.moments ? watch(&w, fused, images, count, threads, m) : STATUS_NOMEM;
    exec_close(w.exec);
    memory_free(w.node);
    memory_free(w.reader);
    model_free(&w.split);
    return status;
}

void float_outputs_free(struct layer_moments *moments, int nodes)
{
    for (int i = 0; moments && i < nodes; i++) {
        memory_free(moments[i].sum);
        memory_free(moments[i].squares);
    }
    memory_free(moments);
}
