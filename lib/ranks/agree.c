#include "ranks/agree.h"
#include "base/memory.h"
#include <stdio.h>
#include <string.h>

static int views_compare(const char *views, int count, struct message *m)
{
    for (int i = 1; i < count; i++) {
        const char *view = views + (size_t)i * VIEW_BYTES;
        if (strcmp(view, views) != 0)
            return message_set(
                m, STATUS_MISMATCH,
                "rank %d has %s, but rank 0 %s: all need the same instruction set, options and files", i, view,
                views);
    }
    return STATUS_OK;
}

int ranks_agree(const struct ranks *ranks, const char *view, struct message *m)
{
    size_t bytes[RANKS_MOST], offset[RANKS_MOST];
    char own[VIEW_BYTES] = {0};
    if (!ranks || ranks->count == 1)
        return STATUS_OK;
    char *views = memory_new((size_t)ranks->count, VIEW_BYTES, m);
    if (!views)
        return STATUS_NOMEM;
    snprintf(own, sizeof own, "%s", view);
    for (int i = 0; i < ranks->count; i++) {
        bytes[i] = VIEW_BYTES;
        offset[i] = (size_t)i * VIEW_BYTES;
    }
    int status = ranks->gather(own, views, bytes, offset, m);
    if (status >= 0)
        status = views_compare(views, ranks->count, m);
    memory_free(views);
    return status;
}
