/* export.c: both splits in the official binary layout, records of the pictures' own shape,
 * in a folder that appears whole or not at all. */
#include "data/dataset.h"
#include "data/files.h"
#include "base/memory.h"
#include "base/text.h"
#include "record/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder under construction, for dataset_export_abandon: all names that may stand in it are known. */
static char unfinished[PATH_MAX];

/* Async-signal-safe string building: dir/name. */
static void path_join(char *out, size_t size, const char *folder, const char *name)
{
    size_t n = 0;
    for (const char *p = folder; *p && n + 1 < size; p++)
        out[n++] = *p;
    if (n + 1 < size)
        out[n++] = '/';
    for (const char *p = name; *p && n + 1 < size; p++)
        out[n++] = *p;
    out[n] = '\0';
}

/* file_name without snprintf. */
static void name_spell(char out[32], int split, int index)
{
    const char *stem = split == SPLIT_TRAIN ? "data_batch" : "test_batch";
    char digits[8];
    int n = 0, length = 0, number = index + 1;
    while (*stem)
        out[n++] = *stem++;
    if (split == SPLIT_TRAIN || index > 0) {
        out[n++] = '_';
        do
            digits[length++] = (char)('0' + number % 10);
        while (number /= 10);
        while (length > 0)
            out[n++] = digits[--length];
    }
    for (const char *p = ".bin"; *p; p++)
        out[n++] = *p;
    out[n] = '\0';
}

void dataset_export_abandon(void)
{
    char path[PATH_MAX + 64], name[32];
    if (!unfinished[0])
        return;
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < SPLIT_MAX_FILES; i++) {
            name_spell(name, split, i);
            path_join(path, sizeof path, unfinished, name);
            if (unlink(path) < 0)
                break; /* files are written in this order */
        }
    for (int i = 0; i < 2; i++) {
        path_join(path, sizeof path, unfinished, note_names[i]);
        unlink(path);
    }
    rmdir(unfinished);
    unfinished[0] = '\0';
}

/* ---- writing ---- */

static int file_write(const char *name, const void *bytes, size_t count, struct message *m)
{
    char path[PATH_MAX + 64];
    path_join(path, sizeof path, unfinished, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return message_errno(m, "%s: cannot create", path);
    int status = 0;
    if (fd_write_full(fd, bytes, count) < 0 || fsync(fd) < 0)
        status = message_errno(m, "%s: write error", path);
    if (close(fd) < 0 && status == 0)
        status = message_errno(m, "%s: write error", path);
    return status;
}

static int notes_write(const struct image_files *s, struct message *m)
{
    struct text names = {0};
    int status = 0;
    for (int i = 0; i < s->class_count && status >= 0; i++)
        status = text_add(&names, m, "%s\n", s->classes[i]);
    if (status >= 0)
        status = file_write(note_names[NOTE_CLASSES], names.data, names.length, m);
    text_free(&names);
    TRY(status);
    char *note = dataset_note(s, m);
    if (!note)
        return STATUS_NOMEM;
    status = file_write(note_names[NOTE_DATASET], note, strlen(note), m);
    memory_free(note);
    return status;
}

static int files_write(const struct image_files *s, struct message *m)
{
    for (int split = 0; split < SPLIT_COUNT; split++)
        for (int i = 0; i < s->count[split]; i++) {
            char name[32];
            file_name(split, i, name);
            TRY(file_write(name, s->files[split][i].bytes, s->files[split][i].size, m));
        }
    return notes_write(s, m);
}

/* ---- the folder ---- */

/* 1 where path does not exist or is an empty folder: those are what rename may replace. */
static int target_is_free(const char *path)
{
    DIR *folder = opendir(path);
    if (!folder)
        return errno == ENOENT;
    int entries = 0;
    while (entries <= 2 && readdir(folder))
        entries++;
    closedir(folder);
    return entries <= 2; /* "." and ".." */
}

/* directory without slashes at its end in `target`; the private folder beside it in `unfinished`. */
static int export_begin(const char *directory, char target[PATH_MAX], struct message *m)
{
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/')
        length--;
    if (length + 16 > PATH_MAX)
        return message_set(m, STATUS_RANGE, "%.64s...: path too long", directory);
    memcpy(target, directory, length);
    target[length] = '\0';
    if (!target_is_free(target))
        return message_set(m, STATUS_IO, "%s: exists and is not an empty folder", target);
    char private[PATH_MAX];
    memcpy(private, target, length);
    strcpy(private + length, ".part.XXXXXX");
    if (!mkdtemp(private))
        return message_errno(m, "%s: cannot create", target);
    strcpy(unfinished, private);
    mode_t mask = umask(0);
    umask(mask);
    chmod(unfinished, 0777 & ~mask); /* mkdtemp's is for its owner alone */
    return 0;
}

int dataset_export(const char *path, const struct dataset_wish *wish, const char *directory,
                   struct message *warning, struct message *m)
{
    char target[PATH_MAX];
    TRY(export_begin(directory, target, m));
    struct image_files *s = memory_new(1, sizeof *s, m);
    int status = s ? files_open(s, path, wish, NULL, warning, NULL, m) : STATUS_NOMEM;
    if (status >= 0) {
        status = files_write(s, m);
        files_free(s);
    }
    memory_free(s);
    if (status >= 0 && rename(unfinished, target) < 0)
        status = message_errno(m, "%s: cannot create", target);
    if (status >= 0)
        unfinished[0] = '\0';
    else
        dataset_export_abandon();
    return status;
}
