#include "ptq/unit_pass.h"
#include "base/memory.h"
#include "base/random.h"
#include "graph/op.h"
#include "quant/affine.h"
#include "quant/rounding.h"
#include "quant/weights.h"
#include "graph/codes.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- open and close ---- */

/* The node of int8 whose codes are what node i of fused gives; -1: it has none. */
static int codes_node(const struct model *int8, const struct model *fused, int i)
{
    char name[NODE_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s.q", fused->graph.nodes[i].name);
    int at = graph_find(&int8->graph, name);
    at = at >= 0 ? at : graph_find(&int8->graph, fused->graph.nodes[i].name);
    return at >= 0 && int8->graph.nodes[at].type == NODE_U8 && model_tensor(int8, at, "scale") ? at : -1;
}

static int open_value(struct unit_pass *p, struct unit_value *v, int node, const struct model *fused,
                      const struct model *int8, int is_layer, struct message *m)
{
    const struct node *n = &fused->graph.nodes[node];
    const size_t batch = (size_t)p->batch;
    int at = codes_node(int8, fused, node);
    *v = (struct unit_value){.node = node, .is_codes = at >= 0, .map = {1, 0, 0, 255}, .giver = n};
    v->elements = (size_t)n->h * (size_t)n->w * (size_t)n->c;
    if (at >= 0) {
        const uint8_t *range = model_tensor(int8, at, "range")->data;
        v->map = (struct affine){*(const float *)model_tensor(int8, at, "scale")->data,
                                 *(const uint8_t *)model_tensor(int8, at, "zero_point")->data, range[0], range[1]};
    }
    v->start = v->map.scale;
    v->is_learned = is_layer && unit_learns_scale(p, v);
    unit_set_clamp(v);
    v->at = memory_new_raw(batch * v->elements, sizeof *v->at, m);
    if (!v->at || !is_layer)
        return v->at ? 0 : STATUS_NOMEM;
    v->gradient = memory_new_raw(batch * v->elements, sizeof *v->gradient, m);
    v->passes = memory_new_raw(batch, v->elements, m);
    v->slope = v->is_learned ? memory_new_raw(batch * v->elements, sizeof *v->slope, m) : NULL;
    return v->gradient && v->passes && (v->slope || !v->is_learned) ? 0 : STATUS_NOMEM;
}

static int value_of(const struct unit_pass *p, int values, int node)
{
    for (int i = 0; i < values; i++)
        if (p->values[i].node == node)
            return i;
    return -1;
}

static int open_memory(struct unit_layer *y, struct message *m)
{
    size_t outputs = (size_t)y->outputs;
    y->base = memory_new_raw(y->count, 1, m);
    y->scale = memory_new_raw(outputs, sizeof(float), m);
    y->bias = memory_new_raw(outputs, sizeof(float), m);
    y->weight = memory_new_raw(y->count, sizeof(float), m);
    y->variables = memory_new_raw(y->count, sizeof(float), m);
    y->gradients = memory_new_raw(y->count, sizeof(float), m);
    y->mean = memory_new(y->count, sizeof(float), m);
    y->square = memory_new(y->count, sizeof(float), m);
    return y->base && y->scale && y->bias && y->weight && y->variables && y->gradients && y->mean && y->square
               ? 0
               : STATUS_NOMEM;
}

/* The start: the float weights w, at the scales that int8 has. */
static void begin(struct unit_layer *y, const float *w, const struct model *int8, float scale_x)
{
    const float *scale = model_tensor(int8, y->at, "weight_scale")->data;
    const int32_t *code = model_tensor(int8, y->at, "bias")->data;
    for (int c = 0; c < y->outputs; c++) {
        size_t at = (size_t)c * y->row;
        y->scale[c] = scale[c];
        y->bias[c] = (float)((double)code[c] * (double)(scale_x * scale[c]));
        rounding_begin(w + at, y->row, scale[c], y->qmax, y->base + at, y->variables + at);
    }
}

static int open_layer(struct unit_pass *p, int l, const struct model *fused, const struct model *int8,
                      const char *isa, struct message *m)
{
    struct unit_layer *y = &p->layers[l];
    int node = p->unit->layers[l], values = p->unit->input_count + l;
    const struct node *n = &fused->graph.nodes[node];
    const struct tensor *w = model_tensor(fused, node, "weight");
    *y = (struct unit_layer){.at = unit_layer_in(int8, fused, node), .outputs = n->c};
    TRY(open_value(p, &p->values[values], node, fused, int8, 1, m));
    y->x = value_of(p, values, n->inputs[0]);
    y->other = n->input_count > 1 ? value_of(p, values, n->inputs[1]) : -1;
    y->count = w->count;
    y->row = y->count / (size_t)y->outputs;
    y->qmax = weight_qmax(model_weight_bits(int8, y->at));
    TRY(open_memory(y, m));
    begin(y, w->data, int8, p->values[y->x].map.scale);
    return float_conv_open(&y->conv, &fused->graph, node, p->pool, isa, m);
}

int unit_pass_open(struct unit_pass *p, const struct unit *unit, const struct model *fused,
                   const struct model *int8, const struct unit_pass_options *o, struct message *m)
{
    *p = (struct unit_pass){
        .unit = unit, .batch = o->batch, .pool = o->pool, .reduce = o->reduce, .learns_scales = o->learns_scales};
    p->partials = memory_new((size_t)p->batch, sizeof *p->partials, m);
    if (!p->partials)
        return STATUS_NOMEM;
    for (int k = 0; k < unit->input_count; k++)
        TRY(open_value(p, &p->values[k], unit->inputs[k], fused, int8, 0, m));
    for (int l = 0; l < unit->count; l++)
        TRY(open_layer(p, l, fused, int8, o->isa, m));
    return 0;
}

void unit_pass_close(struct unit_pass *p)
{
    for (int k = 0; k < UNIT_VALUES; k++) {
        memory_free(p->values[k].at);
        memory_free(p->values[k].gradient);
        memory_free(p->values[k].passes);
        memory_free(p->values[k].slope);
    }
    for (int l = 0; l < UNIT_LAYERS; l++) {
        struct unit_layer *y = &p->layers[l];
        void *const owned[] = {y->base,      y->scale,     y->bias, y->weight,
                               y->variables, y->gradients, y->mean, y->square};
        for (size_t i = 0; i < sizeof owned / sizeof owned[0]; i++)
            memory_free(owned[i]);
        float_conv_close(y->conv);
    }
    memory_free(p->partials);
    *p = (struct unit_pass){.batch = 0};
}

size_t unit_pass_bytes(const struct unit *unit, const struct model *fused, const struct unit_pass_options *o)
{
    const struct graph *g = &fused->graph;
    const size_t batch = (size_t)o->batch, each = (size_t)(o->learns_scales ? 3 : 2) * sizeof(float) + 1;
    size_t bytes = 0;
    for (int k = 0; k < unit->input_count; k++) {
        const struct node *n = &g->nodes[unit->inputs[k]];
        bytes += batch * sizeof(float) * (size_t)n->h * (size_t)n->w * (size_t)n->c;
    }
    for (int l = 0; l < unit->count; l++) {
        const struct node *n = &g->nodes[unit->layers[l]];
        size_t weights = model_tensor(fused, unit->layers[l], "weight")->count;
        bytes += batch * each * (size_t)n->h * (size_t)n->w * (size_t)n->c;
        bytes += weights * (5 * sizeof(float) + 1) + (size_t)n->c * 2 * sizeof(float);
        bytes += float_conv_bytes(g, unit->layers[l], threads_count(o->pool), o->isa);
    }
    return bytes;
}

/* ---- what is left unrounded ---- */

enum { SOME = 16 /* elements that one draw is for */ };

/* Random bytes for elements SOME * group on of a value of own image `image` of this step. */
static void draw(const struct unit_pass *p, const struct unit_value *v, int image, size_t group, int drawn[SOME])
{
    const uint32_t counter[4] = {(uint32_t)group, (uint32_t)(p->first + image), (uint32_t)p->step,
                                 (uint32_t)v->node << 8 | RANDOM_DROP};
    const uint32_t key[2] = {(uint32_t)p->seed, (uint32_t)(p->seed >> 32)};
    uint32_t words[4];
    philox4x32(counter, key, words);
    for (int i = 0; i < SOME; i++)
        drawn[i] = (int)(words[i / 4] >> (8 * (i % 4)) & 255);
}

/* to = drawn ? left : rounded, of up to SOME elements. */
static void choose(const int drawn[SOME], int keep, const float *rounded, const float *left, int count, float *to)
{
    for (int i = 0; i < count; i++)
        to[i] = drawn[i] < keep ? left[i] : rounded[i];
}

void unit_take_input(struct unit_pass *p, int k, int image, const void *codes, const float *real)
{
    const struct unit_value *v = &p->values[k];
    float *to = v->at + (size_t)image * v->elements, rounded[SOME];
    int drawn[SOME] = {0};
    for (size_t at = 0; at < v->elements; at += SOME) {
        int n = v->elements - at < SOME ? (int)(v->elements - at) : SOME;
        for (int i = 0; i < n; i++)
            rounded[i] = v->is_codes ? affine_dequantize(&v->map, ((const uint8_t *)codes)[at + (size_t)i])
                                     : ((const float *)codes)[at + (size_t)i];
        if (p->keep)
            draw(p, v, image, at / SOME, drawn);
        choose(drawn, p->keep, rounded, real + at, n, to + at);
    }
}

/* ---- forward ---- */

/* A channel's weights from its variables. */
static void soft_item(void *context, int c, int worker)
{
    const struct unit_layer *y = context;
    size_t at = (size_t)c * y->row;
    (void)worker;
    rounding_soft(y->base + at, y->variables + at, y->row, y->scale[c], y->weight + at);
}

static inline float clamped(float v, float low, float high)
{
    v = v > low ? v : low;
    return v < high ? v : high;
}

/* Up to 16 elements of a layer's value in place: rounded or left, and whether their gradients pass. */
static inline void round_some(const struct unit_value *v, const int drawn[SOME], int keep, int n, float *at,
                              uint8_t *passes)
{
    const float inverse = 1 / v->map.scale, scale = v->map.scale;
    const float low = v->low, high = v->high, least = v->least, most = v->most;
    int is_passed[SOME];
    for (int i = 0; i < n; i++) {
        float x = at[i], u = clamped(x * inverse, -1e6f, 1e6f), q = (u + 12582912.0f) - 12582912.0f;
        int is_left = drawn[i] < keep;
        float rounded = scale * clamped(q, low, high), left = clamped(x, least, most);
        at[i] = is_left ? left : rounded;
        is_passed[i] = is_left ? (x > least) & (x < most) : (q >= low) & (q <= high);
    }
    for (int i = 0; i < n; i++)
        passes[i] = (uint8_t)is_passed[i];
}

static void round_item(void *context, int image, int worker)
{
    const struct unit_pass *p = context;
    const struct unit_value *v = &p->values[p->unit->input_count + p->at];
    float *at = v->at + (size_t)image * v->elements;
    uint8_t *passes = v->passes + (size_t)image * v->elements;
    int drawn[SOME] = {0};
    (void)worker;
    for (size_t i = 0; i < v->elements; i += SOME) {
        int n = v->elements - i < SOME ? (int)(v->elements - i) : SOME;
        if (p->keep)
            draw(p, v, image, i / SOME, drawn);
        if (v->is_learned)
            unit_slopes(v, drawn, p->keep, n, at + i, v->slope + (size_t)image * v->elements + i);
        if (n == SOME)
            round_some(v, drawn, p->keep, SOME, at + i, passes + i);
        else
            round_some(v, drawn, p->keep, n, at + i, passes + i);
    }
}

static const float *at_of(const struct unit_pass *p, int value)
{
    return value >= 0 ? p->values[value].at : NULL;
}

/* An image's squared distance from the target; the gradient of the unit's output. */
static void loss_item(void *context, int image, int worker)
{
    const struct unit_pass *p = context;
    const struct unit_value *v = &p->values[p->unit->input_count + p->unit->count - 1];
    const struct unit_layer *y = &p->layers[p->unit->count - 1];
    const size_t first = (size_t)image * v->elements;
    const float share = 2 * (float)y->outputs / ((float)p->total * (float)v->elements);
    double sum = 0;
    (void)worker;
    for (size_t i = first; i < first + v->elements; i++) {
        float d = v->at[i] - p->target[i];
        sum += (double)(d * d);
        v->gradient[i] = share * d;
    }
    p->partials[image] = sum;
}

void unit_begin(struct unit_pass *p, int total)
{
    reduce_begin(p->reduce, total);
    p->total = total;
    p->first = p->reduce->share.first;
    p->count = p->reduce->share.images;
}

double unit_forward(struct unit_pass *p, const float *target)
{
    double sum = 0;
    for (p->at = 0; p->at < p->unit->count; p->at++) {
        struct unit_layer *y = &p->layers[p->at];
        struct unit_value *v = &p->values[p->unit->input_count + p->at];
        threads_run(p->pool, soft_item, y, y->outputs);
        float_conv_forward(y->conv, y->weight, y->bias, at_of(p, y->x), p->count, at_of(p, y->other), v->at);
        if (v->is_codes)
            threads_run(p->pool, round_item, p, p->count);
    }
    p->target = target;
    threads_run(p->pool, loss_item, p, p->count);
    for (int i = 0; i < p->count; i++)
        sum += p->partials[i];
    const struct unit_value *v = &p->values[p->unit->input_count + p->unit->count - 1];
    return sum * p->layers[p->unit->count - 1].outputs / ((double)p->total * (double)v->elements);
}

/* ---- backward ---- */

static void mask_item(void *context, int image, int worker)
{
    const struct unit_pass *p = context;
    const struct unit_value *v = &p->values[p->unit->input_count + p->at];
    const size_t first = (size_t)image * v->elements;
    double sum = 0;
    (void)worker;
    for (size_t i = first; v->is_learned && i < first + v->elements; i++)
        sum += (double)(v->gradient[i] * v->slope[i]);
    p->partials[image] = sum;
    for (size_t i = first; i < first + v->elements; i++)
        v->gradient[i] *= (float)v->passes[i];
}

/* The gradient of a layer's value becomes that of what was rounded to it; the one by its scale. */
static void through_rounding(struct unit_pass *p, struct unit_value *v)
{
    const struct parts parts = {p->partials, 1, p->count, SHARD_IMAGES};
    threads_run(p->pool, mask_item, p, p->count);
    if (v->is_learned)
        v->gradient_by_scale = reduce_sums(p->reduce, &parts, 1)[0];
}

/* A layer's gradient by its weights, from own images. */
struct weight_job {
    struct unit_layer *y;
    const struct unit_value *x, *output;
    int count;
};

static void weight_work(void *context, int begin, int end, float *gradient)
{
    const struct weight_job *j = context;
    const int first = begin * SHARD_IMAGES, past = end * SHARD_IMAGES < j->count ? end * SHARD_IMAGES : j->count;
    float_conv_backward_weight(j->y->conv, j->x->at + (size_t)first * j->x->elements,
                               j->output->gradient + (size_t)first * j->output->elements, past - first, gradient);
}

struct variable_job {
    struct unit_layer *y;
    float lambda, beta;
};

/* A channel's gradients by weights become those by its variables. */
static void variable_item(void *context, int c, int worker)
{
    const struct variable_job *j = context;
    size_t at = (size_t)c * j->y->row;
    (void)worker;
    rounding_backward(j->y->variables + at, j->y->row, j->y->scale[c], j->lambda, j->beta, j->y->gradients + at);
}

/* Hands the gradient of layer l's output to value k: begun[k] says whether another gave it one. */
static void pass_on(struct unit_pass *p, int l, int k, int *begun)
{
    const struct unit_value *from = &p->values[p->unit->input_count + l], *to = &p->values[k];
    size_t count = (size_t)p->count * from->elements;
    for (size_t i = 0; i < count; i++)
        to->gradient[i] = begun[k] ? to->gradient[i] + from->gradient[i] : from->gradient[i];
    begun[k] = 1;
}

int unit_backward(struct unit_pass *p, float lambda, float beta, struct message *m)
{
    int begun[UNIT_VALUES] = {0}, inputs = p->unit->input_count;
    for (int l = p->unit->count - 1; l >= 0; l--) {
        struct unit_layer *y = &p->layers[l];
        struct unit_value *v = &p->values[inputs + l];
        float *dx = y->x >= inputs ? p->values[y->x].gradient : NULL;
        struct weight_job weights = {y, &p->values[y->x], v, p->count};
        struct variable_job job = {y, lambda, beta};
        p->at = l;
        if (v->is_codes)
            through_rounding(p, v);
        if (y->other >= inputs)
            pass_on(p, l, y->other, begun);
        reduce_weights(p->reduce, weight_work, &weights, y->gradients, y->count);
        if (dx)
            float_conv_backward_data(y->conv, y->weight, v->gradient, p->count, dx, begun[y->x]);
        begun[y->x] = 1;
        threads_run(p->pool, variable_item, &job, y->outputs);
    }
    return reduce_end(p->reduce, m);
}

/* ---- steps ---- */

struct adam {
    const struct unit_layer *y;
    float rate, mean_share, square_share; /* shares: 1 - 0.9^t, 1 - 0.999^t */
};

/* Of a channel. */
static void adam_item(void *context, int c, int worker)
{
    const struct adam *a = context;
    const size_t at = (size_t)c * a->y->row, row = a->y->row;
    float *restrict v = a->y->variables + at, *restrict mean = a->y->mean + at,
                    *restrict square = a->y->square + at;
    const float *restrict g = a->y->gradients + at;
    (void)worker;
    for (size_t i = 0; i < row; i++) {
        mean[i] = 0.9f * mean[i] + 0.1f * g[i];
        square[i] = 0.999f * square[i] + 0.001f * (g[i] * g[i]);
        v[i] -= a->rate * (mean[i] / a->mean_share) / (sqrtf(square[i] / a->square_share) + 1e-8f);
    }
}

void unit_step(struct unit_pass *p, int64_t number, double rate, double scale_rate)
{
    double mean = 1 - pow(0.9, (double)number), square = 1 - pow(0.999, (double)number);
    for (int l = 0; l < p->unit->count; l++) {
        struct adam a = {&p->layers[l], (float)rate, (float)mean, (float)square};
        threads_run(p->pool, adam_item, &a, p->layers[l].outputs);
    }
    unit_scales_step(p, mean, square, scale_rate);
}

void unit_codes(const struct unit_pass *p, int l, int8_t *q)
{
    const struct unit_layer *y = &p->layers[l];
    rounding_codes(y->base, y->variables, y->count, q);
}
