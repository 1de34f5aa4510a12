#include "quant/observers.h"
#include <string.h>

static const struct observer observers[] = {
    {"min-max", "everything seen", minmax_range, 0},
    {"percentile", "all but the outermost share at each end", percentile_range, 99.99},
    {"mse", "least expected squared error", mse_range, 0},
    {"entropy", "least Kullback-Leibler divergence", entropy_range, 0},
};

const struct observer *observer_at(int i)
{
    return i >= 0 && i < (int)(sizeof observers / sizeof observers[0]) ? &observers[i] : NULL;
}

const struct observer *observer_find(const char *name)
{
    for (int i = 0; observer_at(i); i++)
        if (strcmp(observer_at(i)->name, name) == 0)
            return observer_at(i);
    return NULL;
}
