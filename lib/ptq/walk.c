#include "ptq/walk.h"
#include "graph/schema.h"
#include "base/memory.h"
#include <math.h>
#include <stdio.h>

int walk_open(struct walk *w, const struct model *model, const uint8_t *images, int64_t count, int threads,
              struct message *m)
{
    const struct exec_options how = {.threads = threads, .keep_activations = 1};
    *w = (struct walk){.model = model, .cut = images, .count = count};
    return exec_open(&w->exec, model, &how, m);
}

int walk_to(struct walk *w, int step, struct message *m)
{
    if (step <= w->step)
        return 0;
    uint8_t *cut = memory_new_raw((size_t)w->count, exec_cut_bytes(w->exec, step), m);
    int status = cut ? exec_run_part(w->exec, w->step, step, w->cut, w->count, cut, m) : STATUS_NOMEM;
    if (status < 0) {
        memory_free(cut);
        return status;
    }
    memory_free(w->owned);
    w->cut = w->owned = cut;
    w->step = step;
    return 0;
}

void walk_close(struct walk *w)
{
    exec_close(w->exec);
    memory_free(w->owned);
    *w = (struct walk){0};
}

int walk_node(const struct model *int8, const struct model *fused, int i)
{
    char name[NODE_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s.q", fused->graph.nodes[i].name);
    int quantized = graph_find(&int8->graph, name);
    return quantized >= 0 ? quantized : graph_find(&int8->graph, fused->graph.nodes[i].name);
}

int walk_reads(const struct model *int8, int layer, int i)
{
    return model_tensor(int8, layer, "weight_scale") &&
           node_map_source(&int8->graph, int8->graph.nodes[layer].inputs[0]) == i;
}

size_t walk_bytes(const struct exec *e, int64_t count)
{
    size_t most = 0;
    for (int i = 0; i < exec_layer_count(e); i++) {
        size_t both = exec_cut_bytes(e, i) + exec_cut_bytes(e, i + 1);
        most = both > most ? both : most;
    }
    return most * (size_t)count;
}

/* ---- noise ---- */

static void noise_add(struct noise *n, double want, double got)
{
    n->signal += want * want;
    n->noise += (want - got) * (want - got);
}

struct noise walk_noise(const struct walk *want, int want_node, const struct walk *got, int got_node)
{
    const struct node *node = &want->model->graph.nodes[want_node];
    size_t values = (size_t)node->h * (size_t)node->w * (size_t)node->c;
    size_t want_bytes = exec_cut_bytes(want->exec, want->step), got_bytes = exec_cut_bytes(got->exec, got->step);
    int64_t want_at = exec_cut_offset(want->exec, want->step, want_node);
    int64_t got_at = exec_cut_offset(got->exec, got->step, got_node);
    int is_u8 = got->model->graph.nodes[got_node].type == NODE_U8;
    double scale = is_u8 ? (double)*(const float *)model_tensor(got->model, got_node, "scale")->data : 0;
    int zero = is_u8 ? *(const uint8_t *)model_tensor(got->model, got_node, "zero_point")->data : 0;
    struct noise sum = {0, 0};
    for (int64_t i = 0; want_at >= 0 && got_at >= 0 && i < want->count; i++) {
        const float *x = (const float *)(want->cut + (size_t)i * want_bytes + want_at);
        const uint8_t *y = got->cut + (size_t)i * got_bytes + got_at;
        for (size_t k = 0; k < values; k++)
            noise_add(&sum, (double)x[k], is_u8 ? scale * (y[k] - zero) : (double)((const float *)y)[k]);
    }
    return sum;
}

double noise_sqnr(struct noise n)
{
    if (!(n.signal > 0))
        return (double)NAN;
    return n.noise > 0 ? 10 * log10(n.signal / n.noise) : (double)INFINITY;
}
