#include "train/average.h"
#include "base/memory.h"
#include <string.h>

int average_open(struct average *a, double decay, struct gradient *g, struct message *m)
{
    *a = (struct average){.decay = decay};
    if (decay <= 0)
        return STATUS_OK;
    a->parameters = gradient_parameter_count(g);
    a->state = gradient_state_count(g);
    a->state_slice_count = gradient_state_slices(g, &a->state_slices);
    a->values = memory_new_raw(a->parameters + a->state, sizeof *a->values, m);
    if (!a->values)
        return STATUS_NOMEM;
    memcpy(a->values, gradient_parameters(g), a->parameters * sizeof *a->values);
    if (a->state)
        memcpy(a->values + a->parameters, gradient_state(g), a->state * sizeof *a->values);
    return STATUS_OK;
}

static void blend(float *restrict average, const float *restrict values, size_t count, float share)
{
    for (size_t i = 0; i < count; i++)
        average[i] += share * (values[i] - average[i]);
}

struct blending {
    float *average;
    const float *values;
    size_t count;
    float share;
};

enum { ITEM_VALUES = 1 << 15 };

static void item_blend(void *context, int item, int worker)
{
    (void)worker;
    const struct blending *b = context;
    size_t at = (size_t)item * ITEM_VALUES, left = b->count - at;
    blend(b->average + at, b->values + at, left < ITEM_VALUES ? left : ITEM_VALUES, b->share);
}

static int is_counter(const struct slice *s)
{
    static const char suffix[] = ".num_batches_tracked";
    size_t length = strlen(s->name), tail = sizeof suffix - 1;
    return length >= tail && strcmp(s->name + length - tail, suffix) == 0;
}

double average_share(const struct average *a, int64_t step)
{
    double early = (1 + (double)step) / (10 + (double)step);
    return a->values ? 1 - (early < a->decay ? early : a->decay) : 0;
}

void average_update(struct average *a, const float *parameters, const float *state, int64_t step)
{
    if (!a->values)
        return;
    float share = (float)average_share(a, step);
    struct blending b = {a->values, parameters, a->parameters, share};
    threads_run(a->pool, item_blend, &b, (int)((a->parameters + ITEM_VALUES - 1) / ITEM_VALUES));
    for (int i = 0; i < a->state_slice_count; i++) {
        const struct slice *s = &a->state_slices[i];
        float *own = a->values + a->parameters + s->offset;
        if (is_counter(s))
            memcpy(own, state + s->offset, s->count * sizeof *own);
        else
            blend(own, state + s->offset, s->count, share);
    }
}

void average_close(struct average *a)
{
    memory_free(a->values);
    *a = (struct average){0};
}
