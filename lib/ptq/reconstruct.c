#include "ptq/reconstruct.h"
#include "base/available.h"
#include "base/memory.h"
#include "graph/codes.h"
#include "ptq/match_layer.h"
#include "ptq/reconstruction.h"
#include "ranks/agree.h"
#include "record/digest.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- walks ---- */

/* From where w stands, with the integer network as it now is, on to before `step`. */
static int walk_on(struct reconstruction *r, struct walk *w, int step, struct message *m)
{
    struct walk next;
    int status = walk_open(&next, r->int8, w->cut, w->count, r->o->threads, m);
    next.step = w->step;
    if (status >= 0)
        status = walk_to(&next, step, m);
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

/* A walk of the integer network as it is, from the unit at work on, over the first images. */
static int branch_open(const struct reconstruction *r, struct walk *w, int64_t count, struct message *m)
{
    int status = walk_open(w, r->int8, r->codes.cut, count, r->o->threads, m);
    w->step = r->codes.step;
    return status;
}

/* Scales and biases of the unit's layers, each on what the ones before it give; at the least their bounds. */
static int match_unit(struct reconstruction *r, struct message *m)
{
    const struct match_options how = {
        .mode = r->o->match, .count = r->o->match_count, .per_tensor = r->o->per_tensor, .threads = r->o->threads};
    struct walk w;
    int status = branch_open(r, &w, how.count, m);
    for (int l = 0; status >= 0 && l < r->unit->count; l++) {
        int node = r->unit->layers[l], at = unit_layer_in(r->int8, r->fused, node);
        status = walk_on(r, &w, exec_step_of(w.exec, at), m);
        if (status >= 0)
            status = match_layer(r->int8, at, model_tensor(r->fused, node, "weight")->data, &r->moments[node], &how,
                                 w.cut, m);
    }
    walk_close(&w);
    return status;
}

/* Signal and noise of what the unit gives. */
static int measure(const struct reconstruction *r, struct noise *n, struct message *m)
{
    int last = r->unit->layers[r->unit->count - 1], at = unit_layer_in(r->int8, r->fused, last);
    const struct walk want = {.exec = r->floats.exec,
                              .model = r->fused,
                              .cut = r->after,
                              .count = r->floats.count,
                              .step = r->after_step};
    struct walk got;
    int status = branch_open(r, &got, r->codes.count, m);
    if (status >= 0)
        status = walk_to(&got, exec_step_of(got.exec, at) + 1, m);
    if (status >= 0)
        *n = walk_noise(&want, last, &got, at);
    walk_close(&got);
    return status;
}

/* ---- a unit's tensors ---- */

static const char *const learned[] = {"weight", "weight_scale", "bias"};
enum { LEARNED = sizeof learned / sizeof learned[0] };

/* Those of all its layers, kept aside and put back: [UNIT_LAYERS][LEARNED] blocks; and all scales of activations. */
struct kept {
    void *data[UNIT_LAYERS][LEARNED];
    float *scales;
};

static int keep(const struct reconstruction *r, struct kept *k, struct message *m)
{
    *k = (struct kept){.scales = reconstruct_scales(r, m)};
    if (!k->scales)
        return STATUS_NOMEM;
    for (int l = 0; l < r->unit->count; l++)
        for (int i = 0; i < LEARNED; i++) {
            const struct tensor *t =
                model_tensor(r->int8, unit_layer_in(r->int8, r->fused, r->unit->layers[l]), learned[i]);
            k->data[l][i] = memory_new_raw(t->bytes, 1, m);
            if (!k->data[l][i])
                return STATUS_NOMEM;
            memcpy(k->data[l][i], t->data, t->bytes);
        }
    return 0;
}

static void put_back(struct reconstruction *r, const struct kept *k)
{
    reconstruct_put_back_scales(r, k->scales);
    for (int l = 0; l < r->unit->count; l++)
        for (int i = 0; i < LEARNED; i++) {
            struct tensor *t =
                model_tensor(r->int8, unit_layer_in(r->int8, r->fused, r->unit->layers[l]), learned[i]);
            memcpy(t->data, k->data[l][i], t->bytes);
        }
}

static void kept_free(struct kept *k)
{
    memory_free(k->scales);
    for (int l = 0; l < UNIT_LAYERS; l++)
        for (int i = 0; i < LEARNED; i++)
            memory_free(k->data[l][i]);
}

static int take_codes(struct reconstruction *r, int l, struct message *m)
{
    const struct unit_layer *y = &r->pass.layers[l];
    struct tensor *weight = model_tensor(r->int8, y->at, "weight");
    int8_t *codes = memory_new_raw(y->count, 1, m);
    if (!codes)
        return STATUS_NOMEM;
    unit_codes(&r->pass, l, codes);
    if (weight->dtype == DTYPE_I8)
        memcpy(weight->data, codes, y->count);
    else
        codes_pack(codes, y->count, model_weight_bits(r->int8, y->at), weight->data);
    memory_free(codes);
    return 0;
}

/* ---- a unit ---- */

/* Layers of 8 bits have little to gain. */
static int is_low(const struct reconstruction *r)
{
    for (int l = 0; l < r->unit->count; l++)
        if (model_weight_bits(r->int8, unit_layer_in(r->int8, r->fused, r->unit->layers[l])) < 8)
            return 1;
    return 0;
}

/* What it reads, and what it is to give. */
static int arrive(struct reconstruction *r, struct message *m)
{
    int first = r->unit->layers[0], last = r->unit->layers[r->unit->count - 1];
    int step = exec_step_of(r->codes.exec, unit_layer_in(r->int8, r->fused, first));
    size_t bytes;
    TRY(walk_to(&r->floats, exec_step_of(r->floats.exec, first), m));
    TRY(walk_on(r, &r->codes, step, m));
    r->after_step = exec_step_of(r->floats.exec, last) + 1;
    bytes = exec_cut_bytes(r->floats.exec, r->after_step);
    r->after = memory_new_raw((size_t)r->floats.count, bytes, m);
    if (!r->after)
        return STATUS_NOMEM;
    return exec_run_part(r->floats.exec, r->floats.step, r->after_step, r->floats.cut, r->floats.count, r->after,
                         m);
}

/* The float network's walk is then behind the unit. */
static void leave(struct reconstruction *r)
{
    unit_pass_close(&r->pass);
    memory_free(r->target);
    r->target = NULL;
    if (!r->after)
        return;
    memory_free(r->floats.owned);
    r->floats.cut = r->floats.owned = r->after;
    r->floats.step = r->after_step;
    r->after = NULL;
}

/* 1 where the first rank was asked to stop. */
static int is_stopped(const struct reconstruction *r, struct message *m)
{
    const struct reconstruct_options *o = r->o;
    int stop = o->stop && *o->stop;
    if (o->ranks)
        TRY(o->ranks->broadcast(&stop, sizeof stop, m));
    return stop;
}

static int learn(struct reconstruction *r, const struct kept *start, struct message *m)
{
    const struct reconstruct_options *o = r->o;
    const char *name = r->fused->graph.nodes[r->unit->layers[r->unit->count - 1]].name;
    while (r->step < o->steps) {
        if (o->progress)
            o->progress(o->context, r->at * o->steps + r->step, r->count * o->steps, name);
        double loss;
        TRY(reconstruct_step(r, &loss, m));
        if (!isfinite(loss))
            return message_set(m, STATUS_RANGE, "%s: step %lld: the loss is not finite (a lower --learning-rate?)",
                               name, (long long)r->step + 1);
        r->step++;
        int stop = is_stopped(r, m);
        TRY(stop);
        if (stop || (o->checkpoint_every > 0 && r->step % o->checkpoint_every == 0))
            TRY(reconstruct_save(r, m));
        if (stop)
            return message_set(m, STATUS_INTERRUPTED, "stopped");
    }
    for (int l = 0; l < r->unit->count; l++)
        TRY(take_codes(r, l, m));
    reconstruct_take_scales(r, start->scales);
    return match_unit(r, m);
}

static void say_unit(const struct reconstruction *r, struct noise before, struct noise after, int is_better)
{
    char line[MESSAGE_SIZE];
    if (!r->o->say)
        return;
    snprintf(line, sizeof line, "%s: %d layer%s, %.2f dB of noise below the signal, by nearest codes %.2f%s",
             r->fused->graph.nodes[r->unit->layers[r->unit->count - 1]].name, r->unit->count,
             r->unit->count > 1 ? "s" : "", noise_sqnr(after), noise_sqnr(before),
             is_better ? "" : ", which are kept");
    r->o->say(r->o->context, line);
}

/* The most that a step has of this rank's. */
static int own_images(const struct reconstruction *r)
{
    return share_most_images(r->batch, SHARD_IMAGES, r->o->ranks ? r->o->ranks->count : 1);
}

static struct unit_pass_options pass_options(struct reconstruction *r)
{
    return (struct unit_pass_options){.batch = own_images(r),
                                      .pool = r->pool,
                                      .reduce = &r->reduce,
                                      .isa = r->o->isa,
                                      .learns_scales = r->o->scale_rate > 0};
}

/* Learns, and takes what was learned where it is better than the nearest codes. */
static int learn_from(struct reconstruction *r, struct kept *start, const struct record *held, struct message *m)
{
    const struct unit_value *y;
    struct noise before, after;
    TRY(keep(r, start, m));
    TRY(measure(r, &before, m));
    const struct unit_pass_options how = pass_options(r);
    TRY(unit_pass_open(&r->pass, r->unit, r->fused, r->int8, &how, m));
    r->pass.seed = r->o->seed;
    r->pass.keep = (int)rint(r->o->drop * 256);
    y = unit_output(&r->pass);
    r->target = memory_new_raw((size_t)own_images(r), y->elements * sizeof *r->target, m);
    if (!r->target)
        return STATUS_NOMEM;
    if (r->step > 0)
        TRY(reconstruct_restore_unit(r, held, m));
    TRY(learn(r, start, m));
    TRY(measure(r, &after, m));
    say_unit(r, before, after, after.noise < before.noise);
    if (after.noise < before.noise) {
        reconstruct_settle_scales(r, start->scales);
        return 0;
    }
    put_back(r, start);
    return match_unit(r, m);
}

static int run_unit(struct reconstruction *r, const struct record *held, struct message *m)
{
    struct kept start = {.scales = NULL};
    r->unit = &r->units[r->at];
    r->epoch = -1;
    int status = arrive(r, m);
    if (status >= 0 && r->step == 0)
        status = match_unit(r, m);
    if (status >= 0 && is_low(r))
        status = learn_from(r, &start, held, m);
    kept_free(&start);
    leave(r);
    return status;
}

/* ---- all of it ---- */

/* Both walks' cuts, two each, the unit at work, and weights as kernels take them. */
static int check_room(struct reconstruction *r, struct message *m)
{
    const struct unit_pass_options how = pass_options(r);
    size_t most = 0, images = (size_t)r->o->count, left = memory_available();
    for (int u = 0; u < r->count; u++) {
        const struct unit *unit = &r->units[u];
        int last = unit->layers[unit->count - 1], codes = unit_layer_in(r->int8, r->fused, unit->layers[0]);
        int step = exec_step_of(r->floats.exec, unit->layers[0]), behind = exec_step_of(r->floats.exec, last) + 1;
        size_t bytes = exec_cut_bytes(r->floats.exec, step) + exec_cut_bytes(r->floats.exec, behind);
        bytes += 2 * exec_cut_bytes(r->codes.exec, exec_step_of(r->codes.exec, codes));
        bytes = images * bytes + unit_pass_bytes(unit, r->fused, &how);
        most = bytes > most ? bytes : most;
    }
    most += exec_arena_bytes(r->floats.exec) + 2 * exec_arena_bytes(r->codes.exec);
    most += 2 * sizeof(float) * (size_t)model_parameter_elements(r->fused);
    if (most > left)
        return message_set(m, STATUS_NOMEM,
                           "%lld images take %.0f MB, of which %.0f are left: want fewer (--images)",
                           (long long)r->o->count, (double)most / 1e6, (double)left / 1e6);
    char line[MESSAGE_SIZE];
    snprintf(line, sizeof line, "%d blocks, %lld images, at most %.0f MB", r->count, (long long)r->o->count,
             (double)most / 1e6);
    if (r->o->say)
        r->o->say(r->o->context, line);
    return 0;
}

/* Where the gradients of a step's images meet. */
static int open_reduce(struct reconstruction *r, struct message *m)
{
    size_t most = 1;
    for (int u = 0; u < r->count; u++)
        for (int l = 0; l < r->units[u].count; l++) {
            size_t weights = model_tensor(r->fused, r->units[u].layers[l], "weight")->count;
            most = weights > most ? weights : most;
        }
    return reduce_open(&r->reduce, r->o->ranks, r->batch, SHARD_IMAGES, 1, most, m);
}

/* All ranks must be about to do the same. */
static int check_ranks(const struct reconstruction *r, struct message *m)
{
    char view[VIEW_BYTES], codes[DIGEST_HEX], recipe[DIGEST_HEX];
    const char *options = r->o->recipe ? r->o->recipe : "";
    if (!r->o->ranks)
        return 0;
    TRY(digest_record(r->int8->record, codes, m));
    digest_bytes(options, strlen(options), recipe);
    snprintf(view, sizeof view, "%s, block %d, step %lld, codes %.16s, recipe %.16s", exec_isa(r->floats.exec),
             r->at, (long long)r->step, codes, recipe);
    return ranks_agree(r->o->ranks, view, m);
}

static int begin(struct reconstruction *r, struct record **held, struct message *m)
{
    const struct reconstruct_options *o = r->o;
    if (o->count < 1)
        return message_set(m, STATUS_RANGE, "no images to learn from");
    r->batch = o->count < o->batch ? (int)o->count : o->batch;
    r->count = units_find(&r->units, r->fused, r->int8, o->single, m);
    TRY(r->count);
    TRY(threads_open(&r->pool, o->threads ? o->threads : 1, m));
    TRY(walk_open(&r->floats, r->fused, o->images, o->count, o->threads, m));
    TRY(walk_open(&r->codes, r->int8, o->images, o->count, o->threads, m));
    TRY(check_room(r, m));
    TRY(open_reduce(r, m));
    r->order = memory_new((size_t)o->count, sizeof *r->order, m);
    if (!r->order)
        return STATUS_NOMEM;
    TRY(float_outputs(&r->moments, r->fused, o->images, o->match_count, o->threads, m));
    return reconstruct_restore(r, held, m);
}

static int run_all(struct reconstruction *r, struct record **held, struct message *m)
{
    TRY(begin(r, held, m));
    TRY(check_ranks(r, m));
    if (r->o->ready)
        r->o->ready();
    for (; r->at < r->count; r->at++, r->step = 0) {
        if (r->step == 0)
            TRY(reconstruct_save(r, m));
        TRY(run_unit(r, *held, m));
    }
    return 0;
}

int ptq_reconstruct(struct model *int8, const struct model *fused, const struct reconstruct_options *o,
                    struct message *m)
{
    struct reconstruction r = {.int8 = int8, .fused = fused, .o = o};
    struct record *held = NULL;
    int status = run_all(&r, &held, m);
    record_free(held);
    walk_close(&r.floats);
    walk_close(&r.codes);
    float_outputs_free(r.moments, fused->graph.count);
    threads_close(r.pool);
    reduce_close(&r.reduce);
    memory_free(r.units);
    memory_free(r.order);
    return status;
}
