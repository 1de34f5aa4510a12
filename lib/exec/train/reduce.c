#include "exec/train/reduce.h"
#include "base/memory.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

/* ---- who owns what ---- */

static int shards_of(int images, int shard)
{
    return (images + shard - 1) / shard;
}

struct share share_of(int images, int shard, int rank, int ranks)
{
    int shards = shards_of(images, shard);
    struct share s = {.shards = shards,
                      .begin = (int)((int64_t)rank * shards / ranks),
                      .end = (int)(((int64_t)rank + 1) * shards / ranks)};
    int past = s.end * shard < images ? s.end * shard : images;
    s.first = s.begin * shard;
    s.images = s.begin < s.end ? past - s.first : 0;
    return s;
}

int share_most_images(int images, int shard, int ranks)
{
    int most = (shards_of(images, shard) + ranks - 1) / ranks * shard;
    return most < images ? most : images;
}

static int ranks_of(const struct reduce *r)
{
    return r->ranks ? r->ranks->count : 1;
}

/* Of the tree [begin, end) what lies in [first, past), as the largest subtrees; how many. trees may be NULL. */
static int trees_find(int begin, int end, int first, int past, struct subtree *trees)
{
    if (past <= begin || end <= first)
        return 0;
    if (first <= begin && end <= past) {
        if (trees)
            *trees = (struct subtree){begin, end};
        return 1;
    }
    int middle = tree_middle(begin, end), left = trees_find(begin, middle, first, past, trees);
    return left + trees_find(middle, end, first, past, trees ? trees + left : NULL);
}

/* Of all ranks, in order; trees_first, where not NULL: [ranks + 1]. */
static int trees_of_all(int images, int shard, int ranks, struct subtree *trees, int *trees_first)
{
    int count = 0;
    for (int rank = 0; rank < ranks; rank++) {
        struct share s = share_of(images, shard, rank, ranks);
        if (trees_first)
            trees_first[rank] = count;
        if (s.begin < s.end)
            count += trees_find(0, s.shards, s.begin, s.end, trees ? trees + count : NULL);
    }
    if (trees_first)
        trees_first[ranks] = count;
    return count;
}

/* ---- open and close ---- */

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* Of all mini-batches: the most subtrees there are, and that a rank owns. */
static void count_trees(struct reduce *r, int images)
{
    int ranks = ranks_of(r);
    r->most_trees = r->own_room = 1;
    for (int shards = 1; ranks > 1 && shards <= shards_of(images, r->shard); shards++) {
        r->most_trees = larger(r->most_trees, trees_of_all(shards * r->shard, r->shard, ranks, NULL, NULL));
        for (int i = 0; i < ranks; i++) {
            struct share s = share_of(shards * r->shard, r->shard, i, ranks);
            r->own_room = larger(r->own_room, s.begin < s.end ? trees_find(0, shards, s.begin, s.end, NULL) : 0);
        }
    }
}

size_t reduce_slice_begin(size_t count, int rank, int ranks)
{
    enum { GRAIN = 16 }; /* floats: 64 bytes */
    return rank == ranks ? count : count * (size_t)rank / (size_t)ranks / GRAIN * GRAIN;
}

/* No slice of a layer is longer. */
static size_t slice_most(size_t count, int ranks)
{
    return count / (size_t)ranks + 32 < count ? count / (size_t)ranks + 32 : count;
}

int reduce_open(struct reduce *r, const struct ranks *ranks, int images, int shard, size_t values, size_t weights,
                struct message *m)
{
    *r = (struct reduce){.ranks = ranks && ranks->count > 1 ? ranks : NULL, .shard = shard, .values = values};
    count_trees(r, images);
    size_t count = (size_t)ranks_of(r), trees = (size_t)r->most_trees;
    r->slice = r->ranks ? slice_most(weights, (int)count) : 0;
    if (r->ranks && weights > INT32_MAX / sizeof(float) / 2)
        return message_set(m, STATUS_UNSUPPORTED, "a layer of %zu weights is too large for several ranks", weights);
    r->trees = memory_new(trees, sizeof *r->trees, m);
    r->trees_first = memory_new(count + 1, sizeof *r->trees_first, m);
    r->table = memory_new(4 * count, sizeof *r->table, m);
    r->rows = memory_new(trees + TREE_LEVELS, values * sizeof *r->rows, m);
    r->slices = memory_new(trees, r->slice * sizeof *r->slices, m);
    return r->trees && r->trees_first && r->table && r->rows && r->slices ? 0 : STATUS_NOMEM;
}

size_t reduce_bytes(const struct reduce *r)
{
    size_t trees = (size_t)r->most_trees;
    return (trees + TREE_LEVELS) * r->values * sizeof *r->rows + trees * r->slice * sizeof *r->slices;
}

void reduce_close(struct reduce *r)
{
    memory_free(r->trees);
    memory_free(r->trees_first);
    memory_free(r->table);
    memory_free(r->rows);
    memory_free(r->slices);
    *r = (struct reduce){0};
}

void reduce_begin(struct reduce *r, int images)
{
    int rank = r->ranks ? r->ranks->rank : 0, ranks = ranks_of(r);
    r->images = images;
    r->share = share_of(images, r->shard, rank, ranks);
    r->tree_count = trees_of_all(images, r->shard, ranks, r->trees, r->trees_first);
    r->own_first = r->trees_first[rank];
    r->own_count = r->trees_first[rank + 1] - r->own_first;
    r->most_own = 0;
    for (int i = 0; i < ranks; i++) {
        int own = r->trees_first[i + 1] - r->trees_first[i];
        r->most_own = own > r->most_own ? own : r->most_own;
    }
}

int reduce_end(struct reduce *r, struct message *m)
{
    if (r->status < 0 && m)
        *m = r->message;
    return r->status;
}

/* ---- the subtrees of all ranks, added ---- */

/* Rows, one a subtree: either kind. */
struct rows {
    double *doubles;
    float *floats;
    size_t count;
};

static int rows_add(void *context, int to, int from, struct message *m)
{
    const struct rows *rows = context;
    size_t count = rows->count;
    (void)m;
    if (rows->doubles)
        tree_add_doubles(rows->doubles + (size_t)to * count, rows->doubles + (size_t)from * count, count);
    else
        tree_add_floats(rows->floats + (size_t)to * count, rows->floats + (size_t)from * count, count);
    return 0;
}

struct adding {
    const struct reduce *r;
    reduce_add_row *add;
    void *context;
    int next; /* subtree */
};

/* The sum of tree [begin, end) into the row of its first subtree, a->next, which is returned. */
static int trees_add(struct adding *a, int begin, int end, struct message *m)
{
    int to = a->next;
    if (a->r->trees[to].begin == begin && a->r->trees[to].end == end)
        return a->next++;
    int middle = tree_middle(begin, end), from;
    TRY(trees_add(a, begin, middle, m));
    TRY(from = trees_add(a, middle, end, m));
    TRY(a->add(a->context, to, from, m));
    return to;
}

int reduce_add_trees(const struct reduce *r, reduce_add_row *add, void *context, struct message *m)
{
    struct adding a = {r, add, context, 0};
    int status = trees_add(&a, 0, r->share.shards, m);
    return status < 0 ? status : 0;
}

/* Adding rows of our own cannot fail. */
static void trees_add_all(const struct reduce *r, struct rows *rows)
{
    int status = reduce_add_trees(r, rows_add, rows, NULL);
    (void)status;
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
    if (r->status >= 0)
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
        trees_add_all(r, &(struct rows){.doubles = r->rows, .count = count});
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

/* Subtree `round` of every rank: its slices to their owners. */
static void slices_exchange(struct reduce *r, int round, const float *gradient, size_t count)
{
    int ranks = ranks_of(r), rank = r->ranks->rank, has_own = round < r->own_count;
    size_t *send = r->table, *send_at = send + ranks, *receive = send_at + ranks, *receive_at = receive + ranks;
    size_t own = reduce_slice_begin(count, rank + 1, ranks) - reduce_slice_begin(count, rank, ranks);
    for (int i = 0; i < ranks; i++) {
        size_t begin = reduce_slice_begin(count, i, ranks), end = reduce_slice_begin(count, i + 1, ranks);
        int tree = r->trees_first[i] + round, has = tree < r->trees_first[i + 1];
        send[i] = has_own ? (end - begin) * sizeof *gradient : 0;
        send_at[i] = begin * sizeof *gradient;
        receive[i] = has ? own * sizeof *gradient : 0;
        receive_at[i] = has ? (size_t)tree * own * sizeof *gradient : 0;
    }
    if (r->status >= 0)
        r->status = r->ranks->exchange(gradient, send, send_at, r->slices, receive, receive_at, &r->message);
}

/* The finished slices, to all. */
static void slices_gather(struct reduce *r, float *gradient, size_t count)
{
    int ranks = ranks_of(r);
    size_t *bytes = r->table, *offset = bytes + ranks;
    for (int i = 0; i < ranks; i++) {
        offset[i] = reduce_slice_begin(count, i, ranks) * sizeof *gradient;
        bytes[i] = reduce_slice_begin(count, i + 1, ranks) * sizeof *gradient - offset[i];
    }
    if (r->status >= 0)
        r->status = r->ranks->gather(r->slices, gradient, bytes, offset, &r->message);
}

void reduce_weights(struct reduce *r, reduce_weight_work *work, void *context, float *gradient, size_t count)
{
    if (!r->ranks) {
        work(context, 0, r->share.shards, gradient);
        return;
    }
    int ranks = ranks_of(r), rank = r->ranks->rank;
    for (int round = 0; round < r->most_own; round++) {
        const struct subtree *t = &r->trees[r->own_first + round];
        if (round < r->own_count)
            work(context, t->begin - r->share.begin, t->end - r->share.begin, gradient);
        slices_exchange(r, round, gradient, count);
    }
    size_t own = reduce_slice_begin(count, rank + 1, ranks) - reduce_slice_begin(count, rank, ranks);
    trees_add_all(r, &(struct rows){.floats = r->slices, .count = own});
    slices_gather(r, gradient, count);
}
