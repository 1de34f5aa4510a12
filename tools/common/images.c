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
