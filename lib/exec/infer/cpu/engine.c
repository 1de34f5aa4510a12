/* Inference on a CPU: opened, run by all threads, described. */
#include "base/memory.h"
#include "base/progress.h"
#include "exec/infer/cpu/cpu_exec.h"
#include <string.h>

/* ---- open and close ---- */

/* Also what it cannot do: before anything is planned. */
static int choose(const struct model *model, const struct exec_options *o, enum step_fusion *fusion,
                  struct message *m)
{
    const char *precision = o->precision && o->precision[0] ? o->precision : "fp32";
    int is_bf16 = strcmp(precision, "bf16") == 0;
    if (!is_bf16 && strcmp(precision, "fp32") != 0)
        return message_set(m, STATUS_UNSUPPORTED, "precision %s: a CPU computes float layers in fp32 or bf16",
                           precision);
    for (int i = 1; is_bf16 && i < model->graph.count; i++)
        if (model->graph.nodes[i].type == NODE_U8)
            return message_set(m, STATUS_UNSUPPORTED,
                               "precision %s: the model has integer layers, which have their own", precision);
    if (is_bf16 && o->keep_activations)
        return message_set(m, STATUS_UNSUPPORTED, "precision %s: activations are observed in fp32 alone",
                           precision);
    *fusion = o->keep_activations ? FUSE_NOTHING : is_bf16 ? FUSE_FOLDED : FUSE_INTO_CONV;
    return 0;
}

static int prepare_step(struct exec *e, int i, struct message *m)
{
    struct cpu_exec *c = cpu_of(e);
    struct cpu_step *own = &c->steps[i];
    const struct step *s = &e->steps.at[i];
    own->algorithm = "elementwise";
    if (s->kind == STEP_CONV) {
        TRY(conv_parts_choose(e, i, c->choice, &own->parts, m));
        own->algorithm = conv_parts_algorithm(e, i, &own->parts);
    }
    c->scratch_stride = max_size(c->scratch_stride, round_up_64(cpu_step_scratch(e, i)));
    return 0;
}

static int open_engine(struct exec *e, const struct exec_options *o, struct message *m)
{
    struct cpu_exec *c = e->own = memory_new(1, sizeof *c, m);
    if (!c)
        return STATUS_NOMEM;
    c->stop = e->steps.count;
    c->is_bf16 = o->precision && strcmp(o->precision, "bf16") == 0;
    TRY(conv_choice_get(&c->choice, m));
    TRY(threads_open(&c->pool, o->threads ? o->threads : 1, m));
    c->steps = memory_new((size_t)e->steps.count, sizeof *c->steps, m);
    if (!c->steps)
        return STATUS_NOMEM;
    TRY(cpu_buffers_plan(e, m));
    for (int i = 0; i < e->steps.count; i++)
        TRY(prepare_step(e, i, m));
    if (o->plans_alone)
        return weights_plan(e, &c->arena_bytes, m);
    TRY(weights_open(e, m));
    c->seconds = memory_new((size_t)threads_count(c->pool) * (size_t)e->steps.count, sizeof *c->seconds, m);
    c->taken = memory_new((size_t)c->segment_count, sizeof *c->taken, m);
    if (!c->seconds || !c->taken)
        return STATUS_NOMEM;
    cpu_borders_fill(e);
    return 0;
}

static void close_engine(struct exec *e)
{
    struct cpu_exec *c = cpu_of(e);
    if (!c)
        return;
    weights_close(e);
    threads_close(c->pool);
    for (int i = 0; c->steps && i < e->steps.count; i++)
        conv_parts_free(&c->steps[i].parts);
    memory_free(c->steps);
    memory_free(c->values);
    memory_free(c->segments);
    memory_free(c->seconds);
    memory_free(c->taken);
    memory_free(c);
}

/* ---- run ---- */

struct job {
    struct exec *e;
    const uint8_t *images;
    int count, few;
    int by_step; /* all workers on each step together, else each on images of its own */
};

static void run_steps(struct exec *e, const struct segment *g, const struct span *at, int worker, int together)
{
    int end = g->end < cpu_of(e)->stop ? g->end : cpu_of(e)->stop;
    for (int i = g->begin > cpu_of(e)->begin ? g->begin : cpu_of(e)->begin; i < end; i++) {
        double start = e->profiling ? clock_seconds() : 0;
        if (at->ahead)
            weights_ahead(e, worker, i, at->ahead);
        cpu_step_run(e, i, at);
        if (together)
            threads_barrier(cpu_of(e)->pool);
        if (e->profiling)
            cpu_of(e)->seconds[worker * e->steps.count + i] += clock_seconds() - start;
    }
}

/* Chunks of one segment until none is left. Their sizes differ by one image at most, and their number is a multiple
 * of the workers' where it can be. */
static void run_chunks(const struct job *j, int segment, struct span at, int worker, int workers)
{
    struct exec *e = j->e;
    const struct segment *g = &cpu_of(e)->segments[segment];
    int chunks = (j->count + g->chunk - 1) / g->chunk;
    chunks = (chunks + workers - 1) / workers * workers;
    chunks = chunks < j->count ? chunks : j->count;
    for (int i; (i = atomic_fetch_add(&cpu_of(e)->taken[segment], 1)) < chunks;) {
        at.image = at.first = (int)((int64_t)j->count * i / chunks);
        at.count = (int)((int64_t)j->count * (i + 1) / chunks) - at.image;
        run_steps(e, g, &at, worker, 0);
    }
}

static void run_member(void *context, int worker, int workers)
{
    const struct job *j = context;
    struct exec *e = j->e;
    struct ahead ahead = {0};
    struct span at = {.images = j->images,
                      .scratch = cpu_of(e)->scratch + (size_t)worker * cpu_of(e)->scratch_stride};
    if (j->few)
        at.ahead = &ahead;
    for (int i = 0; i < cpu_of(e)->segment_count; i++) {
        const struct segment *g = &cpu_of(e)->segments[i];
        if (!j->by_step) {
            at.parts = 1;
            at.owner = worker;
            run_chunks(j, i, at, worker, workers);
            threads_barrier(cpu_of(e)->pool);
            continue;
        }
        at.part = worker;
        at.parts = workers;
        for (at.image = at.first = 0; at.image < j->count; at.image = at.first += at.count) {
            at.count = j->count - at.image < g->chunk ? j->count - at.image : g->chunk;
            run_steps(e, g, &at, worker, 1);
        }
    }
}

void cpu_run_chunk(struct exec *e, const uint8_t *images, int count)
{
    enum { ENOUGH = 4 }; /* images a worker */
    int workers = threads_count(cpu_of(e)->pool);
    int few = count < ENOUGH * workers;
    struct job job = {e, images, count, few, workers > 1 && few};
    for (int i = 0; i < cpu_of(e)->segment_count; i++)
        atomic_store(&cpu_of(e)->taken[i], 0);
    threads_team(cpu_of(e)->pool, run_member, &job);
}

/* What is read of a value after a call; local values are gone by then. */
static const void *value_after(const struct exec *e, int node, int image)
{
    const struct span at = {.parts = 1};
    return exec_value(e, node, &at, image);
}

static int chunk_of(const struct exec *e, int64_t left)
{
    return left < e->batch ? (int)left : e->batch;
}

static int run_images(struct exec *e, const uint8_t *images, int64_t count, float *logits, struct message *m)
{
    int output = e->model->graph.count - 1;
    size_t classes = node_elements(exec_node(e, output)), image = node_elements(exec_node(e, 0));
    (void)m;
    for (int64_t at = 0; at < count; at += e->batch) {
        int n = chunk_of(e, count - at);
        cpu_run_chunk(e, images + (size_t)at * image, n);
        for (int i = 0; i < n; i++)
            memcpy(logits + (size_t)(at + i) * classes, value_after(e, output, i), classes * sizeof(float));
    }
    return 0;
}

/* ---- observing ---- */

static int visit_node(struct exec *e, int node, int count, exec_visitor *visit, void *context, struct message *m)
{
    size_t elements = node_elements(exec_node(e, node));
    if (elements * sizeof(float) == cpu_of(e)->values[node].bytes)
        return visit(context, node, value_after(e, node, 0), elements * (size_t)count, m);
    for (int i = 0; i < count; i++)
        TRY(visit(context, node, value_after(e, node, i), elements, m));
    return 0;
}

static int observe(struct exec *e, const uint8_t *images, int64_t count, exec_visitor *visit, void *context,
                   struct message *m)
{
    const struct graph *g = &e->model->graph;
    for (int64_t at = 0; at < count; at += e->batch) {
        int n = chunk_of(e, count - at);
        cpu_run_chunk(e, images + (size_t)at * node_elements(&g->nodes[0]), n);
        for (int i = 0; i < g->count; i++)
            if (node_is_observed(g, i))
                TRY(visit_node(e, i, n, visit, context, m));
    }
    return 0;
}

/* ---- what it is ---- */

static void profile_clear(struct exec *e)
{
    struct cpu_exec *c = cpu_of(e);
    memset(c->seconds, 0, (size_t)threads_count(c->pool) * (size_t)e->steps.count * sizeof *c->seconds);
}

static void layer(const struct exec *e, int i, struct exec_layer *l)
{
    const struct cpu_exec *c = cpu_of(e);
    int workers = threads_count(c->pool);
    double seconds = 0;
    for (int k = 0; k < workers; k++)
        seconds += c->seconds[k * e->steps.count + i];
    l->algorithm = c->steps[i].algorithm;
    l->seconds = seconds / workers;
    l->bytes = conv_parts_bytes(&c->steps[i].parts);
}

static const char *isa(const struct exec *e)
{
    return e->kernels->isa;
}

static const char *precision(const struct exec *e)
{
    return cpu_of(e)->is_bf16 ? "bf16" : "f32";
}

static int threads(const struct exec *e)
{
    return threads_count(cpu_of(e)->pool);
}

static size_t bytes(const struct exec *e)
{
    return cpu_of(e)->arena_bytes;
}

static double peak(const struct exec *e)
{
    int widened = strcmp(e->kernels->conv_bf16.algorithm, "widened") == 0;
    const char *type = e->integer_layers ? "u8" : cpu_of(e)->is_bf16 && !widened ? "bf16" : "f32";
    return kernel_peak(e->kernels, type, 0.05) * threads(e);
}

static double seconds(const struct exec *e)
{
    (void)e;
    return 0;
}

const struct exec_engine cpu_exec_engine = {
    .choose = choose,
    .open = open_engine,
    .close = close_engine,
    .run = run_images,
    .observe = observe,
    .run_part = cpu_run_part,
    .profile_clear = profile_clear,
    .layer = layer,
    .compare = cpu_compare,
    .isa = isa,
    .precision = precision,
    .threads = threads,
    .bytes = bytes,
    .peak = peak,
    .seconds = seconds,
};
