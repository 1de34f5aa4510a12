#include "train/checkpoint.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

void training_state_free(struct training_state *s)
{
    text_free(&s->log);
    *s = (struct training_state){.best_epoch = -1};
}

static void slice_name(const char *prefix, const struct slice *s, char out[128])
{
    snprintf(out, 128, "%s%s", prefix, s->name);
}

int checkpoint_add(struct record *r, const char *prefix, const struct slice *slices, int count, float *values,
                   struct message *m)
{
    for (int i = 0; i < count; i++) {
        const struct slice *s = &slices[i];
        char name[128];
        slice_name(prefix, s, name);
        TRY(record_add_borrowed(r, name, DTYPE_F32, s->rank, s->shape, values + s->offset, m));
    }
    return STATUS_OK;
}

int checkpoint_take(const struct record *r, const char *prefix, const struct slice *slices, int count,
                    float *values, struct message *m)
{
    for (int i = 0; i < count; i++) {
        const struct slice *s = &slices[i];
        char name[128];
        struct tensor *t;
        slice_name(prefix, s, name);
        TRY(record_require(r, name, DTYPE_F32, s->rank, s->shape, &t, m));
        memcpy(values + s->offset, t->data, s->count * sizeof *values);
    }
    return STATUS_OK;
}

/* ---- the state: one table of names for both directions ---- */

struct state_field {
    const char *key;
    int64_t *integer; /* one of the two */
    double *number;
};

enum { STATE_FIELDS = 12 };

static void state_fields(struct training_state *s, struct state_field fields[STATE_FIELDS])
{
    const struct state_field all[STATE_FIELDS] = {
        {"epoch", &s->epoch, NULL},
        {"epoch-step", &s->epoch_step, NULL},
        {"step", &s->step, NULL},
        {"images-seen", &s->images_seen, NULL},
        {"epoch-images", &s->sums.images, NULL},
        {"epoch-correct", &s->sums.correct, NULL},
        {"epoch-loss", NULL, &s->sums.loss},
        {"epoch-seconds", NULL, &s->epoch_seconds},
        {"seconds", NULL, &s->seconds},
        {"best-epoch", &s->best_epoch, NULL},
        {"best-accuracy", NULL, &s->best_accuracy},
        {"best-loss", NULL, &s->best_loss},
    };
    memcpy(fields, all, sizeof all);
}

static int field_write(struct record *r, const struct state_field *f, struct message *m)
{
    char number[32];
    if (f->integer)
        return record_setf(r, f->key, m, "%lld", (long long)*f->integer);
    if (isnan(*f->number))
        return record_set(r, f->key, "-", m);
    format_number(number, *f->number);
    return record_set(r, f->key, number, m);
}

int checkpoint_add_state(struct record *r, const struct training_state *s, struct message *m)
{
    struct training_state copy = *s;
    struct state_field fields[STATE_FIELDS];
    state_fields(&copy, fields);
    for (int i = 0; i < STATE_FIELDS; i++)
        TRY(field_write(r, &fields[i], m));
    const struct state_field start = {"start-accuracy", NULL, &copy.start_accuracy};
    if (!isnan(copy.start_accuracy)) /* only of runs that test it */
        TRY(field_write(r, &start, m));
    return record_set(r, "log", s->log.data ? s->log.data : "", m);
}

static int field_read(const struct record *r, const struct state_field *f, struct message *m)
{
    const char *value = record_get(r, f->key);
    if (!value)
        return message_set(m, STATUS_FORMAT, "%s: missing metadata", f->key);
    if (f->integer)
        return parse_integer(value, -1, INT64_MAX / 2, f->key, f->integer, m);
    if (strcmp(value, "-") != 0)
        return parse_number(value, -HUGE_VAL, HUGE_VAL, f->key, f->number, m);
    *f->number = NAN;
    return STATUS_OK;
}

int checkpoint_take_state(const struct record *r, struct training_state *s, struct message *m)
{
    struct state_field fields[STATE_FIELDS];
    state_fields(s, fields);
    for (int i = 0; i < STATE_FIELDS; i++)
        TRY(field_read(r, &fields[i], m));
    const struct state_field start = {"start-accuracy", NULL, &s->start_accuracy};
    s->start_accuracy = NAN;
    if (record_get(r, start.key))
        TRY(field_read(r, &start, m));
    if (s->epoch < 0 || s->epoch_step < 0 || s->step < 0)
        return message_set(m, STATUS_RANGE, "epoch %lld, step %lld: a negative position", (long long)s->epoch,
                           (long long)s->step);
    const char *log = record_get(r, "log");
    text_clear(&s->log);
    return text_add_bytes(&s->log, log ? log : "", log ? strlen(log) : 0, m);
}

/* ---- loss scaling ---- */

int checkpoint_add_scale(struct record *r, const struct gradient_scale *s, int64_t skipped, struct message *m)
{
    if (!s)
        return STATUS_OK;
    TRY(record_setf(r, "loss-scale", m, "%.9g", (double)s->scale));
    TRY(record_setf(r, "loss-scale-good", m, "%d", s->good));
    TRY(record_setf(r, "loss-scale-in-a-row", m, "%d", s->in_a_row));
    TRY(record_setf(r, "loss-scale-skipped", m, "%lld", (long long)s->skipped));
    return record_setf(r, "epoch-skipped", m, "%lld", (long long)skipped);
}

static int integer_of(const struct record *r, const char *key, int *value, struct message *m)
{
    const char *text = record_get(r, key);
    int64_t number = 0;
    if (text)
        TRY(parse_integer(text, 0, 1 << 30, key, &number, m));
    *value = (int)number;
    return STATUS_OK;
}

int checkpoint_take_scale(const struct record *r, struct gradient_scale *s, int64_t *skipped, struct message *m)
{
    const char *text = record_get(r, "loss-scale");
    double scale;
    int count;
    if (!s || !text)
        return STATUS_OK;
    TRY(parse_number(text, 0x1p-24, 0x1p24, "loss-scale", &scale, m));
    TRY(integer_of(r, "loss-scale-good", &s->good, m));
    TRY(integer_of(r, "loss-scale-in-a-row", &s->in_a_row, m));
    TRY(integer_of(r, "loss-scale-skipped", &s->skipped, m));
    TRY(integer_of(r, "epoch-skipped", &count, m));
    s->scale = (float)scale;
    *skipped = count;
    return STATUS_OK;
}
