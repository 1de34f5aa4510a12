/* check.h: what the report layer's tests share. */
#ifndef TESTS_UNIT_REPORT_CHECK_H
#define TESTS_UNIT_REPORT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIXTURE "tests/reference/report.safetensors"

#define ASSERT_OK(call, m)            \
    do {                              \
        if ((call) < 0)               \
            fail_msg("%s", (m).text); \
    } while (0)

static inline void assert_near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance))
        print_error("got %.17g, want %.17g\n", got, want);
    assert_true(fabs(got - want) <= tolerance);
}

/* A file name in the test's scratch folder. */
static inline const char *scratch(const char *name)
{
    static char path[4096];
    const char *folder = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "/tmp", name);
    return path;
}

#endif
