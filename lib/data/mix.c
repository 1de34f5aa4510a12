#include "data/mix.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

static int clamp(int v, int high)
{
    return v < 0 ? 0 : v > high ? high : v;
}

static float part_of(struct image_shape s, int columns, int rows)
{
    return (float)((double)columns * rows / ((double)s.width * s.height));
}

/* ---- what an image gets ---- */

void cutmix_cut(struct image_shape s, double lambda, int column, int row, struct mixture *x)
{
    const double cut = sqrt(1 - lambda);
    const int half[2] = {(int)(s.width * cut) / 2, (int)(s.height * cut) / 2};
    const int box[4] = {clamp(column - half[0], s.width), clamp(row - half[1], s.height),
                        clamp(column + half[0], s.width), clamp(row + half[1], s.height)};
    memcpy(x->box, box, sizeof box);
    x->count = 2;
    x->share[1] = part_of(s, box[2] - box[0], box[3] - box[1]);
}

void mixup_cut(double lambda, struct mixture *x)
{
    x->count = 2;
    x->lambda = lambda;
    x->share[1] = (float)(1 - lambda);
}

void ricap_piece(struct image_shape s, const int point[2], int k, int size[2])
{
    size[0] = k % 2 ? s.width - point[0] : point[0];
    size[1] = k / 2 ? s.height - point[1] : point[1];
}

void ricap_cut(struct image_shape s, double horizontal, double vertical, struct mixture *x)
{
    x->count = 4;
    x->point[0] = (int)rint(s.width * horizontal);
    x->point[1] = (int)rint(s.height * vertical);
    for (int k = 0; k < 4; k++) {
        int size[2];
        ricap_piece(s, x->point, k, size);
        x->share[k] = part_of(s, size[0], size[1]);
    }
}

static void draw_cutmix(const struct mix_options *o, struct image_shape s, struct random_stream *r,
                        struct mixture *x)
{
    const int is_mixed = random_uniform(r) < o->strength;
    const double lambda = random_uniform(r);
    const int column = (int)random_below(r, (uint32_t)s.width), row = (int)random_below(r, (uint32_t)s.height);
    cutmix_cut(s, is_mixed ? lambda : 1, column, row, x);
}

static void draw_ricap(const struct mix_options *o, struct image_shape s, struct random_stream *r,
                       struct mixture *x)
{
    const double horizontal = random_beta(r, o->strength), vertical = random_beta(r, o->strength);
    ricap_cut(s, horizontal, vertical, x);
    for (int k = 0; k < 4; k++) {
        int size[2];
        ricap_piece(s, x->point, k, size);
        x->from[k][0] = (int)random_below(r, (uint32_t)(s.width - size[0]) + 1);
        x->from[k][1] = (int)random_below(r, (uint32_t)(s.height - size[1]) + 1);
    }
}

void mixture_draw(const struct mix_options *o, struct image_shape s, uint32_t epoch, uint64_t index,
                  int64_t position, struct mixture *x)
{
    const enum random_purpose purposes[] = {0, RANDOM_CUTMIX, RANDOM_MIXUP, RANDOM_RICAP};
    struct random_stream r = random_open(o->seed, purposes[o->kind], epoch, index);
    const uint32_t places = position < MIX_WINDOW ? (uint32_t)position + 1 : MIX_WINDOW;
    *x = (struct mixture){.count = 1};
    for (int k = 1; k < MIX_MOST; k++)
        x->back[k] = (int)random_below(&r, places);
    if (o->kind == MIX_CUTMIX)
        draw_cutmix(o, s, &r, x);
    else if (o->kind == MIX_MIXUP)
        mixup_cut(random_beta(&r, o->strength), x);
    else if (o->kind == MIX_RICAP)
        draw_ricap(o, s, &r, x);
}

/* ---- making it ---- */

/* size columns and rows of `from` at (column, row) to (to_column, to_row) of `to`. */
static void copy_piece(struct image_shape s, const uint8_t *from, const int at[2], uint8_t *to, const int to_at[2],
                       const int size[2])
{
    const size_t channels = (size_t)s.channels, stride = (size_t)s.width * channels;
    for (int y = 0; y < size[1]; y++)
        memcpy(to + (size_t)(to_at[1] + y) * stride + (size_t)to_at[0] * channels,
               from + (size_t)(at[1] + y) * stride + (size_t)at[0] * channels, (size_t)size[0] * channels);
}

static void blend(size_t bytes, const uint8_t *const *sources, double lambda, uint8_t *out)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)rint(lambda * sources[0][i] + (1 - lambda) * sources[1][i]);
}

void mixture_make(const struct mix_options *o, struct image_shape s, const struct mixture *x,
                  const uint8_t *const *sources, uint8_t *out)
{
    if (o->kind == MIX_MIXUP) {
        blend(image_shape_bytes(s), sources, x->lambda, out);
        return;
    }
    if (o->kind == MIX_CUTMIX) {
        const int size[2] = {x->box[2] - x->box[0], x->box[3] - x->box[1]};
        memcpy(out, sources[0], image_shape_bytes(s));
        copy_piece(s, sources[1], x->box, out, x->box, size);
        return;
    }
    for (int k = 0; k < 4; k++) {
        int size[2];
        const int to[2] = {k % 2 ? x->point[0] : 0, k / 2 ? x->point[1] : 0};
        ricap_piece(s, x->point, k, size);
        copy_piece(s, sources[k], x->from[k], out, to, size);
    }
}

/* ---- a stream of them ---- */

/* Room for what is kept and the batch, whose images and labels are taken as they are now. */
static int take(struct mixer *x, const struct batch *b, struct message *m)
{
    const size_t bytes = image_shape_bytes(b->shape);
    const int64_t want = MIX_WINDOW + b->count;
    void *p;
    x->shape = b->shape;
    if (b->position == 0)
        x->kept = 0;
    if (want > x->capacity) {
        if (!(p = memory_resize(x->images, (size_t)x->capacity * bytes, (size_t)want, bytes, m)))
            return STATUS_NOMEM;
        x->images = p;
        if (!(p = memory_resize(x->labels, (size_t)x->capacity * sizeof *x->labels, (size_t)want, sizeof *x->labels,
                                m)))
            return STATUS_NOMEM;
        x->labels = p;
        x->capacity = want;
    }
    memcpy(x->images + (size_t)x->kept * bytes, b->images, (size_t)b->count * bytes);
    for (int64_t i = 0; i < b->count; i++)
        x->labels[x->kept + i] = (uint16_t)batch_label(b, i);
    return 0;
}

/* The last ones are kept for those that come. */
static void keep(struct mixer *x, int64_t count)
{
    const size_t bytes = image_shape_bytes(x->shape);
    const int64_t all = x->kept + count, kept = all < MIX_WINDOW - 1 ? all : MIX_WINDOW - 1;
    memmove(x->images, x->images + (size_t)(all - kept) * bytes, (size_t)kept * bytes);
    memmove(x->labels, x->labels + (all - kept), (size_t)kept * sizeof *x->labels);
    x->kept = kept;
}

enum { IMAGES_AN_ITEM = 16 };

struct mix_work {
    const struct mixer *mixer;
    struct batch *batch;
};

static void mix_one(const struct mixer *x, struct batch *b, int64_t i)
{
    const size_t bytes = image_shape_bytes(b->shape);
    const uint8_t *sources[MIX_MOST];
    struct mixture mixture;
    mixture_draw(&x->options, b->shape, (uint32_t)b->epoch, (uint64_t)b->indices[i], b->position + i, &mixture);
    for (int k = 0; k < mixture.count; k++) {
        const int64_t at = x->kept + i - mixture.back[k];
        sources[k] = x->images + (size_t)at * bytes;
        if (k > 0)
            batch_mixed_set(b, i, k - 1, x->labels[at], mixture.share[k]);
    }
    mixture_make(&x->options, b->shape, &mixture, sources, b->images + (size_t)i * bytes);
}

static void mix_item(void *context, int item, int worker)
{
    const struct mix_work *w = context;
    const int64_t first = (int64_t)item * IMAGES_AN_ITEM, last = first + IMAGES_AN_ITEM;
    (void)worker;
    for (int64_t i = first; i < last && i < w->batch->count; i++)
        mix_one(w->mixer, w->batch, i);
}

int mixer_batch(struct mixer *x, struct threads *pool, struct batch *b, struct message *m)
{
    struct mix_work work = {x, b};
    TRY(batch_mix(b, x->options.kind == MIX_RICAP ? 3 : 1, m));
    TRY(take(x, b, m));
    threads_run(pool, mix_item, &work, (int)((b->count + IMAGES_AN_ITEM - 1) / IMAGES_AN_ITEM));
    keep(x, b->count);
    return 0;
}

void mixer_close(struct mixer *x)
{
    memory_free(x->images);
    memory_free(x->labels);
    *x = (struct mixer){0};
}
