#include "train/optimizer.h"
#include "base/memory.h"
#include "base/scalar.h"
#include <math.h>
#include <string.h>

/* What a step does to a slice, but for what is the same for all. */
struct slice_factors {
    float by, shrink, step;
};

int optimizer_open(struct optimizer *o, const struct optimizer_options *options, const struct slice *slices,
                   int slice_count, size_t count, struct message *m)
{
    *o = (struct optimizer){.options = *options, .slices = slices, .slice_count = slice_count, .count = count};
    if (o->options.bias_rate == 0)
        o->options.bias_rate = 1;
    o->velocity = memory_new(count, sizeof *o->velocity, m);
    o->factors = memory_new((size_t)slice_count, sizeof *o->factors, m);
    if (o->velocity && o->factors)
        return STATUS_OK;
    optimizer_close(o);
    return STATUS_NOMEM;
}

static int is_bias(const struct slice *s)
{
    size_t length = strlen(s->name);
    return length >= 5 && strcmp(s->name + length - 5, ".bias") == 0;
}

static int is_decayed(const struct optimizer *o, const struct slice *s)
{
    return s->role == SLICE_WEIGHT || (o->options.decay_all && s->role != SLICE_SCALE);
}

/* Sums that are added side by side: one alone would wait for every addition. */
enum { CLIP_LANES = 8 };

static double slice_squares(const float *gradient, size_t count)
{
    double lanes[CLIP_LANES] = {0};
    size_t k = 0;
    for (; k + CLIP_LANES <= count; k += CLIP_LANES)
        for (int i = 0; i < CLIP_LANES; i++)
            lanes[i] += (double)gradient[k + (size_t)i] * (double)gradient[k + (size_t)i];
    for (int i = 0; k < count; k++, i++)
        lanes[i] += (double)gradient[k] * (double)gradient[k];
    for (int step = CLIP_LANES / 2; step > 0; step /= 2)
        for (int i = 0; i < step; i++)
            lanes[i] += lanes[i + step];
    return lanes[0];
}

double optimizer_clip(const struct optimizer *o, const float *gradients)
{
    const double most = o->options.clip_norm;
    if (most == 0)
        return 1;
    double squares = 0;
    for (int i = 0; i < o->slice_count; i++)
        squares += slice_squares(gradients + o->slices[i].offset, o->slices[i].count);
    const double norm = sqrt(squares);
    return norm > most ? most / norm : 1;
}

/* See optimizer.h. What is beyond is no gradient, but what rounding left of one. */
#define TRUST_MOST 1e12

static double slice_trust(const struct optimizer *o, const struct slice *s, const float *w, const float *gradient,
                          double clip, double decay)
{
    if (!o->options.layer_rates)
        return 1;
    const double norm = sqrt(slice_squares(w, s->count)), along = clip * sqrt(slice_squares(gradient, s->count));
    const double share = s->role == SLICE_SCALE && o->options.scale_share > 0 ? o->options.scale_share : 1;
    const double trust = norm > 0 && along > 0 ? norm / (along + decay * norm) : 1;
    return share * (trust < TRUST_MOST ? trust : 1); /* NaN: 1 */
}

static struct slice_factors slice_factors(const struct optimizer *o, const struct slice *s, const float *w,
                                          const float *gradient, double clip, double rate)
{
    const double decay = is_decayed(o, s) ? o->options.weight_decay : 0;
    const double trust = slice_trust(o, s, w, gradient, clip, decay);
    return (struct slice_factors){.by = (float)(trust * clip),
                                  .shrink = (float)(trust * decay),
                                  .step = (float)(is_bias(s) ? rate * o->options.bias_rate : rate)};
}

struct update {
    const struct optimizer *o;
    float *parameters;
    const float *gradients;
};

static void values_update(const struct update *u, const struct slice_factors *f, size_t begin, size_t end)
{
    const struct optimizer_options *options = &u->o->options;
    float *restrict w = u->parameters, *restrict v = u->o->velocity;
    const float *restrict gradient = u->gradients;
    const float momentum = (float)options->momentum, by = f->by, shrink = f->shrink, step = f->step;
    /* own * g + along * v: either of torch's two directions, without a branch inside the loop */
    const float own = options->nesterov ? 1 : 0, along = options->nesterov ? momentum : 1;
    for (size_t k = begin; k < end; k++)
        w[k] = sgd_value(w[k], &v[k], by * gradient[k], shrink, momentum, step, own, along);
}

enum { ITEM_VALUES = 1 << 15 };

static void item_update(void *context, int item, int worker)
{
    (void)worker;
    const struct update *u = context;
    size_t begin = (size_t)item * ITEM_VALUES, end = begin + ITEM_VALUES;
    for (int i = 0; i < u->o->slice_count; i++) {
        const struct slice *s = &u->o->slices[i];
        size_t first = s->offset > begin ? s->offset : begin;
        size_t last = s->offset + s->count < end ? s->offset + s->count : end;
        if (first < last)
            values_update(u, &u->o->factors[i], first, last);
    }
}

void optimizer_step(struct optimizer *o, float *parameters, const float *gradients, double rate)
{
    struct update u = {o, parameters, gradients};
    const double clip = optimizer_clip(o, gradients);
    for (int i = 0; i < o->slice_count; i++) {
        size_t at = o->slices[i].offset;
        o->factors[i] = slice_factors(o, &o->slices[i], parameters + at, gradients + at, clip, rate);
    }
    threads_run(o->pool, item_update, &u, (int)((o->count + ITEM_VALUES - 1) / ITEM_VALUES));
}

void optimizer_flags(const struct optimizer *o, unsigned char *flags)
{
    for (int i = 0; i < o->slice_count; i++) {
        const struct slice *s = &o->slices[i];
        int flag = (is_decayed(o, s) ? GRADIENT_DECAY : 0) | (is_bias(s) ? GRADIENT_BIAS : 0);
        for (size_t k = 0; k < s->count; k += GRADIENT_FLAG_FLOATS)
            flags[(s->offset + k) / GRADIENT_FLAG_FLOATS] = (unsigned char)flag;
    }
}

void optimizer_close(struct optimizer *o)
{
    memory_free(o->velocity);
    memory_free(o->factors);
    *o = (struct optimizer){0};
}
