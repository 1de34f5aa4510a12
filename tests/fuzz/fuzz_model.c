/* Any bytes as a model, graph and tensors together: what is taken is planned and run, at two batch sizes and in
 * both precisions, to the same logits; and goes through the passes. */
#include "fuzz.h"
#include "base/memory.h"
#include "exec/infer/exec.h"
#include "pass/pass.h"

enum { MOST_MACS = 1 << 18, IMAGES = 3 };

static int is_small(const struct graph *g)
{
    double macs = 0;
    for (int i = 0; i < g->count; i++) {
        const struct node *n = &g->nodes[i];
        macs += node_macs(g, i) + (double)n->h * n->w * n->c + n->c;
    }
    return macs <= MOST_MACS;
}

/* Logits of the images in calls of at most `batch`; 0 where the plan is refused. */
static int run(const struct model *model, int batch, const char *precision, float *logits)
{
    struct message m = {{0}};
    struct exec *e;
    struct exec_options o = {.batch = batch, .precision = precision};
    int status = exec_open(&e, model, &o, &m);
    require_reason(status, &m);
    if (status < 0)
        return 0;
    size_t bytes = IMAGES * exec_image_bytes(e);
    uint8_t *images = memory_new_raw(bytes, 1, &m);
    require(images != NULL);
    for (size_t i = 0; i < bytes; i++)
        images[i] = (uint8_t)(i * 2654435761u >> 13);
    status = exec_run(e, images, IMAGES, logits, &m);
    require_reason(status, &m);
    memory_free(images);
    exec_close(e);
    return status >= 0;
}

static void runs(const struct model *model)
{
    struct message m = {{0}};
    size_t count = IMAGES * (size_t)model->graph.nodes[model->graph.count - 1].c;
    float *one = memory_new(count, sizeof *one, &m), *all = memory_new(count, sizeof *all, &m);
    require(one && all);
    int ran = run(model, 1, NULL, one);
    require(ran == run(model, IMAGES, NULL, all));
    require(!ran || memcmp(one, all, count * sizeof *one) == 0);
    run(model, 2, "bf16", all);
    memory_free(one);
    memory_free(all);
}

static void passes(struct model *model)
{
    struct message m = {{0}};
    struct text report = {0};
    if (graph_stage(&model->graph) == STAGE_INT8)
        return;
    int status = pass_fold_batchnorm(model, &report, &m);
    if (status >= 0)
        status = pass_fuse_epilogue(model, &report, &m);
    require_reason(status, &m);
    if (status >= 0) {
        require(model_verify(model, &m) >= 0 && graph_stage(&model->graph) == STAGE_FUSED);
        runs(model);
    }
    text_free(&report);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    struct model model;
    struct record *record = record_of(bytes, count);
    if (!record)
        return 0;
    int status = model_from_record(&model, record, &m);
    require_reason(status, &m);
    if (status < 0)
        return 0;
    if (is_small(&model.graph)) {
        runs(&model);
        passes(&model);
    }
    model_free(&model);
    return 0;
}
