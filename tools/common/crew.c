#include "tools/common/crew.h"
#include "exec/device/choose.h"
#include <unistd.h>

enum { PATIENCE = 3 /* seconds, for the first rank to say what fails on all */ };

int crew_is_first(const struct ranks *ranks)
{
    return !ranks || ranks->rank == 0;
}

int crew_open(const struct ranks **ranks, int *verbose, int *quiet, struct message *m)
{
    TRY(ranks_open(ranks, m));
    if (*ranks)
        device_prefer((*ranks)->local); /* a GPU each, as far as the machine has them */
    *quiet = *quiet || !crew_is_first(*ranks);
    *verbose = *verbose && crew_is_first(*ranks);
    return STATUS_OK;
}

int tool_end_of_ranks(const struct tool *t, const struct ranks *ranks, int status, struct message *m)
{
    if (!ranks)
        return tool_end(t, status, m);
    if (status >= 0) {
        int result = ranks->rank == 0 ? tool_end(t, status, m) : 0;
        if (result != 0)
            ranks->abandon();
        ranks->close();
        return result;
    }
    if (ranks->rank > 0) {
        sleep(PATIENCE);
        status = message_prefix(m, status, "rank %d", ranks->rank);
    }
    int result = tool_end(t, status, m);
    ranks->abandon();
    return result;
}
