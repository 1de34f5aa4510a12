/* What steps over blocks own: packed weights, tables, sums. */
#include "base/memory.h"
#include "exec/train/block/map_parts.h"

static int prepare_conv(struct gradient *g, int i, struct message *m)
{
    struct block_step *b = &block_of(g)->steps[i];
    const struct block_kernel *k = b->kernels;
    size_t parts = (size_t)block_count(g->options.batch) * (size_t)b->pieces, *most = &block_of(g)->packed_bytes;
    if (b->forward_on) { /* quantized: never, and there are no forward weights */
        *most = max_size(*most, k->packed_bytes(&b->conv, BLOCK_FORWARD));
        b->sums = memory_new(parts * 2 * (size_t)block_channels(b->conv.k), sizeof *b->sums, m);
        if (!b->sums)
            return STATUS_NOMEM;
    }
    if (gradient_wants(g, g->steps.at[i].x))
        *most = max_size(*most, k->packed_bytes(&b->conv, BLOCK_BACKWARD));
    return 0;
}

static int prepare_table(struct gradient *g, struct message *m)
{
    const struct node *n = gradient_node(g, g->steps.at[0].node);
    size_t entries = 256 * (size_t)n->c;
    struct affine one = {1, 0, 0, 255};
    uint8_t *codes = memory_new(entries, 1, m);
    float *values = memory_new(entries, sizeof *values, m);
    block_of(g)->table = memory_new(entries, sizeof(float), m);
    if (codes && values && block_of(g)->table) {
        input_table(&g->kernels->elementwise, n, &one, values, codes);
        for (int c = 0; c < n->c; c++)
            for (int p = 0; p < 256; p++)
                block_of(g)->table[c * 256 + p] = values[p * n->c + c];
    }
    memory_free(codes);
    memory_free(values);
    return codes && values && block_of(g)->table ? 0 : STATUS_NOMEM;
}

int block_prepare(struct gradient *g, struct message *m)
{
    struct block_engine *e = block_of(g);
    size_t items = 1, channels = 1; /* most parts a map, most channels */
    TRY(prepare_table(g, m));
    for (int i = 0; i < g->steps.count; i++) {
        const struct step *s = &g->steps.at[i];
        const struct node *n = gradient_node(g, s->node);
        if (!e->steps[i].backward_on)
            continue;
        channels = max_size(channels, (size_t)block_channels(n->c));
        items = max_size(items, (size_t)map_parts(n->h, n->w));
        if (s->kind == STEP_CONV) {
            TRY(prepare_conv(g, i, m));
        } else if (s->kind == STEP_NORM) {
            e->steps[i].constants = memory_new(BLOCK_CONSTANTS * (size_t)block_channels(n->c), sizeof(float), m);
            if (!e->steps[i].constants)
                return STATUS_NOMEM;
        }
    }
    items *= (size_t)block_count(g->options.batch);
    e->partials = memory_new(items * 2, channels * sizeof(double), m);
    e->scale_sums = memory_new(items, sizeof(double), m);
    e->zeros = memory_new(channels, sizeof(float), m);
    e->packed = memory_new(max_size(e->packed_bytes, 1), 1, m);
    return e->partials && e->scale_sums && e->zeros && e->packed ? 0 : STATUS_NOMEM;
}

void block_release(struct gradient *g)
{
    struct block_engine *e = block_of(g);
    for (int i = 0; e->steps && i < g->steps.count; i++) {
        memory_free(e->steps[i].sums);
        memory_free(e->steps[i].constants);
    }
    memory_free(e->steps);
    memory_free(e->values);
    memory_free(e->partials);
    memory_free(e->scale_sums);
    memory_free(e->zeros);
    memory_free(e->table);
    memory_free(e->packed);
}

/* ---- weights ---- */

struct pack_job {
    struct gradient *g;
    int i;
    enum block_direction d;
};

static void pack_item(void *context, int item, int worker)
{
    const struct pack_job *j = context;
    const struct block_engine *e = block_of(j->g);
    const struct block_step *b = &e->steps[j->i];
    const float *weights = gradient_quantized(j->g) ? e->image.real_weights : j->g->parameters;
    int forward = j->d == BLOCK_FORWARD;
    (void)worker;
    b->kernels->pack(&b->conv, weights + j->g->train[j->i].weight, item, forward ? e->packed : NULL,
                     forward ? NULL : e->packed);
}

void block_conv_pack(struct gradient *g, int i, enum block_direction d)
{
    struct pack_job job = {g, i, d};
    const struct block_step *b = &block_of(g)->steps[i];
    threads_run(image_of(g)->pool, pack_item, &job, b->kernels->pack_items(&b->conv));
}
