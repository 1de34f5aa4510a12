#include "onnx/reader.h"
#include "base/memory.h"
#include "base/text.h"
#include "record/foreign.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A block's size stands before it, so that freeing gives the budget back; 16 bytes keep what follows aligned. Blocks
 * are counted as large as they are in memory. */
enum { BEFORE = 16, GRAIN = 64, FREE_BYTES = 32 << 20 };

static size_t block_size(size_t bytes)
{
    return (bytes + BEFORE + GRAIN - 1) / GRAIN * GRAIN;
}

static void *allocate(void *context, size_t bytes)
{
    struct onnx_file *f = context;
    if (bytes > f->budget || block_size(bytes) > f->budget - f->used) {
        f->is_spent = 1;
        return NULL;
    }
    unsigned char *block = memory_new_raw(block_size(bytes), 1, &f->lack);
    if (!block)
        return NULL;
    memcpy(block, &bytes, sizeof bytes);
    f->used += block_size(bytes);
    return block + BEFORE;
}

static void release(void *context, void *pointer)
{
    struct onnx_file *f = context;
    size_t bytes;
    if (!pointer)
        return;
    unsigned char *block = (unsigned char *)pointer - BEFORE;
    memcpy(&bytes, block, sizeof bytes);
    f->used -= block_size(bytes);
    memory_free(block);
}

/* A safetensors file: its header's length in 8 bytes, then JSON. */
static int is_record(const unsigned char *bytes, size_t count)
{
    return count > 8 && bytes[8] == '{' && bytes[7] == 0;
}

/* Why it could not be parsed. */
static int refuse(const struct onnx_file *f, const void *bytes, size_t count, struct message *m)
{
    const char *other = foreign_describe(bytes, count);
    if (f->lack.text[0])
        return message_set(m, STATUS_NOMEM, "%s", f->lack.text);
    if (f->is_spent)
        return message_set(m, STATUS_RANGE,
                           "its parts would take more than twice its %zu bytes: this is no model's file", count);
    if (is_record(bytes, count))
        return message_set(m, STATUS_FORMAT, "is a record, no ONNX file");
    if (f->model)
        return message_set(m, STATUS_FORMAT, "graph: is missing: this is no ONNX model");
    if (other && strncmp(other, "is an ONNX", 10) != 0)
        return message_set(m, STATUS_FORMAT, "%s", other);
    return message_set(m, STATUS_FORMAT, "is no ONNX model: its %zu bytes are not a protocol buffer", count);
}

int onnx_file_parse(struct onnx_file *f, const void *bytes, size_t count, const char *folder, struct message *m)
{
    *f = (struct onnx_file){.folder = folder, .budget = 2 * count + FREE_BYTES};
    f->allocator = (ProtobufCAllocator){allocate, release, f};
    f->model = onnx__model_proto__unpack(&f->allocator, count, bytes);
    if (f->model && f->model->graph)
        return 0;
    int status = refuse(f, bytes, count, m);
    onnx_file_free(f);
    return status;
}

void onnx_file_free(struct onnx_file *f)
{
    if (f->model)
        onnx__model_proto__free_unpacked(f->model, &f->allocator);
    f->model = NULL;
}

/* ---- data beside ---- */

static const char *external_value(const Onnx__TensorProto *t, const char *key)
{
    for (size_t i = 0; i < t->n_external_data; i++)
        if (t->external_data[i]->key && strcmp(t->external_data[i]->key, key) == 0)
            return t->external_data[i]->value;
    return NULL;
}

static int external_number(const Onnx__TensorProto *t, const char *key, int64_t otherwise, int64_t *out,
                           struct message *m)
{
    const char *text = external_value(t, key);
    *out = otherwise;
    return text ? parse_integer(text, 0, INT64_MAX, key, out, m) : 0;
}

static int read_at(int fd, const char *path, int64_t offset, size_t count, void **bytes, struct message *m)
{
    struct stat s;
    if (fstat(fd, &s))
        return message_errno(m, "%s", path);
    if (!S_ISREG(s.st_mode))
        return message_set(m, STATUS_FORMAT, "%s: is no regular file", path);
    if (offset > s.st_size || count > (uint64_t)(s.st_size - offset))
        return message_set(m, STATUS_TRUNCATED, "%s: %lld bytes, too short for %zu at offset %lld", path,
                           (long long)s.st_size, count, (long long)offset);
    if (!(*bytes = memory_new_raw(count, 1, m)))
        return STATUS_NOMEM;
    for (size_t done = 0; done < count;) {
        ssize_t n = pread(fd, (char *)*bytes + done, count - done, (off_t)(offset + (int64_t)done));
        if (n < 0 && errno != EINTR)
            return message_errno(m, "%s: read error", path);
        if (n == 0)
            return message_set(m, STATUS_TRUNCATED, "%s: ends early", path);
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int onnx_external_read(const struct onnx_file *f, const Onnx__TensorProto *t, size_t count, void **bytes,
                       struct message *m)
{
    const char *name = external_value(t, "location");
    int64_t offset, length;
    *bytes = NULL;
    if (!name)
        return message_set(m, STATUS_FORMAT, "external data: location is missing");
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return message_set(m, STATUS_RANGE, "external data: '%s' is not the name of a file beside the model", name);
    if (!f->folder)
        return message_set(m, STATUS_UNSUPPORTED,
                           "external data: '%s' stands in a file beside, and the model comes "
                           "from none: give its name as an operand",
                           name);
    TRY(external_number(t, "offset", 0, &offset, m));
    TRY(external_number(t, "length", (int64_t)count, &length, m));
    if ((uint64_t)length != count)
        return message_set(m, STATUS_MISMATCH, "external data: length %lld, its shape wants %zu", (long long)length,
                           count);
    char *path = memory_printf(m, "%s/%s", f->folder, name);
    if (!path)
        return STATUS_NOMEM;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    int status = fd < 0 ? message_errno(m, "%s", path) : read_at(fd, path, offset, count, bytes, m);
    if (fd >= 0)
        close(fd);
    memory_free(path);
    if (status < 0) {
        memory_free(*bytes);
        *bytes = NULL;
    }
    return status;
}
