#include "exec/plan/lifetimes.h"
#include "base/memory.h"
#include <stdint.h>
#include <stdlib.h>

size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* ---- when ---- */

static void read_at(struct lifetime *values, int node, int time)
{
    if (node >= 0 && values[node].end < time)
        values[node].end = time;
}

void lives_of_inference(const struct steps *s, int nodes, int keep, struct lifetime *values)
{
    for (int i = 0; i < nodes; i++)
        values[i].begin = values[i].end = -1;
    values[0].begin = values[0].end = 0;
    for (int i = 0; i < s->count; i++) {
        const struct step *step = &s->at[i];
        values[step->output].begin = i;
        values[step->output].end = keep ? s->count : i;
        for (int k = 0; k < step_operands(step); k++)
            read_at(values, step_operand(step, k), i);
    }
    read_at(values, nodes - 1, s->count);
}

void lives_of_training(const struct steps *s, int nodes, struct lifetime *values, struct lifetime *gradients)
{
    int end = 2 * s->count - 1;
    for (int i = 0; i < nodes; i++)
        values[i].begin = values[i].end = gradients[i].begin = gradients[i].end = 0;
    for (int i = 0; i < s->count; i++) {
        int node = s->at[i].output;
        values[node].begin = i;
        values[node].end = gradients[node].end = end - i;
        gradients[node].begin = node == nodes - 1 ? s->count - 1 : end - i;
    }
    for (int i = 0; i < s->count; i++) {
        for (int k = 0; k < step_operands(&s->at[i]); k++) {
            int operand = step_operand(&s->at[i], k);
            if (operand >= 0 && gradients[operand].begin > end - i)
                gradients[operand].begin = end - i;
        }
    }
}

struct lifetime life_of_backward(const struct steps *s, size_t bytes)
{
    return (struct lifetime){.bytes = bytes, .begin = s->count, .end = 2 * s->count - 1};
}

/* ---- where ---- */

/* The lowest offset at which `b` fits beside all placed blocks that live while it does. placed: sorted by offset.
 */
static size_t lowest_gap(struct lifetime *const *placed, int count, const struct lifetime *b)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const struct lifetime *p = placed[i];
        if (p->end < b->begin || b->end < p->begin || p->offset + p->bytes <= at)
            continue;
        if (p->offset >= at + b->bytes)
            return at;
        at = p->offset + p->bytes;
    }
    return at;
}

static int larger_first(const void *a, const void *b)
{
    const struct lifetime *x = *(struct lifetime *const *)a, *y = *(struct lifetime *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x < y ? -1 : 1; /* the same array: a total order, so that plans do not depend on the sort */
}

int lifetimes_place(struct lifetime *blocks, int count, size_t *total, struct message *m)
{
    struct lifetime **order = memory_new(2 * (size_t)count, sizeof *order, m);
    if (!order)
        return STATUS_NOMEM;
    struct lifetime **placed = order + count;
    size_t sum = 0;
    int status = 0;
    *total = 0;
    for (int i = 0; i < count; i++) {
        order[i] = &blocks[i];
        blocks[i].bytes = round_up_64(blocks[i].bytes);
        if (blocks[i].bytes > SIZE_MAX / 2 - sum) {
            status = message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
            goto out;
        }
        sum += blocks[i].bytes;
    }
    qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int i = 0; i < count; i++) {
        struct lifetime *b = order[i];
        b->offset = lowest_gap(placed, i, b);
        *total = max_size(*total, b->offset + b->bytes);
        int k = i;
        for (; k > 0 && placed[k - 1]->offset > b->offset; k--)
            placed[k] = placed[k - 1];
        placed[k] = b;
    }
out:
    memory_free(order);
    return status;
}
