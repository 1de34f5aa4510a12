/* Learned scales of activations, from a unit into the integer network. */
#include "base/memory.h"
#include "graph/schema.h"
#include "ptq/reconstruction.h"
#include <math.h>
#include <string.h>

static float *scale_of(const struct model *int8, int node)
{
    return model_tensor(int8, node, "scale")->data;
}

float *reconstruct_scales(const struct reconstruction *r, struct message *m)
{
    const struct graph *g = &r->int8->graph;
    float *scales = memory_new((size_t)g->count, sizeof *scales, m);
    for (int i = 0; scales && i < g->count; i++)
        scales[i] = node_has_map(g, i) ? *scale_of(r->int8, i) : 0;
    return scales;
}

/* Of layer i's bias codes, which stand for what they did where it reads its input at `from`, at `to`: 0 where one does
 * not fit, or a product of scales is not normal. */
static int rescale_bias(struct model *int8, int i, float from, float to, int is_trial)
{
    const float *scale = model_tensor(int8, i, "weight_scale")->data;
    struct tensor *bias = model_tensor(int8, i, "bias");
    int32_t *codes = bias->data;
    for (size_t c = 0; c < bias->count; c++) {
        double code = rint((double)codes[c] * (double)(from * scale[c]) / (double)(to * scale[c]));
        if (!isnormal(to * scale[c]) || fabs(code) > 0x1p30)
            return 0;
        if (!is_trial)
            codes[c] = (int32_t)code;
    }
    return 1;
}

static int is_in_unit(const struct reconstruction *r, int node)
{
    for (int l = 0; l < r->unit->count; l++)
        if (r->pass.layers[l].at == node)
            return 1;
    return 0;
}

/* Whether all layers that read `node`'s values could at this scale. */
static int can_be_read(struct model *int8, int node, float scale)
{
    for (int i = 0; i < int8->graph.count; i++)
        if (walk_reads(int8, i, node) && !rescale_bias(int8, i, *scale_of(int8, node), scale, 1))
            return 0;
    return 1;
}

/* To nodes that give their input's codes. */
static void hand_on(struct model *int8)
{
    const struct graph *g = &int8->graph;
    for (int i = 0; i < g->count; i++)
        if (node_map_source(g, i) != i)
            *scale_of(int8, i) = *scale_of(int8, node_map_source(g, i));
}

/* Of layers inside the unit, or of all others, whose input's scale is another than before. */
static void rescale_biases(struct reconstruction *r, const float *before, int inside)
{
    const struct graph *g = &r->int8->graph;
    for (int i = 0; i < g->count; i++) {
        const int x = model_tensor(r->int8, i, "weight_scale") ? g->nodes[i].inputs[0] : -1;
        if (x >= 0 && node_has_map(g, x) && is_in_unit(r, i) == inside && *scale_of(r->int8, x) != before[x])
            (void)rescale_bias(r->int8, i, before[x], *scale_of(r->int8, x), 0);
    }
}

void reconstruct_take_scales(struct reconstruction *r, const float *before)
{
    for (int l = 0; l < r->unit->count; l++) {
        const struct unit_value *v = &r->pass.values[r->unit->input_count + l];
        const int node = walk_node(r->int8, r->fused, v->node);
        if (v->is_learned && can_be_read(r->int8, node, v->map.scale))
            *scale_of(r->int8, node) = v->map.scale;
    }
    hand_on(r->int8);
    rescale_biases(r, before, 1);
}

void reconstruct_put_back_scales(struct reconstruction *r, const float *before)
{
    const struct graph *g = &r->int8->graph;
    for (int i = 0; i < g->count; i++)
        if (node_has_map(g, i))
            *scale_of(r->int8, i) = before[i];
}

void reconstruct_settle_scales(struct reconstruction *r, const float *before)
{
    rescale_biases(r, before, 0);
}
