#include "tools/common/low_bits.h"
#include <string.h>

void low_bits_take(const struct low_bits_arguments *a, struct lower_options *o)
{
    o->end_bits = a->ends && strcmp(a->ends, "same") == 0 ? 0 : 8;
    o->weight_observer = a->weight_observer ? weight_observer_find(a->weight_observer) : WEIGHT_BY_BITS;
}
