#include "tools/common/lowering.h"
#include <math.h>
#include <string.h>

int lowering_read_plan(struct lowering *l, const struct graph *fused, struct message *m)
{
    return l->low.plan ? bit_plan_load(&l->plan, l->low.plan, fused, l->plan_hex, m) : 0;
}

struct lower_options lowering_options(const struct lowering *l)
{
    const int has_parameter = strcmp(l->observer, "percentile") == 0;
    struct lower_options how = {.observer = l->observer,
                                .observer_parameter = has_parameter ? l->percentile : (double)NAN,
                                .weight_bits = (int)l->weight_bits,
                                .activation_bits = (int)l->activation_bits,
                                .per_tensor = l->per_tensor};
    low_bits_take(&l->low, &how);
    how.plan = l->plan.rows ? &l->plan : NULL;
    return how;
}

void lowering_lineage(const struct lowering *l, struct lineage *lineage)
{
    const struct lower_options how = lowering_options(l);
    if (l->low.plan)
        lineage_add(lineage, "plan", "sha256:%s", l->plan_hex);
    if (lower_ends_name(&how))
        lineage_add(lineage, "ends", "%s", lower_ends_name(&how));
    if (lower_observer_name(&how))
        lineage_add(lineage, "weight-observer", "%s", lower_observer_name(&how));
}

void lowering_close(struct lowering *l)
{
    bit_plan_free(&l->plan);
}
