#include "onnx/constant.h"
#include "base/memory.h"
#include "record/describe.h"
#include <math.h>
#include <string.h>

void constant_free(struct constant *c)
{
    memory_free(c->owned);
    *c = (struct constant){0};
}

struct constant constant_view(const struct constant *from)
{
    struct constant c = *from;
    c.owned = NULL;
    return c;
}

size_t constant_element_bytes(enum onnx_type type)
{
    switch (type) {
    case ONNX_UINT8:
    case ONNX_INT8:
    case ONNX_BOOL:
    case ONNX_UINT4:
    case ONNX_INT4:
        return 1;
    case ONNX_UINT16:
    case ONNX_INT16:
    case ONNX_FLOAT16:
    case ONNX_BFLOAT16:
        return 2;
    case ONNX_FLOAT:
    case ONNX_INT32:
        return 4;
    case ONNX_INT64:
    case ONNX_DOUBLE:
        return 8;
    }
    return 0;
}

int constant_is_float(const struct constant *c)
{
    return c->type == ONNX_FLOAT || c->type == ONNX_DOUBLE || c->type == ONNX_FLOAT16 || c->type == ONNX_BFLOAT16;
}

/* ---- from the file ---- */

static int set_shape(struct constant *c, int rank, const int64_t *dims, struct message *m)
{
    c->rank = rank;
    c->count = 1;
    for (int k = 0; k < rank; k++) {
        if (dims[k] < 0 || dims[k] > INT32_MAX || size_multiply(c->count, (size_t)dims[k], &c->count) ||
            c->count > INT32_MAX)
            return message_set(m, STATUS_RANGE, "shape overflows");
        c->dims[k] = dims[k];
    }
    return 0;
}

int constant_new(struct constant *c, enum onnx_type type, int rank, const int64_t *dims, void **data,
                 struct message *m)
{
    *c = (struct constant){.type = type};
    TRY(set_shape(c, rank, dims, m));
    c->owned = memory_new(c->count, constant_element_bytes(type), m);
    c->data = *data = c->owned;
    return c->owned ? 0 : STATUS_NOMEM;
}

static int is_nibbles(enum onnx_type type)
{
    return type == ONNX_UINT4 || type == ONNX_INT4;
}

/* Two elements a byte, low one first. */
static int take_nibbles(struct constant *c, const uint8_t *packed, struct message *m)
{
    int8_t *values = memory_new_raw(c->count, 1, m);
    if (!values)
        return STATUS_NOMEM;
    for (size_t i = 0; i < c->count; i++) {
        int bits = packed[i / 2] >> 4 * (i % 2) & 15;
        values[i] = (int8_t)(c->type == ONNX_INT4 && bits > 7 ? bits - 16 : bits);
    }
    memory_free(c->owned);
    c->data = c->owned = values;
    return 0;
}

/* Types without a field of their own stand as int32 each. */
static int take_integers(struct constant *c, const int32_t *from, struct message *m)
{
    size_t size = constant_element_bytes(c->type);
    unsigned char *to = memory_new_raw(c->count, size, m);
    if (!to)
        return STATUS_NOMEM;
    for (size_t i = 0; i < c->count; i++)
        memcpy(to + i * size, &from[i], size); /* little-endian, as all that is read here */
    c->data = c->owned = to;
    return 0;
}

/* The typed field of t that holds its elements. */
static int take_fields(struct constant *c, const Onnx__TensorProto *t, struct message *m)
{
    size_t have = c->type == ONNX_FLOAT    ? t->n_float_data
                  : c->type == ONNX_DOUBLE ? t->n_double_data
                  : c->type == ONNX_INT64  ? t->n_int64_data
                                           : t->n_int32_data;
    size_t want = is_nibbles(c->type) ? (c->count + 1) / 2 : c->count;
    if (have != want)
        return message_set(m, STATUS_MISMATCH, "%zu elements, its shape wants %zu", have, want);
    if (is_nibbles(c->type)) {
        struct constant bytes = {.type = ONNX_UINT8, .count = want};
        TRY(take_integers(&bytes, t->int32_data, m));
        c->owned = bytes.owned;
        return take_nibbles(c, bytes.data, m);
    }
    if (constant_element_bytes(c->type) < 4)
        return take_integers(c, t->int32_data, m);
    c->data = c->type == ONNX_FLOAT    ? (const void *)t->float_data
              : c->type == ONNX_DOUBLE ? (const void *)t->double_data
              : c->type == ONNX_INT64  ? (const void *)t->int64_data
                                       : (const void *)t->int32_data;
    return 0;
}

static int take_data(struct constant *c, const struct onnx_file *f, const Onnx__TensorProto *t, struct message *m)
{
    enum { EXTERNAL = 1 };
    size_t bytes = is_nibbles(c->type) ? (c->count + 1) / 2 : c->count * constant_element_bytes(c->type);
    const void *raw = t->raw_data.data;
    if (t->data_location == EXTERNAL) {
        TRY(onnx_external_read(f, t, bytes, &c->owned, m));
        raw = c->owned;
    } else if (!t->has_raw_data) {
        return take_fields(c, t, m);
    } else if (t->raw_data.len != bytes) {
        return message_set(m, STATUS_MISMATCH, "%zu bytes, its shape wants %zu", t->raw_data.len, bytes);
    }
    if (is_nibbles(c->type))
        return take_nibbles(c, raw, m);
    c->data = raw;
    return 0;
}

int constant_from_tensor(struct constant *c, const struct onnx_file *f, const Onnx__TensorProto *t,
                         struct message *m)
{
    *c = (struct constant){.type = (enum onnx_type)t->data_type};
    if (constant_element_bytes(c->type) == 0)
        return message_set(m, STATUS_UNSUPPORTED, "element type %d is not known here", t->data_type);
    if (t->n_dims > ONNX_MAX_RANK)
        return message_set(m, STATUS_RANGE, "%zu dimensions, at most %d are known here", t->n_dims, ONNX_MAX_RANK);
    TRY(set_shape(c, (int)t->n_dims, t->dims, m));
    int status = take_data(c, f, t, m);
    if (status < 0)
        constant_free(c);
    return status;
}

/* ---- elements ---- */

static double plain_number(const struct constant *c, size_t i)
{
    static const struct {
        enum onnx_type type;
        enum dtype dtype;
    } same[] = {{ONNX_FLOAT, DTYPE_F32},     {ONNX_DOUBLE, DTYPE_F64}, {ONNX_FLOAT16, DTYPE_F16},
                {ONNX_BFLOAT16, DTYPE_BF16}, {ONNX_UINT16, DTYPE_U16}, {ONNX_INT16, DTYPE_I16},
                {ONNX_INT32, DTYPE_I32},     {ONNX_INT64, DTYPE_I64},  {ONNX_INT8, DTYPE_I8},
                {ONNX_INT4, DTYPE_I8},       {ONNX_UINT8, DTYPE_U8},   {ONNX_UINT4, DTYPE_U8},
                {ONNX_BOOL, DTYPE_BOOL}};
    for (size_t k = 0; k < sizeof same / sizeof same[0]; k++)
        if (same[k].type == c->type) {
            const struct tensor t = {.dtype = same[k].dtype, .data = (void *)(uintptr_t)c->data};
            return tensor_value(&t, i);
        }
    return (double)NAN;
}

double constant_number(const struct constant *c, size_t i)
{
    double value = plain_number(c, i);
    if (!c->scale)
        return value;
    size_t slice = c->scale_count > 1 ? i / (c->count / c->scale_count) : 0;
    return (double)(c->scale[slice] * (float)value);
}

int64_t constant_integer(const struct constant *c, size_t i)
{
    if (c->type == ONNX_INT64)
        return ((const int64_t *)c->data)[i];
    double value = plain_number(c, i);
    return value >= 0x1p62    ? INT64_C(1) << 62
           : value <= -0x1p62 ? -(INT64_C(1) << 62)
           : isnan(value)     ? 0
                              : (int64_t)value;
}

float *constant_floats(const struct constant *c, struct message *m)
{
    float *out = memory_new_raw(c->count, sizeof *out, m);
    if (out && c->count > 0 && c->type == ONNX_FLOAT && !c->scale)
        memcpy(out, c->data, c->count * sizeof *out);
    else
        for (size_t i = 0; out && i < c->count; i++)
            out[i] = (float)constant_number(c, i);
    return out;
}

int constant_list(const struct constant *c, int most, int64_t *out, struct message *m)
{
    if (c->rank > 1 || c->count > (size_t)most || constant_is_float(c))
        return message_set(m, STATUS_MISMATCH, "want a list of at most %d integers", most);
    for (size_t i = 0; i < c->count; i++)
        out[i] = constant_integer(c, i);
    return (int)c->count;
}
