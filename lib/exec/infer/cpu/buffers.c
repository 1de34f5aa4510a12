/* Segments, the layout of every value, and where values lie. */
#include "base/memory.h"
#include "exec/infer/cpu/cpu_exec.h"
#include <string.h>
#include <unistd.h>

static int area_of(const struct exec *e, int step)
{
    const struct node *n = exec_node(e, e->steps.at[step].output);
    return n->h * n->w;
}

/* ---- layouts ---- */

/* The widest padding with which a convolution reads a node; 0 where anything else reads it, which wants it dense.
 */
static int border_of(const struct exec *e, int node)
{
    int border = 0;
    if (e->keep || exec_is_last(e, node))
        return 0;
    for (int i = 0; i < e->steps.count; i++) {
        const struct step *s = &e->steps.at[i];
        for (int k = 0; k < step_operands(s); k++)
            if (step_operand(s, k) == node && s->kind != STEP_CONV)
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
    struct cpu_exec *c = cpu_of(e);
    const struct node *n = exec_node(e, node);
    struct value *v = &c->values[node];
    size_t border = (size_t)border_of(e, node), line = 64;

    v->element = n->type == NODE_U8 ? 1 : c->is_bf16 && !exec_is_last(e, node) ? sizeof(bf16) : sizeof(float);
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
 * a step fill it, all, so that these are read once. On small maps a multiple of 16 (see kernel/x86/amx/conv_u8.c). */
static int chunk_of(const struct exec *e, const struct segment *g)
{
    const struct cpu_exec *c = cpu_of(e);
    size_t half = second_level_cache() / 2, most = 1, weights = 0;
    for (int i = g->begin; i < g->end; i++) {
        const struct step *s = &e->steps.at[i];
        size_t bytes = c->values[s->output].bytes;
        for (int k = 0; k < step_operands(s); k++)
            bytes += step_operand(s, k) > 0 ? c->values[step_operand(s, k)].bytes : 0;
        most = max_size(most, bytes);
        if (s->kind == STEP_CONV) /* a byte a weight: floats, too, are few images at this size */
            weights = max_size(weights, shape_weights(&s->shape));
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
    struct cpu_exec *c = cpu_of(e);
    enum { FEW_PIXELS = 15 };
    c->segments = memory_new((size_t)e->steps.count, sizeof *c->segments, m);
    if (!c->segments)
        return STATUS_NOMEM;
    for (int i = 0; i < e->steps.count; i++) {
        struct segment *last = c->segment_count ? &c->segments[c->segment_count - 1] : NULL;
        if (last && (area_of(e, i) == area_of(e, i - 1) || area_of(e, i) < FEW_PIXELS))
            last->end = i + 1;
        else
            c->segments[c->segment_count++] = (struct segment){.begin = i, .end = i + 1};
    }
    for (int i = 0; i < c->segment_count; i++)
        c->segments[i].chunk = chunk_of(e, &c->segments[i]);
    return 0;
}

static const struct segment *segment_of(const struct exec *e, int step)
{
    const struct cpu_exec *c = cpu_of(e);
    int i = 0;
    while (step >= c->segments[i].end)
        i++;
    return &c->segments[i];
}

/* ---- places ---- */

/* A node's life: its step and the last that reads it. Images are read where they lie: node 0 has none. */
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

/* A value of the whole batch lives as long as its segments: while one chunk is at the last step, another is still to
 * read what the first step does. */
static void whole_segments(const struct exec *e, struct life *l)
{
    l->begin = segment_of(e, l->begin)->begin;
    if (l->end < e->steps.count)
        l->end = segment_of(e, l->end)->end - 1;
}

/* blocks: room for one a node. */
static void lives_find(struct exec *e, struct life *lives, struct lifetime *blocks)
{
    struct cpu_exec *c = cpu_of(e);
    int nodes = e->model->graph.count;
    lives_of_inference(&e->steps, nodes, e->keep, blocks);
    lives[0] = (struct life){.begin = -1, .slot = -1};
    for (int i = 1; i < nodes; i++) {
        struct value *v = &c->values[i];
        lives[i] = (struct life){.begin = blocks[i].begin, .end = blocks[i].end, .slot = -1};
        if (lives[i].begin < 0)
            continue;
        v->is_local =
            !e->keep && !exec_is_last(e, i) && segment_of(e, lives[i].begin) == segment_of(e, lives[i].end);
        if (!v->is_local)
            whole_segments(e, &lives[i]);
        lives[i].images = (size_t)(v->is_local ? segment_of(e, lives[i].begin)->chunk : e->batch);
    }
}

static int same_slot(const struct exec *e, const struct life *lives, int a, int b)
{
    const struct cpu_exec *c = cpu_of(e);
    const struct value *x = &c->values[a], *y = &c->values[b];
    return x->bytes == y->bytes && x->at.row == y->at.row && x->at.pixel == y->at.pixel &&
           x->at.border == y->at.border && x->padding == y->padding && x->element == y->element &&
           lives[a].images == lives[b].images && x->is_local == y->is_local;
}

/* Gives each value with a border a slot; returns how many there are. Nodes in order of their steps. */
static int slots_give(const struct exec *e, struct life *lives, struct slot *slots)
{
    const struct cpu_exec *c = cpu_of(e);
    int count = 0;
    for (int i = 0; i < e->steps.count; i++) {
        int node = e->steps.at[i].output, k = 0;
        if (c->values[node].at.border == 0)
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
    struct cpu_exec *c = cpu_of(e);
    int count = e->model->graph.count;
    for (int i = 0; i < count; i++) {
        int own = lives[i].begin >= 0 && lives[i].slot < 0 && c->values[i].is_local == local;
        blocks[i] = (struct lifetime){0};
        if (own && size_multiply(c->values[i].bytes, lives[i].images, &blocks[i].bytes))
            return message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
        blocks[i].begin = lives[i].begin;
        blocks[i].end = lives[i].end;
    }
    for (int i = 0; i < slot_count; i++) {
        const struct value *v = &c->values[slots[i].node];
        struct lifetime *b = &blocks[count + i];
        *b = (struct lifetime){.begin = -1, .end = e->steps.count};
        if (v->is_local == local && size_multiply(v->bytes, lives[slots[i].node].images, &b->bytes))
            return message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
    }
    TRY(lifetimes_place(blocks, count + slot_count, total, m));
    for (int i = 0; i < count; i++)
        if (lives[i].begin >= 0 && c->values[i].is_local == local)
            c->values[i].offset = blocks[lives[i].slot < 0 ? i : count + lives[i].slot].offset;
    return 0;
}

static int values_layout(struct exec *e, struct message *m)
{
    struct cpu_exec *c = cpu_of(e);
    for (int i = 1; i < e->model->graph.count; i++) {
        struct affine map;
        layout_value(e, i);
        if (c->values[i].at.border == 0 || exec_node(e, i)->type != NODE_U8)
            continue;
        TRY(node_affine(e->model, i, &map, m));
        c->values[i].padding = map.zero_point;
    }
    return 0;
}

int cpu_buffers_plan(struct exec *e, struct message *m)
{
    struct cpu_exec *c = cpu_of(e);
    size_t nodes = (size_t)e->model->graph.count;
    struct life *lives = memory_new(nodes, sizeof *lives, m);
    struct slot *slots = memory_new(nodes, sizeof *slots, m);
    struct lifetime *blocks = memory_new(2 * nodes, sizeof *blocks, m);
    int status = STATUS_NOMEM;
    c->values = memory_new(nodes, sizeof *c->values, m);
    if (!lives || !slots || !blocks || !c->values)
        goto out;
    TRY_GOTO(values_layout(e, m), out);
    TRY_GOTO(plan_segments(e, m), out);
    lives_find(e, lives, blocks);
    int slot_count = slots_give(e, lives, slots);
    TRY_GOTO(values_place(e, lives, slots, slot_count, 0, blocks, &c->shared_bytes, m), out);
    TRY_GOTO(values_place(e, lives, slots, slot_count, 1, blocks, &c->local_bytes, m), out);
    for (size_t i = 0; i < nodes; i++) /* how much cpu_borders_fill fills */
        c->values[i].images = lives[i].images;
    if (size_multiply(c->local_bytes, (size_t)threads_count(c->pool), &c->arena_bytes) ||
        c->arena_bytes > SIZE_MAX / 2 - c->shared_bytes)
        status = message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
    c->arena_bytes += c->shared_bytes;
out:
    memory_free(lives);
    memory_free(slots);
    memory_free(blocks);
    return status;
}

void cpu_borders_fill(const struct exec *e)
{
    const struct cpu_exec *c = cpu_of(e);
    for (int i = 1; i < e->model->graph.count; i++) {
        const struct value *v = &c->values[i];
        int copies = v->is_local ? threads_count(c->pool) : 1;
        for (int k = 0; k < copies && v->at.border > 0 && v->padding > 0; k++) {
            size_t base = v->offset + (v->is_local ? c->shared_bytes + (size_t)k * c->local_bytes : 0);
            memset(c->arena + base, v->padding, v->bytes * v->images);
        }
    }
}
