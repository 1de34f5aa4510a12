/* Merging calibrations as records: counts, and where they came from. */
#include "quant/histogram.h"
#include "base/text.h"
#include "record/join.h"
#include <string.h>

static int add_images(const struct record *record, int64_t *images, struct message *m)
{
    const char *text = record_get(record, "images");
    int64_t more = 0;
    if (!text)
        return message_set(m, STATUS_MISMATCH, "missing metadata: images");
    TRY(parse_integer(text, 0, INT64_MAX - *images, "images", &more, m));
    *images += more;
    return 0;
}

/* What is summed so far; `first` is the record that the others must be like. */
struct sum {
    struct ranges ranges;
    int64_t images;
    const struct record *first;
    const char *first_name;
};

static int sum_add(struct sum *s, const struct record *record, const char *name, struct message *m)
{
    struct ranges more;
    TRY(ranges_from_record(&more, record, m));
    int status = add_images(record, &s->images, m);
    if (status == 0 && !s->first) {
        s->ranges = more;
        s->first = record;
        s->first_name = name;
        return 0;
    }
    if (status == 0)
        status = parts_check(s->first, record, s->first_name, m);
    if (status == 0)
        status = ranges_merge(&s->ranges, &more, m);
    ranges_free(&more);
    return status;
}

static int sum_all(struct sum *s, struct record *const *records, const char *const *names, int count,
                   struct message *m)
{
    for (int i = 0; i < count; i++) {
        int status = sum_add(s, records[i], names[i], m);
        if (status < 0)
            return message_prefix(m, status, "%s", names[i]);
    }
    return 0;
}

static int sum_describe(const struct sum *s, struct record *to, struct record *const *records, int count,
                        struct message *m)
{
    TRY(ranges_to_record(&s->ranges, to, m));
    TRY(parts_join_lineage(to, records, count, "calibrate", m));
    TRY(record_setf(to, "images", m, "%lld", (long long)s->images));
    return record_inherit(to, s->first, m);
}

int ranges_join(struct record **out, struct record *const *records, const char *const *names, int count,
                struct message *m)
{
    struct sum s = {{0}, 0, NULL, NULL};
    int status = sum_all(&s, records, names, count, m);
    *out = status < 0 ? NULL : record_new(m);
    if (status == 0)
        status = *out ? sum_describe(&s, *out, records, count, m) : STATUS_NOMEM;
    ranges_free(&s.ranges);
    if (status < 0) {
        record_free(*out);
        *out = NULL;
    }
    return status;
}

int ranges_match_model(const struct record *ranges, const struct model *model, struct message *m)
{
    char graph[MODEL_DIGEST_SIZE], whole[MODEL_DIGEST_SIZE];
    const char *their_graph = record_get(ranges, "graph-digest"), *their_whole = record_get(ranges, "model-digest");
    TRY(model_graph_digest(model, graph, m));
    TRY(model_digest(model, whole, m));
    if (their_graph && strcmp(their_graph, graph) != 0)
        return message_set(m, STATUS_MISMATCH, "graph-digest: these ranges were observed in another network");
    if (their_whole && strcmp(their_whole, whole) != 0)
        return message_set(m, STATUS_MISMATCH,
                           "model-digest: these ranges were observed in another model of this network");
    return 0;
}
