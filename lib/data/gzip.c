#include "data/gzip.h"
#include "base/memory.h"
#include <archive.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { BLOCK = 1 << 16 };

struct gzip {
    gzFile file;
    size_t name; /* bytes of the path, which zlib puts before what it says */
    unsigned char block[BLOCK];
};

static la_ssize_t gzip_read(struct archive *a, void *context, const void **bytes)
{
    struct gzip *g = context;
    int code, n = gzread(g->file, g->block, BLOCK);
    *bytes = g->block;
    if (n > 0)
        return n;
    const char *reason = gzerror(g->file, &code);
    if (n == 0 && (code == Z_OK || code == Z_STREAM_END))
        return 0;
    if (code == Z_ERRNO)
        archive_set_error(a, errno, "%s", strerror(errno));
    else
        archive_set_error(a, EINVAL, "gzip: %s", strlen(reason) > g->name + 2 ? reason + g->name + 2 : reason);
    return ARCHIVE_FATAL;
}

static int gzip_close(struct archive *a, void *context)
{
    struct gzip *g = context;
    (void)a;
    gzclose_r(g->file);
    memory_free(g);
    return ARCHIVE_OK;
}

static int is_gzip(const char *path, struct message *m)
{
    unsigned char magic[2] = {0};
    FILE *f = fopen(path, "rbe");
    if (!f)
        return message_errno(m, "cannot open");
    size_t n = fread(magic, 1, sizeof magic, f);
    fclose(f);
    return n == sizeof magic && magic[0] == 0x1f && magic[1] == 0x8b;
}

int gzip_open(struct archive *a, const char *path, struct message *m)
{
    int status = is_gzip(path, m);
    if (status <= 0)
        return status;
    struct gzip *g = memory_new(1, sizeof *g, m);
    if (!g)
        return STATUS_NOMEM;
    g->name = strlen(path);
    g->file = gzopen(path, "rbe");
    if (!g->file) {
        memory_free(g);
        return message_errno(m, "cannot open");
    }
    if (archive_read_open(a, g, NULL, gzip_read, gzip_close) == ARCHIVE_OK) /* else gzip_close was called */
        return 1;
    const char *reason = archive_error_string(a);
    return message_set(m, STATUS_FORMAT, "%s", reason ? reason : "cannot read archive");
}
