#include "record/join.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

enum { MAX_BLOCKS = 4096 };

/* A block of made-by: the lines of one part's input, its own line and what stands indented below. */
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

/* The block that begins at text: up to and with the tool's line, and the indented ones after it. */
static size_t block_length(const char *text, const char *tool)
{
    const size_t name = strlen(tool);
    const char *p = text;
    int own = 0;
    while (*p && (!own || *p == ' ')) {
        own |= strncmp(p, tool, name) == 0 && p[name] == ' ';
        p += line_length(p);
    }
    return (size_t)(p - text);
}

static int collect_blocks(struct blocks *b, const char *made_by, const char *tool, struct message *m)
{
    for (const char *p = made_by; *p;) {
        size_t length = block_length(p, tool), end = length;
        while (end > 0 && p[end - 1] == '\n')
            end--;
        if (b->count == MAX_BLOCKS)
            return message_set(m, STATUS_RANGE, "made-by: more than %d parts", MAX_BLOCKS);
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

int parts_join_lineage(struct record *to, struct record *const *records, int count, const char *tool,
                       struct message *m)
{
    struct blocks *b = memory_new(1, sizeof *b, m);
    int status = b ? 0 : STATUS_NOMEM;
    for (int i = 0; i < count && status == 0; i++)
        if (record_get(records[i], "made-by"))
            status = collect_blocks(b, record_get(records[i], "made-by"), tool, m);
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

int parts_check(const struct record *first, const struct record *other, const char *first_name, struct message *m)
{
    TRY(check_metadata(first, other, first_name, m));
    return check_metadata(other, first, first_name, m);
}
