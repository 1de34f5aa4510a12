#include "data/pictures.h"
#include "data/picture.h"
#include "base/memory.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct picture {
    char *name;   /* without its class */
    int class_id; /* of the table below, until pictures_finish */
    int64_t slot; /* where its record stands */
};

struct picture_list {
    struct picture *pictures;
    int64_t count, capacity;
    uint8_t *chunks[SPLIT_MAX_FILES]; /* FILE_RECORDS records each */
};

struct class_entry {
    char *name;
    int root;
    unsigned folders; /* bit i: seen in folder_names[i] */
    int rank;         /* among those of the set; -1: not one of them */
};

struct pictures {
    struct picture_list lists[FOLDER_COUNT];
    struct class_entry *classes;
    int class_count, class_capacity, last_class;
    struct text sample; /* the first JPEG that came, and the digest of its pixels */
    char sample_digest[DIGEST_HEX];
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

/* ---- gathering ---- */

struct pictures *pictures_new(struct message *m)
{
    return memory_new(1, sizeof(struct pictures), m);
}

void pictures_free(struct pictures *p)
{
    for (int folder = 0; p && folder < FOLDER_COUNT; folder++) {
        struct picture_list *l = &p->lists[folder];
        for (int64_t i = 0; i < l->count; i++)
            memory_free(l->pictures[i].name);
        memory_free(l->pictures);
        for (int i = 0; i < SPLIT_MAX_FILES; i++)
            memory_free(l->chunks[i]);
    }
    for (int i = 0; p && i < p->class_count; i++)
        memory_free(p->classes[i].name);
    if (p) {
        memory_free(p->classes);
        text_free(&p->sample);
    }
    memory_free(p);
}

static int class_is(const struct class_entry *c, int root, const char *name)
{
    return c->root == root && strcmp(c->name, name) == 0;
}

static int class_append(struct pictures *p, int root, const char *name, struct message *m)
{
    if (p->class_count == p->class_capacity) {
        size_t bytes = (size_t)p->class_count * sizeof *p->classes;
        int capacity = p->class_count + DATASET_MAX_CLASSES;
        void *grown = memory_resize(p->classes, bytes, (size_t)capacity, sizeof *p->classes, m);
        if (!grown)
            return STATUS_NOMEM;
        p->classes = grown;
        p->class_capacity = capacity;
    }
    char *copy = memory_strdup(name, m);
    if (!copy)
        return STATUS_NOMEM;
    p->classes[p->class_count] = (struct class_entry){.name = copy, .root = root};
    return p->class_count++;
}

/* The class's place in the table, where it is put if it is new. */
static int class_find(struct pictures *p, int root, const struct member_path *path, struct message *m)
{
    int found = -1, of_root = 0;
    if (p->class_count > 0 && class_is(&p->classes[p->last_class], root, path->class_name))
        found = p->last_class;
    for (int i = 0; i < p->class_count && found < 0; i++) {
        of_root += p->classes[i].root == root;
        if (class_is(&p->classes[i], root, path->class_name))
            found = i;
    }
    if (found < 0 && of_root == DATASET_MAX_CLASSES)
        return message_set(m, STATUS_RANGE, "more than %d classes", DATASET_MAX_CLASSES);
    if (found < 0)
        found = class_append(p, root, path->class_name, m);
    TRY(found);
    p->classes[found].folders |= 1u << path->folder;
    return p->last_class = found;
}

int pictures_add_class(struct pictures *p, int root, const struct member_path *path, struct message *m)
{
    return class_find(p, root, path, m);
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

int pictures_add(struct pictures *p, int root, const struct member_path *path, const void *bytes, size_t count,
                 struct message *m)
{
    enum { PLANE = IMAGE_SIDE * IMAGE_SIDE };
    struct picture_list *l = &p->lists[path->folder];
    uint8_t image[IMAGE_BYTES];
    if (!path->is_read)
        return message_set(m, STATUS_FORMAT, "not a .png, .jpg or .jpeg file: convert it or take it out");
    TRY(picture_decode(bytes, count, image, m));
    if (p->sample.length == 0 && *(const uint8_t *)bytes == 0xff) {
        TRY(text_add_bytes(&p->sample, bytes, count, m));
        digest_bytes(image, sizeof image, p->sample_digest);
    }
    int class_id = class_find(p, root, path, m);
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

static int class_order(const void *a, const void *b)
{
    return strcmp((*(struct class_entry *const *)a)->name, (*(struct class_entry *const *)b)->name);
}

static unsigned folder_bit(const struct survey *survey, int split)
{
    return survey->folders[split] < 0 ? 0 : 1u << survey->folders[split];
}

/* Ranks the set's classes by name and moves them into s. */
static int classes_finish(struct pictures *p, const struct survey *survey, struct image_files *s, struct message *m)
{
    struct class_entry *sorted[DATASET_MAX_CLASSES];
    unsigned folders = folder_bit(survey, SPLIT_TRAIN) | folder_bit(survey, SPLIT_TEST);
    int count = 0;
    for (int i = 0; i < p->class_count; i++) {
        struct class_entry *c = &p->classes[i];
        c->rank = -1;
        if (c->root == survey->root && (c->folders & folders))
            sorted[count++] = c;
    }
    qsort(sorted, (size_t)count, sizeof(struct class_entry *), class_order);
    s->classes = memory_new((size_t)count, sizeof *s->classes, m);
    if (!s->classes)
        return STATUS_NOMEM;
    for (int i = 0; i < count; i++) {
        sorted[i]->rank = i;
        s->classes[i] = sorted[i]->name;
        sorted[i]->name = NULL;
    }
    s->class_count = count;
    return 0;
}

/* Keeps the pictures of the set alone, their records without gaps; class_id becomes the class's rank. */
static void list_filter(const struct pictures *p, struct picture_list *l)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < l->count; i++) {
        struct picture picture = l->pictures[i];
        picture.class_id = p->classes[picture.class_id].rank;
        if (picture.class_id < 0) {
            memory_free(picture.name);
            continue;
        }
        if (picture.slot != kept)
            memcpy(record_at(l, kept), record_at(l, picture.slot), CIFAR_RECORD_BYTES);
        picture.slot = kept;
        l->pictures[kept++] = picture;
    }
    l->count = kept;
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

static int list_finish(struct picture_list *l, int split, struct image_files *s, struct message *m)
{
    if (l->count > 0)
        qsort(l->pictures, (size_t)l->count, sizeof *l->pictures, picture_order);
    for (int64_t i = 1; i < l->count; i++)
        if (picture_order(&l->pictures[i - 1], &l->pictures[i]) == 0)
            return message_set(m, STATUS_FORMAT, "%s/%s/%s: duplicate member", split_names[split],
                               s->classes[l->pictures[i].class_id], l->pictures[i].name);
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

int pictures_finish(struct pictures *p, const struct survey *survey, struct image_files *s, struct message *m)
{
    TRY(classes_finish(p, survey, s, m));
    s->from_pictures = 1;
    s->sample = p->sample;
    memcpy(s->sample_digest, p->sample_digest, sizeof s->sample_digest);
    p->sample = (struct text){0};
    for (int split = 0; split < SPLIT_COUNT; split++) {
        if (survey->folders[split] < 0)
            continue;
        struct picture_list *l = &p->lists[survey->folders[split]];
        list_filter(p, l);
        TRY(list_finish(l, split, s, m));
    }
    return 0;
}
