/* archive.c: a tar (plain, gzip, xz, bzip2) or zip of .bin files or of an ImageFolder, read member by member, never
 * unpacked to disk. Every member is checked, wanted or not: an archive with a hostile one is refused whole. */
#include "data/files.h"
#include "data/gzip.h"
#include "data/pictures.h"
#include "base/memory.h"
#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

enum { READ_BLOCK = 1 << 16, TAR_BLOCK = 512, MAX_MEMBERS = 1 << 22 };

struct member {
    const char *path;
    int64_t size;
    enum { MEMBER_IGNORED, MEMBER_FILE, MEMBER_NOTE, MEMBER_PICTURE } kind;
    int split, index; /* of a MEMBER_FILE; index of a MEMBER_NOTE */
    struct picture_path picture;
};

struct unpacker {
    struct archive *archive;
    struct pictures *pictures;
    uint8_t *buffer; /* PICTURE_MAX_BYTES */
    struct image_files *files;
    int64_t members, last_size, position; /* position: in the unpacked stream, after the last member's data */
};

static const char *archive_reason(struct archive *a)
{
    const char *reason = archive_error_string(a);
    return reason ? reason : "cannot read archive";
}

/* ---- checks ---- */

static int path_check(const char *path, struct message *m)
{
    if (!path || !*path)
        return message_set(m, STATUS_FORMAT, "member without a name");
    if (path[0] == '/')
        return message_set(m, STATUS_FORMAT, "%s: absolute path", path);
    for (const char *p = path; p; p = strchr(p, '/'), p = p ? p + 1 : NULL)
        if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == '\0'))
            return message_set(m, STATUS_FORMAT, "%s: path with '..'", path);
    return 0;
}

static int type_check(struct archive_entry *e, const char *path, struct message *m)
{
    if (archive_entry_hardlink(e))
        return message_set(m, STATUS_FORMAT, "%s: hard link", path);
    switch (archive_entry_filetype(e)) {
    case AE_IFREG:
    case AE_IFDIR:
        return 0;
    case AE_IFLNK:
        return message_set(m, STATUS_FORMAT, "%s: symbolic link", path);
    default:
        return message_set(m, STATUS_FORMAT, "%s: neither a regular file nor a folder", path);
    }
}

static int member_classify(struct member *b, struct message *m)
{
    const char *slash = strrchr(b->path, '/'), *base = slash ? slash + 1 : b->path;
    b->kind = MEMBER_IGNORED;
    if (file_name_parse(base, &b->split, &b->index)) {
        b->kind = MEMBER_FILE;
        return 0;
    }
    b->index = note_parse(base);
    if (b->index >= 0) {
        b->kind = MEMBER_NOTE;
        return 0;
    }
    int status = picture_path_parse(b->path, &b->picture, m);
    if (status > 0)
        b->kind = MEMBER_PICTURE;
    return status < 0 ? message_prefix(m, status, "%s", b->path) : 0;
}

static int size_check(const struct member *b, struct message *m)
{
    int64_t limit = b->kind == MEMBER_PICTURE ? PICTURE_MAX_BYTES
                    : b->kind == MEMBER_NOTE  ? NOTE_MAX_BYTES
                                              : FILE_BYTES;
    if (b->size < 0 || b->size > limit)
        return message_set(m, STATUS_FORMAT, "%s: %lld bytes exceeds limit %lld", b->path, (long long)b->size,
                           (long long)limit);
    return 0;
}

/* ---- members ---- */

static int data_read(struct unpacker *u, const struct member *b, uint8_t *out, struct message *m)
{
    size_t want = (size_t)b->size, done = 0;
    while (done < want) {
        la_ssize_t n = archive_read_data(u->archive, out + done, want - done);
        if (n < 0)
            return message_set(m, STATUS_FORMAT, "%s: %s", b->path, archive_reason(u->archive));
        if (n == 0)
            return message_set(m, STATUS_TRUNCATED, "%s: ends after %zu of %zu bytes", b->path, done, want);
        done += (size_t)n;
    }
    uint8_t more; /* also makes the decoder check what stands behind the data */
    la_ssize_t n = archive_read_data(u->archive, &more, 1);
    if (n != 0)
        return message_set(m, STATUS_FORMAT, "%s: %s", b->path,
                           n < 0 ? archive_reason(u->archive) : "more bytes than announced");
    return 0;
}

static int member_read_file(struct unpacker *u, const struct member *b, struct message *m)
{
    if (u->files->files[b->split][b->index].bytes) /* before 30 MB more are read */
        return message_set(m, STATUS_FORMAT, "%s: duplicate member", b->path);
    uint8_t *bytes = memory_new_raw((size_t)b->size, 1, m);
    if (!bytes)
        return STATUS_NOMEM;
    int status = data_read(u, b, bytes, m);
    if (status >= 0) {
        status = files_add(u->files, b->split, b->index, bytes, (size_t)b->size, 0, m);
        if (status < 0)
            message_prefix(m, status, "%s", b->path);
    }
    if (status < 0)
        memory_free(bytes);
    return status;
}

static int member_read_note(struct unpacker *u, const struct member *b, struct message *m)
{
    char **note = &u->files->notes[b->index];
    if (*note)
        return message_set(m, STATUS_FORMAT, "%s: duplicate member", b->path);
    *note = memory_new((size_t)b->size + 1, 1, m);
    return *note ? data_read(u, b, (uint8_t *)*note, m) : STATUS_NOMEM;
}

static int member_read_picture(struct unpacker *u, const struct member *b, struct message *m)
{
    TRY(data_read(u, b, u->buffer, m));
    int status = pictures_add(u->pictures, &b->picture, u->buffer, (size_t)b->size, m);
    return status < 0 ? message_prefix(m, status, "%s", b->path) : 0;
}

static int member_read(struct unpacker *u, struct archive_entry *e, struct message *m)
{
    struct member b = {.path = archive_entry_pathname(e), .size = archive_entry_size(e)};
    if (!b.path) /* a name that the C locale cannot spell */
        b.path = archive_entry_pathname_utf8(e);
    TRY(path_check(b.path, m));
    TRY(type_check(e, b.path, m));
    if (++u->members > MAX_MEMBERS)
        return message_set(m, STATUS_RANGE, "more than %d members", MAX_MEMBERS);
    if (archive_entry_filetype(e) == AE_IFDIR)
        return 0;
    TRY(member_classify(&b, m));
    TRY(size_check(&b, m));
    u->last_size = b.size;
    switch (b.kind) {
    case MEMBER_FILE:
        return member_read_file(u, &b, m);
    case MEMBER_NOTE:
        return member_read_note(u, &b, m);
    case MEMBER_PICTURE:
        return member_read_picture(u, &b, m);
    case MEMBER_IGNORED:
        break;
    }
    if (archive_read_data_skip(u->archive) < ARCHIVE_WARN)
        return message_set(m, STATUS_FORMAT, "%s: %s", b.path, archive_reason(u->archive));
    return 0;
}

/* A tar that was cut between two members looks whole but for the blocks of zeros that end one. */
static int end_check(struct unpacker *u, struct message *m)
{
    if ((archive_format(u->archive) & ARCHIVE_FORMAT_BASE_MASK) != ARCHIVE_FORMAT_TAR || u->members == 0)
        return 0;
    if (archive_filter_bytes(u->archive, 0) - u->position < TAR_BLOCK)
        return message_set(m, STATUS_TRUNCATED, "archive has no end mark: it was cut after %lld members",
                           (long long)u->members);
    return 0;
}

static int members_read(struct unpacker *u, struct message *m)
{
    for (;;) {
        struct archive_entry *e;
        int code = archive_read_next_header(u->archive, &e);
        if (code == ARCHIVE_EOF)
            return end_check(u, m);
        if (code == ARCHIVE_RETRY)
            continue;
        if (code < ARCHIVE_WARN) /* warnings are about names and times */
            return message_set(m, STATUS_FORMAT, "%s", archive_reason(u->archive));
        TRY(member_read(u, e, m));
        int64_t padding = (TAR_BLOCK - u->last_size % TAR_BLOCK) % TAR_BLOCK;
        u->position = archive_filter_bytes(u->archive, 0) + padding;
        u->last_size = 0;
    }
}

/* ---- the archive ---- */

static int unpacker_open(struct unpacker *u, const char *path, struct message *m)
{
    u->pictures = pictures_new(m);
    u->buffer = u->pictures ? memory_new_raw(PICTURE_MAX_BYTES, 1, m) : NULL;
    u->archive = u->buffer ? archive_read_new() : NULL;
    if (!u->archive)
        return message_set(m, STATUS_NOMEM, "memory exhausted");
    struct archive *a = u->archive;
    archive_read_support_format_tar(a);
    archive_read_support_format_zip_seekable(a); /* not the streaming reader, which does not miss a lost end */
    archive_read_support_filter_xz(a);
    archive_read_support_filter_bzip2(a);
    /* read to the very end, where checksums stand, and not only to the tar's own end mark */
    archive_read_set_format_option(a, "tar", "read_concatenated_archives", "1");
    int opened = gzip_open(a, path, m);
    TRY(opened);
    if (!opened && archive_read_open_filename(a, path, READ_BLOCK) != ARCHIVE_OK)
        return message_set(m, STATUS_FORMAT, "%s", archive_reason(a));
    return 0;
}

int files_from_archive(struct image_files *s, const char *path, struct message *m)
{
    struct unpacker u = {.files = s};
    int status = unpacker_open(&u, path, m);
    if (status >= 0)
        status = members_read(&u, m);
    if (status >= 0 && pictures_count(u.pictures) > 0) {
        if (s->count[SPLIT_TRAIN] + s->count[SPLIT_TEST] > 0)
            status = message_set(m, STATUS_FORMAT, "holds both .bin files and pictures");
        else
            status = pictures_finish(u.pictures, s, m);
    }
    if (u.archive)
        archive_read_free(u.archive);
    memory_free(u.buffer);
    pictures_free(u.pictures);
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}
