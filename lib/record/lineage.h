/* lineage.h: the made-by metadata: one line per tool that a record went through.
 *
 *     cifar-load 0.2.0 part=train seed=1 shuffle=1 split=train data=sha256:0123...
 *     augment 0.2.0 crop=4 flip=0.5 ... seed=1
 *     train-fp32 0.2.0 batch=128 ... graph=sha256:...
 *
 * Every option that can change the result, its default written out, keys sorted; digests of inputs as
 * KEY=sha256:HEX. Never paths, -j, -o, -v, --resume or environment. The lineage of a second input stands indented
 * by two spaces under the tool that read it. */
#ifndef RESQ_RECORD_LINEAGE_H
#define RESQ_RECORD_LINEAGE_H

#include "base/version.h"
#include "record/record.h"

enum { LINEAGE_MAX_OPTIONS = 64 };

/* Collects one tool's line. All-zero is empty. Values are copied; whitespace inside a value is stored as %20. */
struct lineage {
    char *options[LINEAGE_MAX_OPTIONS]; /* "key=value" */
    int count;
    struct message *message; /* where the first failure went */
    int status;              /* sticky: checked once, in lineage_apply */
};

void lineage_add(struct lineage *l, const char *key, const char *format, ...) RESQ_PRINTF(3, 4);
void lineage_add_number(struct lineage *l, const char *key, double value);
void lineage_free(struct lineage *l);

/* Sets to's made-by: that of `main_input` (may be NULL), then "TOOL VERSION key=value ..." (sorted), then the
 * made-by of each of the `side_count` side inputs indented. `to` may be the same record as main_input. */
int lineage_apply(struct record *to, const struct record *main_input, const char *tool, const struct lineage *l,
                  const struct record *const *sides, int side_count, struct message *m) RESQ_USE_RESULT;

#endif
