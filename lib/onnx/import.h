/* import.h: an ONNX file as a model. Operators of opsets 9 and later become the graph's own ops; what exporters leave
 * to be computed (shapes, constants, casts) is computed here; a normalisation in front becomes the graph's. Layers
 * between QuantizeLinear and DequantizeLinear become integer layers where the arithmetic of quant/QUANT.md gives what
 * they say. What cannot be taken is refused by its node's name. */
#ifndef RESQ_ONNX_IMPORT_H
#define RESQ_ONNX_IMPORT_H

#include "graph/model.h"

/* All-zero: nothing is given, nobody is told. */
struct onnx_import_options {
    /* The file's input is (pixel/255 - mean) / std. Not given: pixels 0..255 where it is of type uint8 or what stands
     * in front divides by 64 or more, shares 0..1 where something else stands in front, else the mean and std in the
     * file's metadata, else CIFAR-10's. */
    int has_normalize;
    float mean[3], std[3];
    /* Called with each line that the user should know: what was assumed, what was left out. May be NULL. */
    void (*tell)(void *context, const char *line);
    void *context;
};

/* path: the file, NULL or "-" standard input; data beside it is read where it says so (files in its folder alone).
 * model: overwritten, verified, its metadata stored; the caller's to free.
 * Memory stays within about three times the file. */
int onnx_import(struct model *model, const char *path, const struct onnx_import_options *options,
                struct message *m) RESQ_USE_RESULT;
/* The same from memory, without a folder for data beside. */
int onnx_import_bytes(struct model *model, const void *bytes, size_t count,
                      const struct onnx_import_options *options, struct message *m) RESQ_USE_RESULT;

#endif
