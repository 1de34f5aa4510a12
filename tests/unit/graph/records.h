/* records.h: records that are no models, or not quite, for the tests of what reads them. */
#ifndef TESTS_UNIT_GRAPH_RECORDS_H
#define TESTS_UNIT_GRAPH_RECORDS_H

#include "samples.h"

/* Takes r, which is no model for this reason. */
static inline void refuse(struct record *r, int code, const char *part)
{
    struct message m = {{0}};
    struct model model;
    ASSERT_FAILS(model_from_record(&model, r, &m), code, part, m);
}

/* The tensor of this name, of zeros. */
static inline void replace(struct record *r, const char *name, enum dtype dtype, int rank, const int64_t *shape)
{
    struct message m;
    record_remove(r, name);
    ASSERT_OK(record_add(r, name, dtype, rank, shape, NULL, &m), m);
}

#endif
