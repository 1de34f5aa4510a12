#include "tools/common/beside.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int holds(const char *folder, const char *file)
{
    char path[PATH_MAX + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    return access(path, R_OK) == 0;
}

int beside_find(const struct beside *b, char *out, size_t size, struct message *m)
{
    enum { LEVELS = 4 }; /* bin, and build/NAME/bin, lie this deep below the folder at most */
    const char *given = getenv(b->variable);
    if (given && *given) {
        snprintf(out, size, "%s", given);
        return holds(out, b->file) ? 0 : message_errno(m, "%s/%s: cannot open (%s)", given, b->file, b->variable);
    }
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return message_errno(m, "/proc/self/exe: cannot read: set %s to %s", b->variable, b->what);
    program[length] = '\0';
    for (int level = 0; level < LEVELS && strrchr(program, '/'); level++) {
        *strrchr(program, '/') = '\0';
        for (size_t i = 0; i < sizeof b->places / sizeof b->places[0]; i++) {
            int written = snprintf(out, size, "%s/%s", program, b->places[i]);
            if (written > 0 && (size_t)written < size && holds(out, b->file))
                return 0;
        }
    }
    return message_set(m, STATUS_IO, "%s: not found beside the program: set %s to %s", b->file, b->variable,
                       b->what);
}
