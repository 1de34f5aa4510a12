#include "tools/common/code_learning.h"
#include "record/file.h"
#include "record/recipe.h"
#include "record/stream.h"
#include "tools/common/crew.h"
#include "tools/common/matching.h"
#include "tools/common/stopping.h"
#include <stdio.h>

/* ---- what is shown meanwhile ---- */

static void show(void *context, int64_t done, int64_t steps, const char *block)
{
    struct code_learning *r = context;
    r->progress.total = steps;
    progress_show(&r->progress, done, block);
}

static void say(void *context, const char *line)
{
    struct code_learning *r = context;
    if (!r->verbose)
        return;
    progress_clear(&r->progress);
    fprintf(stderr, "%s: %s\n", tool_called(r->tool), line);
}

/* ---- what is read ---- */

static int check_files(const struct code_learning *r, struct message *m)
{
    const char *const outputs[] = {r->output, r->how.checkpoint};
    const char *const inputs[] = {r->model, r->given.graph, r->ranges, r->lowering.low.plan};
    for (int i = 0; i < 2; i++) {
        if (i > 0 && !outputs[i])
            continue;
        TRY(output_check(outputs[i], m));
        for (size_t k = 0; k < sizeof inputs / sizeof inputs[0]; k++)
            TRY(output_differs(inputs[k], outputs[i], m));
    }
    return output_differs(r->how.checkpoint, r->output, m);
}

static int read_plan(struct code_learning *r, struct message *m)
{
    const struct lowering *l = &r->lowering;
    TRY(lowering_read_plan(&r->lowering, &r->fused.model.graph, m));
    if (!l->low.plan || l->weight_bits < 8 || bit_plan_has_low_weights(&l->plan))
        return 0;
    return message_set(m, STATUS_RANGE, "%s: no layer's weights have fewer than 8 bits: there is nothing to learn",
                       l->low.plan);
}

/* The float model stays; int8 is what quantize makes of it before outputs are matched. */
static int lower(struct code_learning *r, struct message *m)
{
    const struct lower_options how = lowering_options(&r->lowering);
    TRY(model_copy(&r->int8, &r->fused.model, m));
    int status = pass_lower_int8(&r->int8, &r->fused.ranges, &how, NULL, m);
    return status < 0 ? message_prefix(m, status, "%s", r->model) : 0;
}

/* ---- what is learned and written ---- */

static void describe(const struct code_learning *r, struct lineage *l)
{
    tool_lineage(r->tool, l);
    fused_lineage(&r->fused, &r->given, l);
    lowering_lineage(&r->lowering, l);
    lineage_add(l, "images", "%lld", (long long)r->how.count);
    if (r->how.match != MATCH_OFF)
        lineage_add(l, "match-images", "%lld", (long long)r->how.match_count);
}

static int save(struct code_learning *r, const struct lineage *l, struct message *m)
{
    const struct record *const sides[] = {r->fused.ranges_record, r->taken.reader.first};
    struct record *record = r->int8.record;
    const char *how = record_get(record, "quantization");
    char images[48] = "";
    if (r->how.match != MATCH_OFF)
        snprintf(images, sizeof images, " match-images=%lld", (long long)r->how.match_count);
    TRY(record_setf(record, "quantization", m, "%s codes=reconstructed match=%s%s", how ? how : "", r->match,
                    images));
    TRY(lineage_apply(record, r->fused.model.record, r->tool->name, l, sides, 2, m));
    return record_save(record, r->output, m);
}

/* What the options and the images say of the learning. */
static void fill_options(struct code_learning *r)
{
    struct reconstruct_options *how = &r->how;
    how->images = r->taken.images;
    how->count = r->taken.count;
    how->match = match_mode_find(r->match);
    how->match_count = r->match_images < r->taken.count ? r->match_images : r->taken.count;
    how->batch = (int)r->batch;
    how->seed = (uint64_t)r->seed;
    how->threads = (int)r->threads;
    how->per_tensor = r->lowering.per_tensor;
    how->ranks = r->ranks;
    how->progress = show;
    how->say = say;
    how->context = r;
    if (how->checkpoint) {
        how->stop = &stop_signal;
        how->ready = stopping_begin;
    }
}

static int learn(struct code_learning *r, struct message *m)
{
    struct lineage l = {.message = m};
    struct text recipe = {0};
    fill_options(r);
    describe(r, &l);
    int status = l.status < 0 ? l.status : recipe_make(&recipe, r->tool->name, &l, r->taken.reader.first, m);
    r->how.recipe = recipe.data;
    if (status >= 0)
        status = ptq_reconstruct(&r->int8, &r->fused.model, &r->how, m);
    progress_close(&r->progress);
    if (status >= 0 && crew_is_first(r->ranks))
        status = save(r, &l, m);
    text_free(&recipe);
    lineage_free(&l);
    return status;
}

int code_learning_run(struct code_learning *r, struct message *m)
{
    if (crew_is_first(r->ranks))
        TRY(check_files(r, m));
    TRY(fused_open(&r->fused, r->model, r->ranges, &r->given, m));
    TRY(read_plan(r, m));
    TRY(lower(r, m));
    if (crew_is_first(r->ranks))
        TRY(images_take(&r->taken, &r->fused.model, r->images, m));
    const struct node *in = &r->fused.model.graph.nodes[0];
    TRY(images_share(&r->taken, r->ranks, (size_t)in->h * (size_t)in->w * (size_t)in->c, m));
    progress_open(&r->progress, stderr, r->quiet, tool_called(r->tool), 0);
    return learn(r, m);
}

void code_learning_close(struct code_learning *r)
{
    taken_images_free(&r->taken);
    lowering_close(&r->lowering);
    fused_close(&r->fused);
    model_free(&r->int8);
}
