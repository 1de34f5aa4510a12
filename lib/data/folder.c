/* folder.c: a folder of .bin files (or its parent), or an ImageFolder. */
#include "data/files.h"
#include "data/pictures.h"
#include "base/memory.h"
#include "record/file.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef int entry_visit(void *context, const char *folder, const char *name, struct message *m);

/* Calls visit for every entry but hidden ones, in the order the file system gives; stops at a failure. */
static int folder_each(const char *path, entry_visit *visit, void *context, struct message *m)
{
    DIR *folder = opendir(path);
    if (!folder)
        return message_errno(m, "%s: cannot open", path);
    int status = 0;
    while (status >= 0) {
        errno = 0;
        struct dirent *entry = readdir(folder);
        if (!entry) {
            if (errno)
                status = message_errno(m, "%s: cannot read", path);
            break;
        }
        if (entry->d_name[0] != '.')
            status = visit(context, path, entry->d_name, m);
    }
    closedir(folder);
    return status;
}

static int path_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- .bin files ---- */

static int bin_visit(void *context, const char *folder, const char *name, struct message *m)
{
    struct image_files *s = context;
    int split, index, note = note_parse(name), status = 0;
    int is_file = file_name_parse(name, &split, &index);
    if (!is_file && note < 0)
        return 0;
    char *path = memory_printf(m, "%s/%s", folder, name);
    if (!path)
        return STATUS_NOMEM;
    if (is_file) {
        status = files_map(s, split, index, path, m);
    } else {
        struct text text = {0};
        status = file_read(path, NOTE_MAX_BYTES, &text, m);
        if (status >= 0 && !(s->notes[note] = memory_strdup(text.data, m)))
            status = STATUS_NOMEM;
        text_free(&text);
    }
    memory_free(path);
    return status;
}

/* ---- pictures ---- */

struct picture_walk {
    struct pictures *pictures;
    char *relative;    /* SPLIT/CLASS of the folder being read */
    const char *split; /* its SPLIT */
};

static int picture_read(struct pictures *p, const struct picture_path *where, const char *path, struct message *m)
{
    struct text text = {0};
    int status = file_read(path, PICTURE_MAX_BYTES, &text, m);
    if (status >= 0) {
        status = pictures_add(p, where, text.data, text.length, m);
        if (status < 0)
            message_prefix(m, status, "%s", path);
    }
    text_free(&text);
    return status;
}

static int picture_visit(void *context, const char *folder, const char *name, struct message *m)
{
    struct picture_walk *w = context;
    struct picture_path where;
    char *path = memory_printf(m, "%s/%s", folder, name);
    char *relative = memory_printf(m, "%s/%s", w->relative, name);
    int status = STATUS_NOMEM;
    if (path && relative) {
        status = picture_path_parse(relative, &where, m);
        if (status < 0)
            message_prefix(m, status, "%s", path);
        else if (status > 0)
            status = picture_read(w->pictures, &where, path, m);
    }
    memory_free(path);
    memory_free(relative);
    return status;
}

static int class_visit(void *context, const char *folder, const char *name, struct message *m)
{
    struct picture_walk *w = context;
    char *path = memory_printf(m, "%s/%s", folder, name);
    w->relative = memory_printf(m, "%s/%s", w->split, name);
    int status = path && w->relative ? 0 : STATUS_NOMEM;
    if (status >= 0 && path_is_folder(path))
        status = folder_each(path, picture_visit, w, m);
    memory_free(path);
    memory_free(w->relative);
    return status;
}

static int pictures_from_folder(struct image_files *s, const char *path, struct message *m)
{
    struct picture_walk w = {.pictures = pictures_new(m)};
    int status = w.pictures ? 0 : STATUS_NOMEM;
    for (int split = 0; split < SPLIT_COUNT && status >= 0; split++) {
        char *folder = memory_printf(m, "%s/%s", path, split_names[split]);
        w.split = split_names[split];
        if (!folder)
            status = STATUS_NOMEM;
        else if (path_is_folder(folder))
            status = folder_each(folder, class_visit, &w, m);
        memory_free(folder);
    }
    if (status >= 0 && pictures_count(w.pictures) > 0) {
        status = pictures_finish(w.pictures, s, m);
        if (status < 0)
            message_prefix(m, status, "%s", path);
    }
    pictures_free(w.pictures);
    return status;
}

int files_from_folder(struct image_files *s, const char *path, struct message *m)
{
    TRY(folder_each(path, bin_visit, s, m));
    if (s->count[SPLIT_TRAIN] + s->count[SPLIT_TEST] > 0)
        return 0;
    char *inner = memory_printf(m, "%s/cifar-10-batches-bin", path);
    if (!inner)
        return STATUS_NOMEM;
    int status;
    if (path_is_folder(inner))
        status = folder_each(inner, bin_visit, s, m);
    else
        status = pictures_from_folder(s, path, m);
    memory_free(inner);
    return status;
}
