#include "graph/model.h"
#include "graph/op.h"
#include "graph/schema.h"
#include "base/random.h"
#include <math.h>
#include <string.h>

/* Of a classifying convolution that no batch norm corrects: torchvision's SqueezeNet. */
static const double HEAD_DEVIATION = 0.01;

/* FNV-1a: a tensor's draws depend on its name, not on what else the network holds. */
static uint64_t name_hash(const char *name)
{
    uint64_t hash = 14695981039346656037u;
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * 1099511628211u;
    return hash;
}

static void fill(struct tensor *t, float value)
{
    float *values = t->data;
    for (size_t i = 0; i < t->count; i++)
        values[i] = value;
}

static void fill_normal(struct tensor *t, struct random_stream *r, double deviation)
{
    float *values = t->data;
    for (size_t i = 0; i < t->count; i++)
        values[i] = (float)(deviation * random_normal(r));
}

static void fill_uniform(struct tensor *t, struct random_stream *r, double bound)
{
    float *values = t->data;
    for (size_t i = 0; i < t->count; i++)
        values[i] = (float)(bound * (2 * random_uniform(r) - 1));
}

static void initialise_tensor(struct tensor *t, const struct tensor_spec *spec, uint64_t seed)
{
    struct random_stream r = random_open(seed, RANDOM_INITIALISE, 0, name_hash(t->name));
    switch (spec->start) {
    case START_ZERO: /* as tensors are added */
        break;
    case START_ONE:
        fill(t, 1);
        break;
    case START_NORMAL:
        fill_normal(t, &r, spec->spread);
        break;
    case START_UNIFORM:
        fill_uniform(t, &r, spec->spread);
        break;
    }
}

/* The last node that has weights, where the network has no batch norm; -1 where it has one. */
static int bare_head(const struct graph *g)
{
    int head = -1;
    for (int i = 0; i < g->count; i++) {
        if (g->nodes[i].op == OP_BATCHNORM)
            return -1;
        if (op_of(&g->nodes[i])->weights)
            head = i;
    }
    return head;
}

/* A convolution's tensors in a network without batch norm: Kaiming uniform fan_in (relu), the last layer's normal,
 * biases 0, as in torchvision's SqueezeNet. What fan_out gets wrong of a layer's size (outputs over inputs, 51 times
 * the variance at a SqueezeNet's head) nothing behind it would mend. Only the last layer's biases are 1: with 0, the
 * relu that a SqueezeNet has there holds back some classes from the start, which then have no gradient, and the
 * others sink to them within a hundred steps. Where no relu follows, the same for all classes is nothing. */
static void start_bare(struct tensor_spec *specs, int count, int is_head)
{
    for (int k = 0; k < count; k++) {
        struct tensor_spec *s = &specs[k];
        if (strcmp(s->suffix, "bias") == 0)
            s->start = is_head ? START_ONE : START_ZERO;
        if (strcmp(s->suffix, "weight") != 0)
            continue;
        s->start = is_head ? START_NORMAL : START_UNIFORM;
        s->spread =
            is_head ? HEAD_DEVIATION : sqrt(6 / ((double)s->shape[1] * (double)s->shape[2] * (double)s->shape[3]));
    }
}

static int initialise_node(struct model *model, int i, int head, uint64_t seed, struct message *m)
{
    struct graph *g = &model->graph;
    const struct node *n = &g->nodes[i];
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int count = node_tensors(g, i, specs);
    if (head >= 0 && n->op == OP_CONV2D)
        start_bare(specs, count, i == head);
    for (int k = 0; k < count; k++) {
        char name[TENSOR_NAME_SIZE];
        struct tensor *t;
        tensor_name(name, n, specs[k].suffix);
        TRY(record_add(model->record, name, specs[k].dtype, specs[k].rank, specs[k].shape, &t, m));
        initialise_tensor(t, &specs[k], seed);
    }
    return 0;
}

static int initialise(struct model *model, uint64_t seed, struct message *m)
{
    if (graph_stage(&model->graph) == STAGE_INT8)
        return message_set(m, STATUS_UNSUPPORTED, "an int8 graph cannot be initialised: train a float one");
    int head = bare_head(&model->graph);
    for (int i = 0; i < model->graph.count; i++)
        TRY(initialise_node(model, i, head, seed, m));
    return model_store(model, m);
}

int model_initialise(struct model *model, struct graph *graph, uint64_t seed, struct message *m)
{
    *model = (struct model){.graph = *graph, .record = record_new(m)};
    *graph = (struct graph){0};
    int status = model->record ? initialise(model, seed, m) : STATUS_NOMEM;
    if (status < 0)
        model_free(model);
    return status;
}
