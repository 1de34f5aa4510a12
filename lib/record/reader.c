#include "record/stream.h"
#include "record/digest.h"
#include "record/file.h"
#include "record/foreign.h"
#include "record/header.h"
#include "record/output.h"
#include "base/text.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* First piece of memory for what a header only promises; doubled as bytes really arrive. */
enum { FIRST_PIECE = 1 << 20 };

struct record_reader {
    int fd; /* -1: reads from memory */
    const unsigned char *bytes;
    uint64_t size; /* bytes in all, where size_is_known */
    int size_is_known;
    uint64_t offset, records;
    char *name;                        /* NULL for memory */
    unsigned char head[FOREIGN_BYTES]; /* the first bytes, as many as were taken */
};

/* Puts the file's name before what failed. */
static int reader_fail(const struct record_reader *r, int status, struct message *m)
{
    return r->name ? message_prefix(m, status, "%s", r->name) : status;
}

static int reader_truncated(const struct record_reader *r, struct message *m)
{
    return message_set(m, STATUS_TRUNCATED, "truncated stream after %llu record%s, at offset %llu",
                       (unsigned long long)r->records, r->records == 1 ? "" : "s", (unsigned long long)r->offset);
}

/* Reads up to count bytes: fewer only at the end. */
static int reader_take(struct record_reader *r, void *to, size_t count, size_t *got, struct message *m)
{
    if (r->fd < 0) {
        uint64_t left = r->size - r->offset;
        *got = left < count ? (size_t)left : count;
        if (*got)
            memcpy(to, r->bytes + r->offset, *got);
    } else {
        long n = fd_read_full(r->fd, to, count);
        if (n < 0)
            return message_errno(m, "read error");
        *got = (size_t)n;
    }
    if (r->offset<sizeof r->head && * got> 0) {
        size_t room = sizeof r->head - (size_t)r->offset;
        memcpy(r->head + r->offset, to, *got < room ? *got : room);
    }
    r->offset += *got;
    return STATUS_OK;
}

/* Where the first record could not be read: perhaps the file is something else, which helps more to know. */
static int reader_explain(struct record_reader *r, int status, struct message *m)
{
    unsigned char rest[FOREIGN_BYTES];
    struct message unused;
    size_t got;
    if (r->records > 0 || (status != STATUS_FORMAT && status != STATUS_TRUNCATED))
        return status;
    if (r->offset < sizeof r->head && reader_take(r, rest, sizeof r->head - (size_t)r->offset, &got, &unused) < 0)
        return status;
    const char *is = foreign_describe(r->head, r->offset < sizeof r->head ? (size_t)r->offset : sizeof r->head);
    return is ? message_set(m, STATUS_FORMAT, "%s", is) : status;
}

/* How much memory may be taken at once for `want` more bytes: all where the file's size shows them there. */
static int reader_promise(const struct record_reader *r, uint64_t want, size_t *piece, struct message *m)
{
    *piece = want < FIRST_PIECE ? (size_t)want : FIRST_PIECE;
    if (!r->size_is_known)
        return STATUS_OK;
    if (r->offset > r->size || want > r->size - r->offset) {
        struct record_reader at_end = *r;
        at_end.offset = r->size > r->offset ? r->size : r->offset;
        return reader_truncated(&at_end, m);
    }
    *piece = (size_t)want;
    return STATUS_OK;
}

/* Fills a block of `total` bytes from `from` on by appending; *block grows only as bytes arrive. */
struct growing {
    unsigned char *block;
    size_t capacity, total;
};

static int growing_reserve(struct growing *g, size_t used, size_t need, struct message *m)
{
    if (need <= g->capacity)
        return STATUS_OK;
    size_t capacity = g->capacity > g->total / 2 ? g->total : 2 * g->capacity;
    if (capacity < need)
        capacity = need;
    unsigned char *block = memory_resize(g->block, used, capacity, 1, m);
    if (!block)
        return STATUS_NOMEM;
    g->block = block;
    g->capacity = capacity;
    return STATUS_OK;
}

/* Reads count bytes to block + at. */
static int growing_read(struct record_reader *r, struct growing *g, size_t at, size_t count, uint32_t *crc,
                        struct message *m)
{
    size_t done = 0;
    while (done < count) {
        size_t piece = count - done < FIRST_PIECE ? count - done : FIRST_PIECE, got;
        TRY(growing_reserve(g, at + done, at + done + piece, m));
        TRY(reader_take(r, g->block + at + done, piece, &got, m));
        if (got < piece)
            return reader_truncated(r, m);
        if (crc)
            *crc = digest_crc32(*crc, g->block + at + done, piece);
        done += piece;
    }
    return STATUS_OK;
}

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + RECORD_ALIGNMENT - 1) / RECORD_ALIGNMENT * RECORD_ALIGNMENT;
}

/* Every tensor gets a place of its own at a multiple of 64, wherever it stands in the file. */
static int storage_size(const struct header *h, size_t *total, struct message *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < h->record->tensor_count; i++)
        sum += round_up(h->record->tensors[i].bytes); /* the sum of bytes is below 2^63, so this cannot overflow */
    if (sum > SIZE_MAX / 2)
        return message_set(m, STATUS_NOMEM, "memory exhausted: %llu bytes", (unsigned long long)sum);
    *total = (size_t)sum;
    return STATUS_OK;
}

static int data_read(struct record_reader *r, struct header *h, uint32_t *crc, struct message *m)
{
    struct record *record = h->record;
    struct growing g = {0};
    TRY(storage_size(h, &g.total, m));
    TRY(reader_promise(r, h->data_bytes, &g.capacity, m));
    g.capacity = g.capacity == h->data_bytes ? g.total : g.capacity;
    g.block = memory_new_raw(g.capacity, 1, m);
    if (!g.block)
        return STATUS_NOMEM;
    int status = STATUS_OK;
    size_t at = 0;
    for (size_t i = 0; status == STATUS_OK && i < record->tensor_count; i++) {
        status = growing_read(r, &g, at, record->tensors[i].bytes, crc, m);
        at += (size_t)round_up(record->tensors[i].bytes);
    }
    record->storage = g.block;
    record->storage_bytes = g.capacity;
    if (status < 0)
        return status;
    at = 0;
    for (size_t i = 0; i < record->tensor_count; i++) {
        record->tensors[i].data = g.block + at;
        at += (size_t)round_up(record->tensors[i].bytes);
    }
    return STATUS_OK;
}

static uint64_t length_decode(const unsigned char *bytes)
{
    uint64_t length = 0;
    for (int i = 0; i < LENGTH_BYTES; i++)
        length |= (uint64_t)bytes[i] << (8 * i);
    return length;
}

/* Reads length bytes and JSON. 1, or 0 at a clean end of file. *g is the caller's to free, also on failure. */
static int header_read(struct record_reader *r, struct growing *g, struct message *m)
{
    unsigned char first[LENGTH_BYTES];
    uint64_t start = r->offset;
    size_t got;
    TRY(reader_take(r, first, sizeof first, &got, m));
    if (got == 0)
        return 0;
    if (got < sizeof first)
        return reader_truncated(r, m);
    uint64_t length = length_decode(first);
    if (length > RECORD_MAX_HEADER)
        return message_set(m, STATUS_FORMAT, "header length %llu at offset %llu exceeds limit %d",
                           (unsigned long long)length, (unsigned long long)start, (int)RECORD_MAX_HEADER);
    if (length < 2)
        return message_set(m, STATUS_FORMAT, "header length %llu at offset %llu is too small for a header",
                           (unsigned long long)length, (unsigned long long)start);
    TRY(reader_promise(r, length, &g->capacity, m));
    g->capacity += LENGTH_BYTES;
    g->total = LENGTH_BYTES + (size_t)length;
    g->block = memory_new_raw(g->capacity, 1, m);
    if (!g->block)
        return STATUS_NOMEM;
    memcpy(g->block, first, sizeof first);
    TRY(growing_read(r, g, LENGTH_BYTES, (size_t)length, NULL, m));
    return 1;
}

/* Parses what header_read got, reads the data, compares the CRC. */
static int body_read(struct record_reader *r, struct growing *g, struct record **record, struct message *m)
{
    struct header h;
    uint64_t start = r->offset - g->total;
    int status = header_parse(&h, (char *)g->block + LENGTH_BYTES, g->total - LENGTH_BYTES, m);
    if (status < 0)
        return r->records > 0 ? message_prefix(m, status, "record at offset %llu", (unsigned long long)start)
                              : status;
    uint32_t crc = 0;
    if (h.has_crc) {
        memset(g->block + LENGTH_BYTES + h.crc_at, '0', CRC_DIGITS);
        crc = digest_crc32(0, g->block, g->total);
    }
    status = data_read(r, &h, h.has_crc ? &crc : NULL, m);
    if (status == STATUS_OK && h.has_crc && crc != h.crc)
        status = message_set(m, STATUS_FORMAT, "crc32 of the record at offset %llu is %08x, its header says %08x",
                             (unsigned long long)start, (unsigned)crc, (unsigned)h.crc);
    if (status == STATUS_OK) {
        *record = h.record;
        h.record = NULL;
    }
    header_free(&h);
    return status;
}

/* A clean end of file leaves *record alone. */
static int record_read(struct record_reader *r, struct record **record, struct message *m)
{
    struct growing g = {0};
    int status = header_read(r, &g, m);
    if (status == 1)
        status = body_read(r, &g, record, m);
    memory_free(g.block);
    return status;
}

int reader_next(struct record_reader *r, struct record **record, struct message *m)
{
    *record = NULL;
    int status = record_read(r, record, m);
    if (status < 0)
        return reader_fail(r, reader_explain(r, status, m), m);
    if (!*record)
        return 0;
    r->records++;
    return 1;
}

static int reader_new(struct record_reader **out, const char *path, struct message *m)
{
    struct record_reader *r = memory_new(1, sizeof *r, m);
    if (!r)
        return STATUS_NOMEM;
    r->fd = -1;
    r->name = memory_strdup(path_is_standard(path) ? "stdin" : path, m);
    if (!r->name) {
        memory_free(r);
        return STATUS_NOMEM;
    }
    *out = r;
    return STATUS_OK;
}

int reader_open(struct record_reader **out, const char *path, struct message *m)
{
    struct record_reader *r;
    *out = NULL;
    TRY(reader_new(&r, path, m));
    int status = input_open(path, &r->fd, m);
    if (status < 0) {
        reader_close(r);
        return status;
    }
    struct stat s;
    off_t here = lseek(r->fd, 0, SEEK_CUR);
    if (here >= 0 && fstat(r->fd, &s) == 0 && S_ISREG(s.st_mode) && s.st_size > 0) {
        r->size_is_known = 1;
        r->size = s.st_size > here ? (uint64_t)(s.st_size - here) : 0;
    }
    *out = r;
    return STATUS_OK;
}

const char *reader_name(const struct record_reader *r)
{
    return r->name;
}

uint64_t reader_records(const struct record_reader *r)
{
    return r->records;
}

void reader_close(struct record_reader *r)
{
    if (!r)
        return;
    if (r->fd > STDIN_FILENO)
        close(r->fd);
    memory_free(r->name);
    memory_free(r);
}

int reader_finish(struct record_reader *r, struct message *m)
{
    unsigned char surplus;
    size_t got = 0;
    unsigned long long at = r->offset;
    int status = reader_take(r, &surplus, 1, &got, m);
    if (status == STATUS_OK && got > 0)
        status = message_set(m, STATUS_FORMAT, "surplus bytes after the record, from offset %llu on", at);
    return status < 0 ? reader_fail(r, status, m) : STATUS_OK;
}

int record_load(struct record **out, const char *path, struct message *m)
{
    struct record_reader *r;
    *out = NULL;
    TRY(reader_open(&r, path, m));
    int status = reader_next(r, out, m);
    if (status == 0)
        status = message_set(m, STATUS_TRUNCATED, "%s: empty input", r->name);
    else if (status == 1)
        status = reader_finish(r, m);
    reader_close(r);
    if (status < 0) {
        record_free(*out);
        *out = NULL;
        return status;
    }
    return STATUS_OK;
}

int record_parse(struct record **out, const void *bytes, size_t count, size_t *used, struct message *m)
{
    struct record_reader r = {.fd = -1, .bytes = bytes, .size = count, .size_is_known = 1};
    int status = reader_next(&r, out, m);
    *used = (size_t)r.offset;
    if (status == 0)
        return message_set(m, STATUS_TRUNCATED, "empty input");
    return status < 0 ? status : STATUS_OK;
}
