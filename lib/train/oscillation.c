#include "train/oscillation.h"
#include "base/memory.h"
#include "base/scalar.h"
#include "quant/weights.h"
#include "record/stream.h"
#include <string.h>

static const double first_threshold = 0.1;
static const float momentum = 0.01f;

/* Step i's weights, where they freeze. */
static int is_concerned(struct gradient *g, int i, struct gradient_weights *w)
{
    return gradient_weights_at(g, i, w) && w->bits <= OSCILLATION_MOST_BITS;
}

static float scale_of(const struct gradient_weights *w, int output)
{
    return w->scale[w->one_scale ? 0 : output];
}

static void begin_codes(struct oscillation *o)
{
    struct gradient_weights w;
    size_t at = 0;
    for (int i = 0; i < gradient_layer_count(o->gradient); i++) {
        if (!is_concerned(o->gradient, i, &w))
            continue;
        for (int k = 0; k < w.outputs * w.per_output; k++, at++) {
            o->code[at] = (int8_t)weight_code(w.weight[k], scale_of(&w, k / w.per_output), weight_qmax(w.bits));
            o->mean[at] = o->code[at];
        }
    }
}

int oscillation_open(struct oscillation *o, struct gradient *g, const struct oscillation_options *options,
                     struct message *m)
{
    struct gradient_weights w;
    *o = (struct oscillation){.options = *options, .gradient = g};
    if (options->threshold <= 0)
        return STATUS_OK;
    if (gradient_makes_steps(g))
        return message_set(m, STATUS_UNSUPPORTED, "weights that oscillate cannot be frozen on device %s",
                           gradient_device(g));
    for (int i = 0; i < gradient_layer_count(g); i++) {
        if (!is_concerned(g, i, &w))
            continue;
        if (!w.scale)
            return message_set(m, STATUS_UNSUPPORTED,
                               "%s: its weights' scales are found anew in each step: nothing to freeze them by",
                               w.name);
        o->count += (size_t)w.outputs * (size_t)w.per_output;
    }
    if (o->count == 0)
        return STATUS_OK;
    o->frequency = memory_new(o->count, sizeof *o->frequency, m);
    o->mean = memory_new(o->count, sizeof *o->mean, m);
    o->code = memory_new(o->count, 1, m);
    o->direction = memory_new(o->count, 1, m);
    if (!o->frequency || !o->mean || !o->code || !o->direction)
        return STATUS_NOMEM;
    begin_codes(o);
    return STATUS_OK;
}

double oscillation_threshold(const struct oscillation_options *o, int64_t step)
{
    const double pi = 3.14159265358979323846;
    double done = o->steps > 0 ? fmin((double)step / (double)o->steps, 1) : 1;
    return o->threshold + (first_threshold - o->threshold) * (1 + cos(pi * done)) / 2;
}

/* One weight whose code is now this. */
static void see(struct oscillation *o, size_t at, int code, float threshold)
{
    int change = code > o->code[at] ? 1 : code < o->code[at] ? -1 : 0;
    int turns = change != 0 && o->direction[at] != 0 && change != o->direction[at];
    o->frequency[at] = momentum * (float)turns + (1 - momentum) * o->frequency[at];
    o->mean[at] = momentum * (float)code + (1 - momentum) * o->mean[at];
    o->code[at] = (int8_t)code;
    if (change != 0)
        o->direction[at] = (int8_t)change;
    if (o->frequency[at] <= threshold)
        return;
    o->direction[at] = OSCILLATION_FROZEN;
    o->code[at] = (int8_t)rintf(o->mean[at]);
}

void oscillation_update(struct oscillation *o, int64_t number)
{
    struct gradient_weights w;
    size_t at = 0;
    if (!o->frequency)
        return;
    const float threshold = (float)oscillation_threshold(&o->options, number);
    for (int i = 0; i < gradient_layer_count(o->gradient); i++) {
        if (!is_concerned(o->gradient, i, &w))
            continue;
        for (int k = 0; k < w.outputs * w.per_output; k++, at++) {
            float s = scale_of(&w, k / w.per_output);
            if (o->direction[at] != OSCILLATION_FROZEN)
                see(o, at, weight_code(w.weight[k], s, weight_qmax(w.bits)), threshold);
            if (o->direction[at] == OSCILLATION_FROZEN)
                w.weight[k] = s * (float)o->code[at];
        }
    }
}

size_t oscillation_frozen(const struct oscillation *o)
{
    size_t frozen = 0;
    for (size_t i = 0; i < o->count; i++)
        frozen += o->direction[i] == OSCILLATION_FROZEN;
    return frozen;
}

/* ---- the checkpoint ---- */

struct part {
    const char *name;
    enum dtype dtype;
    void *values;
};

enum { PARTS = 4 };

static void parts_of(const struct oscillation *o, struct part parts[PARTS])
{
    const struct part all[PARTS] = {{"oscillation.frequency", DTYPE_F32, o->frequency},
                                    {"oscillation.mean", DTYPE_F32, o->mean},
                                    {"oscillation.code", DTYPE_I8, o->code},
                                    {"oscillation.direction", DTYPE_I8, o->direction}};
    memcpy(parts, all, sizeof all);
}

int oscillation_add(struct record *r, const struct oscillation *o, struct message *m)
{
    const int64_t shape[1] = {(int64_t)o->count};
    struct part parts[PARTS];
    parts_of(o, parts);
    for (int i = 0; o->frequency && i < PARTS; i++)
        TRY(record_add_borrowed(r, parts[i].name, parts[i].dtype, 1, shape, parts[i].values, m));
    return STATUS_OK;
}

int oscillation_take(const struct record *r, struct oscillation *o, struct message *m)
{
    const int64_t shape[1] = {(int64_t)o->count};
    struct part parts[PARTS];
    parts_of(o, parts);
    for (int i = 0; o->frequency && i < PARTS; i++) {
        struct tensor *t;
        TRY(record_require(r, parts[i].name, parts[i].dtype, 1, shape, &t, m));
        memcpy(parts[i].values, t->data, t->bytes);
    }
    return STATUS_OK;
}

void oscillation_close(struct oscillation *o)
{
    memory_free(o->frequency);
    memory_free(o->mean);
    memory_free(o->code);
    memory_free(o->direction);
    *o = (struct oscillation){0};
}
