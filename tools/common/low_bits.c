#include "tools/common/low_bits.h"
#include "quant/observer.h"
#include <stdio.h>
#include <string.h>

void observer_names(char out[OBSERVER_NAMES_SIZE])
{
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; observer_at(i) && used < OBSERVER_NAMES_SIZE; i++)
        used +=
            (size_t)snprintf(out + used, OBSERVER_NAMES_SIZE - used, "%s%s", i ? "|" : "", observer_at(i)->name);
}

void low_bits_take(const struct low_bits_arguments *a, struct lower_options *o)
{
    o->end_bits = a->ends && strcmp(a->ends, "same") == 0 ? 0 : 8;
    o->weight_observer = a->weight_observer ? weight_observer_find(a->weight_observer) : WEIGHT_BY_BITS;
}
