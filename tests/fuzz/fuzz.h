/* fuzz.h: what the fuzz targets share: a broken promise ends the program, which libFuzzer reports. */
#ifndef RESQ_TESTS_FUZZ_H
#define RESQ_TESTS_FUZZ_H

#include "record/stream.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static inline void require(int condition)
{
    if (!condition)
        abort();
}

/* Success, or a failure with one line of reason. */
static inline void require_reason(int status, const struct message *m)
{
    require(status >= 0 || (m->text[0] && !strpbrk(m->text, "\n\r\033")));
}

/* The first record among the bytes, NULL where they are none. */
static inline struct record *record_of(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    struct record *r;
    size_t used;
    int status = record_parse(&r, bytes, count, &used, &m);
    require_reason(status, &m);
    require((status >= 0) == (r != NULL));
    return r;
}

#endif
