/* value.c: elements of any type as numbers and as text. */
#include "base/half.h"
#include "record/describe.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

double tensor_value(const struct tensor *t, size_t i)
{
    const void *p = t->data;
    switch (t->dtype) {
    case DTYPE_BOOL:
    case DTYPE_U8:
        return ((const uint8_t *)p)[i];
    case DTYPE_I8:
        return ((const int8_t *)p)[i];
    case DTYPE_U16:
        return ((const uint16_t *)p)[i];
    case DTYPE_I16:
        return ((const int16_t *)p)[i];
    case DTYPE_F16:
        return (double)half_widen((struct half16){((const uint16_t *)p)[i]});
    case DTYPE_BF16:
        return (double)brain_widen((struct brain16){((const uint16_t *)p)[i]});
    case DTYPE_U32:
        return ((const uint32_t *)p)[i];
    case DTYPE_I32:
        return ((const int32_t *)p)[i];
    case DTYPE_F32:
        return (double)((const float *)p)[i];
    case DTYPE_U64:
        return (double)((const uint64_t *)p)[i];
    case DTYPE_I64:
        return (double)((const int64_t *)p)[i];
    case DTYPE_F64:
        return ((const double *)p)[i];
    case DTYPE_COUNT:
        break;
    }
    return 0;
}

void tensor_value_print(const struct tensor *t, size_t i, char out[32])
{
    if (t->dtype == DTYPE_I64)
        snprintf(out, 32, "%" PRId64, ((const int64_t *)t->data)[i]);
    else if (t->dtype == DTYPE_U64)
        snprintf(out, 32, "%" PRIu64, ((const uint64_t *)t->data)[i]);
    else if (t->dtype == DTYPE_F32 || t->dtype == DTYPE_F16 || t->dtype == DTYPE_BF16)
        format_number_f32(out, (float)tensor_value(t, i));
    else
        format_number(out, tensor_value(t, i));
}

void tensor_statistics(const struct tensor *t, struct tensor_statistics *s)
{
    *s = (struct tensor_statistics){0};
    double mean = 0, squares = 0; /* Welford's recurrence: no cancellation */
    size_t finite = 0;
    for (size_t i = 0; i < t->count; i++) {
        double x = tensor_value(t, i);
        if (!isfinite(x)) {
            s->not_finite++;
            continue;
        }
        s->zeros += x == 0;
        s->min = finite == 0 || x < s->min ? x : s->min;
        s->max = finite == 0 || x > s->max ? x : s->max;
        double delta = x - mean;
        mean += delta / (double)++finite;
        squares += delta * (x - mean);
    }
    s->mean = mean;
    s->deviation = finite > 0 ? sqrt(squares / (double)finite) : 0;
}

int tensor_values_print(const struct tensor *t, size_t *at, struct text *out, struct message *m)
{
    enum { PIECE = 1 << 16 };
    size_t row = t->rank > 0 ? (size_t)t->shape[t->rank - 1] : 1;
    size_t start = out->length;
    char number[32];
    while (*at < t->count && out->length - start < PIECE) {
        tensor_value_print(t, *at, number);
        ++*at;
        TRY(text_add(out, m, "%s%c", number, *at % row == 0 ? '\n' : '\t'));
    }
    return STATUS_OK;
}
