#include "exec/plan/layout.h"
#include "base/memory.h"
#include "kernel/contract/arithmetic.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- buffers ---- */

size_t round_up_64(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* The lowest offset at which `b` fits beside all placed blocks that live while it does. placed: sorted by offset.
 */
static size_t lowest_gap(struct lifetime *const *placed, int count, const struct lifetime *b)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        const struct lifetime *p = placed[i];
        if (p->end < b->begin || b->end < p->begin || p->offset + p->bytes <= at)
            continue;
        if (p->offset >= at + b->bytes)
            return at;
        at = p->offset + p->bytes;
    }
    return at;
}

static int larger_first(const void *a, const void *b)
{
    const struct lifetime *x = *(struct lifetime *const *)a, *y = *(struct lifetime *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return x < y ? -1 : 1; /* the same array: a total order, so that plans do not depend on the sort */
}

int lifetimes_place(struct lifetime *blocks, int count, size_t *total, struct message *m)
{
    struct lifetime **order = memory_new(2 * (size_t)count, sizeof *order, m);
    if (!order)
        return STATUS_NOMEM;
    struct lifetime **placed = order + count;
    size_t sum = 0;
    int status = 0;
    *total = 0;
    for (int i = 0; i < count; i++) {
        order[i] = &blocks[i];
        blocks[i].bytes = round_up_64(blocks[i].bytes);
        if (blocks[i].bytes > SIZE_MAX / 2 - sum) {
            status = message_set(m, STATUS_RANGE, "the buffers of a batch of this size exceed the address space");
            goto out;
        }
        sum += blocks[i].bytes;
    }
    qsort(order, (size_t)count, sizeof *order, larger_first);
    for (int i = 0; i < count; i++) {
        struct lifetime *b = order[i];
        b->offset = lowest_gap(placed, i, b);
        *total = max_size(*total, b->offset + b->bytes);
        int k = i;
        for (; k > 0 && placed[k - 1]->offset > b->offset; k--)
            placed[k] = placed[k - 1];
        placed[k] = b;
    }
out:
    memory_free(order);
    return status;
}

size_t node_elements(const struct node *n)
{
    return (size_t)n->h * (size_t)n->w * (size_t)n->c;
}

/* ---- convolutions ---- */

int node_conv_shape(const struct graph *g, int node, struct conv_shape *s, struct message *m)
{
    const struct node *n = &g->nodes[node], *x = &g->nodes[n->inputs[0]];
    if (n->op == OP_CONV2D && n->groups != 1)
        return message_set(m, STATUS_UNSUPPORTED, "%s: groups=%d: there are only kernels for groups=1", n->name,
                           n->groups);
    int is_conv = n->op == OP_CONV2D;
    *s = (struct conv_shape){.h = x->h,
                             .w = x->w,
                             .c = x->c,
                             .out = n->out,
                             .kernel = is_conv ? n->kernel : 1,
                             .stride = is_conv ? n->stride : 1,
                             .pad = is_conv ? n->pad : 0,
                             .out_h = n->h,
                             .out_w = n->w};
    return 0;
}

int conv_item_rows(const struct conv_shape *s)
{
    int rows = (s->out_h + 3) / 4;
    int enough = (32 + s->out_w - 1) / s->out_w;
    if (rows < enough)
        rows = enough;
    return rows < s->out_h ? rows : s->out_h;
}

/* ---- constants ---- */

int node_affine(const struct model *model, int node, struct affine *a, struct message *m)
{
    const struct tensor *scale = model_tensor(model, node, "scale");
    const struct tensor *zero = model_tensor(model, node, "zero_point");
    const struct tensor *range = model_tensor(model, node, "range");
    const char *name = model->graph.nodes[node].name;
    if (!scale || !zero || !range)
        return message_set(m, STATUS_MISMATCH, "%s: scale, zero_point or range is missing", name);
    const uint8_t *codes = range->data;
    *a = (struct affine){*(const float *)scale->data, *(const uint8_t *)zero->data, codes[0], codes[1]};
    return 0;
}

void norm_constants(int channels, const float *gamma, const float *beta, const float *mean, const float *variance,
                    double eps, float *scale, float *shift)
{
    for (int c = 0; c < channels; c++) {
        double factor = (double)gamma[c] / sqrt((double)variance[c] + eps);
        scale[c] = (float)factor;
        shift[c] = (float)((double)beta[c] - (double)mean[c] * factor);
    }
}

void conv_multipliers(float scale_x, const float *scale_w, float scale_y, int outputs, float *multiplier)
{
    for (int k = 0; k < outputs; k++)
        multiplier[k] = multiplier_value(scale_x, scale_w[k], scale_y);
}

float pool_multiplier(const struct affine *x, const struct affine *y, int pixels)
{
    return x->scale / (y->scale * (float)pixels);
}

void input_table(const struct elementwise_kernels *k, const struct node *normalize, const struct affine *a,
                 float *values, uint8_t *table)
{
    uint8_t pixels[4 * 256] = {0};
    int channels = normalize->c;
    for (int p = 0; p < 256; p++)
        for (int c = 0; c < channels; c++)
            pixels[p * channels + c] = (uint8_t)p;
    k->normalize(pixels, 256, channels, normalize->mean, normalize->std, values);
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < 256; p++)
            table[c * 256 + p] = affine_quantize(a, values[p * channels + c]);
}
