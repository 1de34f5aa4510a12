/* A run in parts: values that others computed are put in their places, some steps run, and what later steps read is
 * taken out. Or the sums of the integer layer behind them are looked at: its kernels write their accumulators as a
 * last layer's logits, with factors of 1 and no bias. */
#include "base/memory.h"
#include "exec/infer/cpu/cpu_exec.h"
#include <string.h>

struct part {
    struct exec *e;
    int first, end;
    size_t in_bytes, out_bytes; /* of an image's cut */
    int64_t *in_at, *out_at;    /* [nodes]: where in it, -1: not; owned */
    uint8_t *images;            /* of a chunk, where the cut has them among other values; owned */
    /* to look at sums: */
    exec_sums_visitor *visit;
    void *context;
    size_t image; /* floats of one image's sums */
    float *sums, *ones;
    int32_t *zeros;
};

/* ---- cuts ---- */

/* One image's values between its cut and their places. */
static void move_image(const struct part *p, const int64_t *offsets, uint8_t *cut, int image, int is_in)
{
    const struct exec *e = p->e;
    const struct span at = {.parts = 1};
    for (int i = 1; i < e->model->graph.count; i++) {
        if (offsets[i] < 0)
            continue;
        const struct node *n = exec_node(e, i);
        size_t bytes = node_elements(n) * (n->type == NODE_U8 ? 1 : sizeof(float));
        void *value = exec_value(e, i, &at, image);
        if (is_in)
            memcpy(value, cut + offsets[i], bytes);
        else
            memcpy(cut + offsets[i], value, bytes);
    }
}

/* Puts a chunk's values in their places; returns its images as the first step reads them. */
static const uint8_t *enter(const struct part *p, const uint8_t *in, int count)
{
    size_t bytes = node_elements(exec_node(p->e, 0));
    if (p->first == 0)
        return in;
    for (int i = 0; i < count; i++) {
        const uint8_t *cut = in + (size_t)i * p->in_bytes;
        move_image(p, p->in_at, (uint8_t *)cut, i, 1);
        if (p->images)
            memcpy(p->images + (size_t)i * bytes, cut, bytes);
    }
    return p->images;
}

static void leave(const struct part *p, const uint8_t *images, uint8_t *out, int count)
{
    size_t bytes = node_elements(exec_node(p->e, 0));
    for (int i = 0; i < count; i++) {
        uint8_t *cut = out + (size_t)i * p->out_bytes;
        if (p->out_at[0] == 0)
            memcpy(cut, images + (size_t)i * bytes, bytes);
        move_image(p, p->out_at, cut, i, 0);
    }
}

/* ---- sums ---- */

static void sums_item(void *context, int image, int worker)
{
    const struct part *p = context;
    struct cpu_exec *c = cpu_of(p->e);
    const struct span at = {
        .image = image, .count = 1, .parts = 1, .scratch = c->scratch + (size_t)worker * c->scratch_stride};
    conv_sums(p->e, p->end, &at, p->ones, p->zeros, p->sums + (size_t)image * p->image);
}

static int show_sums(struct part *p, int count, struct message *m)
{
    const struct exec *e = p->e;
    const struct step *s = &e->steps.at[p->end];
    const struct span first = {.parts = 1};
    const struct exec_sums shown = {.images = count,
                                    .pixels = s->shape.out_h * s->shape.out_w,
                                    .outputs = s->shape.out,
                                    .x = exec_value(e, s->x, &first, 0),
                                    .x_image = cpu_of(e)->values[s->x].at.image,
                                    .sums = p->sums};
    threads_run(cpu_of(e)->pool, sums_item, p, count);
    return p->visit(p->context, &shown, m);
}

static int sums_open(struct part *p, struct message *m)
{
    const struct conv_shape *s = &p->e->steps.at[p->end].shape;
    p->image = shape_outputs(s);
    p->sums = memory_new((size_t)p->e->batch * p->image, sizeof *p->sums, m);
    p->ones = memory_new((size_t)s->out, sizeof *p->ones, m);
    p->zeros = memory_new((size_t)s->out, sizeof *p->zeros, m);
    if (!p->sums || !p->ones || !p->zeros)
        return STATUS_NOMEM;
    for (int k = 0; k < s->out; k++)
        p->ones[k] = 1;
    return 0;
}

/* ---- all of it ---- */

static int cuts_open(struct part *p, struct message *m)
{
    int nodes = p->e->model->graph.count;
    p->in_at = memory_new(2 * (size_t)nodes, sizeof *p->in_at, m);
    if (!p->in_at)
        return STATUS_NOMEM;
    p->out_at = p->in_at + nodes;
    for (int i = 0; i < nodes; i++) {
        p->in_at[i] = exec_cut_offset(p->e, p->first, i);
        p->out_at[i] = exec_cut_offset(p->e, p->end, i);
    }
    if (p->first == 0 || p->in_at[0] < 0)
        return 0;
    p->images = memory_new_raw((size_t)p->e->batch, node_elements(exec_node(p->e, 0)), m);
    return p->images ? 0 : STATUS_NOMEM;
}

static int run_chunks(struct part *p, const uint8_t *in, int64_t count, uint8_t *out, struct message *m)
{
    struct exec *e = p->e;
    int n;
    for (int64_t at = 0; at < count; at += n) {
        n = count - at < e->batch ? (int)(count - at) : e->batch;
        const uint8_t *images = enter(p, in + (size_t)at * p->in_bytes, n);
        cpu_run_chunk(e, images, n);
        if (p->visit)
            TRY(show_sums(p, n, m));
        else
            leave(p, images, out + (size_t)at * p->out_bytes, n);
    }
    return 0;
}

int cpu_run_part(struct exec *e, int first, int end, const uint8_t *in, int64_t count, uint8_t *out,
                 exec_sums_visitor *visit, void *context, struct message *m)
{
    struct cpu_exec *c = cpu_of(e);
    struct part p = {.e = e,
                     .first = first,
                     .end = end,
                     .in_bytes = exec_cut_bytes(e, first),
                     .out_bytes = exec_cut_bytes(e, end),
                     .visit = visit,
                     .context = context};
    int status = cuts_open(&p, m);
    if (status >= 0 && visit)
        status = sums_open(&p, m);
    if (status >= 0) {
        c->begin = first;
        c->stop = end;
        status = run_chunks(&p, in, count, out, m);
        c->begin = 0;
        c->stop = e->steps.count;
    }
    memory_free(p.in_at);
    memory_free(p.images);
    memory_free(p.sums);
    memory_free(p.ones);
    memory_free(p.zeros);
    return status;
}
