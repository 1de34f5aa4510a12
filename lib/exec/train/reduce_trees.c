/* Who owns what of a mini-batch, and the order in which it is added. */
#include "exec/train/reduce_trees.h"
#include <stdint.h>

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

static int larger(int a, int b)
{
    return a > b ? a : b;
}

void reduce_count_trees(struct reduce *r, int images)
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

size_t reduce_slice_begin(size_t count, int rank, int ranks)
{
    enum { GRAIN = 16 }; /* floats: 64 bytes */
    return rank == ranks ? count : count * (size_t)rank / (size_t)ranks / GRAIN * GRAIN;
}

size_t reduce_slice_most(size_t count, int ranks)
{
    return count / (size_t)ranks + 32 < count ? count / (size_t)ranks + 32 : count;
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

void reduce_add_doubles(const struct reduce *r, double *rows, size_t count)
{
    trees_add_all(r, &(struct rows){.doubles = rows, .count = count});
}

void reduce_add_floats(const struct reduce *r, float *rows, size_t count)
{
    trees_add_all(r, &(struct rows){.floats = rows, .count = count});
}
