#include "tools/common/plot.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int holds_scripts(const char *folder)
{
    char style[PATH_MAX + 32];
    snprintf(style, sizeof style, "%s/style.gp", folder);
    return access(style, R_OK) == 0;
}

int plots_find(char *out, size_t size, struct message *m)
{
    static const char *const places[] = {"plots", "share/resq/plots"};
    enum { LEVELS = 4 }; /* bin, and build/NAME/bin, lie this deep below plots at most */
    const char *given = getenv("RESQ_PLOTS");
    if (given && *given) {
        snprintf(out, size, "%s", given);
        return holds_scripts(out) ? 0 : message_errno(m, "%s/style.gp: cannot open (RESQ_PLOTS)", given);
    }
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length < 0)
        return message_errno(m, "/proc/self/exe: cannot read: set RESQ_PLOTS to the folder of scripts");
    program[length] = '\0';
    for (int level = 0; level < LEVELS && strrchr(program, '/'); level++) {
        *strrchr(program, '/') = '\0';
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            int written = snprintf(out, size, "%s/%s", program, places[i]);
            if (written > 0 && (size_t)written < size && holds_scripts(out))
                return 0;
        }
    }
    return message_set(m, STATUS_IO,
                       "style.gp: not found beside the program: set RESQ_PLOTS to the folder of scripts");
}
