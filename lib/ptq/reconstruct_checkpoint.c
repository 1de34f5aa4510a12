/* A reconstruction's checkpoint: the integer network as it is, and the variables of the unit at work. */
#include "base/text.h"
#include "ptq/reconstruction.h"
#include "record/checkpoint_file.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { NAME_SIZE = 128 };

/* A layer's buffers, by their names: the one list for both directions. */
struct buffer {
    char name[NAME_SIZE];
    float *values;
    int64_t count;
};
enum { BUFFERS = 4 };

/* How many there are. */
static int list_buffers(struct reconstruction *r, int l, struct buffer buffers[BUFFERS])
{
    static const char *const kinds[BUFFERS] = {"rounding", "rounding.mean", "rounding.square", "activation_scale"};
    const struct unit_layer *y = &r->pass.layers[l];
    struct unit_value *v = &r->pass.values[r->unit->input_count + l];
    float *const values[BUFFERS] = {y->variables, y->mean, y->square, v->variable};
    int count = v->is_learned ? BUFFERS : BUFFERS - 1;
    for (int i = 0; i < count; i++) {
        snprintf(buffers[i].name, NAME_SIZE, "%s.%s", r->fused->graph.nodes[r->unit->layers[l]].name, kinds[i]);
        buffers[i].values = values[i];
        buffers[i].count =
            values[i] == v->variable ? (int64_t)(sizeof v->variable / sizeof v->variable[0]) : (int64_t)y->count;
    }
    return count;
}

static int fill(void *context, struct record *to, struct message *m)
{
    struct reconstruction *r = context;
    const struct record *from = r->int8->record;
    TRY(record_setf(to, "block", m, "%d", r->at));
    TRY(record_setf(to, "block-step", m, "%lld", (long long)r->step));
    for (size_t i = 0; i < from->tensor_count; i++) {
        const struct tensor *t = &from->tensors[i];
        TRY(record_add_borrowed(to, t->name, t->dtype, t->rank, t->shape, t->data, m));
    }
    for (int l = 0; r->step > 0 && l < r->unit->count; l++) {
        struct buffer buffers[BUFFERS];
        const int count = list_buffers(r, l, buffers);
        for (int i = 0; i < count; i++)
            TRY(record_add_borrowed(to, buffers[i].name, DTYPE_F32, 1, &buffers[i].count, buffers[i].values, m));
    }
    return record_inherit(to, from, m);
}

int reconstruct_save(struct reconstruction *r, struct message *m)
{
    const int is_first = !r->o->ranks || r->o->ranks->rank == 0;
    return r->o->checkpoint && is_first ? checkpoint_save(r->o->checkpoint, r->o->recipe, fill, r, m) : 0;
}

static int number_of(const struct record *from, const char *key, int64_t most, int64_t *number, struct message *m)
{
    const char *text = record_get(from, key);
    if (!text)
        return message_set(m, STATUS_FORMAT, "%s: missing metadata", key);
    return parse_integer(text, 0, most, key, number, m);
}

static int take_fields(struct reconstruction *r, const struct record *from, struct message *m)
{
    struct record *to = r->int8->record;
    int64_t at;
    TRY(checkpoint_is_of(from, r->o->recipe, m));
    TRY(number_of(from, "block", r->count - 1, &at, m));
    TRY(number_of(from, "block-step", r->o->steps, &r->step, m));
    r->at = (int)at;
    for (size_t i = 0; i < to->tensor_count; i++) {
        struct tensor *t = &to->tensors[i], *held;
        TRY(record_require(from, t->name, t->dtype, t->rank, t->shape, &held, m));
        memcpy(t->data, held->data, t->bytes);
    }
    return model_verify(r->int8, m);
}

int reconstruct_restore(struct reconstruction *r, struct record **held, struct message *m)
{
    const char *path = r->o->checkpoint;
    *held = NULL;
    if (!r->o->resume || !path)
        return 0;
    int status = checkpoint_load(path, held, m);
    if (status > 0 && (status = take_fields(r, *held, m)) < 0)
        message_prefix(m, status, "%s", path);
    return status;
}

static int take_layer(struct reconstruction *r, const struct record *held, int l, struct message *m)
{
    struct buffer buffers[BUFFERS];
    struct unit_value *v = &r->pass.values[r->unit->input_count + l];
    const int count = list_buffers(r, l, buffers);
    for (int i = 0; i < count; i++) {
        struct tensor *t;
        TRY(record_require(held, buffers[i].name, DTYPE_F32, 1, &buffers[i].count, &t, m));
        for (int64_t k = 0; k < buffers[i].count; k++)
            if (!isfinite(((const float *)t->data)[k]))
                return message_set(m, STATUS_RANGE, "%s: value %lld is not finite", buffers[i].name, (long long)k);
        memcpy(buffers[i].values, t->data, t->bytes);
    }
    if (v->is_learned)
        unit_scale_set(v);
    return 0;
}

int reconstruct_restore_unit(struct reconstruction *r, const struct record *held, struct message *m)
{
    int status = 0;
    for (int l = 0; status >= 0 && l < r->unit->count; l++)
        status = take_layer(r, held, l, m);
    return status < 0 ? message_prefix(m, status, "%s", r->o->checkpoint) : 0;
}
