/* Segments, the layout of every value, and where values lie. */
#include "base/memory.h"
#include "exec/infer/cpu/plan.h"
#include <string.h>
#include <unistd.h>

static const struct node *node_of(const struct exec *e, int i)
{
    return &e->model->graph.nodes[i];
}

static int area_of(const struct exec *e, int step)
{
    const struct node *n = node_of(e, e->steps[step].output);
    return n->h * n->w;
}

/* ---- layouts ---- */

static void reads_of(const struct step *s, int nodes[3])
{
    nodes[0] = s->x;
    nodes[1] = s->other;
    nodes[2] = s->norm_other;
}

/* The widest padding with which a convolution reads a node; 0 where anything else reads it, which wants it dense.
 */
static int border_of(const struct exec *e, int node)
{
    int border = 0;
    if (e->keep || node == e->model->graph.count - 1)
        return 0;
    for (int i = 0; i < e->step_count; i++) {
        const struct step *s = &e->steps[i];
        int reads[3];
        reads_of(s, reads);
        for (int k = 0; k < 3; k++)
            if (reads[k] == node && !step_is_conv(s))
                return 0;
        if (s->x == node && s->shape.pad > border)
            border = s->shape.pad;
    }
    return border;
}

/* Images lie an odd number of lines apart: the same pixel of many images would share few sets of a cache otherwise.
 */
static void layout_value(const struct exec *e, int node)
{
    const struct node *n = node_of(e, node);
    struct value *v = &e->values[node];
    size_t border = (size_t)border_of(e, node), line = 64;
    int is_logits = node == e->model->graph.count - 1;
    v->element = n->type == NODE_U8 ? 1 : e->is_bf16 && !is_logits ? sizeof(bf16) : sizeof(float);
    v->at.border = (int)border;
    v->at.pixel = (size_t)n->c;
    v->at.row = ((size_t)n->w + 2 * border) * (size_t)n->c;
    v->bytes = round_up_64(((size_t)n->h + 2 * border) * v->at.row * v->element);
    if (!e->keep && v->bytes / line % 2 == 0)
        v->bytes += line;
    v->at.image = v->bytes / v->element;
    v->origin = border * (v->at.row + v->at.pixel) * v->element;
}

/* ---- segments ---- */

size_t second_level_cache(void)
{
    long bytes = -1;
#ifdef _SC_LEVEL2_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);
#endif
    return bytes >= 1 << 18 ? (size_t)bytes : (size_t)1 << 20;
}

/* How many images: as many as half of the second-level cache holds of the values of one step; where the weights of
 * a step fill it, all, so that these are read once. On small maps a multiple of 16 (see amx/conv_u8.c). */
static int chunk_of(const struct exec *e, const struct segment *g)
{
    size_t half = second_level_cache() / 2, most = 1, weights = 0;
    for (int i = g->begin; i < g->end; i++) {
        const struct step *s = &e->steps[i];
        int reads[3];
        size_t bytes = e->values[s->output].bytes;
        reads_of(s, reads);
        for (int k = 0; k < 3; k++)
            bytes += reads[k] > 0 ? e->values[reads[k]].bytes : 0;
        most = max_size(most, bytes);
        if (step_is_conv(s)) /* a byte a weight: floats, too, are few images at this size */
            weights = max_size(weights, (size_t)(s->shape.kernel * s->shape.kernel) * (size_t)s->shape.c *
                                            (size_t)s->shape.out);
    }
    size_t chunk = weights > half ? (size_t)e->batch : half / most;
    if (area_of(e, g->begin) <= 64)
        chunk = (chunk + 15) / 16 * 16;
    chunk = chunk > 0 ? chunk : 1;
    return chunk < (size_t)e->batch ? (int)chunk : e->batch;
}

/* A segment ends where the maps become smaller; what computes on a few pixels goes with what stands before it. */
static int plan_segments(struct exec *e, struct message *m)
{
    enum { FEW_PIXELS = 15 };
    e->segments = memory_new((size_t)e->step_count, sizeof *e->segments, m);
    if (!e->segments)
        return STATUS_NOMEM;
    for (int i = 0; i < e->step_count; i++) {
        struct segment *last = e->segment_count ? &e->segments[e->segment_count - 1] : NULL;
        if (last && (area_of(e, i) == area_of(e, i - 1) || area_of(e, i) < FEW_PIXELS))
            last->end = i + 1;
        else
            e->segments[e->segment_count++] = (struct segment){.begin = i, .end = i + 1};
    }
    for (int i = 0; i < e->segment_count; i++)
        e->segments[i].chunk = chunk_of(e, &e->segments[i]);
    return 0;
}

static const struct segment *segment_of(const struct exec *e, int step)
{
    int i = 0;
    while (step >= e->segments[i].end)
        i++;
    return &e->segments[i];
}

/* ---- places ---- */

/* A node's life: its step and the last that reads it. */
struct life {
    int begin, end; /* begin -1: never stored */
    size_t images;
    int slot;
};

/* Memory whose border is written once, for values of one layout and padding that live one after the other. */
struct slot {
    int node; /* one of them */
    int end;
};

static void lives_find(struct exec *e, struct life *lives)
{
    const struct graph *g = &e->model->graph;
    for (int i = 0; i < g->count; i++)
        lives[i] = (struct life){.begin = -1, .slot = -1};
    for (int i = 0; i < e->step_count; i++) {
        int reads[3];
        lives[e->steps[i].output] = (struct life){.begin = i, .end = i, .slot = -1};
        reads_of(&e->steps[i], reads);
        for (int k = 0; k < 3; k++)
            if (reads[k] > 0)
                lives[reads[k]].end = i;
    }
    for (int i = 0; i < g->count; i++) {
        struct value *v = &e->values[i];
        if (lives[i].begin < 0)
            continue;
        int last = i == g->count - 1;
        v->is_local = !e->keep && !last && segment_of(e, lives[i].begin) == segment_of(e, lives[i].end);
        lives[i].images = (size_t)(v->is_local ? segment_of(e, lives[i].begin)->chunk : e->batch);
        if (e->keep || last)
            lives[i].end = e->step_count;
    }
}

static int same_slot(const struct exec *e, const struct life *lives, int a, int b)
{
    const struct value *x = &e->values[a], *y = &e->values[b];
    return x->bytes == y->bytes && x->at.row == y->at.row && x->at.pixel == y->at.pixel &&
           x->at.border == y->at.border && x->padding == y->padding && x->element == y->element &&
           lives[a].images == lives[b].images && x->is_local == y->is_local;
}

/* Gives each value with a border a slot; returns how many there are. Nodes in order of their steps. */
static int slots_give(const struct exec *e, struct life *lives, struct slot *slots)
{
    int count = 0;
    for (int i = 0; i < e->step_count; i++) {
        int node = e->steps[i].output, k = 0;
        if (e->values[node].at.border == 0)
            continue;
        while (k < count && !(slots[k].end < lives[node].begin && same_slot(e, lives, slots[k].node, node)))
            k++;
        if (k == count)
            count++;
        slots[k] = (struct slot){node, lives[node].end};
        lives[node].slot = k;
    }
    return count;
}

/* Places the shared or the local values in one arena; *total: its size. */
static int values_place(struct exec *e, const struct life *lives, const struct slot *slots, int slot_count,
                        int local, struct lifetime *blocks, size_t *total, struct message *m)
{
    int count = e->model->graph.count;
    for (int i = 0; i < count; i++) {
        int own = lives[i].begin >= 0 && lives[i].slot < 0 && e->values[i].is_local == local;
        blocks[i] = (struct lifetime){0};
        if (own && size_multiply(e->values[i].bytes, lives[i].images, &blocks[i].bytes))
            return message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
        blocks[i].begin = lives[i].begin;
        blocks[i].end = lives[i].end;
    }
    for (int i = 0; i < slot_count; i++) {
        const struct value *v = &e->values[slots[i].node];
        struct lifetime *b = &blocks[count + i];
        *b = (struct lifetime){.begin = -1, .end = e->step_count};
        if (v->is_local == local && size_multiply(v->bytes, lives[slots[i].node].images, &b->bytes))
            return message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
    }
    TRY(lifetimes_place(blocks, count + slot_count, total, m));
    for (int i = 0; i < count; i++)
        if (lives[i].begin >= 0 && e->values[i].is_local == local)
            e->values[i].offset = blocks[lives[i].slot < 0 ? i : count + lives[i].slot].offset;
    return 0;
}

static int values_layout(struct exec *e, struct message *m)
{
    for (int i = 1; i < e->model->graph.count; i++) {
        struct affine map;
        layout_value(e, i);
        if (e->values[i].at.border == 0 || node_of(e, i)->type != NODE_U8)
            continue;
        TRY(node_affine(e->model, i, &map, m));
        e->values[i].padding = map.zero_point;
    }
    return 0;
}

int plan_buffers(struct exec *e, struct message *m)
{
    size_t nodes = (size_t)e->model->graph.count;
    struct life *lives = memory_new(nodes, sizeof *lives, m);
    struct slot *slots = memory_new(nodes, sizeof *slots, m);
    struct lifetime *blocks = memory_new(2 * nodes, sizeof *blocks, m);
    int status = STATUS_NOMEM;
    e->values = memory_new(nodes, sizeof *e->values, m);
    if (!lives || !slots || !blocks || !e->values)
        goto out;
    TRY_GOTO(values_layout(e, m), out);
    TRY_GOTO(plan_segments(e, m), out);
    lives_find(e, lives);
    int slot_count = slots_give(e, lives, slots);
    TRY_GOTO(values_place(e, lives, slots, slot_count, 0, blocks, &e->shared_bytes, m), out);
    TRY_GOTO(values_place(e, lives, slots, slot_count, 1, blocks, &e->local_bytes, m), out);
    for (size_t i = 0; i < nodes; i++) /* how much plan_borders fills */
        e->values[i].images = lives[i].images;
    if (size_multiply(e->local_bytes, (size_t)threads_count(e->pool), &e->arena_bytes) ||
        e->arena_bytes > SIZE_MAX / 2 - e->shared_bytes)
        status = message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
    e->arena_bytes += e->shared_bytes;
out:
    memory_free(lives);
    memory_free(slots);
    memory_free(blocks);
    return status;
}

void plan_borders(const struct exec *e)
{
    for (int i = 1; i < e->model->graph.count; i++) {
        const struct value *v = &e->values[i];
        int copies = v->is_local ? threads_count(e->pool) : 1;
        for (int k = 0; k < copies && v->at.border > 0 && v->padding > 0; k++) {
            size_t base = v->offset + (v->is_local ? e->shared_bytes + (size_t)k * e->local_bytes : 0);
            memset(e->arena + base, v->padding, v->bytes * v->images);
        }
    }
}
