#include "kernel/contract/device.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct device_backend *device_backend_test;

/* Where resq-NAME.so may lie, from the folder of the running program. */
static const char *const places[] = {"", "../lib/resq/"};

static int program_folder(char folder[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    folder[length] = 0;
    *(strrchr(folder, '/') + 1) = 0; /* absolute: there is one */
    return 1;
}

static int find_library(const char *name, char path[2 * PATH_MAX])
{
    char folder[PATH_MAX];
    if (!program_folder(folder))
        return 0;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        snprintf(path, 2 * PATH_MAX, "%s%sresq-%s.so", folder, places[i], name);
        if (access(path, R_OK) == 0)
            return 1;
    }
    return 0;
}

static int check_table(const struct device_backend *b, const char *name, const char *path, struct message *m)
{
    if (!b)
        return message_set(m, STATUS_UNSUPPORTED, "%s: gives no backend", path);
    if (b->version != DEVICE_VERSION || b->size != sizeof *b)
        return message_set(m, STATUS_UNSUPPORTED, "%s: is of interface %d, want %d: build it anew", path,
                           b->version, (int)DEVICE_VERSION);
    if (strcmp(b->name, name) != 0)
        return message_set(m, STATUS_UNSUPPORTED, "%s: is a backend for '%s', not for '%s'", path, b->name, name);
    return 0;
}

/* The library stays loaded: what it links (a driver) does not always survive being closed. */
static int load(const char *path, const char *name, const struct device_backend **backend, struct message *m)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return message_set(m, STATUS_UNSUPPORTED, "cannot load it: %s", dlerror());
    device_backend_entry *entry;
    *(void **)(void *)&entry = dlsym(library, DEVICE_BACKEND_SYMBOL);
    if (!entry)
        return message_set(m, STATUS_UNSUPPORTED, "%s: has no " DEVICE_BACKEND_SYMBOL, path);
    const struct device_backend *found = entry();
    TRY(check_table(found, name, path, m));
    *backend = found;
    return 0;
}

static const char *chosen_path(const char *name)
{
    const char *path = strcmp(name, "cuda") == 0 ? getenv("RESQ_CUDA") : NULL;
    return path && *path ? path : NULL;
}

/* Without its driver a backend need not be loaded, which takes a second: it brings large libraries. */
static int check_driver(const char *name, struct message *m)
{
    void *driver = strcmp(name, "cuda") == 0 ? dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) : NULL;
    if (strcmp(name, "cuda") == 0 && !driver)
        return message_set(m, STATUS_UNSUPPORTED, "no NVIDIA driver: %s", dlerror());
    return 0; /* stays loaded: the backend is about to want it */
}

int device_backend_exists(const char *name)
{
    char path[2 * PATH_MAX];
    struct message unused;
    if (device_backend_test || chosen_path(name))
        return 1;
    return find_library(name, path) && check_driver(name, &unused) >= 0;
}

static int find_and_load(const char *name, const struct device_backend **backend, struct message *m)
{
    char path[2 * PATH_MAX];
    if (chosen_path(name))
        return load(chosen_path(name), name, backend, m);
    if (!find_library(name, path))
        return message_set(m, STATUS_UNSUPPORTED,
                           "there is no resq-%s.so beside the program (it is built where CUDA is)", name);
    TRY(check_driver(name, m));
    return load(path, name, backend, m);
}

int device_backend_open(const char *name, const struct device_backend **backend, struct message *m)
{
    static const struct device_backend *loaded;
    if (device_backend_test) {
        *backend = device_backend_test;
        return 0;
    }
    if (!loaded || strcmp(loaded->name, name) != 0)
        TRY(find_and_load(name, &loaded, m));
    *backend = loaded;
    return 0;
}
