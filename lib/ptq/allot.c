#include "ptq/allot.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

/* A choice for the first items: which of those for one fewer it goes on from, and by what. */
struct label {
    int64_t cost;
    double loss;
    int from, choice;
};

struct stage {
    struct label *labels; /* owned */
    int count;
};

static int by_cost(const void *left, const void *right)
{
    const struct label *a = left, *b = right;
    if (a->cost != b->cost)
        return a->cost < b->cost ? -1 : 1;
    if (a->loss < b->loss || a->loss > b->loss)
        return a->loss < b->loss ? -1 : 1;
    return a->from != b->from ? (a->from > b->from) - (a->from < b->from)
                              : (a->choice > b->choice) - (a->choice < b->choice);
}

/* Leaves what nothing betters, in order. */
static int keep_best(struct label *labels, int count)
{
    int kept = 0;
    qsort(labels, (size_t)count, sizeof *labels, by_cost);
    for (int i = 0; i < count; i++)
        if (kept == 0 || labels[i].loss < labels[kept - 1].loss)
            labels[kept++] = labels[i];
    return kept;
}

/* Of too many, the best of each of ALLOT_MOST equal ranges of cost. */
static int thin(struct label *labels, int count)
{
    double least = (double)labels[0].cost, range = (double)(labels[count - 1].cost - labels[0].cost) + 1;
    int kept = 0, last = -1;
    for (int i = 0; i < count; i++) {
        int place = (int)(((double)labels[i].cost - least) / range * ALLOT_MOST);
        kept -= place == last; /* the later of a range loses less */
        labels[kept++] = labels[i];
        last = place;
    }
    return kept;
}

static int extend(const struct stage *before, const struct allot_item *item, struct stage *s, int *is_exact,
                  struct message *m)
{
    s->labels = memory_new_raw((size_t)before->count * (size_t)item->count, sizeof *s->labels, m);
    if (!s->labels)
        return STATUS_NOMEM;
    for (int i = 0; i < before->count; i++)
        for (int k = 0; k < item->count; k++)
            s->labels[s->count++] = (struct label){.cost = before->labels[i].cost + item->cost[k],
                                                   .loss = before->labels[i].loss + item->loss[k],
                                                   .from = i,
                                                   .choice = k};
    s->count = keep_best(s->labels, s->count);
    if (s->count > ALLOT_MOST) {
        s->count = thin(s->labels, s->count);
        *is_exact = 0;
    }
    return 0;
}

static int take(struct allot_front *f, const struct stage *stages, int items, struct message *m)
{
    const struct stage *last = &stages[items];
    f->items = items;
    f->cost = memory_new((size_t)last->count, sizeof *f->cost, m);
    f->loss = memory_new((size_t)last->count, sizeof *f->loss, m);
    f->pick = memory_new((size_t)last->count * (size_t)(items ? items : 1), 1, m);
    if (!f->cost || !f->loss || !f->pick)
        return STATUS_NOMEM;
    f->count = last->count;
    for (int i = 0; i < last->count; i++) {
        f->cost[i] = last->labels[i].cost;
        f->loss[i] = last->labels[i].loss;
        for (int k = items, at = i; k > 0; k--) {
            f->pick[(size_t)i * (size_t)items + (size_t)k - 1] = (uint8_t)stages[k].labels[at].choice;
            at = stages[k].labels[at].from;
        }
    }
    return 0;
}

int allot_find(struct allot_front *f, const struct allot_item *items, int count, struct message *m)
{
    struct label nothing = {0};
    struct stage *stages = memory_new((size_t)count + 1, sizeof *stages, m);
    int status = stages ? 0 : STATUS_NOMEM;
    *f = (struct allot_front){.is_exact = 1};
    if (!stages)
        return status;
    stages[0] = (struct stage){&nothing, 1};
    for (int i = 0; i < count && status >= 0; i++)
        status = items[i].count > 0 ? extend(&stages[i], &items[i], &stages[i + 1], &f->is_exact, m)
                                    : message_set(m, STATUS_RANGE, "nothing to choose from");
    if (status >= 0)
        status = take(f, stages, count, m);
    for (int i = 1; i <= count; i++)
        memory_free(stages[i].labels);
    memory_free(stages);
    return status;
}

int allot_within(const struct allot_front *f, int64_t most)
{
    int i = f->count - 1;
    while (i >= 0 && f->cost[i] > most)
        i--;
    return i;
}

void allot_free(struct allot_front *f)
{
    memory_free(f->cost);
    memory_free(f->loss);
    memory_free(f->pick);
    *f = (struct allot_front){0};
}
