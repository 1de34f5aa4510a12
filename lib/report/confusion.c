/* confusion.c: a confusion matrix as the list of its cells that are not 0. */
#include "report/metrics.h"
#include "base/memory.h"
#include <stdlib.h>
#include <string.h>

static int cell_order(const void *a, const void *b)
{
    const struct confusion_cell *x = a, *y = b;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->predicted > y->predicted) - (x->predicted < y->predicted);
}

/* Sorted, each place once, none of 0; returns how many are left. */
static int64_t cells_merge(struct confusion_cell *cells, int64_t count)
{
    int64_t kept = 0;
    if (count > 0)
        qsort(cells, (size_t)count, sizeof *cells, cell_order);
    for (int64_t i = 0; i < count; i++) {
        if (cells[i].count == 0)
            continue;
        if (kept > 0 && cell_order(&cells[kept - 1], &cells[i]) == 0)
            cells[kept - 1].count += cells[i].count;
        else
            cells[kept++] = cells[i];
    }
    return kept;
}

void metrics_free(struct metrics *x)
{
    memory_free(x->confusion);
    memory_free(x->labelled);
    memory_free(x->predicted);
    memset(x, 0, sizeof *x);
}

int metrics_set_confusion(struct metrics *x, struct confusion_cell *cells, int64_t count, struct message *m)
{
    x->confusion = cells;
    x->cells = cells_merge(cells, count);
    x->labelled = memory_new((size_t)x->classes, sizeof *x->labelled, m);
    x->predicted = memory_new((size_t)x->classes, sizeof *x->predicted, m);
    if (!x->labelled || !x->predicted) {
        metrics_free(x);
        return STATUS_NOMEM;
    }
    for (int64_t i = 0; i < x->cells; i++) {
        x->labelled[cells[i].label] += cells[i].count;
        x->predicted[cells[i].predicted] += cells[i].count;
    }
    return 0;
}

int64_t metrics_confusion(const struct metrics *x, int label, int predicted)
{
    const struct confusion_cell key = {.label = label, .predicted = predicted};
    const struct confusion_cell *found =
        x->cells > 0 ? bsearch(&key, x->confusion, (size_t)x->cells, sizeof key, cell_order) : NULL;
    return found ? found->count : 0;
}
