/* A step's items, by all threads. */
#include "exec/train/image/image_engine.h"

struct items {
    struct gradient *g;
    int i;
    image_item *call;
};

static void item_call(void *context, int item, int worker)
{
    const struct items *all = context;
    all->call(all->g, all->i, item, worker);
    if (worker == 0) /* the thread that called image_each */
        reduce_poke(&all->g->reduce);
}

void image_each(struct gradient *g, int i, image_item *call, int items)
{
    struct items all = {g, i, call};
    threads_run(image_of(g)->pool, item_call, &all, items);
}
