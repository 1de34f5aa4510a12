#include "tools/common/matching.h"
#include "base/progress.h"
#include <string.h>

const char *match_mode_name(enum match_mode mode)
{
    return mode == MATCH_OFF ? "off" : mode == MATCH_BIAS ? "bias" : "all";
}

enum match_mode match_mode_find(const char *name)
{
    return strcmp(name, "all") == 0 ? MATCH_ALL : strcmp(name, "bias") == 0 ? MATCH_BIAS : MATCH_OFF;
}

void matching_choose(struct matching *a, int is_low)
{
    a->mode = match_mode_find(a->match ? a->match : is_low ? "all" : "off");
}

int matching_open(struct matching *a, const struct model *fused, struct message *m)
{
    if (a->mode == MATCH_OFF && !a->gptq)
        return 0;
    int status = images_take(&a->taken, fused, a->most, m);
    if (status >= 0)
        return model_copy(&a->fused, fused, m);
    if (status == STATUS_IO || status == STATUS_NOMEM) /* what stands there does not matter */
        return status;
    struct message why = *m;
    if (a->gptq)
        return message_set(m, status, "%s (--gptq wants batches of images there)", why.text);
    return message_set(m, status, "%s (--match %s wants batches of images there; --match off does without)",
                       why.text, match_mode_name(a->mode));
}

static void show(void *context, int done, int layers)
{
    struct progress *p = context;
    p->total = layers;
    progress_show(p, done, "layers matched");
}

static int is_per_tensor(const struct model *int8)
{
    const char *how = record_get(int8->record, "quantization");
    return how && strstr(how, "weights=per-tensor") != NULL;
}

static int describe(const struct matching *a, struct model *int8, struct message *m)
{
    const char *how = record_get(int8->record, "quantization");
    return record_setf(int8->record, "quantization", m, "%s%s match=%s match-images=%lld", how ? how : "",
                       a->gptq ? " codes=gptq" : "", match_mode_name(a->mode), (long long)a->taken.count);
}

int matching_run(struct matching *a, const struct tool *tool, struct model *int8, int quiet, struct message *m)
{
    struct progress progress;
    if (a->mode == MATCH_OFF && !a->gptq)
        return 0;
    if (a->taken.count < a->most && tool_was_given(tool, "match-images") && !quiet)
        tool_warn(tool, "only %lld images came, of %lld asked for (--match-images): outputs are matched by these",
                  (long long)a->taken.count, (long long)a->most);
    progress_open(&progress, stderr, quiet, tool_called(tool), 0);
    const struct match_options how = {.mode = a->mode,
                                      .gptq = a->gptq,
                                      .images = a->taken.images,
                                      .count = a->taken.count,
                                      .per_tensor = is_per_tensor(int8),
                                      .threads = (int)a->threads,
                                      .progress = show,
                                      .context = &progress};
    int status = ptq_match(int8, &a->fused, &how, m);
    progress_clear(&progress);
    return status < 0 ? status : describe(a, int8, m);
}

void matching_lineage(const struct matching *a, struct lineage *l)
{
    if (a->mode == MATCH_OFF && !a->gptq)
        return;
    if (a->gptq)
        lineage_add(l, "gptq", "1");
    lineage_add(l, "match", "%s", match_mode_name(a->mode));
    lineage_add(l, "match-images", "%lld", (long long)a->taken.count);
}

void matching_close(struct matching *a)
{
    taken_images_free(&a->taken);
    model_free(&a->fused);
}
