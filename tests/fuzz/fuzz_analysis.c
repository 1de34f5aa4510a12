/* Any bytes as a part of an analysis: what is taken as the whole has rows whose counts are of its images. */
#include "fuzz.h"
#include "ptq/analyse_part.h"

static int join(struct record *const *parts, int count)
{
    struct message m = {{0}};
    struct analysis a;
    int status = analysis_join(&a, parts, (const char *const[]){"a", "b"}, count, &m);
    require_reason(status, &m);
    for (int i = 0; status >= 0 && i < a.count; i++) {
        const struct analyse_row *row = &a.rows[i];
        require(row->correct <= a.judged && row->agreed <= a.judged && row->bits >= 2 && row->bits <= 8);
        require(row->name[0] && strlen(row->name) < NODE_NAME_SIZE);
    }
    analysis_free(&a);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct record *record = record_of(bytes, count);
    if (!record)
        return 0;
    join(&record, 1);
    require(join((struct record *const[]){record, record}, 2) < 0); /* no image twice */
    record_free(record);
    return 0;
}
