#include "tools/common/calibration.h"
#include "ranks/agree.h"
#include "tools/common/crew.h"
#include <stdio.h>
#include <string.h>

enum { ROUND_IMAGES = 64 /* a rank */ };

static int name_activations(struct calibration *c, struct message *m)
{
    const struct graph *g = &c->model.graph;
    int count = 0;
    c->slots = memory_new((size_t)g->count, sizeof *c->slots, m);
    if (!c->slots)
        return STATUS_NOMEM;
    for (int i = 0; i < g->count; i++)
        c->slots[i] = node_is_observed(g, i) ? count++ : -1;
    TRY(ranges_new(&c->ranges, count, m));
    for (int i = 0; i < g->count; i++)
        if (c->slots[i] >= 0)
            strcpy(c->ranges.names[c->slots[i]], g->nodes[i].name);
    return 0;
}

static int see(void *context, int node, const float *values, size_t count, struct message *m)
{
    struct calibration *c = context;
    int status = histogram_add(&c->ranges.histograms[c->slots[node]], values, count, m);
    return status < 0 ? message_prefix(m, status, "%s: %s", c->model_path, c->model.graph.nodes[node].name) : 0;
}

static int check_batch(const struct calibration *c, const struct batch *b, struct message *m)
{
    if (strcmp(c->spread.reader.split, "test") == 0)
        return message_set(m, STATUS_MISMATCH,
                           "split: images of the test split must not calibrate; use the train split");
    TRY(data_matches_model(b->record, c->model.record, 0, m));
    const struct node *input = &c->model.graph.nodes[0];
    return images_match_input(b->shape, input->h, input->w, input->c, m);
}

static int64_t take_batch(void *context, const struct batch *b, struct message *m)
{
    struct calibration *c = context;
    int64_t left = c->limit == 0 ? b->count : c->limit - c->taken, take = left < b->count ? left : b->count;
    int status = check_batch(c, b, m);
    if (status < 0)
        return message_prefix(m, status, "stdin");
    c->progress.total = c->limit ? c->limit : b->total;
    c->taken += take;
    return take;
}

static int observe_all(struct calibration *c, struct message *m)
{
    struct round r;
    int got;
    while ((got = spread_next(&c->spread, &r, m)) > 0) {
        if (r.own > 0)
            TRY(exec_observe(c->exec, r.images, r.own, see, c, m));
        c->images += r.count;
        progress_show(&c->progress, c->images, NULL);
    }
    return got;
}

/* ---- ranks ---- */

static int check_ranks(const struct calibration *c, struct message *m)
{
    char view[VIEW_BYTES], digest[MODEL_DIGEST_SIZE];
    TRY(model_digest(&c->model, digest, m));
    snprintf(view, sizeof view, "%s %s, model %.16s", exec_isa(c->exec), exec_precision(c->exec),
             digest + strlen("sha256:"));
    return ranks_agree(c->ranks, view, m);
}

/* Every rank's histogram of one activation, into the first's: counts and extremes, exact in any order. */
static int join_one(const struct calibration *c, struct histogram *own, struct histogram *others, struct message *m)
{
    const size_t size = sizeof *own;
    const int is_first = crew_is_first(c->ranks);
    size_t none[RANKS_MOST] = {0}, send[RANKS_MOST] = {is_first ? 0 : size}, receive[RANKS_MOST] = {0},
           at[RANKS_MOST] = {0};
    for (int i = 1; is_first && i < c->ranks->count; i++) {
        receive[i] = size;
        at[i] = (size_t)i * size;
    }
    TRY(c->ranks->exchange(own, send, none, others, receive, at, m));
    for (int i = 1; is_first && i < c->ranks->count; i++)
        histogram_merge(own, &others[i]);
    return 0;
}

static int join_ranks(struct calibration *c, struct message *m)
{
    if (!c->ranks)
        return 0;
    struct histogram *others = memory_new((size_t)c->ranks->count, sizeof *others, m);
    int status = others ? 0 : STATUS_NOMEM;
    for (int i = 0; i < c->ranges.count && status >= 0; i++)
        status = join_one(c, &c->ranges.histograms[i], others, m);
    memory_free(others);
    return status;
}

int calibration_run(struct calibration *c, struct message *m)
{
    const struct exec_options how = {.threads = c->threads,
                                     .keep_activations = 1,
                                     .device = c->where.device,
                                     .tf32 = c->where.tf32,
                                     .fast = c->where.fast};
    const struct node *in = &c->model.graph.nodes[0];
    const struct image_shape shape = {in->h, in->w, in->c};
    TRY(exec_open(&c->exec, &c->model, &how, m));
    TRY(name_activations(c, m));
    TRY(check_ranks(c, m));
    TRY(spread_open(&c->spread, c->ranks, NULL, image_shape_bytes(shape), ROUND_IMAGES, take_batch, c, m));
    TRY(observe_all(c, m));
    return join_ranks(c, m);
}

int calibration_describe(const struct calibration *c, struct record *r, struct message *m)
{
    static const char *const carried[] = {"dataset", "dataset-digest", "classes", "split", "part"};
    char model[MODEL_DIGEST_SIZE], graph[MODEL_DIGEST_SIZE];
    struct lineage lineage = {.message = m};
    const struct record *side = c->model.record;
    TRY(ranges_to_record(&c->ranges, r, m));
    TRY(model_digest(&c->model, model, m));
    TRY(model_graph_digest(&c->model, graph, m));
    TRY(record_set(r, "model-digest", model, m));
    TRY(record_set(r, "graph-digest", graph, m));
    TRY(record_setf(r, "images", m, "%lld", (long long)c->images));
    for (size_t i = 0; i < sizeof carried / sizeof carried[0]; i++)
        if (record_get(c->spread.reader.first, carried[i]))
            TRY(record_set(r, carried[i], record_get(c->spread.reader.first, carried[i]), m));
    tool_lineage(c->tool, &lineage);
    lineage_add(&lineage, "model", "%s", model);
    model_given_lineage(c->given, &lineage);
    int status = lineage_apply(r, c->spread.reader.first, c->tool->name, &lineage, &side, 1, m);
    lineage_free(&lineage);
    return status;
}

void calibration_free(struct calibration *c)
{
    spread_close(&c->spread);
    exec_close(c->exec);
    ranges_free(&c->ranges);
    memory_free(c->slots);
    model_free(&c->model);
}
