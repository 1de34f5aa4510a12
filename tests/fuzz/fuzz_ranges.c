/* Any bytes as a ranges record: what is taken gives every observer a range inside the extremes, merges with itself,
 * and writes back the same. */
#include "fuzz.h"
#include "quant/observer.h"
#include <math.h>

static void observe(const struct histogram *h)
{
    for (int i = 0; observer_at(i); i++) {
        for (int bits = 2; bits <= 8; bits += 3) {
            struct message m = {{0}};
            struct affine a;
            double low = NAN, high = NAN;
            int status = observer_at(i)->range(h, bits, observer_at(i)->default_parameter, &low, &high, &m);
            require_reason(status, &m);
            if (status < 0)
                continue;
            require(low <= high && low >= h->min && high <= h->max);
            require_reason(affine_from_range(low, high, bits, &a, &m), &m);
        }
    }
}

static void again(const struct ranges *r)
{
    struct message m = {{0}};
    struct ranges back;
    struct record *record = record_new(&m);
    require(record && ranges_to_record(r, record, &m) >= 0 && ranges_from_record(&back, record, &m) >= 0);
    require(back.count == r->count &&
            memcmp(back.histograms, r->histograms, (size_t)r->count * sizeof *r->histograms) == 0);
    require_reason(ranges_merge(&back, r, &m), &m);
    ranges_free(&back);
    record_free(record);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    struct message m = {{0}};
    struct ranges r;
    struct record *record = record_of(bytes, count), *joined = NULL;
    if (!record)
        return 0;
    int status = ranges_from_record(&r, record, &m);
    require_reason(status, &m);
    if (status >= 0) {
        for (int i = 0; i < r.count && i < 4; i++)
            observe(&r.histograms[i]);
        again(&r);
        ranges_free(&r);
    }
    status = ranges_join(&joined, (struct record *const[]){record, record}, (const char *const[]){"a", "b"}, 2, &m);
    require_reason(status, &m);
    record_free(joined);
    record_free(record);
    return 0;
}
