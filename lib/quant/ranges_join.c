/* Merging calibrations as records: counts, and where they came from. */
#include "quant/histogram.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_BLOCKS = 4096 };

/* A block of made-by: the lines of one calibration's input, its own line and what stands indented below. */
struct block {
    const char *start;
    size_t length;
};

struct blocks {
    struct block items[MAX_BLOCKS];
    int count;
};

static size_t line_length(const char *line)
{
    size_t length = strcspn(line, "\n");
    return length + (line[length] == '\n');
}

/* The block that begins at text: up to and with calibrate's line, and the indented ones after it. */
static size_t block_length(const char *text)
{
    const char *p = text;
    int own = 0;
    while (*p && (!own || *p == ' ')) {
        own |= strncmp(p, "calibrate ", 10) == 0;
        p += line_length(p);
    }
    return (size_t)(p - text);
}

static int collect_blocks(struct blocks *b, const char *made_by, struct message *m)
{
    for (const char *p = made_by; *p;) {
        size_t length = block_length(p), end = length;
        while (end > 0 && p[end - 1] == '\n')
            end--;
        if (b->count == MAX_BLOCKS)
            return message_set(m, STATUS_RANGE, "made-by: more than %d calibrations", MAX_BLOCKS);
        b->items[b->count++] = (struct block){p, end};
        p += length;
    }
    return 0;
}

static int block_compare(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    int order = memcmp(x->start, y->start, x->length < y->length ? x->length : y->length);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static int print_blocks(struct blocks *b, struct record *to, struct message *m)
{
    struct text t = {0};
    int status = 0;
    qsort(b->items, (size_t)b->count, sizeof *b->items, block_compare);
    for (int i = 0; i < b->count && status == 0; i++) {
        if (i > 0 && block_compare(&b->items[i], &b->items[i - 1]) == 0)
            continue;
        if (t.length > 0)
            status = text_add(&t, m, "\n");
        if (status == 0)
            status = text_add_bytes(&t, b->items[i].start, b->items[i].length, m);
    }
    if (status == 0 && t.length > 0)
        status = record_set(to, "made-by", t.data, m);
    text_free(&t);
    return status;
}

static int join_lineage(struct record *to, struct record *const *records, int count, struct message *m)
{
    struct blocks *b = memory_new(1, sizeof *b, m);
    int status = b ? 0 : STATUS_NOMEM;
    for (int i = 0; i < count && status == 0; i++)
        if (record_get(records[i], "made-by"))
            status = collect_blocks(b, record_get(records[i], "made-by"), m);
    if (status == 0)
        status = print_blocks(b, to, m);
    memory_free(b);
    return status;
}

static int is_joined(const char *key)
{
    return strcmp(key, "images") == 0 || strcmp(key, "made-by") == 0 || strcmp(key, "crc32") == 0;
}

/* Every key of a stands in b with the same value. */
static int check_metadata(const struct record *a, const struct record *b, const char *first, struct message *m)
{
    for (size_t i = 0; i < a->metadata_count; i++) {
        const char *key = a->metadata[i].key, *other = record_get(b, key);
        if (!is_joined(key) && (!other || strcmp(other, a->metadata[i].value) != 0))
            return message_set(m, STATUS_MISMATCH, "%s: differs from that of %s", key, first);
    }
    return 0;
}

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
        status = check_metadata(s->first, record, s->first_name, m);
    if (status == 0)
        status = check_metadata(record, s->first, s->first_name, m);
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
    TRY(join_lineage(to, records, count, m));
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
