#include "page/layers.h"
#include "base/memory.h"
#include "graph/codes.h"
#include "graph/op.h"
#include "graph/schema.h"
#include "quant/observer.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const struct run_model *layers_model(const struct run *r)
{
    static const enum graph_stage order[] = {STAGE_INT8, STAGE_FUSED, STAGE_FLOAT};
    for (int i = 0; i < 3; i++)
        if (run_model_at(r, order[i]))
            return run_model_at(r, order[i]);
    return NULL;
}

/* ---- activations ---- */

static const struct histogram *seen_at(const struct run *r, const struct graph *g, int node)
{
    const struct node *n = &g->nodes[node];
    int found = ranges_find(&r->ranges, n->name);
    if (found < 0 && n->op == OP_QUANTIZE) /* what it quantizes is what was seen */
        found = ranges_find(&r->ranges, node_input(g, n, 0)->name);
    return found < 0 ? NULL : &r->ranges.histograms[found];
}

static int map_of(const struct run_model *model, int node, struct affine *map)
{
    const struct tensor *scale = model_tensor(&model->model, node, "scale");
    const struct tensor *zero = model_tensor(&model->model, node, "zero_point");
    const struct tensor *range = model_tensor(&model->model, node, "range");
    if (!scale || !zero || !range)
        return 0;
    *map = (struct affine){.scale = *(const float *)scale->data,
                           .zero_point = *(const uint8_t *)zero->data,
                           .qmin = ((const uint8_t *)range->data)[0],
                           .qmax = ((const uint8_t *)range->data)[1]};
    return 1;
}

/* Values of a bin are taken as uniform in it, as the observers take them. */
static void clipped(const struct histogram *h, const struct affine *map, double *low, double *high)
{
    double least = (map->qmin - map->zero_point) * (double)map->scale;
    double most = (map->qmax - map->zero_point) * (double)map->scale, count = (double)h->count;
    *low = *high = 0;
    for (int j = 0; j < HISTOGRAM_BINS; j++) {
        if (!h->bins[j])
            continue;
        double from, to, all = (double)h->bins[j];
        histogram_edges(h, j, &from, &to);
        double width = to > from ? to - from : 1;
        *low += all * fmin(fmax((least - from) / width, 0), 1);
        *high += all * fmin(fmax((to - most) / width, 0), 1);
    }
    *low /= count;
    *high /= count;
}

/* ---- weights ---- */

static int bits_of(const int8_t *codes, size_t count)
{
    int most = 0;
    for (size_t i = 0; i < count; i++) {
        int code = codes[i];
        most = code > most ? code : -code > most ? -code : most;
    }
    int bits = 2;
    while (bits < 8 && most > (1 << (bits - 1)) - 1)
        bits++;
    return bits;
}

static double sqnr_of(const int8_t *codes, size_t count, const struct tensor *scales, const struct tensor *weights)
{
    double signal = 0, noise = 0;
    size_t outputs = scales->count, each = outputs ? count / outputs : 0;
    if (!weights || weights->dtype != DTYPE_F32 || weights->count != count || each == 0)
        return NAN;
    for (size_t i = 0; i < count; i++) {
        double w = ((const float *)weights->data)[i];
        double e = w - (double)((const float *)scales->data)[i / each] * codes[i];
        signal += w * w;
        noise += e * e;
    }
    return noise > 0 && signal > 0 ? 10 * log10(signal / noise) : NAN;
}

static void weight_facts(const struct run *r, const struct run_model *model, int node, struct layer_facts *out)
{
    const struct tensor *scales = model_tensor(&model->model, node, "weight_scale");
    const struct run_model *fused = run_model_at(r, STAGE_FUSED);
    struct message unused;
    size_t count;
    int8_t *owned;
    out->weights = node_weight_count(&model->model.graph, &model->model.graph.nodes[node]);
    if (!scales)
        return;
    const int8_t *codes = model_weight_codes(&model->model, node, &count, &owned, &unused);
    if (!codes)
        return;
    out->weight_bits = owned ? model_weight_bits(&model->model, node) : bits_of(codes, count);
    int same = fused ? graph_find(&fused->model.graph, model->model.graph.nodes[node].name) : -1;
    if (same >= 0)
        out->weight_sqnr = sqnr_of(codes, count, scales, model_tensor(&fused->model, same, "weight"));
    memory_free(owned);
}

/* ---- times ---- */

static double ms_of(const struct run *r, const struct run_model *model, const char *node)
{
    const struct table *t = r->bench;
    size_t stem = strcspn(model->name, ".");
    if (!t)
        return NAN;
    int what = table_column(t, "what"), name = table_column(t, "model");
    for (int i = 0; i < t->rows; i++) {
        const char *cell = table_cell(t, i, what), *of = table_cell(t, i, name);
        if (strncmp(cell, "layer:", 6) == 0 && strcmp(cell + 6, node) == 0 && run_number(t, i, "batch") == 1 &&
            run_number(t, i, "threads") == 1 && strncmp(of, model->name, stem) == 0 && strchr(".", of[stem]))
            return run_number(t, i, "ms_median");
    }
    return NAN;
}

void layer_facts(const struct run *r, const struct run_model *model, int node, struct layer_facts *out)
{
    const struct graph *g = &model->model.graph;
    *out = (struct layer_facts){.macs = node_macs(g, node),
                                .clipped_low = NAN,
                                .clipped_high = NAN,
                                .activation_sqnr = NAN,
                                .weight_sqnr = NAN};
    out->seen = seen_at(r, g, node);
    out->has_map = map_of(model, node, &out->map);
    if (out->seen && out->seen->count == 0)
        out->seen = NULL;
    if (out->has_map && out->seen) {
        clipped(out->seen, &out->map, &out->clipped_low, &out->clipped_high);
        out->activation_sqnr = histogram_sqnr_of(out->seen, &out->map);
    }
    weight_facts(r, model, node, out);
    out->ms = ms_of(r, model, g->nodes[node].name);
}

void layer_title(const struct node *n, char out[96])
{
    char stride[16] = "", kernel[32] = "", groups[24] = "";
    if (n->groups > 1)
        snprintf(groups, sizeof groups, ", %d groups", n->groups);
    if (n->kernel > 0)
        snprintf(kernel, sizeof kernel, " %dx%d", n->kernel, n->kernel);
    if (n->stride > 1)
        snprintf(stride, sizeof stride, " / %d", n->stride);
    int is_residual = n->op == OP_CONV2D && n->input_count == 2, is_clip = n->op == OP_CLIP;
    snprintf(out, 96, "%s%s%s%s%s%s%s", graph_op_name(n->op), kernel, stride, groups, is_residual ? " + add" : "",
             n->has_relu ? " + relu" : "", n->clip.on && !is_clip ? " + clip" : "");
}

int layer_grade(const struct layer_facts *f)
{
    double worst = isnan(f->activation_sqnr) ? f->weight_sqnr
                   : isnan(f->weight_sqnr)   ? f->activation_sqnr
                                             : fmin(f->weight_sqnr, f->activation_sqnr);
    if (isnan(worst))
        return -1;
    return worst < 10 ? 0 : worst < 20 ? 1 : worst < 30 ? 2 : worst < 40 ? 3 : 4;
}
