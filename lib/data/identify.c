/* identify.c: what a set of files is: its classes, its digest, its name. */
#include "data/files.h"
#include "data/batch.h"
#include "data/unread.h"
#include "base/memory.h"
#include "base/text.h"
#include "base/utf8.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { NOTED_CLASSES = 256 /* of .bin files, whose labels are bytes */ };
enum { OFFICIAL_CLASSES = 10, OFFICIAL_TRAIN_FILES = 5, OFFICIAL_TEST_FILES = 1 };

static const char *const official_classes[OFFICIAL_CLASSES] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                               "dog",      "frog",       "horse", "ship", "truck"};

/* Of the embedded archive, pipelines/data/cifar10-jpeg-q75.tar.xz, and of the SHA256SUMS of its six files beside
 * it. */
static const char jpeg_archive_digest[] = "e2b839ef3018ab4b8af6149f4b439ce52cd5094b93c7f55ac9c5af054e6abd50";
static const char jpeg_digest[] = "sha256:375bb0d1c2d1dfe1705322c0cd3cef373d45706ba1d265a5071b9b8870369da7";

static const struct {
    const char *name, *digest;
} known_archives[] = {
    {"cifar10-jpeg-q75.tar.xz", jpeg_archive_digest},
    {"cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
};

void archive_explain(const char *path, struct message *m)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char hex[DIGEST_HEX], reason[MESSAGE_SIZE];
    for (size_t i = 0; i < sizeof known_archives / sizeof known_archives[0]; i++) {
        if (strcmp(base, known_archives[i].name) != 0 || digest_file(path, hex, NULL) < 0 ||
            strcmp(hex, known_archives[i].digest) == 0)
            continue;
        snprintf(reason, sizeof reason, "%s", m->text);
        message_set(m, STATUS_FORMAT, "%s (the file's sha256 is %s, want %s)", reason, hex,
                    known_archives[i].digest);
    }
}

/* ---- dataset.tsv ---- */

/* The value of `key` in a text of KEY<TAB>VALUE lines: *length bytes, or NULL. */
static const char *note_value(const char *text, const char *key, size_t *length)
{
    size_t key_length = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
        if (strncmp(line, key, key_length) == 0 && line[key_length] == '\t') {
            *length = strcspn(line + key_length + 1, "\r\n");
            return line + key_length + 1;
        }
    return NULL;
}

int note_copy(const char *text, const char *key, char *out, size_t size)
{
    size_t length;
    const char *value = text ? note_value(text, key, &length) : NULL;
    if (!value || length == 0 || length >= size)
        return 0;
    memcpy(out, value, length);
    out[length] = '\0';
    return 1;
}

int note_dup(const char *text, const char *key, char **out, struct message *m)
{
    size_t length;
    const char *value = note_value(text, key, &length);
    if (!value)
        return 0;
    *out = memory_printf(m, "%.*s", (int)length, value);
    return *out ? 0 : STATUS_NOMEM;
}

char *dataset_note(const struct image_files *s, struct message *m)
{
    char *json = classes_to_json(s->classes, s->class_count, m);
    char shape[IMAGE_SHAPE_SIZE];
    int is_cifar = image_shape_is(s->shape, IMAGE_CIFAR);
    image_shape_print(s->shape, shape);
    char *note = json ? memory_printf(m,
                                      "key\tvalue\nname\t%s\ndigest\t%s\nclasses\t%s\n"
                                      "train\t%lld\ntest\t%lld\n%s%s%s",
                                      s->name, s->digest, json, (long long)files_records(s, SPLIT_TRAIN),
                                      (long long)files_records(s, SPLIT_TEST), is_cifar ? "" : "image\t",
                                      is_cifar ? "" : shape, is_cifar ? "" : "\n")
                      : NULL;
    memory_free(json);
    return note;
}

/* ---- classes ---- */

static int class_add(struct image_files *s, const char *name, size_t length, struct message *m)
{
    if (s->class_count == NOTED_CLASSES)
        return message_set(m, STATUS_RANGE, "more than %d classes", NOTED_CLASSES);
    char *copy = memory_printf(m, "%.*s", (int)length, name);
    if (!copy)
        return STATUS_NOMEM;
    s->classes[s->class_count++] = copy;
    return text_is_utf8(copy) ? 0 : message_set(m, STATUS_FORMAT, "class '%s' is not UTF-8", copy);
}

static int classes_from_lines(struct image_files *s, const char *text, struct message *m)
{
    while (*text) {
        size_t length = strcspn(text, "\r\n");
        if (length > 0)
            TRY(class_add(s, text, length, m));
        text += length;
        text += strspn(text, "\r\n");
    }
    return s->class_count > 0 ? 0 : message_set(m, STATUS_FORMAT, "names no class");
}

static int classes_from_note(struct image_files *s, const char *note, struct message *m)
{
    size_t length;
    const char *value = note_value(note, "classes", &length);
    if (!value)
        return message_set(m, STATUS_FORMAT, "no line 'classes'");
    char *json = memory_printf(m, "%.*s", (int)length, value);
    if (!json)
        return STATUS_NOMEM;
    int status = classes_from_json(json, &s->classes, &s->class_count, m);
    memory_free(json);
    return status;
}

static int classes_official(const struct image_files *s)
{
    if (s->class_count != OFFICIAL_CLASSES)
        return 0;
    for (int i = 0; i < OFFICIAL_CLASSES; i++)
        if (strcmp(s->classes[i], official_classes[i]) != 0)
            return 0;
    return 1;
}

int files_classes(struct image_files *s, struct message *m)
{
    if (s->classes)
        return 0;
    int status = 0;
    if (s->notes[NOTE_DATASET]) {
        status = classes_from_note(s, s->notes[NOTE_DATASET], m);
        return status < 0 ? message_prefix(m, status, "%s", note_names[NOTE_DATASET]) : 0;
    }
    s->classes = memory_new(NOTED_CLASSES, sizeof *s->classes, m);
    if (!s->classes)
        return STATUS_NOMEM;
    if (s->notes[NOTE_CLASSES]) {
        status = classes_from_lines(s, s->notes[NOTE_CLASSES], m);
        return status < 0 ? message_prefix(m, status, "%s", note_names[NOTE_CLASSES]) : 0;
    }
    for (int i = 0; i < OFFICIAL_CLASSES && status >= 0; i++)
        status = class_add(s, official_classes[i], strlen(official_classes[i]), m);
    return status;
}

/* "u8[64,64,3]" */
static int shape_parse(const char *text, struct image_shape *s, struct message *m)
{
    struct image_shape shape;
    char canonical[IMAGE_SHAPE_SIZE];
    if (sscanf(text, "u8[%4d,%4d,%4d]", &shape.height, &shape.width, &shape.channels) == 3) {
        image_shape_print(shape, canonical);
        if (strcmp(text, canonical) == 0) {
            *s = shape;
            return image_shape_check(shape, m);
        }
    }
    return message_set(m, STATUS_FORMAT, "image: '%s', want u8[H,W,C]", text);
}

static int note_shape(struct image_files *s, struct message *m)
{
    char text[IMAGE_SHAPE_SIZE];
    if (!s->notes[NOTE_DATASET])
        return 0;
    TRY(files_classes(s, m));
    s->label_bytes = files_label_bytes(s->class_count);
    if (!note_copy(s->notes[NOTE_DATASET], "image", text, sizeof text))
        return 0;
    int status = shape_parse(text, &s->shape, m);
    return status < 0 ? message_prefix(m, status, "%s", note_names[NOTE_DATASET]) : 0;
}

static int file_whole(const struct image_files *s, const struct bin_file *f, struct message *m)
{
    size_t record = files_record_bytes(s), whole = f->size / record;
    if (f->size % record == 0)
        return 0;
    const char *foreign = unread_content(f->bytes, f->size);
    if (foreign)
        return message_set(m, STATUS_FORMAT, "%s", foreign);
    return message_set(m, STATUS_TRUNCATED, "%zu bytes is not a multiple of %zu: record %zu at offset %zu is cut",
                       f->size, record, whole, whole * record);
}

int files_whole(struct image_files *s, struct message *m)
{
    TRY(note_shape(s, m));
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++) {
            char name[32];
            int status = file_whole(s, &s->files[split][i], m);
            file_name(split, i, name);
            if (status < 0)
                return s->single ? status : message_prefix(m, status, "%s", name);
        }
    return 0;
}

/* ---- labels and digest ---- */

static int label_refuse(const struct image_files *s, int split, int64_t record, int label, struct message *m)
{
    char name[32];
    int i = 0;
    const size_t bytes = files_record_bytes(s);
    for (; record >= (int64_t)(s->files[split][i].size / bytes); i++)
        record -= (int64_t)(s->files[split][i].size / bytes);
    file_name(split, i, name);
    return message_set(m, STATUS_FORMAT, "%s%srecord %lld at offset %lld: label %d, want 0..%d",
                       s->single ? "" : name, s->single ? "" : ": ", (long long)record,
                       (long long)record * (long long)bytes, label, s->class_count - 1);
}

/* counts[K] gets how many records of the split each class has. */
static int labels_check(const struct image_files *s, int split, int64_t *counts, struct message *m)
{
    int64_t records = files_records(s, split);
    uint16_t *labels = memory_new_raw((size_t)records, sizeof *labels, m);
    int status = labels ? 0 : STATUS_NOMEM;
    if (labels)
        files_labels(s, split, labels);
    for (int64_t i = 0; i < records && status >= 0; i++) {
        if (labels[i] < s->class_count)
            counts[labels[i]]++;
        else
            status = label_refuse(s, split, i, labels[i], m);
    }
    memory_free(labels);
    return status;
}

static int layout_official(const struct image_files *s)
{
    if (!image_shape_is(s->shape, IMAGE_CIFAR) || s->class_count != OFFICIAL_CLASSES ||
        s->count[SPLIT_TRAIN] != OFFICIAL_TRAIN_FILES || s->count[SPLIT_TEST] != OFFICIAL_TEST_FILES)
        return 0;
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++)
            if (s->files[split][i].size != FILE_BYTES)
                return 0;
    return 1;
}

/* Of the lines that sha256sum prints for the six official files. */
static int digest_official(struct image_files *s, struct message *m)
{
    struct text lines = {0};
    int status = 0;
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split] && status >= 0; i++) {
            struct bin_file *f = &s->files[split][i];
            char name[32];
            file_name(split, i, name);
            digest_bytes(f->bytes, f->size, f->digest);
            status = text_add(&lines, m, "%s  %s\n", f->digest, name);
        }
    if (status >= 0) {
        char hex[DIGEST_HEX];
        digest_bytes(lines.data, lines.length, hex);
        snprintf(s->digest, sizeof s->digest, "sha256:%s", hex);
    }
    text_free(&lines);
    return status;
}

static int digest_records(struct image_files *s, struct message *m)
{
    struct digest *d = digest_new(m);
    if (!d)
        return STATUS_NOMEM;
    if (!image_shape_is(s->shape, IMAGE_CIFAR) || s->label_bytes > 1) { /* the same bytes may be other pictures */
        char shape[IMAGE_SHAPE_SIZE], line[IMAGE_SHAPE_SIZE + 16];
        image_shape_print(s->shape, shape);
        digest_add(d, line, (size_t)snprintf(line, sizeof line, "%s %d\n", shape, s->label_bytes));
    }
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++)
            digest_add(d, s->files[split][i].bytes, s->files[split][i].size);
    char hex[DIGEST_HEX];
    digest_finish(d, hex);
    snprintf(s->digest, sizeof s->digest, "sha256:%s", hex);
    return 0;
}

/* ---- name ---- */

static void name_from_path(struct image_files *s, const char *path)
{
    static const char *const suffixes[] = {".gz",  ".xz",  ".bz2",  ".tar", ".tgz",
                                           ".txz", ".tbz", ".tbz2", ".zip", ".bin"};
    char whole[PATH_MAX]; /* "." and ".." have names too */
    const char *resolved = realpath(path, whole) ? whole : path, *slash = strrchr(resolved, '/');
    snprintf(s->name, sizeof s->name, "%.*s", (int)sizeof s->name - 1, slash && slash[1] ? slash + 1 : resolved);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        size_t length = strlen(s->name), cut = strlen(suffixes[i]);
        if (length > cut && strcasecmp(s->name + length - cut, suffixes[i]) == 0) {
            s->name[length - cut] = '\0';
            i = (size_t)-1; /* ".tar.gz": start over */
        }
    }
    int valid = text_is_utf8(s->name); /* which metadata must be */
    for (char *c = s->name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || (!valid && (unsigned char)*c > 0x7f))
            *c = '?';
}

/* 1 where the files are laid out like CIFAR-10 itself: names, sizes, and the same count of every class. */
static int looks_official(const struct image_files *s, int64_t *const counts[SPLIT_COUNT])
{
    if (!layout_official(s) || !classes_official(s))
        return 0;
    for (int k = 0; k < OFFICIAL_CLASSES; k++)
        if (counts[SPLIT_TRAIN][k] != OFFICIAL_TRAIN_FILES * FILE_RECORDS / OFFICIAL_CLASSES ||
            counts[SPLIT_TEST][k] != OFFICIAL_TEST_FILES * FILE_RECORDS / OFFICIAL_CLASSES)
            return 0;
    return 1;
}

static int files_name(struct image_files *s, const char *path, int official, struct message *m)
{
    char hex[DIGEST_HEX];
    if (note_copy(s->notes[NOTE_DATASET], "name", s->name, sizeof s->name))
        return 0;
    name_from_path(s, path);
    if (!official)
        return 0;
    if (strcmp(s->digest, jpeg_digest) == 0) {
        snprintf(s->name, sizeof s->name, NAME_JPEG);
        return 0;
    }
    if (!s->from_pictures) {
        snprintf(s->name, sizeof s->name, NAME_OFFICIAL);
        return 0;
    }
    int status = s->source[0] ? (memcpy(hex, s->source, sizeof hex), 0)
                              : digest_file(path, hex, NULL); /* a folder has none */
    if (status == STATUS_NOMEM)
        return message_set(m, status, "memory exhausted");
    if (status >= 0 && strcmp(hex, jpeg_archive_digest) == 0)
        snprintf(s->name, sizeof s->name, NAME_JPEG);
    return 0;
}

/* A copy's digest is that of the records that it was made from. */
static int files_digest(struct image_files *s, struct message *m)
{
    if (s->copy)
        return note_copy(s->notes[NOTE_DATASET], "digest", s->digest, sizeof s->digest)
                   ? 0
                   : message_set(m, STATUS_FORMAT, "decoded copy without a digest");
    return layout_official(s) ? digest_official(s, m) : digest_records(s, m);
}

int files_verify(struct image_files *s, const char *path, struct message *m)
{
    char noted[sizeof s->digest];
    if (!note_copy(s->notes[NOTE_DATASET], "digest", noted, sizeof noted))
        return 0;
    TRY(files_digest(s, m));
    if (strcmp(noted, s->digest) == 0)
        return 0;
    return message_set(m, STATUS_MISMATCH, "%s: digest of the files is %s, %s says %s", path, s->digest,
                       note_names[NOTE_DATASET], noted);
}

/* Classes that are folders alone. */
static int classes_empty(const struct image_files *s, int64_t *const counts[SPLIT_COUNT], struct text *out,
                         struct message *m)
{
    int empty = 0, first = 0;
    for (int k = s->class_count - 1; k >= 0 && s->from_pictures; k--)
        if (counts[SPLIT_TRAIN][k] + counts[SPLIT_TEST][k] == 0) {
            empty++;
            first = k;
        }
    if (empty == 0)
        return 0;
    if (empty == 1)
        return text_add(out, m, "class '%s' has no pictures", s->classes[first]);
    return text_add(out, m, "%d classes have no pictures (such as '%s')", empty, s->classes[first]);
}

/* What a person is to know, in one line. */
static int warning_make(const struct image_files *s, const char *path, int64_t *const counts[SPLIT_COUNT],
                        struct message *warning, struct message *m)
{
    struct text t = {0};
    int status = classes_empty(s, counts, &t, m);
    if (status >= 0 && s->report)
        status = text_add(&t, m, "%s%s", t.length ? "; " : "", s->report);
    if (status >= 0 && strcmp(s->name, NAME_JPEG) == 0 && image_shape_is(s->shape, IMAGE_CIFAR) &&
        strcmp(s->digest, jpeg_digest) != 0)
        status = text_add(&t, m, "%sdigest of the decoded pictures is %s, want %s: this libjpeg decodes otherwise",
                          t.length ? "; " : "", s->digest, jpeg_digest);
    if (warning)
        warning->text[0] = '\0';
    if (status >= 0 && t.length > 0)
        message_set(warning, 0, "%s: %s", path, t.data);
    text_free(&t);
    return status;
}

static int identify(struct image_files *s, const char *path, int64_t *const counts[SPLIT_COUNT],
                    struct message *warning, struct message *m)
{
    for (int split = 0; split < SPLIT_COUNT; split++) {
        int status = labels_check(s, split, counts[split], m);
        if (status < 0)
            return message_prefix(m, status, "%s", path);
    }
    if (!s->digest[0])
        TRY(files_digest(s, m));
    TRY(files_name(s, path, looks_official(s, counts), m));
    return warning_make(s, path, counts, warning, m);
}

int files_identify(struct image_files *s, const char *path, struct message *warning, struct message *m)
{
    const size_t classes = (size_t)s->class_count;
    int64_t *all = memory_new(SPLIT_COUNT * classes, sizeof *all, m);
    if (!all)
        return STATUS_NOMEM;
    int64_t *const counts[SPLIT_COUNT] = {all, all + classes};
    int status = identify(s, path, counts, warning, m);
    memory_free(all);
    return status;
}
