/* atomic.c: a stdio stream over an output. */
#include "record/file.h"
#include "record/output.h"
#include "base/memory.h"
#include <errno.h>
#include <unistd.h>

/* stdio forgets why a write inside fprintf failed; the stream's own writer keeps the first reason. */
static ssize_t stream_write(void *cookie, const char *bytes, size_t count)
{
    struct output *o = cookie;
    if (!o->error && fd_write_full(o->fd, bytes, count))
        o->error = errno ? errno : EIO;
    return o->error ? 0 : (ssize_t)count;
}

int atomic_open(struct atomic_file *f, const char *path, struct message *m)
{
    *f = (struct atomic_file){0};
    struct output *o = memory_new(1, sizeof *o, m);
    if (!o)
        return STATUS_NOMEM;
    int status = output_open(o, path, m);
    if (status < 0) {
        memory_free(o);
        return status;
    }
    f->stream = fopencookie(o, "w", (cookie_io_functions_t){.write = stream_write});
    f->output = o;
    if (!f->stream) {
        atomic_abandon(f);
        return message_set(m, STATUS_NOMEM, "memory exhausted: a stream's buffer");
    }
    return STATUS_OK;
}

int atomic_commit(struct atomic_file *f, struct message *m)
{
    struct output *o = f->output;
    if (!o)
        return STATUS_OK;
    int failed = ferror(f->stream);
    failed |= fclose(f->stream) != 0;
    f->stream = NULL;
    if (failed || o->error) {
        errno = o->error ? o->error : EIO;
        int status = message_errno(m, "%s: write error", output_name(o));
        atomic_abandon(f);
        return status;
    }
    int status = output_commit(o, m);
    memory_free(o);
    f->output = NULL;
    return status;
}

void atomic_abandon(struct atomic_file *f)
{
    if (f->stream)
        fclose(f->stream);
    if (f->output)
        output_abandon(f->output);
    memory_free(f->output);
    *f = (struct atomic_file){0};
}
