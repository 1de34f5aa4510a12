#include "base/text.h"
#include "tools/common/beside.h"
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int is_name(const char *name)
{
    return *name &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == strlen(name);
}

/* Their names, in order, with commas. */
static int names_of(const char *folder, struct text *names, struct message *m)
{
    char pattern[PATH_MAX + 16];
    glob_t found;
    snprintf(pattern, sizeof pattern, "%s/*.net", folder);
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    int status = 0;
    for (size_t i = 0; i < found.gl_pathc && status >= 0; i++) {
        const char *base = strrchr(found.gl_pathv[i], '/') + 1;
        status = text_add(names, m, "%s%.*s", i ? ", " : "", (int)(strlen(base) - strlen(".net")), base);
    }
    globfree(&found);
    return status;
}

int network_find(const char *name, char *out, size_t size, struct message *m)
{
    static const struct beside networks = {
        "RESQ_NETWORKS", {"pipelines/networks", "share/resq/networks"}, "lenet5.net", "the folder of networks"};
    char folder[PATH_MAX];
    TRY(beside_find(&networks, folder, sizeof folder, m));
    int written = snprintf(out, size, "%s/%s.net", folder, name);
    if (is_name(name) && written > 0 && (size_t)written < size && access(out, R_OK) == 0)
        return 0;
    struct text names = {0};
    int status = names_of(folder, &names, m);
    if (status >= 0)
        status = message_set(m, STATUS_RANGE, "no network '%.64s': there are %s", name,
                             names.data ? names.data : "none");
    text_free(&names);
    return status;
}
