#include "graph/model.h"
#include "graph/schema.h"
#include "base/random.h"

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

static int initialise_node(struct model *model, int i, uint64_t seed, struct message *m)
{
    struct graph *g = &model->graph;
    const struct node *n = &g->nodes[i];
    struct tensor_spec specs[SCHEMA_MAX_TENSORS];
    int count = node_tensors(g, i, specs);
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
    for (int i = 0; i < model->graph.count; i++)
        TRY(initialise_node(model, i, seed, m));
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
