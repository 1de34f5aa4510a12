/* constant.h: a tensor whose values a file gives, and what exporters leave to be
 * computed from such; the layer's own. */
#ifndef RESQ_ONNX_CONSTANT_H
#define RESQ_ONNX_CONSTANT_H

#include "onnx/reader.h"

enum { ONNX_MAX_RANK = 8 };

/* All-zero is none. Elements of int4 types take a byte each. */
struct constant {
    enum onnx_type type; /* FLOAT, DOUBLE, FLOAT16, BFLOAT16, BOOL or an integer type */
    int rank;
    int64_t dims[ONNX_MAX_RANK];
    size_t count;
    const void *data; /* in the tensor's own memory, or in `owned` */
    void *owned;      /* memory_free */
    /* Where these are codes that DequantizeLinear read: one scale, or one a slice
     * along axis 0; zero points are all 0. */
    const float *scale;
    size_t scale_count;
};

void constant_free(struct constant *c);
/* Checks type, shape and how much data there is. */
int constant_from_tensor(struct constant *c, const struct onnx_file *f, const Onnx__TensorProto *t,
                         struct message *m) RESQ_USE_RESULT;
/* Zeros of this shape, owned; *data is where to write. */
int constant_new(struct constant *c, enum onnx_type type, int rank, const int64_t *dims, void **data,
                 struct message *m) RESQ_USE_RESULT;
/* The same values under another shape: data are shared with `from`, which must live on. */
struct constant constant_view(const struct constant *from);

size_t constant_element_bytes(enum onnx_type type);
int constant_is_float(const struct constant *c);
double constant_number(const struct constant *c, size_t i);   /* codes: what they stand for */
int64_t constant_integer(const struct constant *c, size_t i); /* floats: rounded toward zero, cut to int64 */
/* Elements as f32, in new memory (memory_free). */
float *constant_floats(const struct constant *c, struct message *m) RESQ_USE_RESULT;
/* A list of integers, rank 0 or 1, at most `most`: how many; else STATUS_MISMATCH. */
int constant_list(const struct constant *c, int most, int64_t *out, struct message *m) RESQ_USE_RESULT;

#endif
