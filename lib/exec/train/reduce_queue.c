#include "exec/train/reduce_queue.h"
#include "base/memory.h"
#include "exec/train/reduce_trees.h"
#include <string.h>

enum {
    LAYERS = 64,              /* that wait */
    PIECES = 4,               /* under way at once, where a rank has few subtrees */
    PIECE = 128 * 1024,       /* floats, of few ranks */
    PIECE_OF_RANK = 4 * 1024, /* of many: as many each */
    EXCHANGES = 0,            /* lanes */
    GATHERS = 1,
    ROWS = 2,
    ROWS_CALL = RANKS_CALLS - 1 /* the others are pieces' */
};

struct layer {
    float *gradient;   /* the first own subtree's sum; in the end the whole one */
    const float *more; /* the others', [count] each */
    size_t count, begun;
};

struct piece {
    float *gradient, *slices; /* [count]; [trees][own slice], whose sum comes to the first */
    size_t count;
};

/* Two rings. Pieces in order: the first `gathering` have their sums under way, the others their slices. */
struct reduce_queue {
    struct layer layers[LAYERS];
    struct piece pieces[PIECES];
    int first_layer, layer_count;
    int first_piece, piece_count, gathering, piece_most;
    int is_open;                 /* a layer came since all were there: the same on all ranks, at the same call */
    size_t piece, slices_stride; /* floats: of a piece; of its slices */
    float *slices;               /* [piece_most][slices_stride] */
    float *more;                 /* [more_room] */
    double *rows;                /* [own_room][values]: own ones on their way */
    size_t more_room, more_used;
    size_t *table; /* [4][ranks]: bytes to send and receive, and where */
};

/* ---- open and close ---- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* A rank with several subtrees writes them side by side: of mini-batches of full size for all layers, so that none
 * waits; of a last one that is cut otherwise for one. */
static size_t more_floats(struct reduce *r, int images, size_t weights, size_t all)
{
    size_t rows = (size_t)r->own_room - 1;
    reduce_begin(r, images);
    return rows == 0 ? 0 : larger(rows * weights, r->most_own > 1 ? all : 0);
}

int reduce_queue_open(struct reduce *r, int images, size_t weights, size_t all, struct message *m)
{
    size_t ranks = (size_t)r->ranks->count;
    struct reduce_queue *q = r->queue = memory_new(1, sizeof *q, m);
    if (!q)
        return STATUS_NOMEM;
    q->piece = least(larger(PIECE, ranks * PIECE_OF_RANK), weights);
    q->piece_most = PIECES * r->own_room <= ROWS_CALL ? PIECES : ROWS_CALL / r->own_room;
    q->slices_stride = (size_t)r->most_trees * reduce_slice_most(q->piece, r->ranks->count);
    q->more_room = more_floats(r, images, weights, all);
    q->slices = memory_new_raw((size_t)q->piece_most * q->slices_stride, sizeof *q->slices, m);
    q->more = memory_new_raw(q->more_room, sizeof *q->more, m);
    q->rows = memory_new_raw((size_t)r->own_room, r->values * sizeof *q->rows, m);
    q->table = memory_new(4 * ranks, sizeof *q->table, m);
    return q->slices && q->more && q->rows && q->table ? 0 : STATUS_NOMEM;
}

size_t reduce_queue_bytes(const struct reduce *r)
{
    const struct reduce_queue *q = r->queue;
    return q ? ((size_t)q->piece_most * q->slices_stride + q->more_room) * sizeof(float) : 0;
}

void reduce_queue_close(struct reduce *r)
{
    struct reduce_queue *q = r->queue;
    if (!q)
        return;
    memory_free(q->slices);
    memory_free(q->more);
    memory_free(q->rows);
    memory_free(q->table);
    memory_free(q);
}

/* ---- a piece ---- */

static size_t slice_of(const struct reduce *r, size_t count, int rank)
{
    return reduce_slice_begin(count, rank + 1, r->ranks->count) - reduce_slice_begin(count, rank, r->ranks->count);
}

/* What names the call of a piece's round. */
static int call_of(const struct reduce *r, const struct piece *p, int round)
{
    return (int)(p - r->queue->pieces) * r->own_room + round;
}

static struct piece *piece_at(struct reduce_queue *q, int i)
{
    return &q->pieces[(q->first_piece + i) % q->piece_most];
}

static void begin(struct reduce *r, int lane, int call, const void *send, void *receive)
{
    const size_t ranks = (size_t)r->ranks->count, *table = r->queue->table;
    if (r->status >= 0)
        r->status = r->ranks->begin(lane, call, send, table, table + ranks, receive, table + 2 * ranks,
                                    table + 3 * ranks, &r->message);
}

/* Own subtree `round`, of every rank that has one: its slices to their owners. */
static void slices_begin(struct reduce *r, const struct piece *p, int round, const float *sum)
{
    int ranks = r->ranks->count, has_own = round < r->own_count;
    size_t *send = r->queue->table, *send_at = send + ranks, *receive = send_at + ranks,
           *receive_at = receive + ranks;
    size_t own = slice_of(r, p->count, r->ranks->rank);
    for (int i = 0; i < ranks; i++) {
        int tree = r->trees_first[i] + round, has = tree < r->trees_first[i + 1];
        send[i] = has_own ? slice_of(r, p->count, i) * sizeof *sum : 0;
        send_at[i] = reduce_slice_begin(p->count, i, ranks) * sizeof *sum;
        receive[i] = has ? own * sizeof *sum : 0;
        receive_at[i] = has ? (size_t)tree * own * sizeof *sum : 0;
    }
    begin(r, EXCHANGES, call_of(r, p, round), sum, p->slices);
}

/* The finished slice to all, and theirs. */
static void sums_begin(struct reduce *r, struct piece *p)
{
    int ranks = r->ranks->count;
    size_t *send = r->queue->table, *send_at = send + ranks, *receive = send_at + ranks,
           *receive_at = receive + ranks;
    size_t own = slice_of(r, p->count, r->ranks->rank);
    reduce_add_floats(r, p->slices, own);
    for (int i = 0; i < ranks; i++) {
        send[i] = own * sizeof(float);
        send_at[i] = 0;
        receive[i] = slice_of(r, p->count, i) * sizeof(float);
        receive_at[i] = reduce_slice_begin(p->count, i, ranks) * sizeof(float);
    }
    begin(r, GATHERS, call_of(r, p, 0), p->slices, p->gradient);
}

static int is_done(struct reduce *r, int first_call, int calls)
{
    int done = 1;
    for (int call = first_call; call < first_call + calls && done && r->status >= 0; call++) {
        done = r->ranks->test(call, &r->message);
        r->status = done < 0 ? done : r->status;
    }
    return done > 0 && r->status >= 0;
}

/* ---- all of them ---- */

/* The next piece of the first layer that has one, or of none: 0. */
static int piece_begin(struct reduce *r)
{
    struct reduce_queue *q = r->queue;
    if (q->layer_count == 0 || q->piece_count == q->piece_most)
        return 0;
    struct layer *l = &q->layers[q->first_layer];
    struct piece *p = piece_at(q, q->piece_count++);
    *p = (struct piece){.gradient = l->gradient + l->begun,
                        .slices = q->slices + (size_t)(p - q->pieces) * q->slices_stride,
                        .count = least(q->piece, l->count - l->begun)};
    for (int round = 0; round < r->most_own; round++) {
        size_t row = (size_t)(round > 0 && round < r->own_count ? round - 1 : 0) * l->count + l->begun;
        slices_begin(r, p, round, round > 0 && round < r->own_count ? l->more + row : p->gradient);
    }
    l->begun += p->count;
    if (l->begun == l->count) {
        q->first_layer = (q->first_layer + 1) % LAYERS;
        q->layer_count--;
    }
    return 1;
}

/* One step of what can be done now; 0: nothing can. */
static int advance(struct reduce *r)
{
    struct reduce_queue *q = r->queue;
    if (q->gathering > 0 && is_done(r, call_of(r, piece_at(q, 0), 0), 1)) {
        q->first_piece = (q->first_piece + 1) % q->piece_most;
        q->piece_count--;
        q->gathering--;
        return 1;
    }
    if (q->piece_count > q->gathering && is_done(r, call_of(r, piece_at(q, q->gathering), 0), r->most_own)) {
        sums_begin(r, piece_at(q, q->gathering++));
        return 1;
    }
    return piece_begin(r);
}

void reduce_poke(struct reduce *r)
{
    if (!r->queue || r->queue->layer_count + r->queue->piece_count == 0)
        return;
    while (r->status >= 0 && advance(r))
        ;
}

/* Slices of layers are yet to be sent, or still under way. */
static int is_sending(const struct reduce_queue *q)
{
    return q->layer_count > 0 || q->piece_count > q->gathering;
}

static void wait_step(struct reduce *r)
{
    if (!advance(r) && r->status >= 0)
        r->status = r->ranks->wait(&r->message);
}

void reduce_wait(struct reduce *r)
{
    while (r->queue && r->status >= 0 && r->queue->layer_count + r->queue->piece_count > 0)
        wait_step(r);
    if (r->queue)
        r->queue->is_open = 0;
}

int reduce_queue_is_open(const struct reduce *r)
{
    return r->queue && r->queue->is_open;
}

void reduce_queue_gather(struct reduce *r, void *all, const size_t *bytes, const size_t *offset)
{
    int ranks = r->ranks->count, rank = r->ranks->rank;
    size_t *send = r->queue->table, *send_at = send + ranks, *receive = send_at + ranks,
           *receive_at = receive + ranks;
    for (int i = 0; i < ranks; i++) {
        send[i] = i == rank ? 0 : bytes[rank];
        send_at[i] = 0;
        receive[i] = i == rank ? 0 : bytes[i];
        receive_at[i] = offset[i];
    }
    memcpy(r->queue->rows, (const char *)all + offset[rank], bytes[rank]);
    begin(r, ROWS, ROWS_CALL, r->queue->rows, all);
    while (!is_done(r, ROWS_CALL, 1) && r->status >= 0)
        wait_step(r);
}

float *reduce_queue_room(struct reduce *r, size_t count)
{
    struct reduce_queue *q = r->queue;
    size_t floats = r->own_count > 1 ? (size_t)(r->own_count - 1) * count : 0;
    if (!is_sending(q))
        q->more_used = 0;
    while (q->more_room - q->more_used < floats && is_sending(q) && r->status >= 0)
        wait_step(r);
    if (q->more_room - q->more_used < floats)
        q->more_used = 0;
    q->more_used += floats;
    return q->more + q->more_used - floats;
}

void reduce_queue_add(struct reduce *r, float *gradient, const float *more, size_t count)
{
    struct reduce_queue *q = r->queue;
    while (q->layer_count == LAYERS && r->status >= 0)
        wait_step(r);
    q->is_open = 1;
    if (r->status < 0)
        return;
    q->layers[(q->first_layer + q->layer_count++) % LAYERS] = (struct layer){gradient, more, count, 0};
    reduce_poke(r);
}
