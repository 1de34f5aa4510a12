/* exporter.h: an export under way; the layer's own. Nodes of the graph are taken in their order; each leaves the name
 * under which the file has its real values. */
#ifndef RESQ_ONNX_EXPORTER_H
#define RESQ_ONNX_EXPORTER_H

#include "onnx/builder.h"
#include "onnx/export.h"

struct exporter {
    const struct model *model;
    const struct onnx_export_options *options;
    struct builder b;
    const char **values; /* per node: its real values in the file */
};

static inline const struct node *export_node(const struct exporter *e, int i)
{
    return &e->model->graph.nodes[i];
}

#define INPUTS(...) ((const char *const[]){__VA_ARGS__, NULL})
/* Forwards that memory is out. */
#define NAME(variable, ...)                                     \
    const char *variable = builder_text(&e->b, m, __VA_ARGS__); \
    if (!variable)                                              \
    return STATUS_NOMEM

#define LOGITS_NAME "logits"

/* ---- export_codes.c ---- */

/* A tensor of the model's, and numbers, as constants. */
int export_tensor(struct exporter *e, const char *name, enum onnx_type type, const struct tensor *t,
                  struct message *m) RESQ_USE_RESULT;
int export_number(struct exporter *e, const char *name, float value, struct message *m) RESQ_USE_RESULT;
/* Whether the relu and the clip of integer node i are the clamp of its codes alone:
 * in the file no operator says them. */
int export_clamps_codes(const struct exporter *e, int i);
/* x -> codes of node i -> what they stand for: e->values[i]. A map that became a vector does so as codes, so that
 * layers still read DequantizeLinear. */
int export_pair(struct exporter *e, int i, const char *x, int flatten, struct message *m) RESQ_USE_RESULT;
/* The real value of node i is x, made by the node's own operator; as codes where it gives codes. */
int export_finish(struct exporter *e, int i, const char *x, struct message *m) RESQ_USE_RESULT;
/* What node i's last operator gives: under the node's name, or, where codes are made of it, NAME.WHAT. */
const char *export_result(struct exporter *e, int i, const char *what, struct message *m) RESQ_USE_RESULT;
/* Names of weight and bias (NULL where there is none) as real numbers. */
int export_weights(struct exporter *e, int i, const char **weight, const char **bias,
                   struct message *m) RESQ_USE_RESULT;

/* ---- export_layers.c: an op's form in the file; x: the real values of its first input ---- */

typedef int write_function(struct exporter *e, int i, const char *x, struct message *m);
write_function write_conv2d, write_linear, write_batchnorm, write_relu, write_clip, write_add, write_avgpool,
    write_maxpool, write_concat, write_flatten, write_same;

#endif
