/* Any bytes as a stream of records: parsed, and what parses written again, shown and compared. */
#include "record/describe.h"
#include "record/stream.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void record_exercise(const struct record *r)
{
    struct message m = {{0}};
    struct record *again = NULL;
    struct text t = {0};
    void *written = NULL;
    size_t count, used;
    require(record_serialise(r, &written, &count, &m) == STATUS_OK);
    require(record_parse(&again, written, count, &used, &m) == STATUS_OK && used == count);
    require(again->tensor_count == r->tensor_count);
    require(record_show(r, &t, &m) == STATUS_OK);
    text_clear(&t);
    require(record_compare(r, r, &t, &m) == 1);
    text_free(&t);
    record_free(again);
    memory_free(written);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    size_t at = 0;
    while (at < count) {
        struct message m = {{0}};
        struct record *r;
        size_t used;
        if (record_parse(&r, bytes + at, count - at, &used, &m) < 0) {
            require(!r && m.text[0] && !strpbrk(m.text, "\n\r\033"));
            break;
        }
        record_exercise(r);
        record_free(r);
        require(used >= 8);
        at += used;
    }
    return 0;
}
