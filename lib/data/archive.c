/* archive.c: a tar (plain, gzip, xz, bzip2) or zip of .bin files or of an ImageFolder, read member by member, never
 * unpacked to disk. Every member is checked, wanted or not: an archive with a hostile one is refused whole. */
#include "data/files.h"
#include "data/unread.h"
#include "data/gzip.h"
#include "data/pictures.h"
#include "data/raw.h"
#include "base/memory.h"
#include <archive.h>
#include <archive_entry.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

#define OTHER_MAX_BYTES \
    ((int64_t)4 << 30) /* of a member that is left out: STL-10's unlabelled pictures are 2.6 GB */
enum { READ_BLOCK = 1 << 16, TAR_BLOCK = 512, MAX_MEMBERS = 1 << 22 };

struct member {
    const char *path; /* tidy */
    int64_t size;
    struct member_path what;
    int root; /* as survey_add gives it */
};

struct unpacker {
    struct archive *archive;
    struct pictures *pictures;
    struct raw_files *raw;
    struct survey survey;
    uint8_t *buffer; /* PICTURE_MAX_BYTES */
    struct image_files *files;
    char *note_roots[2];                  /* of files->notes */
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

static int size_check(const struct member *b, struct message *m)
{
    int64_t limit = b->what.kind == MEMBER_PICTURE ? PICTURE_MAX_BYTES
                    : b->what.kind == MEMBER_NOTE  ? NOTE_MAX_BYTES
                    : b->what.kind == MEMBER_RAW   ? RAW_MAX_BYTES
                    : b->what.kind == MEMBER_FILE  ? FILE_BYTES
                                                   : OTHER_MAX_BYTES;
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
    int split = b->what.split, index = b->what.index;
    if (u->files->files[split][index].bytes) /* before 30 MB more are read */
        return message_set(m, STATUS_FORMAT, "%s: duplicate member", b->path);
    uint8_t *bytes = memory_new_raw((size_t)b->size, 1, m);
    if (!bytes)
        return STATUS_NOMEM;
    int status = data_read(u, b, bytes, m);
    if (status >= 0) {
        status = files_add(u->files, split, index, bytes, (size_t)b->size, 0, m);
        if (status < 0)
            message_prefix(m, status, "%s", b->path);
    }
    if (status < 0)
        memory_free(bytes);
    return status;
}

static int member_read_note(struct unpacker *u, const struct member *b, struct message *m)
{
    char **note = &u->files->notes[b->what.index], **root = &u->note_roots[b->what.index];
    if (*note)
        return message_set(m, STATUS_FORMAT, "%s: duplicate member", b->path);
    *root = memory_printf(m, "%.*s", (int)b->what.root, b->path);
    *note = *root ? memory_new((size_t)b->size + 1, 1, m) : NULL;
    return *note ? data_read(u, b, (uint8_t *)*note, m) : STATUS_NOMEM;
}

static int member_read_picture(struct unpacker *u, const struct member *b, struct message *m)
{
    TRY(data_read(u, b, u->buffer, m));
    int status = pictures_add(u->pictures, b->root, &b->what, u->buffer, (size_t)b->size, m);
    return status < 0 ? message_prefix(m, status, "%s", b->path) : 0;
}

static int member_read_raw(struct unpacker *u, const struct member *b, struct message *m)
{
    struct raw_name name;
    uint8_t *bytes = memory_new_raw((size_t)b->size, 1, m);
    int status = bytes ? data_read(u, b, bytes, m) : STATUS_NOMEM;
    if (status >= 0 && raw_name_parse(b->path, &name))
        status = raw_files_add(u->raw, b->path, &name, bytes, (size_t)b->size, m);
    memory_free(bytes);
    return status;
}

static int member_skip(struct unpacker *u, const struct member *b, struct message *m)
{
    if (archive_read_data_skip(u->archive) < ARCHIVE_WARN)
        return message_set(m, STATUS_FORMAT, "%s: %s", b->path, archive_reason(u->archive));
    return 0;
}

static int member_take(struct unpacker *u, struct member *b, int is_folder, struct message *m)
{
    int status = (u->files->wish.hold_out ? member_parse_unsplit : member_parse)(b->path, is_folder, &b->what, m);
    if (status < 0)
        return message_prefix(m, status, "%s", b->path);
    if (is_folder && b->what.kind != MEMBER_CLASS)
        return 0;
    b->root = survey_add(&u->survey, b->path, &b->what, m);
    TRY(b->root);
    if (is_folder) {
        status = pictures_add_class(u->pictures, b->root, &b->what, m);
        return status < 0 ? message_prefix(m, status, "%s", b->path) : 0;
    }
    TRY(size_check(b, m));
    u->last_size = b->size;
    switch (b->what.kind) {
    case MEMBER_FILE:
        return member_read_file(u, b, m);
    case MEMBER_NOTE:
        return member_read_note(u, b, m);
    case MEMBER_PICTURE:
        return member_read_picture(u, b, m);
    case MEMBER_RAW:
        return member_read_raw(u, b, m);
    default:
        return member_skip(u, b, m);
    }
}

static int member_read(struct unpacker *u, struct archive_entry *e, struct message *m)
{
    const char *path = archive_entry_pathname(e);
    if (!path) /* marked as UTF-8, but it is not, or no such locale is installed */
        return message_set(m, STATUS_FORMAT, "member %lld: its name cannot be read as UTF-8, as it claims to be",
                           (long long)u->members + 1);
    TRY(path_check(path, m));
    TRY(type_check(e, path, m));
    if (++u->members > MAX_MEMBERS)
        return message_set(m, STATUS_RANGE, "more than %d members", MAX_MEMBERS);
    char *tidy = memory_strdup(path, m);
    if (!tidy)
        return STATUS_NOMEM;
    member_tidy(tidy);
    struct member b = {.path = tidy, .size = archive_entry_size(e)};
    int status = member_take(u, &b, archive_entry_filetype(e) == AE_IFDIR, m);
    memory_free(tidy);
    return status;
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
    u->pictures = pictures_new(&u->files->wish, m);
    u->raw = raw_files_new(m);
    u->buffer = u->pictures && u->raw ? memory_new_raw(PICTURE_MAX_BYTES, 1, m) : NULL;
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

/* Notes that stand elsewhere are of something else. */
static void notes_filter(struct unpacker *u)
{
    struct survey *v = &u->survey;
    const char *root = v->file_root ? v->file_root : v->root >= 0 ? v->roots[v->root].path : "";
    for (int i = 0; i < 2; i++)
        if (u->note_roots[i] && strcmp(u->note_roots[i], root) != 0) {
            memory_free(u->files->notes[i]);
            u->files->notes[i] = NULL;
        }
}

static int archive_read_all(struct unpacker *u, const char *path, struct message *m)
{
    TRY(unpacker_open(u, path, m));
    int status = members_read(u, m);
    if (status < 0 && u->survey.foreign && u->survey.root_count == 0 && !u->survey.file_root)
        return message_set(m, status, "%s", u->survey.foreign);
    TRY(status);
    TRY(survey_choose(&u->survey, m));
    notes_filter(u);
    if (u->survey.file_root)
        TRY(files_whole(u->files, m));
    if (u->survey.root >= 0)
        TRY(pictures_finish(u->pictures, &u->survey, u->files, m));
    if (survey_leaves_raw(&u->survey) && raw_files_any(u->raw))
        return raw_files_finish(u->raw, u->files, m);
    return survey_tell(&u->survey, u->files, m);
}

/* libarchive turns names that say they are UTF-8 into the locale's encoding, and drops those that do not fit. In
 * one of UTF-8 every name stays as it is, whatever the program's locale. */
static locale_t utf8_enter(locale_t *before)
{
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    *before = utf8 ? uselocale(utf8) : (locale_t)0;
    return utf8;
}

static void utf8_leave(locale_t utf8, locale_t before)
{
    if (!utf8)
        return;
    uselocale(before);
    freelocale(utf8);
}

int files_from_archive(struct image_files *s, const char *path, struct message *m)
{
    struct unpacker *u = memory_new(1, sizeof *u, m);
    if (!u)
        return STATUS_NOMEM;
    locale_t before, utf8 = utf8_enter(&before);
    u->files = s;
    int status = archive_read_all(u, path, m);
    if (u->archive)
        archive_read_free(u->archive);
    utf8_leave(utf8, before);
    memory_free(u->buffer);
    memory_free(u->note_roots[0]);
    memory_free(u->note_roots[1]);
    pictures_free(u->pictures);
    raw_files_free(u->raw);
    survey_free(&u->survey);
    memory_free(u);
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}
