#include "tools/common/calibration.h"
#include <string.h>

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
    if (strcmp(c->reader.split, "test") == 0)
        return message_set(m, STATUS_MISMATCH,
                           "split: images of the test split must not calibrate; use the train split");
    TRY(data_matches_model(b->record, c->model.record, 0, m));
    const struct node *input = &c->model.graph.nodes[0];
    return images_match_input(b->shape, input->h, input->w, input->c, m);
}

static int observe_batch(struct calibration *c, const struct batch *b, struct message *m)
{
    int64_t left = c->limit == 0 ? b->count : c->limit - c->images, take = left < b->count ? left : b->count;
    int status = check_batch(c, b, m);
    if (status < 0)
        return message_prefix(m, status, "stdin");
    if (take > 0)
        TRY(exec_observe(c->exec, b->images, take, see, c, m));
    c->images += take;
    c->progress.total = c->limit ? c->limit : b->total;
    progress_show(&c->progress, c->images, NULL);
    return 0;
}

int calibration_run(struct calibration *c, struct message *m)
{
    const struct exec_options how = {.threads = c->threads,
                                     .keep_activations = 1,
                                     .device = c->where.device,
                                     .tf32 = c->where.tf32,
                                     .fast = c->where.fast};
    struct batch b;
    TRY(exec_open(&c->exec, &c->model, &how, m));
    TRY(name_activations(c, m));
    TRY(batch_reader_open(&c->reader, NULL, m));
    int status;
    while ((status = batch_reader_next(&c->reader, &b, m)) > 0) {
        status = observe_batch(c, &b, m);
        batch_free(&b);
        TRY(status);
    }
    return status;
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
        if (record_get(c->reader.first, carried[i]))
            TRY(record_set(r, carried[i], record_get(c->reader.first, carried[i]), m));
    tool_lineage(c->tool, &lineage);
    lineage_add(&lineage, "model", "%s", model);
    model_given_lineage(c->given, &lineage);
    int status = lineage_apply(r, c->reader.first, c->tool->name, &lineage, &side, 1, m);
    lineage_free(&lineage);
    return status;
}

void calibration_free(struct calibration *c)
{
    batch_reader_close(&c->reader);
    exec_close(c->exec);
    ranges_free(&c->ranges);
    memory_free(c->slots);
    model_free(&c->model);
}
