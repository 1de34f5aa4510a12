/* Operators on constants: what exporters leave around shapes, and weights that are turned or cast. */
#include "onnx/importer.h"
#include "base/memory.h"
#include <math.h>
#include <string.h>

enum { MOST_ELEMENTS = 1 << 24 };

/* A new constant as c's output. */
static int result(const struct call *c, enum onnx_type type, int rank, const int64_t *dims, void **data,
                  struct message *m)
{
    size_t count = 1;
    for (int k = 0; k < rank; k++)
        if (dims[k] < 0 || size_multiply(count, (size_t)dims[k], &count) || count > MOST_ELEMENTS)
            return message_set(m, STATUS_RANGE, "makes more than %d elements", MOST_ELEMENTS);
    TRY(constant_new(&c->out->constant, type, rank, dims, data, m));
    c->out->kind = VALUE_CONSTANT;
    return 0;
}

/* The same elements under another shape. */
static int view(const struct call *c, int rank, const int64_t *dims, struct message *m)
{
    size_t count = 1;
    for (int k = 0; k < rank; k++)
        if (dims[k] < 0 || size_multiply(count, (size_t)dims[k], &count))
            return message_set(m, STATUS_RANGE, "side %d is %lld", k, (long long)dims[k]);
    if (count != c->in[0]->constant.count || c->in[0]->constant.scale_count > 1)
        return message_set(m, STATUS_MISMATCH, "%zu elements cannot become %zu", c->in[0]->constant.count, count);
    c->out->constant = constant_view(&c->in[0]->constant);
    c->out->constant.rank = rank;
    memcpy(c->out->constant.dims, dims, (size_t)rank * sizeof *dims);
    c->out->kind = VALUE_CONSTANT;
    return 0;
}

int fold_same(struct importer *im, const struct call *c, struct message *m)
{
    (void)im, (void)m;
    c->out->constant = constant_view(&c->in[0]->constant);
    c->out->kind = VALUE_CONSTANT;
    return 0;
}

static int constant_of(const struct call *c, enum onnx_type type, size_t count, int is_list, const void *from,
                       struct message *m)
{
    const int64_t dims = (int64_t)count;
    void *data;
    TRY(result(c, type, is_list, &dims, &data, m));
    if (count > 0)
        memcpy(data, from, count * constant_element_bytes(type));
    return 0;
}

int fold_constant(struct importer *im, const struct call *c, struct message *m)
{
    const Onnx__AttributeProto *a;
    if ((a = call_attribute(c, "value")) && a->t) {
        c->out->kind = VALUE_CONSTANT;
        return constant_from_tensor(&c->out->constant, im->file, a->t, m);
    }
    if ((a = call_attribute(c, "value_int")))
        return constant_of(c, ONNX_INT64, 1, 0, &a->i, m);
    if ((a = call_attribute(c, "value_ints")))
        return constant_of(c, ONNX_INT64, a->n_ints, 1, a->ints, m);
    if ((a = call_attribute(c, "value_float")))
        return constant_of(c, ONNX_FLOAT, 1, 0, &a->f, m);
    if ((a = call_attribute(c, "value_floats")))
        return constant_of(c, ONNX_FLOAT, a->n_floats, 1, a->floats, m);
    return message_set(m, STATUS_UNSUPPORTED,
                       "none of value, value_int, value_ints, value_float, value_floats is given");
}

static int cast(const struct call *c, int64_t to, struct message *m)
{
    const struct constant *k = &c->in[0]->constant;
    int is_integer = to == ONNX_INT64 || to == ONNX_INT32 || to == ONNX_BOOL;
    void *data;
    if (!is_integer && to != ONNX_FLOAT && to != ONNX_DOUBLE && to != ONNX_FLOAT16 && to != ONNX_BFLOAT16)
        return message_set(m, STATUS_UNSUPPORTED, "to element type %lld", (long long)to);
    TRY(result(c, is_integer ? ONNX_INT64 : ONNX_FLOAT, k->rank, k->dims, &data, m));
    for (size_t i = 0; i < k->count; i++) {
        if (is_integer)
            ((int64_t *)data)[i] = to == ONNX_BOOL ? constant_number(k, i) != 0 : constant_integer(k, i);
        else
            ((float *)data)[i] = (float)constant_number(k, i);
    }
    return 0;
}

int fold_cast(struct importer *im, const struct call *c, struct message *m)
{
    int64_t to;
    (void)im;
    TRY(call_integer(c, "to", 0, &to, m));
    return cast(c, to, m);
}

int fold_cast_like(struct importer *im, const struct call *c, struct message *m)
{
    (void)im;
    return cast(c, c->in[1]->constant.type, m);
}

int fold_shape(struct importer *im, const struct call *c, struct message *m)
{
    struct value shaped = {.rank = c->in[0]->constant.rank};
    struct call again = *c;
    memcpy(shaped.dims, c->in[0]->constant.dims, sizeof shaped.dims);
    again.in[0] = &shaped;
    return import_shape(im, &again, m);
}

int fold_gather(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *from = &c->in[0]->constant, *at = &c->in[1]->constant;
    int64_t axis;
    void *data;
    (void)im;
    TRY(call_integer(c, "axis", 0, &axis, m));
    if (axis != 0 || from->rank != 1 || constant_is_float(from) || at->rank > 1)
        return message_set(m, STATUS_UNSUPPORTED, "is known here of a list of integers alone");
    TRY(result(c, ONNX_INT64, at->rank, at->dims, &data, m));
    for (size_t i = 0; i < at->count; i++) {
        int64_t k = constant_integer(at, i);
        k += k < 0 ? (int64_t)from->count : 0;
        if (k < 0 || (size_t)k >= from->count)
            return message_set(m, STATUS_RANGE, "index %lld of %zu", (long long)k, from->count);
        ((int64_t *)data)[i] = constant_integer(from, (size_t)k);
    }
    return 0;
}

int fold_concat(struct importer *im, const struct call *c, struct message *m)
{
    int64_t total = 0;
    void *data;
    (void)im;
    for (int k = 0; k < c->count; k++) {
        if (!c->in[k] || c->in[k]->constant.rank != 1 || constant_is_float(&c->in[k]->constant))
            return message_set(m, STATUS_UNSUPPORTED, "is known here of lists of integers alone");
        total += (int64_t)c->in[k]->constant.count;
    }
    TRY(result(c, ONNX_INT64, 1, &total, &data, m));
    int64_t *to = data;
    for (int k = 0; k < c->count; k++)
        for (size_t i = 0; i < c->in[k]->constant.count; i++)
            *to++ = constant_integer(&c->in[k]->constant, i);
    return 0;
}

/* Input k, or attribute `name` of opset 9, which must be one integer. */
static int slice_bound(const struct call *c, int k, const char *name, int64_t otherwise, int64_t *out,
                       struct message *m)
{
    int is_there, count = call_list(c, k, name, 1, out, &is_there, m);
    TRY(count);
    if (!is_there)
        *out = otherwise;
    else if (count != 1)
        return message_set(m, STATUS_UNSUPPORTED, "%s of %d numbers, want one", name, count);
    return 0;
}

int fold_slice(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *from = &c->in[0]->constant;
    int64_t start, end, axis, step, size = (int64_t)from->count;
    void *data;
    (void)im;
    TRY(slice_bound(c, 1, "starts", 0, &start, m));
    TRY(slice_bound(c, 2, "ends", size, &end, m));
    TRY(slice_bound(c, 3, "axes", 0, &axis, m));
    TRY(slice_bound(c, 4, "steps", 1, &step, m));
    if (from->rank != 1 || constant_is_float(from) || axis != 0 || step != 1)
        return message_set(m, STATUS_UNSUPPORTED, "is known here of a list of integers alone, in steps of 1");
    start = start < -size ? 0 : start < 0 ? start + size : start > size ? size : start;
    end = end < -size ? 0 : end < 0 ? end + size : end > size ? size : end;
    int64_t count = end > start ? end - start : 0;
    TRY(result(c, ONNX_INT64, 1, &count, &data, m));
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)data)[i] = constant_integer(from, (size_t)(start + i));
    return 0;
}

int fold_reshape(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *from = &c->in[0]->constant;
    int64_t dims[ONNX_MAX_RANK], known = 1;
    int is_there, rank = call_list(c, 1, "shape", ONNX_MAX_RANK, dims, &is_there, m), open = -1;
    (void)im;
    TRY(rank);
    for (int k = 0; k < rank; k++) {
        if (dims[k] == 0 && k < from->rank)
            dims[k] = from->dims[k];
        if (dims[k] == -1 && open < 0)
            open = k;
        else if (dims[k] < 1 || dims[k] > MOST_ELEMENTS || (known *= dims[k]) > MOST_ELEMENTS)
            return message_set(m, STATUS_RANGE, "side %d is %lld", k, (long long)dims[k]);
    }
    if (open >= 0)
        dims[open] = (int64_t)from->count / known;
    return view(c, rank, dims, m);
}

static int contains(int count, const int64_t *axes, int rank, int k)
{
    for (int i = 0; i < count; i++)
        if (axes[i] == k || axes[i] + rank == k)
            return 1;
    return 0;
}

int fold_squeeze(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *from = &c->in[0]->constant;
    int64_t axes[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    int is_there, count = call_list(c, 1, "axes", ONNX_MAX_RANK, axes, &is_there, m), rank = 0;
    (void)im;
    TRY(count);
    for (int k = 0; k < from->rank; k++)
        if (is_there ? !contains(count, axes, from->rank, k) : from->dims[k] != 1)
            dims[rank++] = from->dims[k];
    return view(c, rank, dims, m);
}

int fold_unsqueeze(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *from = &c->in[0]->constant;
    int64_t axes[ONNX_MAX_RANK], dims[ONNX_MAX_RANK];
    int is_there, count = call_list(c, 1, "axes", ONNX_MAX_RANK, axes, &is_there, m), at = 0;
    (void)im;
    TRY(count);
    if (from->rank + count > ONNX_MAX_RANK)
        return message_set(m, STATUS_RANGE, "more than %d dimensions", ONNX_MAX_RANK);
    for (int k = 0; k < from->rank + count; k++)
        dims[k] = contains(count, axes, from->rank + count, k) || at >= from->rank ? 1 : from->dims[at++];
    return view(c, from->rank + count, dims, m);
}

int fold_transpose(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *from = &c->in[0]->constant;
    int64_t perm[ONNX_MAX_RANK], dims[ONNX_MAX_RANK], index[ONNX_MAX_RANK] = {0};
    int count = call_integers(c, "perm", ONNX_MAX_RANK, perm, m), used = 0;
    size_t strides[ONNX_MAX_RANK], size = constant_element_bytes(from->type);
    void *data;
    (void)im;
    TRY(count);
    for (int k = 0; k < from->rank; k++) {
        perm[k] = count ? perm[k] : from->rank - 1 - k;
        used |= perm[k] >= 0 && perm[k] < from->rank ? 1 << perm[k] : 0;
    }
    if ((count && count != from->rank) || used != (1 << from->rank) - 1 || from->scale_count > 1)
        return message_set(m, STATUS_UNSUPPORTED, "perm is no order of %d dimensions, or codes have a scale each",
                           from->rank);
    for (int k = 0; k < from->rank; k++) {
        dims[k] = from->dims[perm[k]];
        strides[k] = size;
        for (int64_t d = perm[k] + 1; d < from->rank; d++)
            strides[k] *= (size_t)from->dims[d];
    }
    TRY(constant_new(&c->out->constant, from->type, from->rank, dims, &data, m));
    c->out->kind = VALUE_CONSTANT;
    c->out->constant.scale = from->scale;
    c->out->constant.scale_count = from->scale_count;
    for (size_t i = 0; i < from->count; i++) {
        size_t at = 0;
        for (int k = 0; k < from->rank; k++)
            at += (size_t)index[k] * strides[k];
        memcpy((char *)data + i * size, (const char *)from->data + at, size);
        for (int k = from->rank - 1; k >= 0 && ++index[k] == dims[k]; k--)
            index[k] = 0;
    }
    return 0;
}

static int integer_result(char op, int64_t a, int64_t b, int64_t *out)
{
    switch (op) {
    case 'A':
        return __builtin_add_overflow(a, b, out);
    case 'S':
        return __builtin_sub_overflow(a, b, out);
    case 'M':
        return __builtin_mul_overflow(a, b, out);
    default:
        if (b == 0 || (a == INT64_MIN && b == -1))
            return 1;
        *out = a / b;
        return 0;
    }
}

static double number_result(char op, double a, double b)
{
    return op == 'A' ? a + b : op == 'S' ? a - b : op == 'M' ? a * b : a / b;
}

int fold_arithmetic(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *a = &c->in[0]->constant, *b = &c->in[1]->constant;
    const struct constant *shape = a->count == 1 && b->rank >= a->rank ? b : a;
    int is_float = constant_is_float(a) || a->scale || constant_is_float(b) || b->scale;
    char op = c->node->op_type[0]; /* Add, Sub, Mul, Div */
    void *data;
    (void)im;
    if (a->count != b->count && a->count != 1 && b->count != 1)
        return message_set(m, STATUS_UNSUPPORTED, "constants of %zu and %zu elements", a->count, b->count);
    TRY(result(c, is_float ? ONNX_FLOAT : ONNX_INT64, shape->rank, shape->dims, &data, m));
    if (c->out->constant.count != (a->count > b->count ? a->count : b->count))
        return message_set(m, STATUS_UNSUPPORTED, "constants of %zu and %zu elements", a->count, b->count);
    for (size_t i = 0; i < c->out->constant.count; i++) {
        size_t ia = a->count == 1 ? 0 : i, ib = b->count == 1 ? 0 : i;
        if (is_float)
            ((float *)data)[i] = (float)number_result(op, constant_number(a, ia), constant_number(b, ib));
        else if (integer_result(op, constant_integer(a, ia), constant_integer(b, ib), (int64_t *)data + i))
            return message_set(m, STATUS_RANGE, "element %zu overflows", i);
    }
    return 0;
}

/* `count` elements of one value. */
static int filled(const struct call *c, const struct constant *value, int rank, const int64_t *dims,
                  struct message *m)
{
    int is_float = !value || constant_is_float(value);
    void *data;
    TRY(result(c, is_float ? ONNX_FLOAT : ONNX_INT64, rank, dims, &data, m));
    for (size_t i = 0; value && i < c->out->constant.count; i++) {
        if (is_float)
            ((float *)data)[i] = (float)constant_number(value, 0);
        else
            ((int64_t *)data)[i] = constant_integer(value, 0);
    }
    return 0;
}

int fold_expand(struct importer *im, const struct call *c, struct message *m)
{
    int64_t dims[ONNX_MAX_RANK];
    const struct constant *from = &c->in[0]->constant;
    int rank = constant_list(&c->in[1]->constant, ONNX_MAX_RANK, dims, m);
    TRY(rank);
    if (from->count == 1 && from->rank <= rank)
        return filled(c, from, rank, dims, m);
    int64_t count = 1;
    for (int k = 0; k < rank; k++)
        count *= dims[k] == 1 ? 1 : 2;
    if (rank <= from->rank && count == 1)
        return fold_same(im, c, m);
    return message_set(m, STATUS_UNSUPPORTED, "is known here of one element alone");
}

int fold_constant_of_shape(struct importer *im, const struct call *c, struct message *m)
{
    int64_t dims[ONNX_MAX_RANK];
    struct constant value = {0};
    const Onnx__AttributeProto *a = call_attribute(c, "value");
    int rank = constant_list(&c->in[0]->constant, ONNX_MAX_RANK, dims, m);
    TRY(rank);
    if (a && a->t)
        TRY(constant_from_tensor(&value, im->file, a->t, m));
    int status = value.count == 1 || !a ? filled(c, a ? &value : NULL, rank, dims, m)
                                        : message_set(m, STATUS_MISMATCH, "value has %zu elements", value.count);
    constant_free(&value);
    return status;
}

int fold_reduce_prod(struct importer *im, const struct call *c, struct message *m)
{
    const struct constant *from = &c->in[0]->constant;
    int64_t keep, product = 1;
    const int64_t one = 1;
    void *data;
    (void)im;
    TRY(call_integer(c, "keepdims", 1, &keep, m));
    if (from->rank > 1 || constant_is_float(from))
        return message_set(m, STATUS_UNSUPPORTED, "is known here of a list of integers alone");
    for (size_t i = 0; i < from->count; i++)
        if (__builtin_mul_overflow(product, constant_integer(from, i), &product))
            return message_set(m, STATUS_RANGE, "overflows");
    TRY(result(c, ONNX_INT64, keep != 0, &one, &data, m));
    *(int64_t *)data = product;
    return 0;
}
