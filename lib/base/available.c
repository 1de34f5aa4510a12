#include "base/available.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* The number behind `key` in a file of "KEY: NUMBER kB" lines, in bytes; SIZE_MAX where it is not there. */
static size_t kilobytes_of(const char *path, const char *key)
{
    char line[256];
    size_t bytes = SIZE_MAX, length = strlen(key);
    unsigned long long number;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, length) == 0 && sscanf(line + length, "%llu", &number) == 1)
            bytes = number > SIZE_MAX / 1024 ? SIZE_MAX : (size_t)number * 1024;
    if (f)
        fclose(f);
    return bytes;
}

/* A file of one number; SIZE_MAX for "max" and where there is none. */
static size_t number_of(const char *path)
{
    unsigned long long number;
    FILE *f = fopen(path, "re");
    size_t bytes = f && fscanf(f, "%llu", &number) == 1 ? (size_t)number : SIZE_MAX;
    if (f)
        fclose(f);
    return bytes;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* What a limit leaves behind what is used; a limit that is not known leaves everything. */
static size_t left_of(size_t limit, size_t used)
{
    if (limit == SIZE_MAX || used == SIZE_MAX)
        return SIZE_MAX;
    return limit > used ? limit - used : 0;
}

size_t memory_available(void)
{
    struct rlimit space;
    size_t bytes = kilobytes_of("/proc/meminfo", "MemAvailable:");
    bytes =
        least(bytes, left_of(number_of("/sys/fs/cgroup/memory.max"), number_of("/sys/fs/cgroup/memory.current")));
    if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY)
        bytes = least(bytes, left_of((size_t)space.rlim_cur, kilobytes_of("/proc/self/status", "VmSize:")));
    return bytes;
}

int batch_fits(batch_bytes *bytes, void *context, int batch, const char *what, size_t available,
               struct message *said, struct message *m)
{
    size_t need = 0, fitting = 0;
    TRY(bytes(context, batch, &need, m));
    said->text[0] = 0;
    if (need == 0)
        return 0;
    if (need <= available) {
        message_set(said, 0, "%s of %d image%s takes %.1f MB", what, batch, batch == 1 ? "" : "s",
                    (double)need / 1e6);
        return 0;
    }
    int low = 0, high = batch; /* low fits, high does not */
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        size_t some;
        TRY(bytes(context, middle, &some, m));
        if (some <= available) {
            low = middle;
            fitting = some;
        } else {
            high = middle;
        }
    }
    if (low == 0)
        return message_set(m, STATUS_NOMEM, "%s of %d image%s takes %.1f MB, %.1f MB are free, and none fits", what,
                           batch, batch == 1 ? "" : "s", (double)need / 1e6, (double)available / 1e6);
    return message_set(m, STATUS_NOMEM,
                       "%s of %d images takes %.1f MB, and %.1f MB are free: -b %d fits, with %.1f MB", what, batch,
                       (double)need / 1e6, (double)available / 1e6, low, (double)fitting / 1e6);
}
