#include "record/digest.h"
#include "record/file.h"
#include "record/output.h"
#include "base/memory.h"
#include <nettle/sha2.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

struct digest {
    struct sha256_ctx context;
};

uint32_t digest_crc32(uint32_t crc, const void *bytes, size_t count)
{
    return count > 0 ? (uint32_t)crc32_z(crc, bytes, count) : crc; /* zlib takes a null pointer as a restart */
}

static void hex_write(struct sha256_ctx *context, char hex[DIGEST_HEX])
{
    uint8_t raw[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof raw, raw);
    for (size_t i = 0; i < sizeof raw; i++)
        snprintf(hex + 2 * i, 3, "%02x", raw[i]);
}

struct digest *digest_new(struct message *m)
{
    struct digest *d = memory_new(1, sizeof *d, m);
    if (d)
        sha256_init(&d->context);
    return d;
}

void digest_add(struct digest *d, const void *bytes, size_t count)
{
    if (count > 0)
        sha256_update(&d->context, count, bytes);
}

void digest_finish(struct digest *d, char hex[DIGEST_HEX])
{
    hex_write(&d->context, hex);
    memory_free(d);
}

void digest_bytes(const void *bytes, size_t count, char hex[DIGEST_HEX])
{
    struct digest d;
    sha256_init(&d.context);
    digest_add(&d, bytes, count);
    hex_write(&d.context, hex);
}

int digest_file(const char *path, char hex[DIGEST_HEX], struct message *m)
{
    enum { PIECE = 1 << 16 };
    int fd;
    unsigned char *piece = memory_new_raw(PIECE, 1, m);
    if (!piece)
        return STATUS_NOMEM;
    int status = input_open(path, &fd, m);
    if (status < 0) {
        memory_free(piece);
        return status;
    }
    struct digest d;
    sha256_init(&d.context);
    long n;
    while ((n = fd_read_full(fd, piece, PIECE)) > 0)
        digest_add(&d, piece, (size_t)n);
    if (n < 0)
        status = message_errno(m, "%s: read error", path_is_standard(path) ? "stdin" : path);
    else
        hex_write(&d.context, hex);
    if (fd != STDIN_FILENO)
        close(fd);
    memory_free(piece);
    return status;
}
