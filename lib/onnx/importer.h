/* importer.h: an import under way; the layer's own. The file's nodes are taken in their order, which is a topological
 * one; each turns values into a value. A row of operators.c names the function for each operator. */
#ifndef RESQ_ONNX_IMPORTER_H
#define RESQ_ONNX_IMPORTER_H

#include "graph/model.h"
#include "graph/schema.h"
#include "onnx/constant.h"
#include "onnx/import.h"

enum value_kind {
    VALUE_UNKNOWN, /* not defined yet */
    VALUE_CONSTANT,
    VALUE_PIXELS, /* the input, channel by channel (x - offset[c]) / divisor[c] */
    VALUE_NODE,   /* what a node of the graph gives; of one that gives codes: what they stand for */
    VALUE_CODES,  /* the codes themselves */
    VALUE_SUM     /* what is computed from codes, before QuantizeLinear says on which codes it is to be */
};

enum { MOST_CHANNELS = 4 };

/* What is computed from codes and is not a node yet. */
struct pending {
    struct node
        node; /* op, inputs (nodes that give codes; a convolution's second is its residual) and attributes */
    char name[NODE_NAME_SIZE];
    const struct constant *weight, *bias;
    int is_flat; /* of a mean: its shape is [N,C] */
};

struct value {
    const char *name;
    enum value_kind kind;
    int is_needed, uses;
    struct constant constant;
    int rank; /* all but constants: the shape that the file has for it, images first */
    int64_t dims[ONNX_MAX_RANK];
    int channels_last; /* PIXELS, and NODE with a map: dims are N,H,W,C, not N,C,H,W */
    double offset[MOST_CHANNELS], divisor[MOST_CHANNELS];
    int node;
    struct pending *pending;
    int has_cut; /* by a Clip: of QuantizeLinear's, its codes end there; for others it becomes a node */
    float low, high;
    char cut_name[NODE_NAME_SIZE]; /* what that would be called */
};

struct importer {
    const struct onnx_import_options *options;
    struct onnx_file *file;
    int64_t opset;
    struct model *model; /* made */
    struct value *values;
    size_t value_count;
    uint32_t *slots; /* hash table of names: index + 1 */
    size_t slot_count;
    int input_type; /* enum onnx_type of the file's input */
    int norm;       /* the normalize node, or -1 */
    int is_scaled;  /* something stands in front that is a normalisation */
    struct value norm_of;
    struct text lines; /* for options->tell */
};

/* One node of the file that is being taken. */
struct call {
    const Onnx__NodeProto *node;
    struct value *in[NODE_MAX_INPUTS]; /* NULL: left out */
    int count;
    struct value *out;
};

typedef int import_function(struct importer *im, const struct call *c, struct message *m);

struct operator_row {
    const char *op;
    int least, most;        /* inputs */
    import_function *fold;  /* where all inputs are constants; NULL: never */
    import_function *layer; /* otherwise; NULL: never */
};

const struct operator_row *operator_find(const char *op); /* or NULL */
int operators_list(struct text *t, struct message *m) RESQ_USE_RESULT;

/* ---- attributes: `otherwise` where left out; a type other than asked is STATUS_FORMAT ---- */
int call_integer(const struct call *c, const char *name, int64_t otherwise, int64_t *out,
                 struct message *m) RESQ_USE_RESULT;
int call_number(const struct call *c, const char *name, double otherwise, double *out,
                struct message *m) RESQ_USE_RESULT;
/* How many, at most `most`; 0 where left out. */
int call_integers(const struct call *c, const char *name, int most, int64_t *out,
                  struct message *m) RESQ_USE_RESULT;
/* As text; "" where left out. */
int call_text(const struct call *c, const char *name, char out[32], struct message *m) RESQ_USE_RESULT;
const Onnx__AttributeProto *call_attribute(const struct call *c, const char *name);
/* The list that newer opsets have as input `k` and older ones as an attribute: how many; *is_there 0: neither. */
int call_list(const struct call *c, int k, const char *name, int most, int64_t *out, int *is_there,
              struct message *m) RESQ_USE_RESULT;
struct value *call_input(const struct call *c, int k); /* NULL: left out */
/* Input k, which must be a constant with real numbers; what: for the message. */
int call_constant(const struct call *c, int k, const char *what, const struct constant **out,
                  struct message *m) RESQ_USE_RESULT;

/* ---- values ---- */
/* The node of the graph that gives v in f32; a normalize, a dequantize, a clip or what waits
 * is made where there is none yet. */
int value_f32(struct importer *im, struct value *v, struct message *m) RESQ_USE_RESULT;
int value_is_codes(const struct importer *im, const struct value *v); /* a NODE, and its node gives codes */
/* The node that gives what codes node `node` stands for. */
int value_dequantized(struct importer *im, int node, struct message *m) RESQ_USE_RESULT;
/* The node that gives v, in f32 or as codes. */
int value_node(struct importer *im, struct value *v, struct message *m) RESQ_USE_RESULT;
int value_is_vector(const struct importer *im, const struct value *v);
/* A new node with its inputs (-1: none); named after the tensor `stem` ("X.weight" gives X) where it is one of the
 * file's own, else after the call. Attributes are the caller's to set, then node_finish. */
int node_new(struct importer *im, const struct call *c, enum graph_op op, const char *stem, int x, int y,
             struct message *m) RESQ_USE_RESULT;
/* Verifies it and makes it c's output; is_flat: the shape is [N,C] also for a map's mean. */
int node_finish(struct importer *im, const struct call *c, int node, int is_flat,
                struct message *m) RESQ_USE_RESULT;
void node_choose_name(const struct importer *im, const struct call *c, const char *stem, char out[NODE_NAME_SIZE]);
/* Adds NODE.SUFFIX; data NULL: zeros. */
int node_tensor(struct importer *im, int node, const char *suffix, enum dtype dtype, int rank, const int64_t *shape,
                const void *data, struct message *m) RESQ_USE_RESULT;
int node_floats(struct importer *im, int node, const char *suffix, int rank, const int64_t *shape,
                const struct constant *c, struct message *m) RESQ_USE_RESULT;
struct codes_map {
    float scale;
    uint8_t zero_point; /* of unsigned codes */
};
/* scale, zero_point and range of a node that gives codes; or those of its first input. */
int node_map(struct importer *im, int node, const struct codes_map *map, const uint8_t range[2],
             struct message *m) RESQ_USE_RESULT;
int node_repeat_map(struct importer *im, int i, struct message *m) RESQ_USE_RESULT;
/* The smallest and largest code of node i, to be changed. */
uint8_t *node_range(const struct importer *im, int i);
/* Makes `to` the same value under its own name, with the uses of both. */
void value_pass_on(const struct value *from, struct value *to);
/* A line for the user, shown once all is well. */
int import_tell(struct importer *im, struct message *m, const char *format, ...) RESQ_PRINTF(3, 4) RESQ_USE_RESULT;

/* ---- values.c has value_f32 and value_node; the rest of these stands in call.c ---- */
/* ---- window.c ---- */
/* A window's attributes; kernel comes with what weights say, 0: the attribute must. */
int window_attributes(const struct call *c, int64_t *kernel, int64_t *stride, int64_t *pad,
                      struct message *m) RESQ_USE_RESULT;
/* Attributes of a convolution over c's input with these weights, into n. */
int convolution_attributes(const struct call *c, const struct constant *w, struct node *n,
                           struct message *m) RESQ_USE_RESULT;
/* ---- layers.c ---- */
import_function import_conv, import_gemm, import_matmul, import_batchnorm, import_add, import_sub, import_mul,
    import_div, import_softmax;
/* ---- steps.c ---- */
import_function import_relu, import_clip;
/* ---- pools.c ---- */
import_function import_global_average, import_average, import_reduce_mean, import_max;
/* ---- shapes.c ---- */
import_function import_same, import_shape, import_reshape, import_flatten, import_squeeze, import_unsqueeze,
    import_transpose, import_concat;
/* ---- fold.c ---- */
import_function fold_constant, fold_same, fold_cast, fold_cast_like, fold_shape, fold_gather, fold_concat,
    fold_slice, fold_reshape, fold_squeeze, fold_unsqueeze, fold_transpose, fold_arithmetic, fold_expand,
    fold_constant_of_shape, fold_reduce_prod;
/* ---- codes.c ---- */
import_function fold_quantize, fold_dequantize, import_quantize, import_dequantize;
/* c's input, which is codes, between the codes of its second and third. */
int codes_clip(struct importer *im, const struct call *c, struct message *m) RESQ_USE_RESULT;
/* ---- pending.c ---- */
/* Whether c is a layer on codes with coded weights, which becomes a SUM; so do the others of these. */
int codes_layer(const struct importer *im, const struct call *c);
int codes_conv(struct importer *im, const struct call *c, struct message *m) RESQ_USE_RESULT;
int codes_gemm(struct importer *im, const struct call *c, struct message *m) RESQ_USE_RESULT;
int codes_average(struct importer *im, const struct call *c, int is_flat, struct message *m) RESQ_USE_RESULT;
/* window: with kernel, stride and pad. */
int codes_windows(struct importer *im, const struct call *c, const struct node *window,
                  struct message *m) RESQ_USE_RESULT;
int codes_sum(struct importer *im, const struct call *c, struct message *m) RESQ_USE_RESULT;
int codes_concat(struct importer *im, const struct call *c, struct message *m) RESQ_USE_RESULT;
/* A residual, and a relu, of a SUM. */
int codes_add(struct importer *im, const struct call *c, struct value *sum, struct value *other,
              struct message *m) RESQ_USE_RESULT;
int codes_relu(struct importer *im, const struct call *c, struct message *m) RESQ_USE_RESULT;
/* SUM c->in[0] as a node that gives codes, called `name`; its map is the caller's to add. */
int pending_append(struct importer *im, const struct call *c, const char *name, struct message *m) RESQ_USE_RESULT;
/* SUM v as a node that gives it in f32; a convolution's is refused. */
int pending_settle(struct importer *im, struct value *v, struct message *m) RESQ_USE_RESULT;

#endif
