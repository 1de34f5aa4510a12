#include "exec/infer/exec.h"
#include "base/memory.h"
#include "exec/device/choose.h"
#include "exec/infer/exec_engine.h"
#include "exec/plan/shapes.h"
#include <string.h>

enum { DEFAULT_BATCH = 64, MAX_BATCH = 65536 };

/* ---- open and close ---- */

/* The one place that knows which engine runs where. */
static const struct exec_engine *engine_for(const char *device)
{
    return strcmp(device, "cpu") == 0 ? &cpu_exec_engine : &device_exec_engine;
}

static int make_constants(struct exec *e, struct message *m)
{
    e->constants = memory_new((size_t)e->steps.count, sizeof *e->constants, m);
    if (!e->constants)
        return STATUS_NOMEM;
    for (int i = 0; i < e->steps.count; i++) {
        const struct step *s = &e->steps.at[i];
        e->macs += s->macs;
        e->integer_layers += s->kind == STEP_CONV && s->is_integer;
        e->float_layers += s->kind == STEP_CONV && !s->is_integer;
        TRY(step_constants_make(&e->constants[i], e->model, s, &e->kernels->elementwise, m));
    }
    return 0;
}

static int prepare(struct exec *e, const struct exec_options *o, enum step_fusion fusion, struct message *m)
{
    TRY(kernel_table_get(&e->kernels, o->isa, m));
    TRY(steps_plan(&e->steps, &e->model->graph, fusion, m));
    TRY(make_constants(e, m));
    e->lives = memory_new((size_t)e->model->graph.count, sizeof *e->lives, m);
    if (!e->lives)
        return STATUS_NOMEM;
    lives_of_inference(&e->steps, e->model->graph.count, 0, e->lives);
    return e->engine->open(e, o, m);
}

int exec_open(struct exec **out, const struct model *model, const struct exec_options *options, struct message *m)
{
    static const struct exec_options defaults;
    const struct exec_options *o = options ? options : &defaults;
    const char *device;
    enum step_fusion fusion;
    *out = NULL;
    if (o->batch < 0 || o->batch > MAX_BATCH)
        return message_set(m, STATUS_RANGE, "batch: %d is not in 1..%d", o->batch, MAX_BATCH);
    TRY(device_choose(o->device, &device, NULL, m));
    TRY(model_verify(model, m));
    TRY(engine_for(device)->choose(model, o, &fusion, m));
    struct exec *e = memory_new(1, sizeof *e, m);
    if (!e)
        return STATUS_NOMEM;
    e->model = model;
    e->device = device;
    e->engine = engine_for(device);
    e->batch = o->batch ? o->batch : DEFAULT_BATCH;
    e->keep = o->keep_activations;
    int status = prepare(e, o, fusion, m);
    if (status < 0) {
        exec_close(e);
        return status;
    }
    *out = e;
    return 0;
}

int exec_plan_bytes(const struct model *model, const struct exec_options *options, size_t *bytes, struct message *m)
{
    struct exec_options alone = *options;
    struct exec *e = NULL;
    const char *device;
    *bytes = 0;
    TRY(device_choose(options->device, &device, NULL, m));
    if (strcmp(device, "cpu") != 0)
        return 0;
    alone.plans_alone = 1;
    TRY(exec_open(&e, model, &alone, m));
    *bytes = exec_arena_bytes(e);
    exec_close(e);
    return 0;
}

void exec_close(struct exec *e)
{
    if (!e)
        return;
    e->engine->close(e);
    for (int i = 0; e->constants && i < e->steps.count; i++)
        step_constants_free(&e->constants[i]);
    memory_free(e->constants);
    memory_free(e->lives);
    steps_free(&e->steps);
    memory_free(e);
}

/* ---- run ---- */

int exec_run(struct exec *e, const uint8_t *images, int64_t count, float *logits, struct message *m)
{
    if (count < 1)
        return message_set(m, STATUS_RANGE, "no images to run");
    return e->engine->run(e, images, count, logits, m);
}

int exec_observe(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                 struct message *m)
{
    if (!e->keep)
        return message_set(m, STATUS_MISMATCH, "the plan does not keep its activations: nothing can be observed");
    return e->engine->observe(e, images, count, visit, context, m);
}

int exec_observe_sums(struct exec *e, const uint8_t *images, int64_t count, int node, exec_sums_visitor *visit,
                      void *context, struct message *m)
{
    int i = 0;
    while (i < e->steps.count && !(e->steps.at[i].node == node && e->steps.at[i].kind == STEP_CONV))
        i++;
    if (!e->keep || i == e->steps.count || !e->steps.at[i].is_integer)
        return message_set(m, STATUS_MISMATCH, "the plan has no integer layer to be observed there");
    if (!e->engine->run_part)
        return message_set(m, STATUS_UNSUPPORTED, "device %s: sums are observed on the CPU alone", e->device);
    return e->engine->run_part(e, 0, i, images, count, NULL, visit, context, m);
}

/* ---- in parts ---- */

int exec_step_of(const struct exec *e, int node)
{
    for (int i = 0; i < e->steps.count; i++)
        if (e->steps.at[i].node == node || e->steps.at[i].output == node)
            return i;
    return -1;
}

/* Whether a node's value stands in the cut before a step. */
static int is_cut(const struct exec *e, int step, int node)
{
    const struct lifetime *l = &e->lives[node];
    return (node == 0 || (l->begin >= 0 && l->begin < step)) && l->end >= step;
}

/* Among others every value begins where a float may. */
static size_t value_bytes(const struct exec *e, int step, int node)
{
    const struct node *n = exec_node(e, node);
    size_t bytes = node_elements(n) * (n->type == NODE_U8 ? 1 : sizeof(float));
    return step == 0 ? bytes : (bytes + sizeof(float) - 1) / sizeof(float) * sizeof(float);
}

size_t exec_cut_bytes(const struct exec *e, int step)
{
    size_t bytes = 0;
    for (int i = 0; i < e->model->graph.count; i++)
        bytes += is_cut(e, step, i) ? value_bytes(e, step, i) : 0;
    return bytes;
}

int64_t exec_cut_offset(const struct exec *e, int step, int node)
{
    int64_t at = 0;
    if (!is_cut(e, step, node))
        return -1;
    for (int i = 0; i < node; i++)
        at += is_cut(e, step, i) ? (int64_t)value_bytes(e, step, i) : 0;
    return at;
}

static int run_part(struct exec *e, int first, int end, const uint8_t *in, int64_t count, uint8_t *out,
                    exec_sums_visitor *visit, void *context, struct message *m)
{
    if (!e->keep || first < 0 || first > end || end > e->steps.count || count < 1)
        return message_set(m, STATUS_MISMATCH, "the plan has no such part of a run");
    if (!e->engine->run_part)
        return message_set(m, STATUS_UNSUPPORTED, "device %s: only a CPU runs in parts", e->device);
    return e->engine->run_part(e, first, end, in, count, out, visit, context, m);
}

int exec_run_part(struct exec *e, int first, int end, const uint8_t *in, int64_t count, uint8_t *out,
                  struct message *m)
{
    return run_part(e, first, end, in, count, out, NULL, NULL, m);
}

int exec_observe_part(struct exec *e, int i, const uint8_t *in, int64_t count, exec_sums_visitor *visit,
                      void *context, struct message *m)
{
    if (i < 0 || i >= e->steps.count || e->steps.at[i].kind != STEP_CONV || !e->steps.at[i].is_integer)
        return message_set(m, STATUS_MISMATCH, "the plan has no integer layer to be observed there");
    return run_part(e, i, i, in, count, NULL, visit, context, m);
}

int exec_compare_layer(struct exec *e, int i, int images, struct exec_comparison *c, struct message *m)
{
    *c = (struct exec_comparison){"-", 0, 0};
    return e->engine->compare ? e->engine->compare(e, i, images, c, m) : 0;
}

/* ---- what it is ---- */

int exec_classes(const struct exec *e)
{
    return exec_node(e, e->model->graph.count - 1)->c;
}

size_t exec_image_bytes(const struct exec *e)
{
    return node_elements(exec_node(e, 0));
}

const char *exec_isa(const struct exec *e)
{
    return e->engine->isa(e);
}

const char *exec_device(const struct exec *e)
{
    return e->device;
}

const char *exec_precision(const struct exec *e)
{
    if (e->integer_layers)
        return e->float_layers ? "mixed" : "int8";
    return e->engine->precision(e);
}

int exec_threads(const struct exec *e)
{
    return e->engine->threads(e);
}

double exec_macs(const struct exec *e)
{
    return e->macs;
}

size_t exec_arena_bytes(const struct exec *e)
{
    return e->engine->bytes(e);
}

void exec_profile(struct exec *e, int on)
{
    e->profiling = on;
    if (on)
        e->engine->profile_clear(e);
}

int exec_layer_count(const struct exec *e)
{
    return e->steps.count;
}

struct exec_layer exec_layer_at(const struct exec *e, int i)
{
    const struct step *s = &e->steps.at[i];
    const struct node *n = exec_node(e, s->node);
    struct exec_layer layer = {.name = n->name, .op = graph_op_name(n->op), .macs = s->macs};
    e->engine->layer(e, i, &layer);
    return layer;
}

double exec_device_seconds(const struct exec *e)
{
    return e->engine->seconds(e);
}

double exec_peak(const struct exec *e)
{
    return e->engine->peak(e);
}
