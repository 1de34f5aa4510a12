#include "ranks/ranks.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Who starts processes, by a variable that holds how many, or that is there at all; and what carries them. */
static const struct {
    const char *variable;
    int is_count;
    const char *library;
} launchers[] = {{"OMPI_COMM_WORLD_SIZE", 1, "openmpi"},
                 {"PMI_SIZE", 1, "mpich"},
                 {"PMIX_RANK", 0, "openmpi"},
                 {"PMI_RANK", 0, "mpich"}};

static int is_set(const char *value)
{
    return value && *value;
}

/* NULL: a process alone. */
static const char *library_wanted(void)
{
    const char *chosen = getenv("RESQ_RANKS");
    if (is_set(chosen))
        return strcmp(chosen, "off") == 0 ? NULL : chosen;
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *value = getenv(launchers[i].variable);
        if (!is_set(value))
            continue;
        return launchers[i].is_count && strcmp(value, "1") == 0 ? NULL : launchers[i].library;
    }
    return NULL;
}

/* Where resq-NAME.so may lie, from the folder of the running program. */
static const char *const places[] = {"", "../lib/resq/"};

static int library_find(const char *name, char path[2 * PATH_MAX], struct message *m)
{
    char folder[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    folder[length > 0 ? length : 0] = 0;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[1] = 0;
    if (strchr(name, '/')) {
        snprintf(path, 2 * PATH_MAX, "%s", name);
        return 0;
    }
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, 2 * PATH_MAX, "%s%sresq-%s.so", folder, places[i], name);
        if (access(path, R_OK) == 0)
            return 0;
    }
    return message_set(
        m, STATUS_UNSUPPORTED,
        "was started as one of several processes, but there is no resq-%s.so beside the program (it is "
        "built where that MPI is installed)",
        name);
}

static const struct ranks_backend *backend_of(void *library)
{
    ranks_backend_entry *entry;
    *(void **)(void *)&entry = dlsym(library, RANKS_BACKEND_SYMBOL);
    const struct ranks_backend *b = entry ? entry() : NULL;
    return b && b->version == RANKS_VERSION && b->size == sizeof *b ? b : NULL;
}

/* An MPI loads parts of itself that look for its symbols among all: RTLD_GLOBAL. It stays loaded. */
static int library_open(const char *path, const struct ranks **ranks, struct message *m)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!library)
        return message_set(m, STATUS_UNSUPPORTED, "cannot load it: %s", dlerror());
    const struct ranks_backend *b = backend_of(library);
    if (!b)
        return message_set(m, STATUS_UNSUPPORTED, "%s: is of another version of the programs: build it anew", path);
    return b->open(ranks, m);
}

int ranks_open(const struct ranks **ranks, struct message *m)
{
    static const struct ranks *opened;
    const char *name = library_wanted();
    char path[2 * PATH_MAX];
    *ranks = opened;
    if (opened || !name)
        return 0;
    int status = library_find(name, path, m);
    if (status >= 0)
        status = library_open(path, &opened, m);
    if (status < 0)
        return message_prefix(m, status, "ranks");
    *ranks = opened;
    return 0;
}
