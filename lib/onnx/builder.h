/* builder.h: an ONNX file that is being put together; the layer's own. What is added stays the builder's; the data of
 * constants is borrowed and must outlive it. */
#ifndef RESQ_ONNX_BUILDER_H
#define RESQ_ONNX_BUILDER_H

#include "base/status.h"
#include "onnx/onnx.pb-c.h"
#include "onnx/types.h"
#include <stdio.h>

struct builder_block;

/* All-zero is the empty file. */
struct builder {
    struct builder_block *blocks; /* what was allocated */
    Onnx__NodeProto **nodes;
    Onnx__TensorProto **constants;
    Onnx__StringStringEntryProto **notes;
    size_t node_count, node_capacity, constant_count, constant_capacity, note_count, note_capacity;
};

/* A graph's input or output. dims: -1 is the number of images. */
struct builder_value {
    const char *name;
    enum onnx_type type;
    int rank;
    int64_t dims[4];
};

/* Zeroed memory that lives as long as the builder; NULL with a message. */
void *builder_new(struct builder *b, size_t count, size_t size, struct message *m) RESQ_USE_RESULT;
char *builder_text(struct builder *b, struct message *m, const char *format, ...) RESQ_PRINTF(3, 4) RESQ_USE_RESULT;

/* A node with one output, after which it is named. Inputs: names, borrowed, NULL behind the last. */
int builder_node(struct builder *b, const char *op, const char *output, const char *const *inputs,
                 struct message *m) RESQ_USE_RESULT;
/* Attributes of the node added last. */
int builder_integer(struct builder *b, const char *name, int64_t value, struct message *m) RESQ_USE_RESULT;
int builder_number(struct builder *b, const char *name, float value, struct message *m) RESQ_USE_RESULT;
int builder_integers(struct builder *b, const char *name, int count, const int64_t *values,
                     struct message *m) RESQ_USE_RESULT;
/* An initializer; data: as many bytes as its elements have. */
int builder_constant(struct builder *b, const char *name, enum onnx_type type, int rank, const int64_t *dims,
                     const void *data, struct message *m) RESQ_USE_RESULT;
/* An entry of metadata_props; both borrowed. */
int builder_note(struct builder *b, const char *key, const char *value, struct message *m) RESQ_USE_RESULT;
/* Serialises all; STATUS_UNSUPPORTED where a name stands for two values. */
int builder_write(struct builder *b, const struct builder_value *input, const struct builder_value *output,
                  FILE *to, struct message *m) RESQ_USE_RESULT;
void builder_free(struct builder *b);

#endif
