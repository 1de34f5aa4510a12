/* The memory of a plan: values, scratch and packed weights in one block, so that huge pages hold all of it even
 * where none of the three would fill one: a batch of one reads all weights once and would wait for page tables. */
#include "base/memory.h"
#include "exec/infer/cpu/plan.h"
#include <string.h>

static size_t weights_bytes(const struct exec *e)
{
    size_t bytes = 0;
    for (int i = 0; i < e->step_count; i++)
        bytes += conv_parts_bytes(&e->steps[i].parts);
    return bytes;
}

/* Weights of one step. */
static void pack_step(void *context, int step, int worker)
{
    struct exec *e = context;
    struct step *s = &e->steps[step];
    unsigned char *to = e->weights;
    (void)worker;
    if (!step_is_conv(s))
        return;
    for (int i = 0; i < step; i++)
        to += conv_parts_bytes(&e->steps[i].parts);
    conv_parts_pack(e, s, s->folded ? s->folded : model_tensor(e->model, s->node, "weight")->data, &s->parts, to);
}

/* ---- what is read when ---- */

static int reads_make(const struct exec *e, struct reads *r, const struct span *at, struct message *m)
{
    int ranges = 0;
    size_t bytes = 0;
    for (int i = 0; i < e->step_count; i++)
        ranges += e->steps[i].parts.count;
    r->ranges = memory_new((size_t)ranges, sizeof *r->ranges, m);
    r->before = memory_new((size_t)ranges, sizeof *r->before, m);
    r->first = memory_new((size_t)e->step_count + 1, sizeof *r->first, m);
    if (!r->ranges || !r->before || !r->first)
        return STATUS_NOMEM;
    ranges = 0;
    for (int i = 0; i < e->step_count; i++) {
        r->first[i] = ranges;
        for (int k = 0; k < e->steps[i].parts.count; k++) {
            struct ahead_range part = conv_reads(e, &e->steps[i], k, at);
            r->ranges[ranges] = part;
            r->before[ranges++] = bytes;
            bytes += (size_t)(part.end - part.begin);
        }
    }
    r->first[e->step_count] = ranges;
    return 0;
}

/* Bytes of all ranges before this one. */
static size_t bytes_before(const struct exec *e, const struct reads *r, int range)
{
    if (range < r->first[e->step_count])
        return r->before[range];
    return range ? r->before[range - 1] + (size_t)(r->ranges[range - 1].end - r->ranges[range - 1].begin) : 0;
}

/* Weights are brought in the order of their use, so that a line that was brought has to survive the
 * `ahead_distance` bytes that are brought before it is read, and the values of these steps. */
void weights_ahead(const struct exec *e, int worker, int step, struct ahead *ahead)
{
    const struct reads *r = &e->reads[worker];
    const struct ahead_range *first = r->ranges + r->first[step];
    size_t end = bytes_before(e, r, r->first[step + 1]) + e->ahead_distance;
    if (!ahead->range || ahead->range <= first) { /* what is left of the steps before is not read any more */
        ahead->range = first;
        ahead->next = ahead->end = NULL;
    }
    ahead->last = r->ranges + r->first[e->step_count];
    size_t brought = bytes_before(e, r, (int)(ahead->range - r->ranges)) - (size_t)(ahead->end - ahead->next);
    ahead->room = end > brought ? end - brought : 0;
}

void weights_close(struct exec *e)
{
    for (int i = 0; e->reads && i < threads_count(e->pool); i++) {
        memory_free(e->reads[i].ranges);
        memory_free(e->reads[i].before);
        memory_free(e->reads[i].first);
    }
    memory_free(e->reads);
}

int weights_open(struct exec *e, struct message *m)
{
    size_t workers = (size_t)threads_count(e->pool), values = round_up_64(e->arena_bytes), scratch, bytes;
    if (size_multiply(workers, e->scratch_stride, &scratch) || __builtin_add_overflow(values, scratch, &values) ||
        __builtin_add_overflow(values, weights_bytes(e), &bytes))
        return message_set(m, STATUS_NOMEM,
                           "memory exhausted: buffers, scratch and weights exceed the address space");
    e->arena = memory_new_raw(bytes, 1, m);
    if (!e->arena)
        return STATUS_NOMEM;
    memset(e->arena, 0, values);
    e->weights = e->arena + values;
    e->scratch = e->weights - scratch;
    e->ahead_distance = second_level_cache() / 8 * 3;
    threads_run(e->pool, pack_step, e, e->step_count);
    for (int i = 0; i < e->step_count; i++) {
        memory_free(e->steps[i].folded);
        e->steps[i].folded = NULL;
    }
    e->reads = memory_new(workers, sizeof *e->reads, m);
    if (!e->reads)
        return STATUS_NOMEM;
    for (int i = 0; i < (int)workers; i++) {
        struct span at = {.count = 1, .part = i, .parts = (int)workers};
        TRY(reads_make(e, &e->reads[i], &at, m));
    }
    return 0;
}
