/* verbs.h: what inspect does with records, a verb each. */
#ifndef RESQ_TOOLS_VERBS_H
#define RESQ_TOOLS_VERBS_H

#include "tools/common/model_file.h"
#include <stdio.h>

#define VERB_NAMES "show, graph, network, bounds, stages, tensor, made-by, check or compare"

struct inspection {
    const struct tool *tool;
    const char *output; /* NULL: standard output */
    int values;         /* of `tensor`: every value, not its statistics */
    struct model_arguments given;
    struct operands operands; /* behind the verb, as many as it takes */
    /* while it runs: */
    FILE *out;                  /* failed writes show at its commit */
    struct file_summary second; /* of `compare` */
    /* after it: */
    int differs; /* the answer is no, which is not a failure: exit status 1 without a message */
};

struct verb {
    const char *name;
    int least, most; /* operands behind the verb */
    int file_at;     /* the first operand that is a file */
    int every_file;  /* run on all of them, not on the first */
    /* On one checked file, whose text goes out behind it. May take file->first, leaving NULL. */
    int (*run)(struct inspection *i, struct file_summary *file, struct text *t, struct message *m);
};

/* NULL: there is none of this name. */
const struct verb *verb_find(const char *name);
/* Runs it on its files. The text goes to the output whole or not at all. Of several files that fail, all but the last
 * are named on standard error, a line each, and the last in m. */
int verb_run(const struct verb *verb, struct inspection *i, struct message *m) RESQ_USE_RESULT;

#endif
