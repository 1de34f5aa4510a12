#include "data/member.h"
#include "data/files.h"
#include "data/raw.h"
#include "base/utf8.h"
#include <string.h>
#include <strings.h>

const char *const folder_names[FOLDER_COUNT] = {"train", "test", "val", "valid", "validation"};

static const char *const read_suffixes[] = {".png", ".jpg", ".jpeg", ".jpe", ".jfif"};
static const char *const unread_suffixes[] = {".bmp", ".dib", ".gif", ".webp", ".tif",  ".tiff", ".ppm",
                                              ".pgm", ".pbm", ".pnm", ".tga",  ".avif", ".heic", ".heif",
                                              ".jxl", ".jp2", ".j2k", ".ico",  ".exr"};
/* Whose names do not begin with a point. */
static const char *const system_names[] = {"Thumbs.db", "ehthumbs.db",  "desktop.ini", "__MACOSX",
                                           "@eaDir",    "$RECYCLE.BIN", "lost+found",  "System Volume Information"};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static int name_in(const char *name, size_t length, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(list[i]) == length && strncasecmp(name, list[i], length) == 0)
            return 1;
    return 0;
}

static int suffix_in(const char *name, const char *const *list, size_t count)
{
    const char *dot = strrchr(name, '.');
    return dot && dot != name && name_in(dot, strlen(dot), list, count);
}

void member_tidy(char *path)
{
    char *out = path;
    for (const char *p = path; *p;) {
        size_t length = strcspn(p, "/");
        if (length > 0 && !(length == 1 && *p == '.')) {
            if (out != path)
                *out++ = '/';
            memmove(out, p, length);
            out += length;
        }
        p += length;
        p += *p == '/';
    }
    *out = '\0';
}

/* 1 where a component of path[length] is a system's own, or hidden where that is asked for. */
static int path_is_hidden(const char *path, size_t length, int points)
{
    for (const char *p = path; p < path + length;) {
        size_t component = strcspn(p, "/");
        if ((points && *p == '.') || name_in(p, component, system_names, COUNT(system_names)))
            return 1;
        p += component + 1;
    }
    return 0;
}

static int folder_find(const char *name, size_t length)
{
    for (int i = 0; i < FOLDER_COUNT; i++)
        if (strlen(folder_names[i]) == length && memcmp(folder_names[i], name, length) == 0)
            return i;
    return -1;
}

/* The last SPLIT that a class stands behind and, unless the path is the class's folder, a name behind that. Fills
 * root, folder and name; returns where the class begins, or NULL. */
static const char *split_find(const char *path, int is_folder, struct member_path *out)
{
    const char *found = NULL;
    for (const char *p = path; *p;) {
        size_t length = strcspn(p, "/");
        const char *class_name = p[length] ? p + length + 1 : NULL;
        const char *slash = class_name ? strchr(class_name, '/') : NULL;
        int folder = class_name && (is_folder ? !slash : slash != NULL) ? folder_find(p, length) : -1;
        if (folder >= 0) {
            found = class_name;
            out->folder = folder;
            out->root = p > path ? (size_t)(p - 1 - path) : 0;
            out->name = slash ? slash + 1 : NULL;
        }
        p += length;
        p += *p == '/';
    }
    return found;
}

static int class_take(const char *name, size_t length, struct member_path *out, struct message *m)
{
    if (length >= sizeof out->class_name)
        return message_set(m, STATUS_FORMAT, "class name of %zu bytes, want 1..255", length);
    memcpy(out->class_name, name, length);
    out->class_name[length] = '\0';
    for (const char *c = out->class_name; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return message_set(m, STATUS_FORMAT, "control character in the class name");
    if (!text_is_utf8(out->class_name))
        return message_set(m, STATUS_FORMAT, "the class name is not UTF-8: rename the folder");
    return 0;
}

/* 1 where the member is left to the system: ROOT may begin with a point, nothing else may. */
static int member_is_hidden(const char *path, const char *class_name, const struct member_path *p)
{
    size_t length = strlen(path);
    if (class_name)
        return path_is_hidden(class_name, strlen(class_name), 1) || path_is_hidden(path, p->root, 0);
    return path_is_hidden(path, length, p->kind != MEMBER_FILE && p->kind != MEMBER_NOTE);
}

static enum member_kind kind_outside(const char *base, int is_picture, struct member_path *out)
{
    struct raw_name raw;
    if (file_name_parse(base, &out->split, &out->index))
        return MEMBER_FILE;
    out->index = note_parse(base);
    if (out->index >= 0)
        return MEMBER_NOTE;
    if (raw_name_parse(base, &raw))
        return MEMBER_RAW;
    return is_picture ? MEMBER_STRAY : MEMBER_OTHER;
}

int member_parse(const char *path, int is_folder, struct member_path *out, struct message *m)
{
    *out = (struct member_path){.kind = MEMBER_OTHER};
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    const char *class_name = split_find(path, is_folder, out);
    int is_read = suffix_in(base, read_suffixes, COUNT(read_suffixes));
    int is_picture = is_read || suffix_in(base, unread_suffixes, COUNT(unread_suffixes));
    if (!class_name) {
        out->root = slash ? (size_t)(slash - path) : 0;
        if (!is_folder)
            out->kind = kind_outside(base, is_picture, out);
    }
    if (member_is_hidden(path, class_name, out)) {
        out->kind = MEMBER_HIDDEN;
        return 0;
    }
    if (!class_name || !(is_folder || is_picture))
        return 0;
    TRY(class_take(class_name, strcspn(class_name, "/"), out, m));
    out->kind = is_folder ? MEMBER_CLASS : MEMBER_PICTURE;
    out->is_read = is_read;
    return 0;
}

int member_parse_unsplit(const char *path, int is_folder, struct member_path *out, struct message *m)
{
    TRY(member_parse(path, is_folder, out, m));
    const char *base = strrchr(path, '/');
    if (out->kind != MEMBER_STRAY || !base)
        return 0;
    const char *folder = base;
    while (folder > path && folder[-1] != '/')
        folder--;
    TRY(class_take(folder, (size_t)(base - folder), out, m));
    out->kind = MEMBER_PICTURE;
    out->folder = FOLDER_TRAIN;
    out->root = folder > path ? (size_t)(folder - 1 - path) : 0;
    out->name = base + 1;
    out->is_read = suffix_in(base + 1, read_suffixes, COUNT(read_suffixes));
    return 0;
}
