#include "ptq/reconstruct.h"
#include "base/memory.h"
#include "base/random.h"
#include "graph/codes.h"
#include "ptq/match_layer.h"
#include "ptq/unit_pass.h"
#include "ptq/walk.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double knob(const char *name, double other)
{
    const char *v = getenv(name);
    return v ? atof(v) : other;
}

struct reconstruction {
    struct model *int8;
    const struct model *fused;
    const struct reconstruct_options *o;
    struct layer_moments *moments;
    struct unit *units;
    int count;
    struct threads *pool;
    struct walk floats, codes; /* before the unit at work */
    /* the unit at work: */
    const struct unit *unit;
    struct unit_pass pass;
    uint8_t *after; /* the float network's cut behind it */
    int after_step;
    float *target; /* [batch, elements] */
    uint32_t *order;
    int64_t epoch; /* that order is of; -1: none */
};

/* ---- walks ---- */

/* From where w stands, with int8 as it now is, on to before `step`. */
static int go_on(struct reconstruction *r, struct walk *w, int node, struct message *m)
{
    struct walk next;
    int status = walk_open(&next, r->int8, w->cut, w->count, r->o->threads, m);
    if (status < 0)
        return status;
    next.step = w->step;
    status = walk_to(&next, exec_step_of(next.exec, node), m);
    if (status < 0) {
        walk_close(&next);
        return status;
    }
    if (!next.owned) { /* it stood there */
        next.owned = w->owned;
        w->owned = NULL;
    }
    walk_close(w);
    *w = next;
    return 0;
}

/* Scales and biases of the unit's layers, each on what the ones before it give. */
static int match_unit(struct reconstruction *r, struct message *m)
{
    const struct match_options how = {.mode = r->o->match,
                                      .count = r->o->match_count,
                                      .per_tensor = r->o->per_tensor,
                                      .threads = r->o->threads};
    struct walk w;
    int status = walk_open(&w, r->int8, r->codes.cut, r->o->match_count, r->o->threads, m);
    w.step = r->codes.step;
    for (int l = 0; status >= 0 && l < r->unit->count; l++) {
        int node = r->unit->layers[l], at = unit_layer_in(r->int8, r->fused, node);
        status = go_on(r, &w, at, m);
        if (status >= 0)
            status = match_layer(r->int8, at, model_tensor(r->fused, node, "weight")->data, &r->moments[node], &how,
                                 w.cut, m);
    }
    walk_close(&w);
    return status;
}

/* ---- a step ---- */

static void shuffle(struct reconstruction *r, int64_t epoch)
{
    uint32_t count = (uint32_t)r->o->count;
    struct random_stream s = random_open(r->o->seed, RANDOM_ROUNDING, (uint32_t)r->unit->layers[0], (uint64_t)epoch);
    for (uint32_t i = 0; i < count; i++)
        r->order[i] = i;
    for (uint32_t i = count; i > 1; i--) {
        uint32_t k = random_below(&s, i), held = r->order[i - 1];
        r->order[i - 1] = r->order[k];
        r->order[k] = held;
    }
    r->epoch = epoch;
}

struct taking {
    struct reconstruction *r;
    const uint32_t *images;
};

static void take_item(void *context, int item, int worker)
{
    const struct taking *t = context;
    struct reconstruction *r = t->r;
    struct unit_pass *p = &r->pass;
    const struct exec *floats = r->floats.exec, *codes = r->codes.exec;
    size_t image = t->images[item];
    const struct unit_value *y = &p->values[r->unit->input_count + r->unit->count - 1];
    (void)worker;
    for (int k = 0; k < r->unit->input_count; k++) {
        int node = p->values[k].node, at = walk_node(r->int8, r->fused, node);
        unit_take_input(p, k, item,
                        r->codes.cut + image * exec_cut_bytes(codes, r->codes.step) +
                            exec_cut_offset(codes, r->codes.step, at),
                        (const float *)(const void *)(r->floats.cut + image * exec_cut_bytes(floats, r->floats.step) +
                                                      exec_cut_offset(floats, r->floats.step, node)));
    }
    int64_t offset = r->after_step < exec_layer_count(floats) ? exec_cut_offset(floats, r->after_step, y->node) : 0;
    memcpy(r->target + (size_t)item * y->elements,
           r->after + image * exec_cut_bytes(floats, r->after_step) + offset, y->elements * sizeof(float));
}

static double cosine(double rate, int64_t step, int64_t steps)
{
    return rate * 0.5 * (1 + cos(3.14159265358979 * (double)step / (double)steps));
}

static double learn_step(struct reconstruction *r, int64_t step)
{
    const struct reconstruct_options *o = r->o;
    struct unit_pass *p = &r->pass;
    int64_t each = o->count / p->batch, first = step % each * p->batch;
    if (step / each != r->epoch)
        shuffle(r, step / each);
    struct taking t = {r, r->order + first};
    p->count = p->batch;
    p->step = step;
    threads_run(r->pool, take_item, &t, p->count);
    double loss = unit_forward(p, r->target), part = (double)step / (double)o->steps;
    double beta = 20 - 18 * (part - 0.2) / 0.8;
    unit_backward(p, part < 0.2 ? 0 : (float)o->penalty, (float)(beta < 20 ? beta : 20));
    double rate = knob("FLAT", 0) ? o->rate : cosine(o->rate, step, o->steps);
    unit_step(p, step + 1, rate, cosine(knob("SRATE", 0), step, o->steps), cosine(knob("BRATE", 0), step, o->steps));
    return loss;
}

/* ---- a unit ---- */

static int keep_codes(struct reconstruction *r, int l, struct message *m)
{
    const struct unit_layer *y = &r->pass.layers[l];
    struct tensor *weight = model_tensor(r->int8, y->at, "weight");
    float *scale = model_tensor(r->int8, y->at, "weight_scale")->data;
    int32_t *bias = model_tensor(r->int8, y->at, "bias")->data;
    float scale_x = r->pass.values[y->x].map.scale;
    int8_t *codes = memory_new_raw(y->count, 1, m);
    float *real = memory_new_raw((size_t)y->outputs, sizeof *real, m);
    if (codes && real) {
        unit_codes(&r->pass, l, codes, scale, real);
        for (int c = 0; c < y->outputs; c++)
            bias[c] = (int32_t)rint((double)real[c] / (double)(scale_x * scale[c]));
        if (weight->dtype == DTYPE_I8)
            memcpy(weight->data, codes, y->count);
        else
            codes_pack(codes, y->count, model_weight_bits(r->int8, y->at), weight->data);
    }
    memory_free(codes);
    memory_free(real);
    return codes && real ? 0 : STATUS_NOMEM;
}

static int open_unit(struct reconstruction *r, int u, struct message *m)
{
    const struct reconstruct_options *o = r->o;
    int first = r->units[u].layers[0], last = r->units[u].layers[r->units[u].count - 1];
    r->unit = &r->units[u];
    r->epoch = -1;
    TRY(walk_to(&r->floats, exec_step_of(r->floats.exec, first), m));
    TRY(go_on(r, &r->codes, unit_layer_in(r->int8, r->fused, first), m));
    r->after_step = exec_step_of(r->floats.exec, last) + 1;
    r->after = memory_new_raw((size_t)o->count, exec_cut_bytes(r->floats.exec, r->after_step), m);
    if (!r->after)
        return STATUS_NOMEM;
    TRY(exec_run_part(r->floats.exec, r->floats.step, r->after_step, r->floats.cut, o->count, r->after, m));
    if (knob("PRE", 1))
        TRY(match_unit(r, m));
    int batch = o->count < o->batch ? (int)o->count : o->batch;
    TRY(unit_pass_open(&r->pass, r->unit, r->fused, r->int8, batch, r->pool, o->isa, m));
    r->pass.seed = o->seed;
    r->pass.keep = (int)rint(o->drop * 256);
    r->target = memory_new_raw((size_t)batch, r->pass.values[r->unit->input_count + r->unit->count - 1].elements *
                                                   sizeof *r->target, m);
    return r->target ? 0 : STATUS_NOMEM;
}

static void close_unit(struct reconstruction *r)
{
    unit_pass_close(&r->pass);
    memory_free(r->after);
    memory_free(r->target);
    r->after = NULL;
    r->target = NULL;
}

static int learn_unit(struct reconstruction *r, int u, struct message *m)
{
    const struct reconstruct_options *o = r->o;
    double first = 0, last = 0;
    TRY(open_unit(r, u, m));
    for (int64_t step = 0; step < o->steps; step++) {
        double loss = learn_step(r, step);
        first += step < 10 ? loss / 10 : 0;
        last += step >= o->steps - 10 ? loss / 10 : 0;
        if (o->progress)
            o->progress(o->context, u * o->steps + step, r->count * o->steps, r->fused->graph.nodes[r->unit->layers[0]].name);
    }
    for (int l = 0; l < r->unit->count; l++)
        TRY(keep_codes(r, l, m));
    TRY(match_unit(r, m));
    char line[200];
    snprintf(line, sizeof line, "%s: %d layers, loss %.5f -> %.5f", r->fused->graph.nodes[r->unit->layers[0]].name,
             r->unit->count, first, last);
    if (o->say)
        o->say(o->context, line);
    return 0;
}

static int learn_all(struct reconstruction *r, struct message *m)
{
    const struct reconstruct_options *o = r->o;
    TRY(float_outputs(&r->moments, r->fused, o->images, o->match_count, o->threads, m));
    r->count = units_find(&r->units, r->fused, r->int8, m);
    TRY(r->count);
    TRY(threads_open(&r->pool, o->threads ? o->threads : 1, m));
    TRY(walk_open(&r->floats, r->fused, o->images, o->count, o->threads, m));
    TRY(walk_open(&r->codes, r->int8, o->images, o->count, o->threads, m));
    r->order = memory_new((size_t)o->count, sizeof *r->order, m);
    if (!r->order)
        return STATUS_NOMEM;
    for (int u = 0; u < r->count; u++) {
        int status = learn_unit(r, u, m);
        close_unit(r);
        TRY(status);
    }
    return 0;
}

int ptq_reconstruct(struct model *int8, const struct model *fused, const struct reconstruct_options *o,
                    struct message *m)
{
    struct reconstruction r = {.int8 = int8, .fused = fused, .o = o};
    int status = learn_all(&r, m);
    walk_close(&r.floats);
    walk_close(&r.codes);
    float_outputs_free(r.moments, fused->graph.count);
    threads_close(r.pool);
    memory_free(r.units);
    memory_free(r.order);
    return status;
}
