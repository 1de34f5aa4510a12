#include "graph/convert.h"
#include "base/half.h"
#include "record/describe.h"
#include <math.h>

static int convert_value(const struct tensor *from, size_t i, struct tensor *to, struct message *m)
{
    double value = tensor_value(from, i);
    if (to->dtype == DTYPE_I64) {
        ((int64_t *)to->data)[i] = (int64_t)value;
    } else if (to->dtype == DTYPE_F32) {
        ((float *)to->data)[i] = (float)value;
    } else {
        struct half16 half = half_round((float)value);
        if (isfinite(value) && !isfinite(half_widen(half)))
            return message_set(m, STATUS_RANGE, "%s: %g at index %zu is beyond F16", from->name, value, i);
        ((uint16_t *)to->data)[i] = half.bits;
    }
    return STATUS_OK;
}

/* In place, so that the order of tensors stays. */
int tensor_convert(struct record *r, size_t i, enum dtype dtype, int rank, struct message *m)
{
    static const char spare[] = " converted"; /* no tensor's name of ours */
    struct tensor *to, swapped;
    int64_t shape[TENSOR_MAX_RANK];
    memcpy(shape, r->tensors[i].shape, sizeof shape);
    TRY(record_add(r, spare, dtype, rank, shape, &to, m));
    struct tensor *from = &r->tensors[i];
    for (size_t k = 0; k < to->count; k++)
        TRY(convert_value(from, k, to, m));
    swapped = *to;
    swapped.name = from->name;
    from->name = to->name;
    *to = *from;
    *from = swapped;
    record_remove(r, spare);
    return STATUS_OK;
}

int tensors_widen(struct record *r, struct message *m)
{
    for (size_t i = 0; i < r->tensor_count; i++)
        if (r->tensors[i].dtype == DTYPE_F16 || r->tensors[i].dtype == DTYPE_BF16)
            TRY(tensor_convert(r, i, DTYPE_F32, r->tensors[i].rank, m));
    return STATUS_OK;
}

int tensors_halve(struct record *r, struct message *m)
{
    for (size_t i = 0; i < r->tensor_count; i++)
        if (r->tensors[i].dtype == DTYPE_F32 && r->tensors[i].rank >= 2)
            TRY(tensor_convert(r, i, DTYPE_F16, r->tensors[i].rank, m));
    return STATUS_OK;
}
