#include "data/pictures.h"
#include "data/class_table.h"
#include "data/picture.h"
#include "base/memory.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct picture {
    char *name;    /* without its class */
    int class_id;  /* of the table below, until pictures_finish */
    int64_t slot;  /* where its record stands */
    int64_t place; /* in the list's order, see list_order */
};

struct picture_list {
    struct picture *pictures;
    int64_t count, capacity;
    uint8_t *chunks[SPLIT_MAX_FILES]; /* chunk_slots(p) slots each */
};

/* In front of a slot's planes, until it is known how many classes there are. */
enum { LABEL_ROOM = 2 };

struct pictures {
    struct picture_list lists[FOLDER_COUNT];
    struct class_table classes;
    const struct dataset_wish *wish;
    struct image_shape shape, first_shape; /* of all, once one came; of that one as it came */
    char first[512];                       /* its name */
    struct text sample;                    /* the first JPEG that came, and the digest of its pixels */
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

struct pictures *pictures_new(const struct dataset_wish *wish, struct message *m)
{
    struct pictures *p = memory_new(1, sizeof *p, m);
    if (p)
        p->wish = wish;
    return p;
}

/* A chunk takes what a file of CIFAR-10's does, and not more records; grey pictures may yet become colour. */
static int64_t chunk_slots(const struct pictures *p)
{
    int64_t pixels = (int64_t)p->shape.height * p->shape.width;
    return pixels <= IMAGE_SIDE * IMAGE_SIDE ? FILE_RECORDS : FILE_BYTES / (3 * pixels + LABEL_ROOM);
}

static size_t slot_bytes(const struct pictures *p)
{
    return LABEL_ROOM + image_shape_bytes(p->shape);
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
    if (p) {
        class_table_free(&p->classes);
        text_free(&p->sample);
    }
    memory_free(p);
}

static int class_find(struct pictures *p, int root, const struct member_path *path, struct message *m)
{
    int found = class_table_find(&p->classes, root, path->class_name, m);
    TRY(found);
    p->classes.at[found].folders |= 1u << path->folder;
    return found;
}

int pictures_add_class(struct pictures *p, int root, const struct member_path *path, struct message *m)
{
    return class_find(p, root, path, m);
}

static uint8_t *record_at(const struct pictures *p, const struct picture_list *l, int64_t slot)
{
    return l->chunks[slot / chunk_slots(p)] + (size_t)(slot % chunk_slots(p)) * slot_bytes(p);
}

static int list_grow(const struct pictures *p, struct picture_list *l, struct message *m)
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
    int64_t chunk = l->count / chunk_slots(p);
    if (chunk == SPLIT_MAX_FILES)
        return message_set(m, STATUS_RANGE, "more than %lld pictures",
                           (long long)(SPLIT_MAX_FILES * chunk_slots(p)));
    if (!l->chunks[chunk] && !(l->chunks[chunk] = memory_new_raw((size_t)chunk_slots(p), slot_bytes(p), m)))
        return STATUS_NOMEM;
    return 0;
}

/* ---- one shape for all ---- */

static int list_spread(const struct pictures *p, struct picture_list *l, struct message *m)
{
    size_t plane = image_shape_bytes(p->shape), old = slot_bytes(p), new = LABEL_ROOM + 3 * plane;
    for (int i = 0; i < SPLIT_MAX_FILES && l->chunks[i]; i++) {
        uint8_t *spread = memory_new_raw((size_t)chunk_slots(p), new, m), *from = l->chunks[i];
        int64_t slots = l->count - i * chunk_slots(p);
        if (!spread)
            return STATUS_NOMEM;
        for (int64_t k = 0; k < slots && k < chunk_slots(p); k++)
            for (size_t c = 0; c < 3; c++)
                memcpy(spread + (size_t)k * new + LABEL_ROOM + c *plane, from + (size_t)k * old + LABEL_ROOM,
                       plane);
        memory_free(from);
        l->chunks[i] = spread;
    }
    return 0;
}

/* The first colour picture behind grey ones makes all of them colour. A failure leaves lists that only
 * pictures_free may touch. */
static int colour_begin(struct pictures *p, struct message *m)
{
    for (int i = 0; i < FOLDER_COUNT; i++)
        TRY(list_spread(p, &p->lists[i], m));
    p->shape.channels = 3;
    return 0;
}

static int first_take(struct pictures *p, const struct member_path *path, struct image_shape shape,
                      struct message *m)
{
    const struct image_wish *wish = &p->wish->image;
    p->first_shape = p->shape = shape;
    if (wish->height) {
        p->shape.height = wish->height;
        p->shape.width = wish->width;
    }
    if (wish->channels)
        p->shape.channels = wish->channels;
    snprintf(p->first, sizeof p->first, "%s/%s/%.200s", folder_names[path->folder], path->class_name, path->name);
    if (image_shape_check(p->shape, NULL) >= 0)
        return 0;
    p->shape = (struct image_shape){0};
    return message_set(m, STATUS_FORMAT,
                       "picture is %dx%d pixels, want sides of %d to %d: --size HxW makes them so", shape.height,
                       shape.width, IMAGE_LEAST_SIDE, IMAGE_MOST_SIDE);
}

/* Settles what all pictures are to be, as far as this one has a say in it. */
static int shape_settle(struct pictures *p, const struct member_path *path, struct image_shape shape,
                        struct message *m)
{
    if (p->shape.height == 0)
        TRY(first_take(p, path, shape, m));
    if (!p->wish->image.height && (shape.height != p->shape.height || shape.width != p->shape.width))
        return message_set(m, STATUS_FORMAT, "picture is %dx%d pixels, but %s is %dx%d: --size HxW makes them one",
                           shape.height, shape.width, p->first, p->first_shape.height, p->first_shape.width);
    if (!p->wish->image.channels && shape.channels > p->shape.channels)
        return colour_begin(p, m);
    return 0;
}

static int picture_put(struct pictures *p, int class_id, const struct member_path *path, const struct decoded *d,
                       struct message *m)
{
    struct picture_list *l = &p->lists[path->folder];
    TRY(shape_settle(p, path, d->shape, m));
    TRY(list_grow(p, l, m));
    uint8_t *image = memory_new_raw(image_shape_bytes(p->shape), 1, m);
    if (!image)
        return STATUS_NOMEM;
    struct picture picture = {.class_id = class_id, .slot = l->count};
    int status = image_convert(d->pixels, d->shape, &p->wish->image, image, p->shape, m);
    if (status >= 0 && !(picture.name = memory_strdup(path->name, m)))
        status = STATUS_NOMEM;
    if (status >= 0) {
        pixels_to_planes(image, p->shape, record_at(p, l, l->count) + LABEL_ROOM);
        l->pictures[l->count++] = picture;
    }
    memory_free(image);
    return status;
}

/* By it a decoded copy knows another decoder. */
static int sample_take(struct pictures *p, const void *bytes, size_t count, const struct decoded *d,
                       struct message *m)
{
    if (p->sample.length > 0 || *(const uint8_t *)bytes != 0xff)
        return 0;
    digest_bytes(d->pixels, image_shape_bytes(d->shape), p->sample_digest);
    return text_add_bytes(&p->sample, bytes, count, m);
}

int pictures_add(struct pictures *p, int root, const struct member_path *path, const void *bytes, size_t count,
                 struct message *m)
{
    struct decoded d;
    if (!path->is_read)
        return message_set(m, STATUS_FORMAT, "not a .png, .jpg or .jpeg file: convert it or take it out");
    TRY(picture_decode(bytes, count, &d, m));
    int status = sample_take(p, bytes, count, &d, m);
    int class_id = status < 0 ? status : class_find(p, root, path, m);
    status = class_id < 0 ? class_id : picture_put(p, class_id, path, &d, m);
    decoded_free(&d);
    return status;
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
    struct class_entry **sorted = memory_new((size_t)p->classes.count, sizeof *sorted, m);
    unsigned folders = folder_bit(survey, SPLIT_TRAIN) | folder_bit(survey, SPLIT_TEST);
    int count = 0;
    if (!sorted)
        return STATUS_NOMEM;
    for (int i = 0; i < p->classes.count; i++) {
        struct class_entry *c = &p->classes.at[i];
        c->rank = -1;
        if (c->root == survey->root && (c->folders & folders))
            sorted[count++] = c;
    }
    qsort(sorted, (size_t)count, sizeof(struct class_entry *), class_order);
    s->classes = memory_new((size_t)count, sizeof *s->classes, m);
    for (int i = 0; i < count && s->classes; i++) {
        sorted[i]->rank = i;
        s->classes[i] = sorted[i]->name;
        sorted[i]->name = NULL;
    }
    memory_free(sorted);
    s->class_count = s->classes ? count : 0;
    return s->classes ? 0 : STATUS_NOMEM;
}

/* Keeps the pictures of the set alone, their records without gaps; class_id becomes the class's rank. */
static void list_filter(const struct pictures *p, struct picture_list *l)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < l->count; i++) {
        struct picture picture = l->pictures[i];
        picture.class_id = p->classes.at[picture.class_id].rank;
        if (picture.class_id < 0) {
            memory_free(picture.name);
            continue;
        }
        if (picture.slot != kept)
            memcpy(record_at(p, l, kept), record_at(p, l, picture.slot), slot_bytes(p));
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

/* Moves records so that picture i stands in slot i, following each cycle of the permutation once. held: a slot. */
static void records_permute(const struct pictures *p, struct picture_list *l, uint8_t *held)
{
    const size_t bytes = slot_bytes(p);
    for (int64_t start = 0; start < l->count; start++) {
        if (l->pictures[start].slot == start)
            continue;
        memcpy(held, record_at(p, l, start), bytes);
        int64_t to = start;
        for (;;) {
            int64_t from = l->pictures[to].slot;
            l->pictures[to].slot = to;
            if (from == start)
                break;
            memcpy(record_at(p, l, to), record_at(p, l, from), bytes);
            to = from;
        }
        memcpy(record_at(p, l, to), held, bytes);
    }
}

/* Slots become records: a chunk's labels are of as many bytes as the set's. */
static void records_pack(const struct pictures *p, const struct picture_list *l, const struct image_files *s)
{
    const size_t record = files_record_bytes(s), label = (size_t)s->label_bytes;
    for (int64_t i = 0; i < l->count; i++) {
        uint8_t *to = l->chunks[i / chunk_slots(p)] + (size_t)(i % chunk_slots(p)) * record;
        memmove(to + label, record_at(p, l, i) + LABEL_ROOM, record - label);
        files_label_put(s, to, l->pictures[i].class_id);
    }
}

static int place_order(const void *a, const void *b)
{
    const struct picture *x = a, *y = b;
    if (x->place != y->place)
        return x->place < y->place ? -1 : 1;
    return (x->class_id > y->class_id) - (x->class_id < y->class_id);
}

static int is_number(const char *name)
{
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && (name[digits] == '.' || name[digits] == '\0');
}

/* The first pictures of all classes, then the second ones: of names that begin with their class, as cat-001.jpg does,
 * the first thousand would else be cats alone. */
static int list_deal(struct picture_list *l, int classes, struct message *m)
{
    int64_t *seen = memory_new((size_t)classes, sizeof *seen, m);
    if (!seen)
        return STATUS_NOMEM;
    for (int64_t i = 0; i < l->count; i++)
        l->pictures[i].place = seen[l->pictures[i].class_id]++;
    memory_free(seen);
    qsort(l->pictures, (size_t)l->count, sizeof *l->pictures, place_order);
    return 0;
}

/* By name, numbers in it as numbers; where all names are numbers, which count over all classes or in each, that is the
 * order; else it is each class's, and the classes take turns. */
static int list_order(struct picture_list *l, int split, const struct image_files *s, struct message *m)
{
    int are_numbers = 1;
    if (l->count > 0)
        qsort(l->pictures, (size_t)l->count, sizeof *l->pictures, picture_order);
    for (int64_t i = 0; i < l->count; i++) {
        are_numbers = are_numbers && is_number(l->pictures[i].name);
        if (i > 0 && picture_order(&l->pictures[i - 1], &l->pictures[i]) == 0)
            return message_set(m, STATUS_FORMAT, "%s/%s/%s: duplicate member", split_names[split],
                               s->classes[l->pictures[i].class_id], l->pictures[i].name);
    }
    if (!are_numbers)
        TRY(list_deal(l, s->class_count, m));
    for (int64_t i = 0; i < l->count; i++)
        l->pictures[i].place = i;
    return 0;
}

static int slot_order(const void *a, const void *b)
{
    const struct picture *x = a, *y = b;
    return (x->slot > y->slot) - (x->slot < y->slot);
}

/* Closes the gaps between the records of l's pictures, which stay in their order. */
static void records_close(const struct pictures *p, struct picture_list *l)
{
    if (l->count == 0)
        return;
    qsort(l->pictures, (size_t)l->count, sizeof *l->pictures, slot_order);
    for (int64_t i = 0; i < l->count; i++) {
        if (l->pictures[i].slot != i)
            memcpy(record_at(p, l, i), record_at(p, l, l->pictures[i].slot), slot_bytes(p));
        l->pictures[i].slot = i;
    }
    qsort(l->pictures, (size_t)l->count, sizeof *l->pictures, place_order);
}

/* Every so manieth picture of each class moves from l, which is in order, to out. */
static int list_divide(const struct pictures *p, struct picture_list *l, int classes, int every,
                       struct picture_list *out, struct message *m)
{
    int64_t *seen = memory_new((size_t)classes, sizeof *seen, m), kept = 0;
    int status = seen ? 0 : STATUS_NOMEM;
    for (int64_t i = 0; i < l->count; i++) {
        struct picture picture = l->pictures[i];
        int moves = status >= 0 && ++seen[picture.class_id] % every == 0;
        if (moves && (status = list_grow(p, out, m)) >= 0) {
            memcpy(record_at(p, out, out->count), record_at(p, l, picture.slot), slot_bytes(p));
            picture.slot = out->count;
            out->pictures[out->count++] = picture;
        } else {
            l->pictures[kept++] = picture;
        }
    }
    memory_free(seen);
    l->count = kept;
    records_close(p, l);
    return status;
}

static int list_finish(const struct pictures *p, struct picture_list *l, int split, struct image_files *s,
                       struct message *m)
{
    uint8_t *held = memory_new_raw(slot_bytes(p), 1, m);
    if (!held)
        return STATUS_NOMEM;
    records_permute(p, l, held);
    memory_free(held);
    records_pack(p, l, s);
    for (int64_t first = 0; first < l->count; first += chunk_slots(p)) {
        int64_t records = l->count - first < chunk_slots(p) ? l->count - first : chunk_slots(p);
        int chunk = (int)(first / chunk_slots(p));
        TRY(files_add(s, split, chunk, l->chunks[chunk], (size_t)records * files_record_bytes(s), 0, m));
        l->chunks[chunk] = NULL;
    }
    return 0;
}

static int lists_finish(struct pictures *p, const struct survey *survey, struct image_files *s, struct message *m)
{
    for (int split = 0; split < SPLIT_COUNT; split++) {
        if (survey->folders[split] < 0)
            continue;
        struct picture_list *l = &p->lists[survey->folders[split]];
        list_filter(p, l);
        TRY(list_order(l, split, s, m));
        TRY(list_finish(p, l, split, s, m));
    }
    return 0;
}

/* Of a set of one split both are made. */
static int lists_divide(struct pictures *p, const struct survey *survey, struct image_files *s, struct message *m)
{
    struct picture_list *l = &p->lists[FOLDER_TRAIN], *out = &p->lists[FOLDER_TEST];
    if (survey->folders[SPLIT_TEST] >= 0)
        return message_set(m, STATUS_MISMATCH, "--hold-out: its test split is there already, in %s/",
                           folder_names[survey->folders[SPLIT_TEST]]);
    list_filter(p, l);
    list_filter(p, out); /* other sets' */
    TRY(list_order(l, SPLIT_TRAIN, s, m));
    TRY(list_divide(p, l, s->class_count, p->wish->hold_out, out, m));
    TRY(list_finish(p, l, SPLIT_TRAIN, s, m));
    return list_finish(p, out, SPLIT_TEST, s, m);
}

int pictures_finish(struct pictures *p, const struct survey *survey, struct image_files *s, struct message *m)
{
    TRY(classes_finish(p, survey, s, m));
    s->from_pictures = 1;
    s->shape = p->shape;
    s->label_bytes = files_label_bytes(s->class_count);
    s->sample = p->sample;
    memcpy(s->sample_digest, p->sample_digest, sizeof s->sample_digest);
    p->sample = (struct text){0};
    return p->wish->hold_out ? lists_divide(p, survey, s, m) : lists_finish(p, survey, s, m);
}
