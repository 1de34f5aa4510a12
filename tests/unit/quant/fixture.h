/* fixture.h: numbers from elsewhere, by name; tests/reference has the scripts that made them. */
#ifndef TESTS_UNIT_QUANT_FIXTURE_H
#define TESTS_UNIT_QUANT_FIXTURE_H

#include "../graph/samples.h"
#include "record/stream.h"

static inline struct record *fixture_load(const char *path)
{
    struct message m;
    struct record *r;
    ASSERT_OK(record_load(&r, path, &m), m);
    return r;
}

static inline const struct tensor *fixture_get(const struct record *r, const char *format, int number)
{
    char name[64];
    snprintf(name, sizeof name, format, number);
    const struct tensor *t = record_find(r, name);
    if (!t)
        print_error("fixture has no %s\n", name);
    assert_non_null(t);
    return t;
}

#endif
