/* report_pages.h: what report prints of tables, beside its HTML page: a kind each. */
#ifndef RESQ_TOOLS_REPORT_PAGES_H
#define RESQ_TOOLS_REPORT_PAGES_H

#include "base/text.h"
#include "tools/common/options.h"

struct report_kind {
    const char *name; /* of --as */
    int least, most;  /* operands */
    int (*print)(char *const *operands, int count, struct text *out, struct message *m);
};

enum { REPORT_MAX_OPERANDS = 32 };
/* NULL: none of that name. */
const struct report_kind *report_kind_find(const char *name);

#endif
