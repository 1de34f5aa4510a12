#include "exec/train/gradient.h"
#include "base/memory.h"
#include "exec/device/choose.h"
#include "exec/train/gradient_engine.h"
#include "graph/op.h"
#include "kernel/contract/block.h"
#include "kernel/contract/shape.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- open and close ---- */

static int check_precision(const struct gradient_options *o, const char *device, struct message *m)
{
    const char *precision = o->precision && o->precision[0] ? o->precision : "fp32";
    if (strcmp(precision, "fp32") == 0 || strcmp(precision, "bf16") == 0)
        return 0;
    if (strcmp(precision, "fp16") != 0)
        return message_set(m, STATUS_UNSUPPORTED, "precision '%s' is not one of fp32, bf16, fp16", precision);
    if (strcmp(device, "cpu") == 0)
        return message_set(m, STATUS_UNSUPPORTED, "precision fp16 needs a GPU: a CPU trains in fp32 or bf16");
    return 0;
}

/* *device: what computes. */
static int check_options(const struct gradient_options *o, const char **device, struct message *m)
{
    if (o->batch < 1 || o->batch > 65536)
        return message_set(m, STATUS_RANGE, "batch: %d is not in 1..65536", o->batch);
    if (!(o->batchnorm_momentum >= 0 && o->batchnorm_momentum <= 1))
        return message_set(m, STATUS_RANGE, "batch norm momentum %g is not in 0..1", o->batchnorm_momentum);
    if (!(o->range_averaging >= 0 && o->range_averaging <= 1))
        return message_set(m, STATUS_RANGE, "range averaging %g is not in 0..1", o->range_averaging);
    if (o->quantized && (o->weight_bits < 2 || o->weight_bits > 8))
        return message_set(m, STATUS_RANGE, "%d weight bits, want 2..8", o->weight_bits);
    if (o->quantized && (o->activation_bits < 2 || o->activation_bits > 8))
        return message_set(m, STATUS_RANGE, "%d activation bits, want 2..8", o->activation_bits);
    if (!(o->scale_rate >= 0 && isfinite(o->scale_rate)))
        return message_set(m, STATUS_RANGE, "rate of scales %g is not a positive number", o->scale_rate);
    if (!(o->ewgs >= 0 && o->ewgs <= 1))
        return message_set(m, STATUS_RANGE, "gradient scaling %g is not in 0..1", o->ewgs);
    if (o->quantized && !o->activations)
        return message_set(m, STATUS_MISMATCH, "quantized training needs activation maps");
    TRY(device_choose(o->device, device, NULL, m));
    if (o->shard && (o->shard < SHARD_IMAGES || o->shard > 65536))
        return message_set(m, STATUS_RANGE, "shard: %d images, want %d..65536", o->shard, (int)SHARD_IMAGES);
    if (o->shard && strcmp(*device, "cpu") == 0)
        return message_set(m, STATUS_UNSUPPORTED,
                           "shards of %d images (--shard) are a GPU's: on a CPU they have %d", o->shard,
                           (int)SHARD_IMAGES);
    return check_precision(o, *device, m);
}

/* A device's own kernels find the scales by the largest weight, and pass gradients straight through. */
static int check_weights(const struct graph *g, const struct gradient_options *o, const char *device,
                         struct message *m)
{
    if ((o->learn_weight_scales || o->ewgs > 0) && strcmp(device, "cpu") != 0)
        return message_set(
            m, STATUS_UNSUPPORTED,
            "weight scales that are learned and gradients that are scaled (EWGS) cannot be trained on "
            "device %s: take the CPU",
            device);
    for (int i = 0; o->learn_weight_scales && i < g->count; i++)
        if (op_of(&g->nodes[i])->weights && (!o->weights || !o->weights[i].scale))
            return message_set(m, STATUS_MISMATCH, "%s: no scales for its weights to begin with", g->nodes[i].name);
    for (int i = 0; o->weights && i < g->count && strcmp(device, "cpu") != 0; i++)
        if (o->weights[i].observer != WEIGHT_MAX || o->weights[i].scale)
            return message_set(
                m, STATUS_UNSUPPORTED,
                "%s: weight scales that are searched cannot be trained on device %s: take the CPU, or "
                "the observer max for weights",
                g->nodes[i].name, device);
    return 0;
}

static int check_stage(const struct model *model, const struct gradient_options *o, struct message *m)
{
    if (o->quantized)
        return graph_require_stage(&model->graph, STAGE_FUSED, m);
    if (graph_stage(&model->graph) == STAGE_INT8)
        return graph_require_stage(&model->graph, STAGE_FLOAT, m);
    return 0;
}

static int is_taken(const struct gradient_engine *e, const struct gradient *g)
{
    if (e->suits && !e->suits(g))
        return 0;
    return !e->pays || g->options.over_blocks || e->pays(g);
}

/* The one place that knows which engine trains what: the first that suits and pays. g has its steps by now. */
static const struct gradient_engine *engine_for(const struct gradient *g, const char *device)
{
    static const struct gradient_engine *const of_cpu[] = {&block_gradient_engine, &image_gradient_engine};
    int i = 0;
    if (strcmp(device, "cpu") != 0)
        return &device_gradient_engine;
    while (!is_taken(of_cpu[i], g))
        i++;
    return of_cpu[i];
}

/* Before ranks say anything else to each other, which is another thing on another device. */
static int check_devices(const struct ranks *ranks, const char *device, int shard, struct message *m)
{
    enum { NAME_BYTES = 64 };
    size_t bytes[RANKS_MOST], offset[RANKS_MOST];
    char own[NAME_BYTES] = {0}, all[RANKS_MOST * NAME_BYTES];
    for (int i = 0; i < ranks->count; i++) {
        bytes[i] = NAME_BYTES;
        offset[i] = (size_t)i * NAME_BYTES;
    }
    snprintf(own, sizeof own, "device %s in shards of %d images", device, shard);
    TRY(ranks->gather(own, all, bytes, offset, m));
    for (int i = 1; i < ranks->count; i++)
        if (strcmp(all + i * NAME_BYTES, all) != 0)
            return message_set(m, STATUS_MISMATCH,
                               "rank %d computes on %s, but rank 0 on %s: all need the same --device and --shard",
                               i, all + i * NAME_BYTES, all);
    return 0;
}

int gradient_shard(const struct gradient_options *options)
{
    return options->shard ? options->shard : SHARD_IMAGES;
}

static int is_shared(const struct ranks *ranks)
{
    return ranks && ranks->count > 1;
}

/* At most two sums a channel travel together; channels come in blocks of 32. A device keeps its rows itself. */
static int prepare_reduce(struct gradient *g, const char *device, struct message *m)
{
    const struct ranks *ranks = g->options.ranks;
    size_t values = 64, weights = 0;
    int on_device = strcmp(device, "cpu") != 0, shard = gradient_shard(&g->options);
    g->batch = g->options.batch;
    if (is_shared(ranks))
        TRY(check_devices(ranks, device, shard, m));
    g->options.batch = ranks ? share_most_images(g->batch, shard, ranks->count) : g->batch;
    if (on_device && (g->options.shard || is_shared(ranks)))
        g->shard = shard < g->options.batch ? shard : g->options.batch;
    if (on_device)
        return reduce_open(&g->reduce, ranks, g->batch, shard, values, 0, 0, m);
    for (int i = 0; i < g->graph.count; i++)
        values = max_size(values, 2 * (size_t)block_channels(gradient_node(g, i)->c));
    for (int i = 0; i < g->slice_count; i++)
        weights = max_size(weights, g->slices[i].count);
    return reduce_open(&g->reduce, ranks, g->batch, shard, values, weights, g->parameter_count, m);
}

static int prepare(struct gradient *g, const struct model *model, const char *device, struct message *m)
{
    TRY(graph_copy(&g->graph, &model->graph, m));
    TRY(kernel_table_get(&g->kernels, g->options.isa, m));
    TRY(gradient_plan_steps(g, m));
    if (gradient_quantized(g)) {
        TRY(gradient_check_quantized(&g->graph, m));
        TRY(qat_take_maps(g, g->options.activations, m));
    }
    TRY(gradient_plan_slices(g, model, m));
    TRY(prepare_reduce(g, device, m));
    g->engine = engine_for(g, device);
    return g->engine->open(g, m);
}

int gradient_open(struct gradient **out, const struct model *model, const struct gradient_options *options,
                  struct message *m)
{
    const char *device;
    *out = NULL;
    TRY(check_options(options, &device, m));
    TRY(model_verify(model, m));
    TRY(check_stage(model, options, m));
    TRY(check_weights(&model->graph, options, device, m));
    struct gradient *g = memory_new(1, sizeof *g, m);
    if (!g)
        return STATUS_NOMEM;
    g->options = *options;
    if (g->options.batchnorm_momentum == 0)
        g->options.batchnorm_momentum = 0.1;
    if (g->options.range_averaging == 0)
        g->options.range_averaging = 0.01;
    if (g->options.scale_rate == 0)
        g->options.scale_rate = 1;
    int status = prepare(g, model, device, m);
    g->options.activations = NULL; /* the caller's may go */
    g->options.isa = g->options.device = g->options.precision = NULL;
    if (status < 0) {
        gradient_close(g);
        return status;
    }
    *out = g;
    return 0;
}

int gradient_plan_bytes(const struct model *model, const struct gradient_options *options, size_t *bytes,
                        struct message *m)
{
    struct gradient_options alone = *options;
    struct gradient *g = NULL;
    const char *device;
    *bytes = 0;
    TRY(device_choose(options->device, &device, NULL, m));
    if (strcmp(device, "cpu") != 0)
        return 0;
    alone.plans_alone = 1;
    TRY(gradient_open(&g, model, &alone, m));
    *bytes = gradient_held_bytes(g);
    gradient_close(g);
    return 0;
}

void gradient_close(struct gradient *g)
{
    if (!g)
        return;
    if (g->engine)
        g->engine->close(g);
    steps_free(&g->steps);
    memory_free(g->train);
    memory_free(g->values);
    memory_free(g->slices);
    memory_free(g->state_slices);
    memory_free(g->parameters);
    memory_free(g->gradients);
    memory_free(g->state);
    reduce_close(&g->reduce);
    graph_free(&g->graph);
    memory_free(g);
}

/* ---- forward and backward ---- */

int gradient_check_count(const struct gradient *g, int64_t count, struct message *m)
{
    if (count < 1 || count > g->batch)
        return message_set(m, STATUS_RANGE, "a mini-batch of %lld images, want 1..%d", (long long)count, g->batch);
    for (int i = 0; i < g->graph.count; i++) {
        const struct node *n = gradient_node(g, i);
        if (n->op == OP_BATCHNORM && count * n->h * n->w == 1)
            return message_set(m, STATUS_RANGE,
                               "%s: batch norm wants more than 1 value a channel: a mini-batch of 1 image has only "
                               "that on its 1x1 map",
                               n->name);
    }
    return 0;
}

int gradient_forward(struct gradient *g, const uint8_t *images, int count, float *logits, struct message *m)
{
    TRY(gradient_check_count(g, count, m));
    reduce_begin(&g->reduce, count);
    g->count = g->reduce.share.images;
    g->is_forward = 0;
    TRY(g->engine->forward(g, images, g->count, logits, m));
    TRY(reduce_end(&g->reduce, m));
    g->is_forward = 1;
    return 0;
}

int gradient_backward(struct gradient *g, const float *dlogits, struct message *m)
{
    int last = g->graph.count - 1;
    if (!g->is_forward)
        return message_set(m, STATUS_MISMATCH, "backward needs a forward pass before it");
    if (!g->values[last].wants_gradient)
        return message_set(m, STATUS_MISMATCH, "%s: no parameter stands before the logits",
                           gradient_node(g, last)->name);
    int status = g->engine->backward(g, dlogits, m);
    g->is_forward = 0; /* gradients were masked in place, and values' memory reused: not twice */
    return status < 0 ? status : reduce_end(&g->reduce, m);
}

struct share gradient_share(const struct gradient *g, int count)
{
    const struct ranks *ranks = g->reduce.ranks;
    return share_of(count, g->reduce.shard, ranks ? ranks->rank : 0, ranks ? ranks->count : 1);
}

struct reduce *gradient_reduce(struct gradient *g)
{
    return &g->reduce;
}

/* ---- whole steps ---- */

int gradient_makes_steps(const struct gradient *g)
{
    return g->engine->whole_steps != NULL;
}

int gradient_step_begin(struct gradient *g, const struct gradient_rule *rule, struct message *m)
{
    if (!g->engine->whole_steps)
        return message_set(m, STATUS_UNSUPPORTED, "whole steps are a device's");
    return g->engine->whole_steps->begin(g, rule, m);
}

int gradient_step(struct gradient *g, const uint8_t *images, const struct targets *targets, int count, double rate,
                  double bias_rate, double share, struct gradient_done *done, struct message *m)
{
    int classes = (int)g->values[g->graph.count - 1].elements;
    if (!g->engine->whole_steps)
        return message_set(m, STATUS_MISMATCH, "a step needs gradient_step_begin before it");
    TRY(gradient_check_count(g, count, m));
    for (int i = 0; i < gradient_share(g, count).images; i++) {
        const struct target target = target_of(targets, (size_t)i);
        for (int j = 0; j < target.count; j++)
            if (target.labels[j] >= classes)
                return message_set(m, STATUS_RANGE, "label %d of %d classes", target.labels[j], classes);
    }
    return g->engine->whole_steps->step(g, images, targets, count, rate, bias_rate, share, done, m);
}

int gradient_step_wait(struct gradient *g, struct gradient_done *done, struct message *m)
{
    return g->engine->whole_steps ? g->engine->whole_steps->wait(g, done, m) : 0;
}

int gradient_settle(struct gradient *g, struct gradient_done *done, struct message *m)
{
    return g->engine->whole_steps ? g->engine->whole_steps->settle(g, done, m) : 0;
}

struct gradient_scale *gradient_loss_scale(struct gradient *g)
{
    return g->engine->whole_steps ? g->engine->whole_steps->loss_scale(g) : NULL;
}

int gradient_layer_algorithms(const struct gradient *g, int i, char *text, size_t size)
{
    return g->engine->algorithms ? g->engine->algorithms(g, i, text, size) : 0;
}

int gradient_device_shard(const struct gradient *g)
{
    return g->shard ? g->reduce.shard : 0;
}

int gradient_sharing(const struct gradient *g, char *text, size_t size)
{
    return g->engine->sharing ? g->engine->sharing(g, text, size) : 0;
}

/* ---- what it holds ---- */

float *gradient_parameters(struct gradient *g)
{
    return g->parameters;
}

float *gradient_gradients(struct gradient *g)
{
    return g->gradients;
}

size_t gradient_parameter_count(const struct gradient *g)
{
    return g->parameter_count;
}

int gradient_slices(const struct gradient *g, const struct slice **slices)
{
    *slices = g->slices;
    return g->slice_count;
}

float *gradient_state(struct gradient *g)
{
    return g->state;
}

size_t gradient_state_count(const struct gradient *g)
{
    return g->state_count;
}

int gradient_state_slices(const struct gradient *g, const struct slice **slices)
{
    *slices = g->state_slices;
    return g->state_slice_count;
}

int gradient_activations(const struct gradient *g, const float *parameters, const float *state,
                         struct affine *activations, struct message *m)
{
    memset(activations, 0, (size_t)g->graph.count * sizeof *activations);
    if (!gradient_quantized(g))
        return message_set(m, STATUS_MISMATCH, "there are no activation maps in float training");
    for (int i = 0; i < g->steps.count; i++) {
        int node = g->steps.at[i].output;
        if (!gradient_is_last(g, node))
            TRY(qat_map(g, parameters ? parameters : g->parameters, state ? state : g->state, i, &activations[node],
                        m));
    }
    return 0;
}

int gradient_threads(const struct gradient *g)
{
    return g->engine->threads(g);
}

struct threads *gradient_workers(const struct gradient *g)
{
    return g->engine->workers ? g->engine->workers(g) : NULL;
}

const char *gradient_device(const struct gradient *g)
{
    return g->engine->device(g);
}

const char *gradient_isa(const struct gradient *g)
{
    return g->engine->isa(g);
}

size_t gradient_arena_bytes(const struct gradient *g)
{
    return g->engine->arena_bytes(g);
}

size_t gradient_held_bytes(const struct gradient *g)
{
    return g->engine->held_bytes(g) + reduce_bytes(&g->reduce);
}

const char *gradient_engine(const struct gradient *g)
{
    return g->engine->name;
}

const char *gradient_precision(const struct gradient *g)
{
    return g->engine->precision(g);
}

double gradient_macs(const struct gradient *g)
{
    double macs = 0;
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        if (s->kind == STEP_CONV)
            macs += s->macs * (gradient_wants(g, s->x) ? 3 : 2);
    }
    return macs;
}

double gradient_peak(const struct gradient *g)
{
    return g->engine->peak(g);
}

/* ---- profile ---- */

void gradient_profile(struct gradient *g, int on)
{
    g->profiling = on && (!g->engine->profile_begin || g->engine->profile_begin(g) >= 0);
    for (int i = 0; on && i < g->steps.count; i++)
        memset(g->train[i].seconds, 0, sizeof g->train[i].seconds);
}

int gradient_layer_count(const struct gradient *g)
{
    return g->steps.count;
}

struct gradient_layer gradient_layer_at(const struct gradient *g, int i)
{
    const struct step *s = &g->steps.at[i];
    const struct node *n = gradient_node(g, s->node);
    const double *seconds = g->train[i].seconds;
    return (struct gradient_layer){n->name,
                                   graph_op_name(n->op),
                                   s->kind == STEP_CONV ? s->macs : 0,
                                   seconds[PASS_FORWARD],
                                   seconds[PASS_DATA],
                                   seconds[PASS_WEIGHT]};
}
