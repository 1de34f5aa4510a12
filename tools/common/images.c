#include "tools/common/images.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARCHIVE "cifar10-jpeg-q75.tar.xz"

static int is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* FOLDER/RELATIVE/ARCHIVE in out, where it is a file. */
static int try_path(char out[PATH_MAX], const char *folder, const char *relative)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%s", folder, relative, ARCHIVE);
    return n > 0 && n < PATH_MAX && is_file(out);
}

/* The folder that holds the running program. */
static int program_folder(char out[PATH_MAX])
{
    ssize_t n = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (n <= 0)
        return 0;
    out[n] = '\0';
    char *slash = strrchr(out, '/');
    if (slash)
        *slash = '\0';
    return slash != NULL;
}

static int copy(char out[PATH_MAX], const char *path, struct message *m)
{
    if (strlen(path) >= PATH_MAX)
        return message_set(m, STATUS_RANGE, "%.64s...: path too long", path);
    strcpy(out, path);
    return 0;
}

int images_find(const char *given, char out[PATH_MAX], struct message *m)
{
    static const char *const beside[] = {"../pipelines/data/", "../share/resq/data/", "../share/resq/"};
    const char *folder = getenv("CIFAR10_DIR"), *data = getenv("RESQ_DATA");
    char here[PATH_MAX];
    if (given)
        return copy(out, given, m);
    if (folder && *folder)
        return copy(out, folder, m);
    if (data && *data)
        return is_file(data) || !try_path(out, data, "") ? copy(out, data, m) : 0;
    if (program_folder(here))
        for (size_t i = 0; i < sizeof beside / sizeof beside[0]; i++)
            if (try_path(out, here, beside[i]))
                return 0;
    return message_set(m, STATUS_IO,
                       "no images: the embedded " ARCHIVE " is not where this program stands; "
                       "name a data set with -d PATH or in CIFAR10_DIR");
}

/* The folder for decoded copies; 0 where there is none. */
static int cache_find(char out[PATH_MAX])
{
    const char *off = getenv("RESQ_CACHE"), *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (off && strcmp(off, "off") == 0)
        return 0;
    int is_given = cache && *cache == '/'; /* a relative one is to be ignored, says the specification */
    if (!is_given && (!home || *home != '/'))
        return 0;
    int n = snprintf(out, PATH_MAX, "%s%s/resq/images", is_given ? cache : home, is_given ? "" : "/.cache");
    return n > 0 && n < PATH_MAX;
}

int images_read(const struct tool *t, const struct images_request *r, struct dataset *d, int64_t **indices,
                int64_t *count, struct message *m)
{
    struct message warning = {{0}}, said = {{0}};
    char cache[PATH_MAX];
    int has_cache = r->cache && cache_find(cache);
    TRY(dataset_open(d, r->path, r->split, &r->wish, has_cache ? cache : NULL, &warning, &said, m));
    if (warning.text[0] && !r->quiet)
        tool_warn(t, "%s", warning.text);
    if (said.text[0] && r->verbose)
        fprintf(stderr, "%s: %s\n", tool_called(t), said.text);
    TRY(dataset_select(d, r->part, r->offset, r->count, indices, count, m));
    if (r->count > *count && !r->quiet)
        tool_warn(t, "%s: -n %lld asks for more images than there are: taking all %lld of %s/%s%s", d->name,
                  (long long)r->count, (long long)*count, d->split, r->part, r->offset ? " from --offset on" : "");
    TRY(dataset_read(d, *indices, *count, m));
    if (r->verbose)
        fprintf(stderr, "%s: %s, %s, %s/%s: %lld of %lld images\n", tool_called(t), d->name, d->digest, d->split,
                r->part, (long long)*count, (long long)d->count);
    return 0;
}
