#include "data/pictures.h"
#include "data/picture.h"
#include "base/memory.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct picture {
    char *name;   /* without its class */
    int class_id; /* by first appearance, until pictures_finish */
    int64_t slot; /* where its record stands */
};

struct picture_list {
    struct picture *pictures;
    int64_t count, capacity;
    uint8_t *chunks[SPLIT_MAX_FILES]; /* FILE_RECORDS records each */
};

struct pictures {
    struct picture_list splits[SPLIT_COUNT];
    char *classes[DATASET_MAX_CLASSES];
    int class_count, last_class;
};

/* ---- names ---- */

int natural_compare(const char *a, const char *b)
{
    const char *p = a, *q = b;
    while (*p && *q) {
        if (isdigit((unsigned char)*p) && isdigit((unsigned char)*q)) {
            p += strspn(p, "0");
            q += strspn(q, "0");
            size_t digits_p = strspn(p, "0123456789"), digits_q = strspn(q, "0123456789");
            if (digits_p != digits_q)
                return digits_p < digits_q ? -1 : 1;
            int order = strncmp(p, q, digits_p);
            if (order)
                return order;
            p += digits_p;
            q += digits_q;
            continue;
        }
        if (*p != *q)
            return (unsigned char)*p < (unsigned char)*q ? -1 : 1;
        p++;
        q++;
    }
    if (*p || *q)
        return *p ? 1 : -1;
    return strcmp(a, b); /* "01" and "1" */
}

static int suffix_is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && (!strcasecmp(dot, ".png") || !strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg"));
}

/* The component that ends before `end`; returns its start. */
static const char *component_before(const char *path, const char *end)
{
    while (end > path && end[-1] != '/')
        end--;
    return end;
}

int picture_path_parse(const char *path, struct picture_path *out, struct message *m)
{
    const char *name = component_before(path, path + strlen(path));
    if (name == path || !*name)
        return 0;
    const char *class_name = component_before(path, name - 1);
    if (class_name == path)
        return 0;
    const char *split = component_before(path, class_name - 1);
    size_t split_length = (size_t)(class_name - 1 - split), class_length = (size_t)(name - 1 - class_name);
    for (out->split = 0; out->split < SPLIT_COUNT; out->split++) {
        const char *want = split_names[out->split];
        if (strlen(want) == split_length && memcmp(want, split, split_length) == 0)
            break;
    }
    if (out->split == SPLIT_COUNT || name[0] == '.' || class_name[0] == '.')
        return 0;
    if (!suffix_is_picture(name))
        return message_set(m, STATUS_FORMAT, "not a .png, .jpg or .jpeg file");
    if (class_length == 0 || class_length >= sizeof out->class_name)
        return message_set(m, STATUS_FORMAT, "class name of %zu bytes, want 1..255", class_length);
    memcpy(out->class_name, class_name, class_length);
    out->class_name[class_length] = '\0';
    for (const char *c = out->class_name; *c; c++)
        if (iscntrl((unsigned char)*c))
            return message_set(m, STATUS_FORMAT, "control character in the class name");
    out->name = name;
    return 1;
}

/* ---- gathering ---- */

struct pictures *pictures_new(struct message *m)
{
    return memory_new(1, sizeof(struct pictures), m);
}

void pictures_free(struct pictures *p)
{
    for (int split = 0; p && split < SPLIT_COUNT; split++) {
        struct picture_list *l = &p->splits[split];
        for (int64_t i = 0; i < l->count; i++)
            memory_free(l->pictures[i].name);
        memory_free(l->pictures);
        for (int i = 0; i < SPLIT_MAX_FILES; i++)
            memory_free(l->chunks[i]);
    }
    for (int i = 0; p && i < p->class_count; i++)
        memory_free(p->classes[i]);
    memory_free(p);
}

int64_t pictures_count(const struct pictures *p)
{
    return p->splits[SPLIT_TRAIN].count + p->splits[SPLIT_TEST].count;
}

static int class_find(struct pictures *p, const char *name, struct message *m)
{
    if (p->class_count > 0 && strcmp(p->classes[p->last_class], name) == 0)
        return p->last_class;
    for (int i = 0; i < p->class_count; i++)
        if (strcmp(p->classes[i], name) == 0)
            return p->last_class = i;
    if (p->class_count == DATASET_MAX_CLASSES)
        return message_set(m, STATUS_RANGE, "more than %d classes", DATASET_MAX_CLASSES);
    p->classes[p->class_count] = memory_strdup(name, m);
    if (!p->classes[p->class_count])
        return STATUS_NOMEM;
    return p->last_class = p->class_count++;
}

static uint8_t *record_at(const struct picture_list *l, int64_t slot)
{
    return l->chunks[slot / FILE_RECORDS] + (size_t)(slot % FILE_RECORDS) * CIFAR_RECORD_BYTES;
}

static int list_grow(struct picture_list *l, struct message *m)
{
    if (l->count == l->capacity) {
        size_t bytes = (size_t)l->capacity * sizeof *l->pictures;
        int64_t capacity = l->capacity ? 2 * l->capacity : 1024;
        void *grown = memory_resize(l->pictures, bytes, (size_t)capacity, sizeof *l->pictures, m);
        if (!grown)
            return STATUS_NOMEM;
        l->pictures = grown;
        l->capacity = capacity;
    }
    int64_t chunk = l->count / FILE_RECORDS;
    if (chunk == SPLIT_MAX_FILES)
        return message_set(m, STATUS_RANGE, "more than %d pictures", SPLIT_MAX_FILES * FILE_RECORDS);
    if (!l->chunks[chunk] && !(l->chunks[chunk] = memory_new_raw(FILE_RECORDS, CIFAR_RECORD_BYTES, m)))
        return STATUS_NOMEM;
    return 0;
}

int pictures_add(struct pictures *p, const struct picture_path *path, const void *bytes, size_t count,
                 struct message *m)
{
    enum { PLANE = IMAGE_SIDE * IMAGE_SIDE };
    struct picture_list *l = &p->splits[path->split];
    uint8_t image[IMAGE_BYTES];
    TRY(picture_decode(bytes, count, image, m));
    int class_id = class_find(p, path->class_name, m);
    TRY(class_id);
    TRY(list_grow(l, m));
    struct picture picture = {memory_strdup(path->name, m), class_id, l->count};
    if (!picture.name)
        return STATUS_NOMEM;
    uint8_t *record = record_at(l, l->count);
    for (int i = 0; i < PLANE; i++)
        for (int c = 0; c < 3; c++)
            record[1 + c * PLANE + i] = image[3 * i + c];
    l->pictures[l->count++] = picture;
    return 0;
}

/* ---- order ---- */

struct class_rank {
    char *name;
    int id;
};

static int class_order(const void *a, const void *b)
{
    return strcmp(((const struct class_rank *)a)->name, ((const struct class_rank *)b)->name);
}

static void classes_sort(struct pictures *p)
{
    struct class_rank ranks[DATASET_MAX_CLASSES];
    int rank_of[DATASET_MAX_CLASSES] = {0};
    for (int i = 0; i < p->class_count; i++)
        ranks[i] = (struct class_rank){p->classes[i], i};
    qsort(ranks, (size_t)p->class_count, sizeof ranks[0], class_order);
    for (int i = 0; i < p->class_count; i++) {
        p->classes[i] = ranks[i].name;
        rank_of[ranks[i].id] = i;
    }
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int64_t i = 0; i < p->splits[split].count; i++) {
            struct picture *picture = &p->splits[split].pictures[i];
            picture->class_id = rank_of[picture->class_id];
        }
}

static int picture_order(const void *a, const void *b)
{
    const struct picture *x = a, *y = b;
    int order = natural_compare(x->name, y->name);
    return order ? order : (x->class_id > y->class_id) - (x->class_id < y->class_id);
}

/* Moves records so that picture i stands in slot i, following each cycle of the permutation once. */
static void records_permute(struct picture_list *l)
{
    uint8_t held[CIFAR_RECORD_BYTES];
    for (int64_t start = 0; start < l->count; start++) {
        if (l->pictures[start].slot == start)
            continue;
        memcpy(held, record_at(l, start), sizeof held);
        int64_t to = start;
        for (;;) {
            int64_t from = l->pictures[to].slot;
            l->pictures[to].slot = to;
            if (from == start)
                break;
            memcpy(record_at(l, to), record_at(l, from), sizeof held);
            to = from;
        }
        memcpy(record_at(l, to), held, sizeof held);
    }
}

static int list_finish(struct pictures *p, int split, struct image_files *s, struct message *m)
{
    struct picture_list *l = &p->splits[split];
    qsort(l->pictures, (size_t)l->count, sizeof *l->pictures, picture_order);
    for (int64_t i = 1; i < l->count; i++)
        if (picture_order(&l->pictures[i - 1], &l->pictures[i]) == 0)
            return message_set(m, STATUS_FORMAT, "%s/%s/%s: duplicate member", split_names[split],
                               p->classes[l->pictures[i].class_id], l->pictures[i].name);
    records_permute(l);
    for (int64_t i = 0; i < l->count; i++)
        record_at(l, i)[0] = (uint8_t)l->pictures[i].class_id;
    for (int64_t first = 0; first < l->count; first += FILE_RECORDS) {
        int64_t records = l->count - first < FILE_RECORDS ? l->count - first : FILE_RECORDS;
        int chunk = (int)(first / FILE_RECORDS);
        TRY(files_add(s, split, chunk, l->chunks[chunk], (size_t)records * CIFAR_RECORD_BYTES, 0, m));
        l->chunks[chunk] = NULL;
    }
    return 0;
}

int pictures_finish(struct pictures *p, struct image_files *s, struct message *m)
{
    classes_sort(p);
    for (int split = 0; split < SPLIT_COUNT; split++)
        if (p->splits[split].count > 0)
            TRY(list_finish(p, split, s, m));
    s->classes = memory_new((size_t)p->class_count, sizeof *s->classes, m);
    if (!s->classes)
        return STATUS_NOMEM;
    memcpy(s->classes, p->classes, (size_t)p->class_count * sizeof *s->classes);
    s->class_count = p->class_count;
    p->class_count = 0;
    s->from_pictures = 1;
    return 0;
}
