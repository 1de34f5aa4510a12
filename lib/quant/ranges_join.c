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
static int check_metadata(const struct record *a, const struct record *b, struct message *m)
{
    for (size_t i = 0; i < a->metadata_count; i++) {
        const char *key = a->metadata[i].key, *other = record_get(b, key);
        if (!is_joined(key) && (!other || strcmp(other, a->metadata[i].value) != 0))
            return message_set(m, STATUS_MISMATCH, "%s: differs between the ranges to be merged", key);
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

static int join_counts(struct ranges *sum, struct record *const *records, int count, int64_t *images,
                       struct message *m)
{
    TRY(ranges_from_record(sum, records[0], m));
    TRY(add_images(records[0], images, m));
    for (int i = 1; i < count; i++) {
        struct ranges other;
        TRY(check_metadata(records[0], records[i], m));
        TRY(check_metadata(records[i], records[0], m));
        TRY(add_images(records[i], images, m));
        TRY(ranges_from_record(&other, records[i], m));
        int status = ranges_merge(sum, &other, m);
        ranges_free(&other);
        TRY(status);
    }
    return 0;
}

int ranges_join(struct record **out, struct record *const *records, int count, struct message *m)
{
    struct ranges sum = {0};
    int64_t images = 0;
    int status = join_counts(&sum, records, count, &images, m);
    *out = status < 0 ? NULL : record_new(m);
    if (status == 0 && !*out)
        status = STATUS_NOMEM;
    if (status == 0)
        status = ranges_to_record(&sum, *out, m);
    if (status == 0)
        status = join_lineage(*out, records, count, m);
    if (status == 0)
        status = record_setf(*out, "images", m, "%lld", (long long)images);
    if (status == 0)
        status = record_inherit(*out, records[0], m);
    ranges_free(&sum);
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
