/* Any bytes as a ranges record: what is taken gives an observer a range inside the extremes, merges with itself,
 * and writes back the same. */
#include "fuzz.h"
#include "quant/observer.h"
#include <math.h>

/* One observer with one number of bits, of the histogram's choice: a search over bins takes its time. */
static void observe(const struct histogram *h)
{
    struct message m = {{0}};
    struct affine a;
    double low = NAN, high = NAN;
    int observers = 0, bits = 2 + (int)(h->bins[0] % 7);
    while (observer_at(observers))
        observers++;
    const struct observer *o = observer_at((int)(h->count % (uint64_t)observers));
    int status = o->range(h, bits, o->default_parameter, &low, &high, &m);
    require_reason(status, &m);
    if (status < 0)
        return;
    require(low <= high && low >= h->min && high <= h->max);
    require_reason(affine_from_range(low, high, bits, &a, &m), &m);
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
        for (int i = 0; i < r.count && i < 2; i++)
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
