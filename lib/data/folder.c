/* folder.c: a folder of .bin files (or its parent), or an ImageFolder: its paths are listed first, then what the
 * survey chooses is read. */
#include "data/files.h"
#include "data/unread.h"
#include "data/pictures.h"
#include "data/raw.h"
#include "base/memory.h"
#include "record/file.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ENTRIES = 1 << 22, MAX_DEPTH = 32 };

/* ---- the list of paths ---- */

struct entry {
    char *path; /* below the folder named */
    int is_folder;
};

struct listing {
    struct entry *entries;
    int64_t count, capacity;
    struct folder_id {
        dev_t device;
        ino_t inode;
    } above[MAX_DEPTH]; /* the folders being read, so that a link back ends */
};

static void listing_free(struct listing *l)
{
    for (int64_t i = 0; i < l->count; i++)
        memory_free(l->entries[i].path);
    memory_free(l->entries);
}

/* Takes path on success. */
static int listing_add(struct listing *l, char *path, int is_folder, struct message *m)
{
    if (l->count == MAX_ENTRIES)
        return message_set(m, STATUS_RANGE, "more than %d files", MAX_ENTRIES);
    if (l->count == l->capacity) {
        int64_t capacity = l->capacity ? 2 * l->capacity : 1024;
        void *grown = memory_resize(l->entries, (size_t)l->count * sizeof *l->entries, (size_t)capacity,
                                    sizeof *l->entries, m);
        if (!grown)
            return STATUS_NOMEM;
        l->entries = grown;
        l->capacity = capacity;
    }
    l->entries[l->count++] = (struct entry){path, is_folder};
    return 0;
}

/* 1 where the folder is not among those above it. */
static int folder_enter(struct listing *l, const struct stat *st, int depth)
{
    for (int i = 0; i < depth; i++)
        if (l->above[i].device == st->st_dev && l->above[i].inode == st->st_ino)
            return 0;
    l->above[depth] = (struct folder_id){st->st_dev, st->st_ino};
    return 1;
}

static int listing_read(struct listing *l, const char *base, const char *relative, int depth, int max_depth,
                        struct message *m);

static int entry_visit(struct listing *l, const char *base, const char *relative, const char *name, int depth,
                       int max_depth, struct message *m)
{
    struct stat st;
    char *path = memory_printf(m, "%s%s%s", relative, *relative ? "/" : "", name);
    char *whole = path ? memory_printf(m, "%s/%s", base, path) : NULL;
    if (!whole) {
        memory_free(path);
        return STATUS_NOMEM;
    }
    int is_folder = stat(whole, &st) == 0 && S_ISDIR(st.st_mode); /* a dangling link fails when it is read */
    memory_free(whole);
    int status = listing_add(l, path, is_folder, m);
    if (status < 0) {
        memory_free(path);
        return status;
    }
    if (!is_folder || depth == max_depth || !folder_enter(l, &st, depth))
        return 0;
    return listing_read(l, base, path, depth + 1, max_depth, m);
}

/* Adds all below base/relative, to max_depth further folders. What systems keep for themselves may be unreadable.
 */
static int listing_read(struct listing *l, const char *base, const char *relative, int depth, int max_depth,
                        struct message *m)
{
    struct member_path what;
    char *path = memory_printf(m, "%s%s%s", base, *relative ? "/" : "", relative);
    if (!path)
        return STATUS_NOMEM;
    DIR *folder = opendir(path);
    int status = 0;
    if (!folder && (member_parse(relative, 1, &what, NULL) < 0 || what.kind != MEMBER_HIDDEN))
        status = message_errno(m, "%s: cannot open", path);
    while (folder && status >= 0) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno)
                status = message_errno(m, "%s: cannot read", path);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = entry_visit(l, base, relative, entry->d_name, depth, max_depth, m);
    }
    if (folder)
        closedir(folder);
    memory_free(path);
    return status;
}

static int entry_order(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->path, ((const struct entry *)b)->path);
}

/* In the order of bytes, which no file system has a part in. */
static int listing_make(struct listing *l, const char *path, int max_depth, struct message *m)
{
    struct stat st;
    *l = (struct listing){0};
    if (stat(path, &st) == 0)
        folder_enter(l, &st, 0);
    TRY(listing_read(l, path, "", 1, max_depth + 1, m));
    if (l->count > 0)
        qsort(l->entries, (size_t)l->count, sizeof *l->entries, entry_order);
    return 0;
}

/* ---- reading ---- */

struct reading {
    struct image_files *files;
    struct pictures *pictures;
    struct raw_files *raw;
    struct survey survey;
    const char *base;
};

static int path_parse(const struct reading *r, const struct entry *e, struct member_path *what, struct message *m)
{
    return (r->files->wish.hold_out ? member_parse_unsplit : member_parse)(e->path, e->is_folder, what, m);
}

static int note_read(struct image_files *s, int note, const char *path, struct message *m)
{
    struct text text = {0};
    int status = file_read(path, NOTE_MAX_BYTES, &text, m);
    if (status >= 0 && !(s->notes[note] = memory_strdup(text.data, m)))
        status = STATUS_NOMEM;
    text_free(&text);
    return status;
}

static int picture_read(struct pictures *p, int root, const struct member_path *what, const char *path,
                        struct message *m)
{
    struct text text = {0};
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return message_set(m, STATUS_FORMAT, "%s: not a regular file", path);
    int status = file_read(path, PICTURE_MAX_BYTES, &text, m);
    if (status >= 0) {
        status = pictures_add(p, root, what, text.data, text.length, m);
        if (status < 0)
            message_prefix(m, status, "%s", path);
    }
    text_free(&text);
    return status;
}

static int raw_read(struct raw_files *r, const char *path, struct message *m)
{
    struct text text = {0};
    struct raw_name name;
    int status = file_read(path, RAW_MAX_BYTES, &text, m);
    if (status >= 0 && raw_name_parse(path, &name))
        status = raw_files_add(r, path, &name, text.data, text.length, m);
    text_free(&text);
    return status;
}

static int class_note(struct pictures *p, int root, const struct member_path *what, const char *path,
                      struct message *m)
{
    int status = pictures_add_class(p, root, what, m);
    return status < 0 ? message_prefix(m, status, "%s", path) : 0;
}

/* 1 where the member belongs to what the survey chose. */
static int member_is_chosen(const struct survey *v, const char *path, const struct member_path *what)
{
    if (what->kind == MEMBER_RAW)
        return survey_leaves_raw(v);
    const char *root = v->file_root ? v->file_root : v->root >= 0 ? v->roots[v->root].path : NULL;
    if (!root || strlen(root) != what->root || strncmp(root, path, what->root) != 0)
        return 0;
    if (what->kind == MEMBER_CLASS || what->kind == MEMBER_PICTURE)
        return what->folder == v->folders[SPLIT_TRAIN] || what->folder == v->folders[SPLIT_TEST];
    return what->kind == MEMBER_FILE || what->kind == MEMBER_NOTE;
}

static int member_read(struct reading *r, const struct entry *e, struct message *m)
{
    struct member_path what;
    char *path = memory_printf(m, "%s/%s", r->base, e->path);
    int status = path ? path_parse(r, e, &what, m) : STATUS_NOMEM;
    if (status >= 0 && member_is_chosen(&r->survey, e->path, &what)) {
        if (what.kind == MEMBER_FILE)
            status = files_map(r->files, what.split, what.index, path, m);
        else if (what.kind == MEMBER_NOTE)
            status = note_read(r->files, what.index, path, m);
        else if (what.kind == MEMBER_RAW)
            status = raw_read(r->raw, path, m);
        else if (what.kind == MEMBER_CLASS)
            status = class_note(r->pictures, r->survey.root, &what, path, m);
        else
            status = picture_read(r->pictures, r->survey.root, &what, path, m);
    }
    memory_free(path);
    return status;
}

static int survey_make(struct reading *r, const struct listing *l, struct message *m)
{
    struct member_path what;
    int status = 0;
    for (int64_t i = 0; i < l->count && status >= 0; i++) {
        const struct entry *e = &l->entries[i];
        status = path_parse(r, e, &what, m);
        if (status < 0)
            return message_prefix(m, status, "%s/%s", r->base, e->path);
        if (!e->is_folder || what.kind == MEMBER_CLASS)
            status = survey_add(&r->survey, e->path, &what, m);
    }
    if (status >= 0)
        status = survey_choose(&r->survey, m);
    return status < 0 ? message_prefix(m, status, "%s", r->base) : 0;
}

/* With the folder's own name, which may say what its files are. */
static int foreign_find(struct reading *r, const struct listing *l, struct message *m)
{
    for (int64_t i = 0; i < l->count && !r->survey.foreign; i++) {
        char *path = memory_printf(m, "%s/%s", r->base, l->entries[i].path);
        if (!path)
            return STATUS_NOMEM;
        r->survey.foreign = unread_name(path);
        memory_free(path);
    }
    return 0;
}

static int listing_take(struct reading *r, const struct listing *l, struct message *m)
{
    TRY(survey_make(r, l, m));
    for (int64_t i = 0; i < l->count; i++)
        TRY(member_read(r, &l->entries[i], m));
    if (r->survey.root >= 0) {
        int status = pictures_finish(r->pictures, &r->survey, r->files, m);
        if (status < 0)
            return message_prefix(m, status, "%s", r->base);
    } else if (survey_leaves_raw(&r->survey) && raw_files_any(r->raw)) {
        int status = raw_files_finish(r->raw, r->files, m);
        return status < 0 ? message_prefix(m, status, "%s", r->base) : 0;
    } else if (r->survey.file_root) {
        int status = files_whole(r->files, m);
        if (status < 0)
            return message_prefix(m, status, "%s%s%s", r->base, *r->survey.file_root ? "/" : "",
                                  r->survey.file_root);
    } else {
        TRY(foreign_find(r, l, m));
    }
    return survey_tell(&r->survey, r->files, m);
}

static int folder_read(struct image_files *s, const char *path, int max_depth, struct message *m)
{
    struct listing l;
    struct reading *r = memory_new(1, sizeof *r, m);
    if (!r)
        return STATUS_NOMEM;
    r->files = s;
    r->base = path;
    int status = listing_make(&l, path, max_depth, m);
    if (status >= 0 && (!(r->pictures = pictures_new(&s->wish, m)) || !(r->raw = raw_files_new(m))))
        status = STATUS_NOMEM;
    if (status >= 0)
        status = listing_take(r, &l, m);
    listing_free(&l);
    pictures_free(r->pictures);
    raw_files_free(r->raw);
    survey_free(&r->survey);
    memory_free(r);
    return status;
}

/* ---- the folder ---- */

enum { HAS_FILES = 1, HAS_SPLITS = 2 };

static int name_is_split(const char *name)
{
    for (int i = 0; i < FOLDER_COUNT; i++)
        if (strcmp(name, folder_names[i]) == 0)
            return 1;
    return 0;
}

/* What stands in the folder itself. */
static int folder_look(const char *path, struct message *m)
{
    struct listing l;
    struct member_path what;
    int status = listing_make(&l, path, 0, m), found = 0;
    for (int64_t i = 0; i < l.count && status >= 0; i++) {
        const struct entry *e = &l.entries[i];
        if (e->is_folder)
            found |= name_is_split(e->path) ? HAS_SPLITS : 0;
        else if (member_parse(e->path, 0, &what, m) >= 0 && what.kind == MEMBER_FILE)
            found |= HAS_FILES;
    }
    listing_free(&l);
    return status < 0 ? status : found;
}

/* .bin files at the top, or in the folder that the official archive unpacks to, are the set whatever else lies
 * around: a folder of many data sets is not searched for more. */
int files_from_folder(struct image_files *s, const char *path, struct message *m)
{
    struct stat st;
    int found = folder_look(path, m);
    TRY(found);
    if (found == HAS_FILES)
        return folder_read(s, path, 0, m);
    char *inner = memory_printf(m, "%s/cifar-10-batches-bin", path);
    if (!inner)
        return STATUS_NOMEM;
    int status = 0;
    if (stat(inner, &st) == 0 && S_ISDIR(st.st_mode))
        status = folder_look(inner, m);
    if (status >= 0)
        status = folder_read(s, status & HAS_FILES ? inner : path, status & HAS_FILES ? 0 : MAX_DEPTH - 2, m);
    memory_free(inner);
    return status;
}
