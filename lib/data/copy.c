#include "data/copy.h"
#include "data/batch.h"
#include "data/picture.h"
#include "base/memory.h"
#include "base/text.h"
#include "record/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEX = DIGEST_HEX - 1, TEXT_MAX_BYTES = 1 << 24, MAX_RECORDS = SPLIT_COUNT * SPLIT_MAX_FILES * FILE_RECORDS };

static const char magic[32] = "resq decoded images 3\n";

struct copy_head {
    char magic[sizeof magic], digest[72];
    uint64_t text, records, blocks, sample, height, width, channels, label; /* the index begins here */
};
enum { INDEX_AT = sizeof magic + 72 };

struct image_copy {
    char path[PATH_MAX];
    int fd;
    int64_t records_at; /* offset in the file */
    struct copy_head head;
    uint8_t *index; /* from `text` on */
    uint8_t *done;  /* [blocks] */
};

static const char *index_text(const struct image_copy *c)
{
    return (const char *)c->index + sizeof c->head - INDEX_AT;
}

static const uint8_t *index_labels(const struct image_copy *c)
{
    return (const uint8_t *)index_text(c) + c->head.text;
}

static const char *index_digests(const struct image_copy *c)
{
    return (const char *)index_labels(c) + c->head.records * c->head.label;
}

static const char *index_sample(const struct image_copy *c)
{
    return index_digests(c) + c->head.blocks * HEX;
}

static size_t index_bytes(const struct copy_head *h)
{
    return sizeof *h - INDEX_AT + h->text + h->records * h->label + h->blocks * HEX + h->sample;
}

static struct image_shape head_shape(const struct copy_head *h)
{
    return (struct image_shape){(int)h->height, (int)h->width, (int)h->channels};
}

static uint64_t record_bytes(const struct copy_head *h)
{
    return h->label + image_shape_bytes(head_shape(h));
}

/* "SOURCE-2", and "-HxWxC-FIT-FILTER-COARSE-HOLD_OUT" where anything is asked for. */
static int copy_path(char out[PATH_MAX], const char *cache, const struct image_files *s)
{
    static const struct dataset_wish none;
    const struct dataset_wish *w = &s->wish;
    const struct image_wish *i = &w->image;
    int n = snprintf(out, PATH_MAX, "%s/%s-%d", cache, s->source, COPY_FORMAT);
    if (memcmp(w, &none, sizeof none) != 0 && n > 0 && n < PATH_MAX)
        n += snprintf(out + n, (size_t)(PATH_MAX - n), "-%dx%dx%d-%d-%d-%d-%d", i->height, i->width, i->channels,
                      (int)i->fit, (int)i->filter, w->coarse, w->hold_out);
    return n > 0 && n < PATH_MAX;
}

/* ---- reading ---- */

void copy_close(struct image_copy *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    memory_free(c->index);
    memory_free(c->done);
    memory_free(c);
}

static int read_at(int fd, void *bytes, size_t count, int64_t offset)
{
    return lseek(fd, offset, SEEK_SET) == offset && fd_read_full(fd, bytes, count) == (long)count;
}

static int head_check(const struct copy_head *h, int64_t size)
{
    if (memcmp(h->magic, magic, sizeof magic) != 0 || h->text < 1 || h->text > TEXT_MAX_BYTES || h->records < 1 ||
        h->records > MAX_RECORDS || h->blocks < 1 || h->blocks > h->records || h->sample > PICTURE_MAX_BYTES ||
        h->label < 1 || h->label > 2 || h->height > IMAGE_MOST_SIDE || h->width > IMAGE_MOST_SIDE ||
        h->channels > 3 || image_shape_check(head_shape(h), NULL) < 0)
        return 0;
    return size == INDEX_AT + (int64_t)(index_bytes(h) + h->records * record_bytes(h));
}

static int index_read(struct image_copy *c, struct message *m)
{
    struct stat st;
    char hex[DIGEST_HEX];
    const char *path = c->path;
    c->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (c->fd < 0)
        return message_errno(m, "%s: cannot open", path);
    if (fstat(c->fd, &st) < 0 || !S_ISREG(st.st_mode) || !read_at(c->fd, &c->head, sizeof c->head, 0) ||
        !head_check(&c->head, st.st_size))
        return message_set(m, STATUS_FORMAT, "%s: damaged", path);
    size_t bytes = index_bytes(&c->head);
    c->records_at = INDEX_AT + (int64_t)bytes;
    c->index = memory_new_raw(bytes, 1, m);
    c->done = memory_new(c->head.blocks, 1, m);
    if (!c->index || !c->done)
        return STATUS_NOMEM;
    if (!read_at(c->fd, c->index, bytes, INDEX_AT))
        return message_set(m, STATUS_FORMAT, "%s: damaged", path);
    digest_bytes(c->index, bytes, hex);
    if (memcmp(hex, c->head.digest, sizeof hex) != 0 || index_text(c)[c->head.text - 1] != '\0')
        return message_set(m, STATUS_FORMAT, "%s: damaged", path);
    return 0;
}

/* "40 40 20": the records of each file. */
static int sizes_read(struct image_files *s, int split, const char *text, struct message *m)
{
    while (*text) {
        char word[16];
        int64_t records;
        size_t length = strcspn(text, " ");
        if (length >= sizeof word || s->count[split] == SPLIT_MAX_FILES)
            return message_set(m, STATUS_FORMAT, "sizes cannot be read");
        memcpy(word, text, length);
        word[length] = '\0';
        TRY(parse_integer(word, 1, FILE_RECORDS, "size", &records, m));
        s->files[split][s->count[split]++].size = (size_t)records * files_record_bytes(s);
        text += length;
        text += *text == ' ';
    }
    return 0;
}

/* Records of a block. */
static size_t block_records(const struct image_files *s)
{
    size_t most = COPY_BLOCK * CIFAR_RECORD_BYTES / files_record_bytes(s);
    return most > COPY_BLOCK ? COPY_BLOCK : most > 0 ? most : 1;
}

static int64_t file_blocks(const struct image_files *s, size_t size)
{
    return (int64_t)((size / files_record_bytes(s) + block_records(s) - 1) / block_records(s));
}

static int64_t blocks_count(const struct image_files *s)
{
    int64_t blocks = 0;
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++)
            blocks += file_blocks(s, s->files[split][i].size);
    return blocks;
}

/* A picture that this machine's decoder makes into other pixels than the copy's did is no error: the copy is old.
 */
static int sample_check(const struct image_copy *c, const char *want, struct message *m)
{
    struct decoded d;
    char hex[DIGEST_HEX];
    if (c->head.sample == 0)
        return 0;
    TRY(picture_decode(index_sample(c), c->head.sample, &d, m));
    digest_bytes(d.pixels, image_shape_bytes(d.shape), hex);
    decoded_free(&d);
    return strcmp(hex, want) == 0 ? 0 : message_set(m, STATUS_MISMATCH, "made by another JPEG decoder");
}

static int index_take(struct image_files *s, const struct image_copy *c, struct message *m)
{
    const char *text = index_text(c);
    char sizes[SPLIT_COUNT][SPLIT_MAX_FILES * 6 + 1], pictures[2], sample[DIGEST_HEX] = "";
    s->shape = head_shape(&c->head);
    s->label_bytes = (int)c->head.label;
    for (int split = 0; split < SPLIT_COUNT; split++)
        if (note_copy(text, split_names[split], sizes[split], sizeof sizes[split]))
            TRY(sizes_read(s, split, sizes[split], m));
    if (files_records(s, SPLIT_TRAIN) + files_records(s, SPLIT_TEST) != (int64_t)c->head.records ||
        blocks_count(s) != (int64_t)c->head.blocks || !note_copy(text, "pictures", pictures, sizeof pictures))
        return message_set(m, STATUS_FORMAT, "sizes disagree");
    s->from_pictures = pictures[0] == '1';
    note_copy(text, "sample", sample, sizeof sample);
    TRY(sample_check(c, sample, m));
    TRY(note_dup(text, "report", &s->report, m));
    TRY(note_dup(text, "found", &s->found, m));
    s->notes[NOTE_DATASET] = memory_strdup(text, m);
    return s->notes[NOTE_DATASET] ? 0 : STATUS_NOMEM;
}

int copy_open(struct image_files *s, const char *cache, struct message *said)
{
    char source[DIGEST_HEX];
    struct message m = {{0}};
    struct image_copy *c = memory_new(1, sizeof *c, &m);
    if (!c)
        return 0;
    c->fd = -1;
    int status = copy_path(c->path, cache, s) ? index_read(c, &m) : STATUS_RANGE;
    if (status >= 0) {
        status = index_take(s, c, &m);
        if (status < 0)
            message_prefix(&m, status, "%s", c->path);
    }
    if (status < 0) {
        copy_close(c);
        memcpy(source, s->source, sizeof source);
        files_clear(s);
        memcpy(s->source, source, sizeof source);
        message_set(said, 0, "no decoded copy: %s", m.text);
        return 0;
    }
    (void)futimens(c->fd, NULL); /* in use: the last to make room */
    s->copy = c;
    s->labels = index_labels(c);
    message_set(said, 0, "decoded copy: %s", c->path);
    return 1;
}

/* ---- records ---- */

/* Block `block` of a file, number `number` among all, whose first record stands `records_before` in the copy. */
static int block_read(const struct image_files *s, struct bin_file *f, int64_t block, int64_t number,
                      int64_t records_before, struct message *m)
{
    char hex[DIGEST_HEX];
    struct image_copy *c = s->copy;
    size_t bytes = block_records(s) * files_record_bytes(s), offset = (size_t)block * bytes;
    if (c->done[number])
        return 0;
    if (bytes > f->size - offset)
        bytes = f->size - offset;
    if (!read_at(c->fd, f->bytes + offset, bytes,
                 c->records_at + records_before * (int64_t)files_record_bytes(s) + (int64_t)offset))
        return message_set(m, STATUS_FORMAT, "decoded copy ends early");
    digest_bytes(f->bytes + offset, bytes, hex);
    if (memcmp(hex, index_digests(c) + number * HEX, HEX) != 0)
        return message_set(m, STATUS_FORMAT, "decoded copy is damaged");
    c->done[number] = 1;
    return 0;
}

/* Records from..to - 1 of a file. */
static int file_fetch(const struct image_files *s, struct bin_file *f, int64_t from, int64_t to, int64_t number,
                      int64_t records_before, struct message *m)
{
    if (!f->bytes && !(f->bytes = memory_new_raw(f->size, 1, m)))
        return STATUS_NOMEM;
    const int64_t block = (int64_t)block_records(s);
    for (int64_t b = from / block; b * block < to; b++)
        TRY(block_read(s, f, b, number + b, records_before, m));
    return 0;
}

static int split_fetch(struct image_files *s, int split, int64_t first, int64_t count, struct message *m)
{
    int64_t number = 0, before = 0, at = 0; /* blocks, records, and the split's records before the file */
    for (int of = SPLIT_TRAIN; of <= split; of++)
        for (int i = 0; i < s->count[of]; i++) {
            struct bin_file *f = &s->files[of][i];
            int64_t records = (int64_t)(f->size / files_record_bytes(s));
            int64_t from = first > at ? first - at : 0,
                    to = first + count - at < records ? first + count - at : records;
            if (of == split && from < to)
                TRY(file_fetch(s, f, from, to, number, before, m));
            number += file_blocks(s, f->size);
            before += records;
            at += of == split ? records : 0;
        }
    return 0;
}

int copy_fetch(struct image_files *s, int split, int64_t first, int64_t count, struct message *m)
{
    int status = split_fetch(s, split, first, count, m);
    if (status == STATUS_FORMAT)
        unlink(s->copy->path); /* the next run makes another */
    return status;
}

/* ---- writing ---- */

static int text_make(const struct image_files *s, struct text *t, struct message *m)
{
    char *json = classes_to_json(s->classes, s->class_count, m), name[sizeof s->name];
    int status = json ? text_add(t, m, "key\tvalue\ndigest\t%s\nclasses\t%s\npictures\t%d\n", s->digest, json,
                                 s->from_pictures)
                      : STATUS_NOMEM;
    memory_free(json);
    if (status >= 0 && note_copy(s->notes[NOTE_DATASET], "name", name, sizeof name))
        status = text_add(t, m, "name\t%s\n", name);
    if (status >= 0 && s->report)
        status = text_add(t, m, "report\t%s\n", s->report);
    if (status >= 0 && s->found)
        status = text_add(t, m, "found\t%s\n", s->found);
    if (status >= 0 && s->sample.length > 0)
        status = text_add(t, m, "sample\t%s\n", s->sample_digest);
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split] && status >= 0; i++)
            status =
                text_add(t, m, "%s%s%zu%s", i == 0 ? split_names[split] : "", i == 0 ? "\t" : " ",
                         s->files[split][i].size / files_record_bytes(s), i == s->count[split] - 1 ? "\n" : "");
    return status >= 0 ? text_add_bytes(t, "", 1, m) : status;
}

static int labels_add(const struct image_files *s, struct text *index, struct message *m)
{
    for (int split = 0; split < SPLIT_COUNT; split++) {
        const size_t count = (size_t)files_records(s, split), bytes = (size_t)s->label_bytes;
        uint16_t *labels = memory_new_raw(count, sizeof *labels, m);
        if (!labels)
            return STATUS_NOMEM;
        files_labels(s, split, labels);
        int status = 0;
        for (size_t i = 0; i < count && status >= 0; i++) {
            uint8_t label[2];
            files_label_put(s, label, labels[i]);
            status = text_add_bytes(index, label, bytes, m);
        }
        memory_free(labels);
        TRY(status);
    }
    return 0;
}

static int digests_add(const struct image_files *s, struct text *index, struct message *m)
{
    char hex[DIGEST_HEX];
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++) {
            const struct bin_file *f = &s->files[split][i];
            const size_t block = block_records(s) * files_record_bytes(s);
            for (size_t at = 0; at < f->size; at += block) {
                size_t left = f->size - at;
                digest_bytes(f->bytes + at, left < block ? left : block, hex);
                TRY(text_add_bytes(index, hex, HEX, m));
            }
        }
    return 0;
}

static int index_make(const struct image_files *s, struct text *index, struct message *m)
{
    struct text note = {0};
    struct copy_head h = {.records = (uint64_t)(files_records(s, SPLIT_TRAIN) + files_records(s, SPLIT_TEST)),
                          .blocks = (uint64_t)blocks_count(s),
                          .sample = s->sample.length,
                          .height = (uint64_t)s->shape.height,
                          .width = (uint64_t)s->shape.width,
                          .channels = (uint64_t)s->shape.channels,
                          .label = (uint64_t)s->label_bytes};
    int status = text_make(s, &note, m);
    h.text = note.length;
    if (status >= 0)
        status = text_add_bytes(index, &h.text, sizeof h - INDEX_AT, m);
    if (status >= 0)
        status = text_add_bytes(index, note.data, note.length, m);
    text_free(&note);
    TRY(status);
    TRY(labels_add(s, index, m));
    TRY(digests_add(s, index, m));
    return text_add_bytes(index, s->sample.data, s->sample.length, m);
}

static int copy_put(const struct image_files *s, const struct text *index, const char *path, struct message *m)
{
    struct atomic_file f;
    char digest[72] = "";
    digest_bytes(index->data, index->length, digest);
    TRY(atomic_open(&f, path, m));
    fwrite(magic, 1, sizeof magic, f.stream); /* the commit knows whether all was written */
    fwrite(digest, 1, sizeof digest, f.stream);
    fwrite(index->data, 1, index->length, f.stream);
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split] && !ferror(f.stream); i++)
            fwrite(s->files[split][i].bytes, 1, s->files[split][i].size, f.stream);
    return atomic_commit(&f, m);
}

static void folders_make(const char *cache)
{
    char part[PATH_MAX];
    snprintf(part, sizeof part, "%s", cache);
    for (char *p = part + 1; *p; p++)
        if (*p == '/') {
            *p = '\0';
            mkdir(part, 0700);
            *p = '/';
        }
    mkdir(part, 0700);
}

/* A copy's name: 64 hex digits, "-", a number. */
static int name_is_copy(const char *name)
{
    return strspn(name, "0123456789abcdef") == HEX && name[HEX] == '-';
}

/* The longest unused copy but `kept`, and how much all take. */
static int64_t copies_total(DIR *folder, const char *kept, char oldest[NAME_MAX + 1])
{
    struct stat st;
    struct timespec first = {0};
    int64_t total = 0;
    oldest[0] = '\0';
    rewinddir(folder);
    for (struct dirent *e; (e = readdir(folder));) {
        if (!name_is_copy(e->d_name) || fstatat(dirfd(folder), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        total += st.st_size;
        int older = st.st_mtim.tv_sec < first.tv_sec ||
                    (st.st_mtim.tv_sec == first.tv_sec && st.st_mtim.tv_nsec < first.tv_nsec);
        if (strcmp(e->d_name, kept) != 0 && (!oldest[0] || older)) {
            snprintf(oldest, NAME_MAX + 1, "%s", e->d_name);
            first = st.st_mtim;
        }
    }
    return total;
}

static void copies_trim(const char *cache, const char *kept)
{
    char oldest[NAME_MAX + 1];
    DIR *folder = opendir(cache);
    if (!folder)
        return;
    while (copies_total(folder, kept, oldest) > COPIES_MAX_BYTES && oldest[0])
        if (unlinkat(dirfd(folder), oldest, 0) < 0)
            break;
    closedir(folder);
}

static int copy_make(const struct image_files *s, const char *cache, const char *path, struct message *m)
{
    struct text index = {0};
    int64_t bytes = (files_records(s, SPLIT_TRAIN) + files_records(s, SPLIT_TEST)) * (int64_t)files_record_bytes(s);
    if (bytes > COPY_MAX_BYTES)
        return message_set(m, STATUS_RANGE, "it would take %lld bytes, more than %lld", (long long)bytes,
                           (long long)COPY_MAX_BYTES);
    folders_make(cache);
    TRY(output_check(path, m)); /* before the digests */
    int status = index_make(s, &index, m);
    if (status >= 0)
        status = copy_put(s, &index, path, m);
    text_free(&index);
    if (status >= 0)
        copies_trim(cache, strrchr(path, '/') + 1);
    return status;
}

void copy_write(const struct image_files *s, const char *cache, struct message *said)
{
    char path[PATH_MAX];
    struct message m = {{0}};
    if (!copy_path(path, cache, s))
        return;
    if (copy_make(s, cache, path, &m) < 0)
        message_set(said, 0, "no decoded copy: %s", m.text);
    else
        message_set(said, 0, "decoded copy made: %s", path);
}
