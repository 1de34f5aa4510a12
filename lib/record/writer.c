#include "record/stream.h"
#include "record/file.h"
#include "record/header.h"
#include "record/output.h"
#include <string.h>
#include <unistd.h>

struct record_writer {
    struct output output;
};

int writer_open(struct record_writer **out, const char *path, struct message *m)
{
    *out = NULL;
    struct record_writer *w = memory_new(1, sizeof *w, m);
    if (!w)
        return STATUS_NOMEM;
    int status = output_open(&w->output, path, m);
    if (status == STATUS_OK && isatty(w->output.fd) == 1)
        status = message_set(m, STATUS_UNSUPPORTED,
                             "refusing to write binary data to a terminal: use -o FILE or a pipe");
    if (status < 0) {
        writer_abandon(w);
        return status;
    }
    *out = w;
    return STATUS_OK;
}

static int writer_bytes(struct record_writer *w, const void *bytes, size_t count, struct message *m)
{
    if (fd_write_full(w->output.fd, bytes, count))
        return message_errno(m, "%s: write error", output_name(&w->output));
    return STATUS_OK;
}

int writer_put(struct record_writer *w, const struct record *r, struct message *m)
{
    struct layout l;
    int status = layout_make(&l, r, 1, m);
    if (status < 0)
        return message_prefix(m, status, "%s", output_name(&w->output));
    layout_seal(&l, r);
    status = writer_bytes(w, l.header.data, l.header.length, m);
    for (size_t i = 0; status == STATUS_OK && i < r->tensor_count; i++)
        status = writer_bytes(w, l.order[i]->data, l.order[i]->bytes, m);
    layout_free(&l);
    return status;
}

int writer_commit(struct record_writer *w, struct message *m)
{
    int status = output_commit(&w->output, m);
    memory_free(w);
    return status;
}

void writer_abandon(struct record_writer *w)
{
    if (!w)
        return;
    output_abandon(&w->output);
    memory_free(w);
}

int record_save(const struct record *r, const char *path, struct message *m)
{
    struct record_writer *w;
    TRY(writer_open(&w, path, m));
    int status = writer_put(w, r, m);
    if (status < 0) {
        writer_abandon(w);
        return status;
    }
    return writer_commit(w, m);
}

int record_serialise(const struct record *r, void **bytes, size_t *count, struct message *m)
{
    struct layout l;
    *bytes = NULL;
    TRY(layout_make(&l, r, 1, m));
    layout_seal(&l, r);
    size_t total = l.header.length;
    for (size_t i = 0; i < r->tensor_count; i++)
        total += l.order[i]->bytes; /* layout_make bounded the sum */
    unsigned char *block = memory_new_raw(total, 1, m), *to = block;
    if (block) {
        memcpy(to, l.header.data, l.header.length);
        to += l.header.length;
        for (size_t i = 0; i < r->tensor_count; i++) {
            memcpy(to, l.order[i]->data, l.order[i]->bytes);
            to += l.order[i]->bytes;
        }
    }
    layout_free(&l);
    *bytes = block;
    *count = total;
    return block ? STATUS_OK : STATUS_NOMEM;
}
