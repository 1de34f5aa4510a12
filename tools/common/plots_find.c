#include "tools/common/beside.h"
#include "tools/common/plot.h"

int plots_find(char *out, size_t size, struct message *m)
{
    static const struct beside scripts = {
        "RESQ_PLOTS", {"plots", "share/resq/plots"}, "style.gp", "the folder of scripts"};
    return beside_find(&scripts, out, size, m);
}
