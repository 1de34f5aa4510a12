#include "onnx/builder.h"
#include "base/memory.h"
#include "base/version.h"
#include <string.h>

enum { IR_VERSION = 7, OPSET = 13 }; /* IR 7 is opset 13's own */

struct builder_block {
    struct builder_block *next;
    void *data;
};

void *builder_new(struct builder *b, size_t count, size_t size, struct message *m)
{
    struct builder_block *block = memory_new(1, sizeof *block, m);
    if (!block)
        return NULL;
    block->data = memory_new(count, size, m);
    if (!block->data) {
        memory_free(block);
        return NULL;
    }
    block->next = b->blocks;
    b->blocks = block;
    return block->data;
}

char *builder_text(struct builder *b, struct message *m, const char *format, ...)
{
    struct builder_block *block = memory_new(1, sizeof *block, m);
    va_list arguments;
    if (!block)
        return NULL;
    va_start(arguments, format);
    block->data = memory_vprintf(m, format, arguments);
    va_end(arguments);
    if (!block->data) {
        memory_free(block);
        return NULL;
    }
    block->next = b->blocks;
    b->blocks = block;
    return block->data;
}

void builder_free(struct builder *b)
{
    for (struct builder_block *block = b->blocks, *next; block; block = next) {
        next = block->next;
        memory_free(block->data);
        memory_free(block);
    }
    memory_free(b->nodes);
    memory_free(b->constants);
    memory_free(b->notes);
    *b = (struct builder){0};
}

/* Room for one more pointer. */
static int reserve(void *list, size_t count, size_t *capacity, struct message *m)
{
    void **pointers = list;
    if (count < *capacity)
        return 0;
    size_t wanted = *capacity ? 2 * *capacity : 64;
    void *grown = memory_resize(*pointers, count * sizeof(void *), wanted, sizeof(void *), m);
    if (!grown)
        return STATUS_NOMEM;
    *pointers = grown;
    *capacity = wanted;
    return 0;
}

int builder_node(struct builder *b, const char *op, const char *output, const char *const *inputs,
                 struct message *m)
{
    enum { MOST_ATTRIBUTES = 8 };
    size_t count = 0;
    while (inputs[count])
        count++;
    Onnx__NodeProto *n = builder_new(b, 1, sizeof *n, m);
    char **names = builder_new(b, count + 1, sizeof *names, m);
    Onnx__AttributeProto **attributes = builder_new(b, MOST_ATTRIBUTES, sizeof(void *), m);
    if (!n || !names || !attributes)
        return STATUS_NOMEM;
    TRY(reserve(&b->nodes, b->node_count, &b->node_capacity, m));
    onnx__node_proto__init(n);
    for (size_t i = 0; i < count; i++)
        names[i] = (char *)(uintptr_t)inputs[i]; /* protobuf-c's structs have no const */
    names[count] = (char *)(uintptr_t)output;
    n->n_input = count;
    n->input = names;
    n->n_output = 1;
    n->output = names + count;
    n->name = names[count];
    n->op_type = (char *)(uintptr_t)op;
    n->attribute = attributes;
    b->nodes[b->node_count++] = n;
    return 0;
}

static Onnx__AttributeProto *attribute_add(struct builder *b, const char *name, enum onnx_attribute_type type,
                                           struct message *m)
{
    Onnx__NodeProto *n = b->nodes[b->node_count - 1];
    Onnx__AttributeProto *a = builder_new(b, 1, sizeof *a, m);
    if (!a)
        return NULL;
    onnx__attribute_proto__init(a);
    a->name = (char *)(uintptr_t)name;
    a->has_type = 1;
    a->type = (int32_t)type;
    n->attribute[n->n_attribute++] = a;
    return a;
}

int builder_integer(struct builder *b, const char *name, int64_t value, struct message *m)
{
    Onnx__AttributeProto *a = attribute_add(b, name, ONNX_ATTRIBUTE_INT, m);
    if (!a)
        return STATUS_NOMEM;
    a->has_i = 1;
    a->i = value;
    return 0;
}

int builder_number(struct builder *b, const char *name, float value, struct message *m)
{
    Onnx__AttributeProto *a = attribute_add(b, name, ONNX_ATTRIBUTE_FLOAT, m);
    if (!a)
        return STATUS_NOMEM;
    a->has_f = 1;
    a->f = value;
    return 0;
}

int builder_integers(struct builder *b, const char *name, int count, const int64_t *values, struct message *m)
{
    Onnx__AttributeProto *a = attribute_add(b, name, ONNX_ATTRIBUTE_INTS, m);
    int64_t *own = builder_new(b, (size_t)count, sizeof *own, m);
    if (!a || !own)
        return STATUS_NOMEM;
    memcpy(own, values, (size_t)count * sizeof *own);
    a->n_ints = (size_t)count;
    a->ints = own;
    return 0;
}

static size_t type_size(enum onnx_type type)
{
    return type == ONNX_INT64 ? 8 : type == ONNX_FLOAT || type == ONNX_INT32 ? 4 : 1;
}

int builder_constant(struct builder *b, const char *name, enum onnx_type type, int rank, const int64_t *dims,
                     const void *data, struct message *m)
{
    Onnx__TensorProto *t = builder_new(b, 1, sizeof *t, m);
    int64_t *own = builder_new(b, (size_t)rank, sizeof *own, m);
    if (!t || !own)
        return STATUS_NOMEM;
    TRY(reserve(&b->constants, b->constant_count, &b->constant_capacity, m));
    onnx__tensor_proto__init(t);
    size_t bytes = type_size(type);
    for (int k = 0; k < rank; k++) {
        own[k] = dims[k];
        bytes *= (size_t)dims[k];
    }
    t->name = (char *)(uintptr_t)name;
    t->n_dims = (size_t)rank;
    t->dims = own;
    t->has_data_type = 1;
    t->data_type = (int32_t)type;
    t->has_raw_data = 1;
    t->raw_data.len = bytes;
    t->raw_data.data = (uint8_t *)(uintptr_t)data;
    b->constants[b->constant_count++] = t;
    return 0;
}

int builder_note(struct builder *b, const char *key, const char *value, struct message *m)
{
    Onnx__StringStringEntryProto *note = builder_new(b, 1, sizeof *note, m);
    if (!note)
        return STATUS_NOMEM;
    TRY(reserve(&b->notes, b->note_count, &b->note_capacity, m));
    onnx__string_string_entry_proto__init(note);
    note->key = (char *)(uintptr_t)key;
    note->value = (char *)(uintptr_t)value;
    b->notes[b->note_count++] = note;
    return 0;
}

/* ---- the whole ---- */

/* A value's messages, which protobuf-c wants as pointers. */
struct value_parts {
    Onnx__ValueInfoProto info, *one;
    Onnx__TypeProto type;
    Onnx__TypeTensor tensor;
    Onnx__TensorShapeProto shape;
    Onnx__TensorDimension dims[4], *pointers[4];
};

static void describe(struct value_parts *p, const struct builder_value *v)
{
    static char images[] = "N";
    onnx__value_info_proto__init(&p->info);
    onnx__type_proto__init(&p->type);
    onnx__type_tensor__init(&p->tensor);
    onnx__tensor_shape_proto__init(&p->shape);
    for (int k = 0; k < v->rank; k++) {
        onnx__tensor_dimension__init(&p->dims[k]);
        p->dims[k].has_dim_value = v->dims[k] >= 0;
        p->dims[k].dim_value = v->dims[k];
        p->dims[k].dim_param = v->dims[k] >= 0 ? NULL : images;
        p->pointers[k] = &p->dims[k];
    }
    p->shape.n_dim = (size_t)v->rank;
    p->shape.dim = p->pointers;
    p->tensor.has_elem_type = 1;
    p->tensor.elem_type = (int32_t)v->type;
    p->tensor.shape = &p->shape;
    p->type.tensor_type = &p->tensor;
    p->info.name = (char *)(uintptr_t)v->name;
    p->info.type = &p->type;
    p->one = &p->info;
}

struct sink {
    ProtobufCBuffer base;
    FILE *to;
};

static void sink_append(ProtobufCBuffer *buffer, size_t count, const uint8_t *bytes)
{
    fwrite(bytes, 1, count, ((struct sink *)buffer)->to); /* a failure stays in the stream */
}

int builder_write(struct builder *b, const struct builder_value *input, const struct builder_value *output,
                  FILE *to, struct message *m)
{
    static char producer[] = "resq", version[] = RESQ_VERSION, domain[] = "";
    struct value_parts in, out;
    struct sink sink = {{sink_append}, to};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets = &opset;
    describe(&in, input);
    describe(&out, output);
    opset.domain = domain;
    opset.has_version = 1;
    opset.version = OPSET;
    graph.name = producer;
    graph.n_node = b->node_count;
    graph.node = b->nodes;
    graph.n_initializer = b->constant_count;
    graph.initializer = b->constants;
    graph.n_input = graph.n_output = 1;
    graph.input = &in.one;
    graph.output = &out.one;
    model.has_ir_version = 1;
    model.ir_version = IR_VERSION;
    model.producer_name = producer;
    model.producer_version = version;
    model.n_opset_import = 1;
    model.opset_import = &opsets;
    model.graph = &graph;
    model.n_metadata_props = b->note_count;
    model.metadata_props = b->notes;
    if (protobuf_c_message_get_packed_size(&model.base) > INT32_MAX)
        return message_set(m, STATUS_RANGE, "an ONNX file holds at most 2 GiB, this model has more");
    protobuf_c_message_pack_to_buffer(&model.base, &sink.base);
    return 0;
}
