#include "exec/train/gradient.h"
#include "base/memory.h"
#include "exec/train/block/block_engine.h"
#include "exec/device/choose.h"
#include "exec/train/device/device_train.h"
#include <math.h>
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
    if (o->quantized && !o->activations)
        return message_set(m, STATUS_MISMATCH, "quantized training needs activation maps");
    TRY(device_choose(o->device, device, NULL, m));
    return check_precision(o, *device, m);
}

static int check_stage(const struct model *model, const struct gradient_options *o, struct message *m)
{
    if (o->quantized)
        return graph_require_stage(&model->graph, STAGE_FUSED, m);
    if (graph_stage(&model->graph) == STAGE_INT8)
        return graph_require_stage(&model->graph, STAGE_FLOAT, m);
    return 0;
}

static int take_activations(struct gradient *g, const struct affine *activations, struct message *m)
{
    for (int i = 0; gradient_quantized(g) && i < g->step_count; i++) {
        int node = g->steps[i].output;
        const struct affine *a = &activations[node];
        if (node == g->graph.count - 1)
            continue;
        if (!isnormal(a->scale) || a->scale <= 0 || a->zero_point < a->qmin || a->zero_point > a->qmax ||
            a->qmin >= a->qmax)
            return message_set(m, STATUS_MISMATCH, "%s: no usable activation map", g->graph.nodes[node].name);
        g->values[node].given = g->values[node].map = *a;
    }
    return 0;
}

/* Scratch of a worker: any kernel's, or one image's gradient. partials: two sums a channel, an image. */
static void measure_scratch(struct gradient *g)
{
    const struct kernel_table *k = g->kernels;
    size_t channels = 1, bytes = 64;
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        channels = max_size(channels, (size_t)g->graph.nodes[s->output].c);
        channels = max_size(channels, (size_t)g->graph.nodes[s->x].c);
        if (s->accumulate_x)
            bytes = max_size(bytes, g->values[s->x].elements * sizeof(float));
        if (s->kind != TRAIN_CONV)
            continue;
        if (block_back(g, i))
            bytes = max_size(bytes, k->block.scratch_bytes(&g->block->steps[i].conv));
        if (block_on(g, i))
            continue;
        bytes = max_size(bytes, gradient_quantized(g) ? k->conv_u8.scratch_bytes(&s->shape)
                                                      : k->conv_f32.scratch_bytes(&s->shape));
        bytes = max_size(bytes, k->conv_f32_backward_data.scratch_bytes(&s->shape));
        bytes = max_size(bytes, k->conv_f32_backward_weight.scratch_bytes(&s->shape));
    }
    g->scratch_stride = round_up_64(bytes);
    g->partial_stride = 2 * channels;
}

static int take_memory(struct gradient *g, struct message *m)
{
    size_t inputs = 256 * (size_t)g->graph.nodes[0].c;
    measure_scratch(g);
    g->arena = memory_new(g->arena_bytes, 1, m);
    if (!g->arena)
        return STATUS_NOMEM;
    g->scratch = memory_new((size_t)threads_count(g->pool), g->scratch_stride, m);
    g->partials = memory_new((size_t)g->options.batch, g->partial_stride * sizeof *g->partials, m);
    g->table = memory_new(inputs, 1, m);
    g->table_values = memory_new(inputs, sizeof *g->table_values, m);
    return g->scratch && g->partials && g->table && g->table_values ? 0 : STATUS_NOMEM;
}

static int prepare(struct gradient *g, const struct model *model, const char *device, struct message *m)
{
    TRY(graph_copy(&g->graph, &model->graph, m));
    TRY(kernel_table_get(&g->kernels, g->options.isa, m));
    TRY(gradient_plan_steps(g, m));
    if (gradient_quantized(g))
        TRY(gradient_check_quantized(&g->graph, m));
    TRY(take_activations(g, g->options.activations, m));
    TRY(gradient_plan_slices(g, model, m));
    if (strcmp(device, "cpu") != 0)
        return device_training_open(g, m);
    TRY(threads_open(&g->pool, g->options.threads ? g->options.threads : 1, m));
    g->bf16 = g->options.precision && strcmp(g->options.precision, "bf16") == 0;
    if (block_engine_suits(g))
        TRY(block_plan(g, m));
    else
        TRY(gradient_plan_buffers(g, m));
    TRY(gradient_prepare_steps(g, m));
    if (g->block)
        TRY(block_prepare(g, m));
    return take_memory(g, m);
}

int gradient_check_count(const struct gradient *g, int64_t count, struct message *m)
{
    if (count < 1 || count > g->options.batch)
        return message_set(m, STATUS_RANGE, "a mini-batch of %lld images, want 1..%d", (long long)count,
                           g->options.batch);
    for (int i = 0; i < g->graph.count; i++) {
        const struct node *n = &g->graph.nodes[i];
        if (n->op == OP_BATCHNORM && count * n->h * n->w == 1)
            return message_set(m, STATUS_RANGE,
                               "%s: batch norm wants more than 1 value a channel: a mini-batch of 1 image has only "
                               "that on its 1x1 map",
                               n->name);
    }
    return 0;
}

int gradient_open(struct gradient **out, const struct model *model, const struct gradient_options *options,
                  struct message *m)
{
    const char *device;
    *out = NULL;
    TRY(check_options(options, &device, m));
    TRY(model_verify(model, m));
    TRY(check_stage(model, options, m));
    struct gradient *g = memory_new(1, sizeof *g, m);
    if (!g)
        return STATUS_NOMEM;
    g->options = *options;
    if (g->options.batchnorm_momentum == 0)
        g->options.batchnorm_momentum = 0.1;
    if (g->options.range_averaging == 0)
        g->options.range_averaging = 0.01;
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

void gradient_close(struct gradient *g)
{
    if (!g)
        return;
    threads_close(g->pool);
    device_training_close(g);
    block_close(g);
    for (int i = 0; i < g->step_count; i++)
        gradient_release_step(&g->steps[i]);
    memory_free(g->steps);
    memory_free(g->values);
    memory_free(g->slices);
    memory_free(g->state_slices);
    memory_free(g->parameters);
    memory_free(g->gradients);
    memory_free(g->state);
    memory_free(g->arena);
    memory_free(g->scratch);
    memory_free(g->partials);
    memory_free(g->table);
    memory_free(g->table_values);
    graph_free(&g->graph);
    memory_free(g);
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

int gradient_activations(const struct gradient *g, const float *parameters, struct affine *activations,
                         struct message *m)
{
    memset(activations, 0, (size_t)g->graph.count * sizeof *activations);
    if (!gradient_quantized(g))
        return message_set(m, STATUS_MISMATCH, "there are no activation maps in float training");
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        if (s->output != g->graph.count - 1)
            TRY(qat_map(g, parameters ? parameters : g->parameters, s, &activations[s->output], m));
    }
    return 0;
}

int gradient_threads(const struct gradient *g)
{
    return threads_count(g->pool);
}

const char *gradient_device(const struct gradient *g)
{
    return g->on_device ? g->on_device->context->backend->name : "cpu";
}

const char *gradient_isa(const struct gradient *g)
{
    return g->on_device ? g->on_device->context->information.name : g->kernels->isa;
}

size_t gradient_arena_bytes(const struct gradient *g)
{
    return g->on_device ? g->on_device->arena_bytes : g->arena_bytes;
}

const char *gradient_engine(const struct gradient *g)
{
    return g->on_device ? "device" : g->block ? "block" : "image";
}

const char *gradient_precision(const struct gradient *g)
{
    if (g->on_device)
        return device_training_precision(g);
    return g->block && g->bf16 ? "bf16" : "fp32";
}

double gradient_macs(const struct gradient *g)
{
    double macs = 0;
    for (int i = 0; i < g->step_count; i++) {
        const struct train_step *s = &g->steps[i];
        if (s->kind == TRAIN_CONV)
            macs += node_macs(&g->graph, s->node) * (g->values[s->x].wants_gradient ? 3 : 2);
    }
    return macs;
}

/* Planes of floats are six products each. */
double gradient_peak(const struct gradient *g)
{
    if (g->on_device)
        return device_training_peak(g);
    const char *type = g->block ? "bf16" : "f32";
    double one = kernel_peak(g->kernels, type, 0.05) / (g->block && !g->bf16 ? 6 : 1);
    return one * threads_count(g->pool);
}

/* ---- profile ---- */

void gradient_profile(struct gradient *g, int on)
{
    g->profiling = on && (!g->on_device || device_profile_begin(g) >= 0);
    for (int i = 0; on && i < g->step_count; i++)
        memset(g->steps[i].seconds, 0, sizeof g->steps[i].seconds);
}

int gradient_layer_count(const struct gradient *g)
{
    return g->step_count;
}

struct gradient_layer gradient_layer_at(const struct gradient *g, int i)
{
    const struct train_step *s = &g->steps[i];
    const struct node *n = &g->graph.nodes[s->node];
    return (struct gradient_layer){n->name,
                                   graph_op_name(n->op),
                                   s->kind == TRAIN_CONV ? node_macs(&g->graph, s->node) : 0,
                                   s->seconds[PASS_FORWARD],
                                   s->seconds[PASS_DATA],
                                   s->seconds[PASS_WEIGHT]};
}
