#include "tools/common/crew.h"
#include <unistd.h>

enum { PATIENCE = 3 /* seconds, for the first rank to say what fails on all */ };

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
