#include "tools/common/fused.h"
#include "record/stream.h"

static int open_model(struct fused *f, const char *path, struct model_arguments *given, struct message *m)
{
    TRY(model_open(&f->model, path, given, m));
    int status = model_digest(&f->model, f->digest, m);
    if (status >= 0)
        status = graph_require_stage(&f->model.graph, STAGE_FUSED, m);
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}

int fused_open(struct fused *f, const char *model, const char *ranges, struct model_arguments *given,
               struct message *m)
{
    *f = (struct fused){0};
    TRY(open_model(f, model, given, m));
    TRY(record_load(&f->ranges_record, ranges, m));
    int status = digest_record(f->ranges_record, f->ranges_hex, m);
    if (status >= 0)
        status = ranges_from_record(&f->ranges, f->ranges_record, m);
    if (status >= 0)
        status = ranges_match_model(f->ranges_record, &f->model, m);
    return status < 0 ? message_prefix(m, status, "%s", ranges) : 0;
}

void fused_lineage(const struct fused *f, const struct model_arguments *given, struct lineage *l)
{
    lineage_add(l, "model", "%s", f->digest);
    model_given_lineage(&given->given, l);
    lineage_add(l, "ranges", "sha256:%s", f->ranges_hex);
}

void fused_close(struct fused *f)
{
    model_free(&f->model);
    ranges_free(&f->ranges);
    record_free(f->ranges_record);
    *f = (struct fused){0};
}
