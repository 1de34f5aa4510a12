/* The memory of a plan: values, scratch and packed weights in one block, so that huge pages hold all of it even
 * where none of the three would fill one: a batch of one reads all weights once and would wait for page tables. */
#include "base/memory.h"
#include "exec/infer/cpu/cpu_exec.h"
#include <string.h>

static size_t weights_bytes(const struct exec *e)
{
    size_t bytes = 0;
    for (int i = 0; i < e->steps.count; i++)
        bytes += conv_parts_bytes(&cpu_of(e)->steps[i].parts);
    return bytes;
}

/* Weights of one step. */
static void pack_step(void *context, int step, int worker)
{
    struct exec *e = context;
    struct cpu_exec *c = cpu_of(e);
    unsigned char *to = c->weights;
    (void)worker;
    if (e->steps.at[step].kind != STEP_CONV)
        return;
    for (int i = 0; i < step; i++)
        to += conv_parts_bytes(&c->steps[i].parts);
    conv_parts_pack(e, step, &c->steps[step].parts, to);
}

/* ---- what is read when ---- */

static int reads_make(const struct exec *e, struct reads *r, const struct span *at, struct message *m)
{
    int ranges = 0;
    size_t bytes = 0;
    for (int i = 0; i < e->steps.count; i++)
        ranges += cpu_of(e)->steps[i].parts.count;
    r->ranges = memory_new((size_t)ranges, sizeof *r->ranges, m);
    r->before = memory_new((size_t)ranges, sizeof *r->before, m);
    r->first = memory_new((size_t)e->steps.count + 1, sizeof *r->first, m);
    if (!r->ranges || !r->before || !r->first)
        return STATUS_NOMEM;
    ranges = 0;
    for (int i = 0; i < e->steps.count; i++) {
        r->first[i] = ranges;
        for (int k = 0; k < cpu_of(e)->steps[i].parts.count; k++) {
            struct ahead_range part = conv_reads(e, i, k, at);
            r->ranges[ranges] = part;
            r->before[ranges++] = bytes;
            bytes += (size_t)(part.end - part.begin);
        }
    }
    r->first[e->steps.count] = ranges;
    return 0;
}

/* Bytes of all ranges before this one. */
static size_t bytes_before(const struct exec *e, const struct reads *r, int range)
{
    if (range < r->first[e->steps.count])
        return r->before[range];
    return range ? r->before[range - 1] + (size_t)(r->ranges[range - 1].end - r->ranges[range - 1].begin) : 0;
}

/* Weights are brought in the order of their use, so that a line that was brought has to survive the
 * `ahead_distance` bytes that are brought before it is read, and the values of these steps. */
void weights_ahead(const struct exec *e, int worker, int step, struct ahead *ahead)
{
    const struct reads *r = &cpu_of(e)->reads[worker];
    const struct ahead_range *first = r->ranges + r->first[step];
    size_t end = bytes_before(e, r, r->first[step + 1]) + cpu_of(e)->ahead_distance;
    if (!ahead->range || ahead->range <= first) { /* what is left of the steps before is not read any more */
        ahead->range = first;
        ahead->next = ahead->end = NULL;
    }
    ahead->last = r->ranges + r->first[e->steps.count];
    size_t brought = bytes_before(e, r, (int)(ahead->range - r->ranges)) - (size_t)(ahead->end - ahead->next);
    ahead->room = end > brought ? end - brought : 0;
}

void weights_close(struct exec *e)
{
    struct cpu_exec *c = cpu_of(e);
    for (int i = 0; c->reads && i < threads_count(c->pool); i++) {
        memory_free(c->reads[i].ranges);
        memory_free(c->reads[i].before);
        memory_free(c->reads[i].first);
    }
    memory_free(c->reads);
    memory_free(c->arena);
}

/* All: values and scratch, which are zeroed, then weights. */
static int count_memory(const struct exec *e, size_t *values, size_t *scratch, size_t *bytes, struct message *m)
{
    const struct cpu_exec *c = cpu_of(e);
    *values = round_up_64(c->arena_bytes);
    if (size_multiply((size_t)threads_count(c->pool), c->scratch_stride, scratch) ||
        __builtin_add_overflow(*values, *scratch, values) ||
        __builtin_add_overflow(*values, weights_bytes(e), bytes))
        return message_set(m, STATUS_NOMEM,
                           "memory exhausted: buffers, scratch and weights exceed the address space");
    return 0;
}

int weights_plan(const struct exec *e, size_t *bytes, struct message *m)
{
    size_t values, scratch;
    return count_memory(e, &values, &scratch, bytes, m);
}

static int take_memory(struct exec *e, struct message *m)
{
    struct cpu_exec *c = cpu_of(e);
    size_t values, scratch, bytes;
    TRY(count_memory(e, &values, &scratch, &bytes, m));
    c->arena = memory_new_raw(bytes, 1, m);
    if (!c->arena)
        return STATUS_NOMEM;
    memset(c->arena, 0, values);
    c->weights = c->arena + values;
    c->scratch = c->weights - scratch;
    return 0;
}

int weights_open(struct exec *e, struct message *m)
{
    struct cpu_exec *c = cpu_of(e);
    int workers = threads_count(c->pool);
    TRY(take_memory(e, m));
    c->ahead_distance = second_level_cache() / 8 * 3;
    threads_run(c->pool, pack_step, e, e->steps.count);
    for (int i = 0; i < e->steps.count; i++) {
        memory_free(e->constants[i].folded);
        e->constants[i].folded = NULL;
    }
    c->reads = memory_new((size_t)workers, sizeof *c->reads, m);
    if (!c->reads)
        return STATUS_NOMEM;
    for (int i = 0; i < workers; i++) {
        struct span at = {.count = 1, .part = i, .parts = workers};
        TRY(reads_make(e, &c->reads[i], &at, m));
    }
    return 0;
}
