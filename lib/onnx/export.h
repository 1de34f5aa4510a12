/* export.h: a model as an ONNX file. Float layers become the ONNX operators of the same meaning; integer ones stand
 * between QuantizeLinear and DequantizeLinear (QDQ), with the model's own codes, scales and zero points, so that a
 * runtime that computes QDQ as integers computes what quant/QUANT.md says. Opset 13, IR version 7:
 * what every runtime since 2021 reads. */
#ifndef RESQ_ONNX_EXPORT_H
#define RESQ_ONNX_EXPORT_H

#include "graph/model.h"
#include <stdio.h>

/* For whom, which matters to int8 models alone. */
enum onnx_target {
    /* and anybody else: codes u8 with zero points, a residual added to the convolution's real result */
    ONNX_FOR_OPENVINO,
    /* ONNX Runtime's integer operators: every convolution's result is codes before anything is added to it */
    ONNX_FOR_RUNTIME,
    ONNX_FOR_TENSORRT /* codes s8, every zero point 0 */
};

struct onnx_export_options {
    enum onnx_target target;
    /* 0: the input `image` is f32 [N,C,H,W], normalised already (mean and deviation are in the file's metadata);
     * 1: it is u8 [N,H,W,C], pixels, and the file normalises them. */
    int pixels;
};

/* Writes the file's bytes to `to`, whose errors are the caller's to find (atomic_commit). Same model, same bytes.
 * Output `logits` is f32 [N,K]; the model's metadata but graph, stage and checksum stand in metadata_props under
 * their keys, with `mean` and `std` as the network's normalize has them. STATUS_UNSUPPORTED names the node that has
 * no form for the target. */
int onnx_export(const struct model *model, const struct onnx_export_options *options, FILE *to,
                struct message *m) RESQ_USE_RESULT;

#endif
