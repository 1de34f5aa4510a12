/* raw.c: which files are whose, and their bytes. */
#include "data/raw.h"
#include "data/raw_files.h"
#include "base/memory.h"
#include <string.h>
#include <zlib.h>

/* ---- names ---- */

static const struct {
    const char *base;
    enum raw_form form;
    enum raw_part part;
    int split;
} whole_names[] = {
    {"train.bin", RAW_CIFAR_100, RAW_IMAGES, SPLIT_TRAIN},
    {"test.bin", RAW_CIFAR_100, RAW_IMAGES, SPLIT_TEST},
    {"fine_label_names.txt", RAW_CIFAR_100, RAW_NAMES, 0},
    {"coarse_label_names.txt", RAW_CIFAR_100, RAW_COARSE_NAMES, 0},
    {"train_X.bin", RAW_STL_10, RAW_IMAGES, SPLIT_TRAIN},
    {"train_y.bin", RAW_STL_10, RAW_LABELS, SPLIT_TRAIN},
    {"test_X.bin", RAW_STL_10, RAW_IMAGES, SPLIT_TEST},
    {"test_y.bin", RAW_STL_10, RAW_LABELS, SPLIT_TEST},
    {"class_names.txt", RAW_STL_10, RAW_NAMES, 0},
};

static int ends_in(const char *text, size_t length, const char *end)
{
    size_t want = strlen(end);
    return length >= want && strncmp(text + length - want, end, want) == 0;
}

/* [NAME-]SPLIT-images-idx3-ubyte and its like, of `length` bytes. */
static int idx_parse(const char *base, size_t length, size_t folder, struct raw_name *out)
{
    static const char *const parts[2][2] = {{"-images-idx3-ubyte", "-images.idx3-ubyte"},
                                            {"-labels-idx1-ubyte", "-labels.idx1-ubyte"}};
    static const struct {
        const char *word;
        int split;
    } splits[] = {{"train", SPLIT_TRAIN}, {"test", SPLIT_TEST}, {"t10k", SPLIT_TEST}};
    for (int part = 0; part < 2; part++)
        for (int spelling = 0; spelling < 2; spelling++) {
            if (!ends_in(base, length, parts[part][spelling]))
                continue;
            size_t left = length - strlen(parts[part][spelling]);
            for (size_t i = 0; i < sizeof splits / sizeof splits[0]; i++) {
                size_t name = strlen(splits[i].word);
                if (!ends_in(base, left, splits[i].word) || (left > name && base[left - name - 1] != '-'))
                    continue;
                out->form = RAW_IDX;
                out->part = part ? RAW_LABELS : RAW_IMAGES;
                out->split = splits[i].split;
                out->set = folder + left - name;
                return 1;
            }
        }
    return 0;
}

int raw_name_parse(const char *path, struct raw_name *out)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    size_t folder = (size_t)(base - path), length = strlen(base);
    *out = (struct raw_name){.is_gzip = ends_in(base, length, ".gz")};
    for (size_t i = 0; i < sizeof whole_names / sizeof whole_names[0]; i++)
        if (strcmp(base, whole_names[i].base) == 0) {
            out->form = whole_names[i].form;
            out->part = whole_names[i].part;
            out->split = whole_names[i].split;
            out->set = folder;
            return 1;
        }
    return idx_parse(base, out->is_gzip ? length - 3 : length, folder, out);
}

/* ---- bytes ---- */

struct raw_files *raw_files_new(struct message *m)
{
    return memory_new(1, sizeof(struct raw_files), m);
}

void raw_files_free(struct raw_files *r)
{
    if (!r)
        return;
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int part = 0; part < RAW_PARTS; part++)
            text_free(&r->parts[split][part]);
    memory_free(r->set);
    memory_free(r);
}

int raw_files_any(const struct raw_files *r)
{
    return r->status < 0 || r->parts[SPLIT_TRAIN][RAW_IMAGES].length + r->parts[SPLIT_TEST][RAW_IMAGES].length > 0;
}

/* All that gzip packed, checked against the sum at its end. */
static int unpack(struct text *out, const void *bytes, size_t count, struct message *m)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes, .avail_in = (uInt)count};
    unsigned char block[1 << 16];
    int code = inflateInit2(&z, 16 + MAX_WBITS), status = 0;
    if (code != Z_OK)
        return message_set(m, STATUS_NOMEM, "memory exhausted in the gzip decoder");
    while (code == Z_OK && status >= 0) {
        z.next_out = block;
        z.avail_out = sizeof block;
        code = inflate(&z, Z_NO_FLUSH);
        status = text_add_bytes(out, (const char *)block, sizeof block - z.avail_out, m);
        if (status >= 0 && (int64_t)out->length > RAW_MAX_BYTES)
            status = message_set(m, STATUS_FORMAT, "unpacks to more than %lld bytes", (long long)RAW_MAX_BYTES);
    }
    inflateEnd(&z);
    TRY(status);
    if (code == Z_STREAM_END)
        return 0;
    return message_set(m, code == Z_BUF_ERROR ? STATUS_TRUNCATED : STATUS_FORMAT, "gzip: %s",
                       code == Z_BUF_ERROR ? "ends early"
                       : z.msg             ? z.msg
                                           : "damaged");
}

static int set_check(struct raw_files *r, const char *path, const struct raw_name *name, struct message *m)
{
    if (!r->set) {
        r->form = name->form;
        r->set = memory_printf(m, "%.*s", (int)name->set, path);
        return r->set ? 0 : STATUS_NOMEM;
    }
    if (r->form == name->form && strlen(r->set) == name->set && strncmp(r->set, path, name->set) == 0)
        return 0;
    return message_set(m, STATUS_FORMAT, "%s: of another set than '%s': name one", path, r->set);
}

static int file_take(struct raw_files *r, const char *path, const struct raw_name *name, const void *bytes,
                     size_t count, struct message *m)
{
    struct text *to = &r->parts[name->split][name->part];
    TRY(set_check(r, path, name, m));
    if (to->length > 0)
        return message_set(m, STATUS_FORMAT, "%s: duplicate member", path);
    int status = name->is_gzip ? unpack(to, bytes, count, m) : text_add_bytes(to, bytes, count, m);
    if (status >= 0 && to->length == 0)
        status = message_set(m, STATUS_TRUNCATED, "empty input");
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}

int raw_files_add(struct raw_files *r, const char *path, const struct raw_name *name, const void *bytes,
                  size_t count, struct message *m)
{
    struct message reason = {{0}};
    int status = r->status < 0 ? 0 : file_take(r, path, name, bytes, count, &reason);
    if (status == STATUS_NOMEM)
        return message_set(m, status, "%s", reason.text);
    if (status < 0) {
        r->status = status;
        r->reason = reason;
    }
    return 0;
}
