#include "exec/train/reduce.h"
#include "base/memory.h"
#include "exec/train/reduce_queue.h"
#include "exec/train/reduce_trees.h"
#include <math.h>
#include <string.h>

static int ranks_of(const struct reduce *r)
{
    return r->ranks ? r->ranks->count : 1;
}

/* ---- open and close ---- */

int reduce_open(struct reduce *r, const struct ranks *ranks, int images, int shard, size_t values, size_t weights,
                size_t all, struct message *m)
{
    *r = (struct reduce){.ranks = ranks && ranks->count > 1 ? ranks : NULL, .shard = shard, .values = values};
    reduce_count_trees(r, images);
    size_t count = (size_t)ranks_of(r), trees = (size_t)r->most_trees;
    r->trees = memory_new(trees, sizeof *r->trees, m);
    r->trees_first = memory_new(count + 1, sizeof *r->trees_first, m);
    r->table = memory_new(2 * count, sizeof *r->table, m);
    r->rows = memory_new(trees + TREE_LEVELS, values * sizeof *r->rows, m);
    if (!r->trees || !r->trees_first || !r->table || !r->rows)
        return STATUS_NOMEM;
    return r->ranks && weights > 0 ? reduce_queue_open(r, images, weights, all, m) : 0;
}

size_t reduce_bytes(const struct reduce *r)
{
    size_t rows = (size_t)r->most_trees + TREE_LEVELS;
    return rows * r->values * sizeof *r->rows + reduce_queue_bytes(r);
}

void reduce_close(struct reduce *r)
{
    reduce_queue_close(r);
    memory_free(r->trees);
    memory_free(r->trees_first);
    memory_free(r->table);
    memory_free(r->rows);
    *r = (struct reduce){0};
}

int reduce_end(struct reduce *r, struct message *m)
{
    reduce_wait(r);
    if (r->status < 0 && m)
        *m = r->message;
    return r->status;
}

/* ---- sums ---- */

/* Parts of own shards [begin, end), counted from the first own one, whose number in their subtree begins at 0. */
static void parts_add(const struct parts *p, int begin, int end, size_t values, double *first, double *others)
{
    double *row[TREE_LEVELS];
    for (int i = 0; i < TREE_LEVELS; i++)
        row[i] = i == 0 ? first : others + (size_t)(i - 1) * values;
    for (int shard = 0; shard < end - begin; shard++) {
        int depth = tree_depth(shard), carries = tree_carries(shard), at = (begin + shard) * p->each;
        memset(row[depth], 0, values * sizeof *first);
        for (int i = at; i < at + p->each && i < p->count; i++)
            tree_add_doubles(row[depth], p->first + (size_t)i * p->stride, values);
        for (; carries > 0; carries--, depth--)
            tree_add_doubles(row[depth - 1], row[depth], values);
    }
    for (int depth = tree_depth(end - begin) - 1; depth > 0; depth--)
        tree_add_doubles(row[depth - 1], row[depth], values);
}

/* Every rank's rows, to all. */
static void rows_gather(struct reduce *r, size_t values)
{
    int ranks = ranks_of(r);
    size_t *bytes = r->table, *offset = bytes + ranks, row = values * sizeof(double);
    for (int i = 0; i < ranks; i++) {
        bytes[i] = (size_t)(r->trees_first[i + 1] - r->trees_first[i]) * row;
        offset[i] = (size_t)r->trees_first[i] * row;
    }
    if (reduce_queue_is_open(r))
        reduce_queue_gather(r, r->rows, bytes, offset);
    else if (r->status >= 0)
        r->status = r->ranks->gather(r->rows + (size_t)r->own_first * values, r->rows, bytes, offset, &r->message);
}

const double *reduce_sums(struct reduce *r, const struct parts *parts, int values)
{
    size_t count = (size_t)values;
    for (int i = r->own_first; i < r->own_first + r->own_count; i++)
        parts_add(parts, r->trees[i].begin - r->share.begin, r->trees[i].end - r->share.begin, count,
                  r->rows + (size_t)i * count, r->rows + (size_t)r->most_trees * r->values);
    if (r->ranks) {
        rows_gather(r, count);
        reduce_add_doubles(r, r->rows, count);
    }
    return r->rows;
}

void reduce_extremes(struct reduce *r, const struct parts *parts, double *low, double *high)
{
    enum { VALUES = 2 };
    double ends[VALUES] = {0};
    for (int i = 0; i < parts->count; i++) {
        const double *part = parts->first + (size_t)i * parts->stride;
        ends[0] = fmin(ends[0], part[0]);
        ends[1] = fmax(ends[1], part[1]);
    }
    for (int i = 0; r->ranks && i < r->own_count; i++)
        memcpy(r->rows + (size_t)(r->own_first + i) * VALUES, ends, sizeof ends);
    if (r->ranks)
        rows_gather(r, VALUES);
    for (int i = 0; r->ranks && i < r->tree_count; i++) {
        ends[0] = fmin(ends[0], r->rows[i * VALUES]);
        ends[1] = fmax(ends[1], r->rows[i * VALUES + 1]);
    }
    *low = ends[0];
    *high = ends[1];
}

/* ---- gradients by weights ---- */

void reduce_weights(struct reduce *r, reduce_weight_work *work, void *context, float *gradient, size_t count)
{
    if (!r->ranks) {
        work(context, 0, r->share.shards, gradient);
        return;
    }
    float *more = reduce_queue_room(r, count);
    for (int i = 0; i < r->own_count; i++) {
        const struct subtree *t = &r->trees[r->own_first + i];
        work(context, t->begin - r->share.begin, t->end - r->share.begin,
             i == 0 ? gradient : more + (size_t)(i - 1) * count);
    }
    reduce_queue_add(r, gradient, more, count);
}
